//! `vipward demo`: the newcomer's first command. It builds a small network of namespaces, starts the real daemon in two
//! directors, lets a client ask the VIP all the time, breaks things, and prints what the client saw beside what the
//! protocol's own arithmetic allows.
//!
//! No root is needed where user namespaces are allowed. Nothing of the host is touched and nothing is left behind,
//! also after Ctrl-C or `kill -9`: everything lives in namespaces that end with this command.

mod arithmetic;
mod cluster;
mod screen;
mod story;

use crate::system::exit::Exit;
use std::process::ExitCode;
use vipward_lab::{Entered, enter};

/// Runs the demo. To be called before the process has a second thread.
pub fn run() -> ExitCode {
    match enter() {
        Ok(Entered::Outside(code)) => code,
        Ok(Entered::Inside) => match story::tell() {
            Ok(()) => Exit::Fine.into(),
            Err(error) => {
                eprintln!("vipward demo: {error}");
                Exit::Failed.into()
            }
        },
        Err(reason) => {
            eprintln!("vipward demo: {reason}");
            Exit::Privilege.into()
        }
    }
}
