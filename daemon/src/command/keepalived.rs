//! `vipward keepalived`: what calls keepalived calls vipward.

use super::check;
use crate::options::cli::{Check, Format};
use crate::options::configuration::{host_name, load};
use crate::options::keepalived::{Keepalived, SigFunc};
use crate::system::disk::{Disk, LooksAt};
use crate::system::exit::Exit;
use crate::system::signals;
use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use vipward_core::text::{Severity, Sources};

/// keepalived(8): the configuration can't be run.
const CANNOT_RUN: u8 = 3;

/// Does what keepalived's command line asks for; returns when it is done, or when `vipward run` can't be started.
pub fn keepalived(options: &Keepalived) -> ExitCode {
    if let Some(function) = options.signum {
        let signal = match function {
            SigFunc::Stop => Signal::SIGTERM as i32,
            SigFunc::Reload => Signal::SIGHUP as i32,
            SigFunc::Data => Signal::SIGUSR1 as i32,
            SigFunc::Stats => Signal::SIGUSR2 as i32,
            SigFunc::Json => signals::json(),
        };
        println!("{signal}");
        return Exit::Fine.into();
    }
    if let Some(to) = &options.config_test {
        return test(options, to.as_deref());
    }
    if let Some(why) = options.refused().map(str::to_owned).or_else(|| half(options)) {
        eprintln!("vipward keepalived: {why}");
        return Exit::Usage.into();
    }
    for name in options.without_effect() {
        eprintln!("vipward keepalived: {name} has no effect");
    }
    // The same process, so that the service manager's notifications and the number in the pid file stay right.
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(&error),
    };
    failed(&Command::new(program).args(options.as_run()).exec())
}

fn failed(error: &std::io::Error) -> ExitCode {
    eprintln!("vipward keepalived: can't start `vipward run`: {error}");
    Exit::Failed.into()
}

/// `--config-test`: keepalived's exit statuses, our messages.
fn test(options: &Keepalived, to: Option<&std::path::Path>) -> ExitCode {
    let config_id = options.config_id.iter().cloned().collect();
    let asked = Check { files: vec![options.file.clone()], config_id, strict: false, format: Format::Text };
    let (text, worst) = match check::report(&asked, false) {
        Ok(said) => said,
        Err(why) => (format!("{why}\n"), Some(Severity::Error)),
    };
    let written = match to {
        Some(path) => std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display())),
        None => std::io::stderr().write_all(text.as_bytes()).map_err(|error| error.to_string()),
    };
    if let Err(error) = written {
        eprintln!("vipward keepalived: can't say what is wrong: {error}");
    }
    if worst == Some(Severity::Error) { CANNOT_RUN.into() } else { Exit::Fine.into() }
}

/// Half of keepalived is asked for, and the file has the other half, too: nobody may start what was left out on purpose.
fn half(options: &Keepalived) -> Option<String> {
    if !options.vrrp && !options.check {
        return None;
    }
    let id = options.config_id.clone().unwrap_or_else(host_name);
    let loaded = load(&mut Sources::default(), &Disk::new(LooksAt::default()), &options.file, &id);
    let config = loaded.best_effort();
    let file = options.file.display();
    if options.vrrp && !config.services.is_empty() {
        return Some(format!("--vrrp: {file} has virtual servers, and vipward runs all of a file: take them out"));
    }
    if options.check && !config.routers.is_empty() {
        return Some(format!("--check: {file} has virtual routers, and vipward runs all of a file: take them out"));
    }
    None
}
