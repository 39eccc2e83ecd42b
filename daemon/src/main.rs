//! vipward: keeps virtual IP addresses served. The Linux world around `vipward-core`, and the command line.

mod command;
mod coordination;
mod dataplane;
mod host;
mod net;
mod options;
mod process;
mod record;
mod state;
mod system;
#[cfg(test)]
mod testing;

use clap::Parser;
use clap::error::ErrorKind;
use command::{check, demo, upgrade, words};
use options::cli::{Cli, Command, Config};
use process::{supervise, worker};
use std::process::ExitCode;
use system::exit::Exit;

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
        Command::Config(Config::Words(options)) => words::words(&options),
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
