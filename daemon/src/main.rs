//! vipward: keeps virtual IP addresses served. The Linux world around `vipward-core`, and the command line.

mod adverts;
mod arp;
mod check;
mod cli;
mod clock;
mod configuration;
mod coordination;
mod dataplane;
mod demo;
mod exit;
mod heritage;
mod host;
mod ipv4;
mod ipvs;
mod links;
mod log;
mod netlink;
mod network;
mod passing;
mod privileges;
mod record;
mod relay;
mod requests;
mod scripts;
mod state;
mod summary;
mod supervise;
#[cfg(test)]
mod testing;
mod thread;
mod upgrade;
mod worker;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command};
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    abort_on_panic();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too.
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return if asked { Exit::Fine } else { Exit::Usage }.into();
        }
    };
    match cli.command {
        Command::Run(options) => return supervise::run(&options),
        Command::Worker(options) => worker::run(&options),
        Command::Upgrade(options) => upgrade::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Demo => return demo::run(),
    }
    .into()
}

/// A director that lost one of its threads would hold its addresses and decide nothing. Dead it is replaced by a peer.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}
