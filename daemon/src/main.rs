//! vipward: keeps virtual IP addresses served. The Linux world around `vipward-core`, and the command line.

mod command;
mod coordination;
mod dataplane;
mod host;
mod mail;
mod net;
mod options;
mod process;
mod record;
mod state;
mod status;
mod system;
#[cfg(test)]
mod testing;

use clap::Parser;
use clap::error::ErrorKind;
use command::{check, demo, drain, keepalived, serve, status as ask, upgrade, words};
use options::cli::{Cli, Command, Config};
use options::keepalived::Keepalived;
use process::{confine, supervise, worker};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use system::exit::Exit;
use system::log;

/// Called by this name, it takes keepalived's command line.
const KEEPALIVED: &str = "keepalived";

fn main() -> ExitCode {
    abort_on_panic();
    let called = std::env::args_os().next();
    if called.is_some_and(|name| Path::new(&name).file_name() == Some(OsStr::new(KEEPALIVED))) {
        return match Keepalived::try_parse() {
            Ok(options) => keepalived::keepalived(&options),
            Err(error) => misused(&error),
        };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let status = match cli.command {
        Command::Run(options) => supervise::run(&options),
        Command::Worker(options) => worker::run(&options).into(),
        Command::Scripts(options) => confine::scripts(&options).into(),
        Command::Upgrade(options) => upgrade::upgrade(&options).into(),
        Command::Reload(options) => upgrade::reload(&options).into(),
        Command::Status(options) => ask::status(&options).into(),
        Command::Explain(options) => ask::explain(&options).into(),
        Command::History(options) => ask::history(&options).into(),
        Command::Drain(options) => drain::drain(&options).into(),
        Command::Undrain(options) => drain::undrain(&options).into(),
        Command::Serve(options) => serve::serve(&options).into(),
        Command::Check(options) => check::check(&options).into(),
        Command::Config(Config::Words(options)) => words::words(&options).into(),
        Command::Keepalived(options) => keepalived::keepalived(&options),
        Command::Demo => demo::run(),
    };
    log::drain(log::LAST_LINES);
    status
}

/// `--help` and `--version` come this way too.
fn misused(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let _ = error.print();
    if asked { Exit::Fine } else { Exit::Usage }.into()
}

/// A director that lost one of its threads would hold its addresses and decide nothing. Dead it is replaced by a peer.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !log::panic(panic) {
            print(panic);
        }
        std::process::abort();
    }));
}
