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
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::process::ExitCode;
use vipward_lab::{Entered, enter, inside};

/// Runs the demo. To be called before the process has a second thread.
pub fn run() -> ExitCode {
    if !inside() {
        say_so_when_interrupted();
    }
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

/// Ctrl-C ends this process, and with it all that is inside: its first process ends when the line to this one is closed.
fn say_so_when_interrupted() {
    extern "C" fn interrupted(_: libc::c_int) {
        const WORD: &[u8] = b"\ninterrupted: what the demo had made ends with it\n";
        // SAFETY: both may be called in a signal handler, and WORD is as long as it says.
        #[allow(unsafe_code)]
        unsafe {
            libc::write(libc::STDERR_FILENO, WORD.as_ptr().cast(), WORD.len());
            libc::_exit(130)
        }
    }
    let action = SigAction::new(SigHandler::Handler(interrupted), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler calls nothing that may not be called there. If it can't be set, the signal ends the process.
        #[allow(unsafe_code)]
        let _ = unsafe { sigaction(signal, &action) };
    }
}
