//! How the examples begin: with the built command in the environment, in a lab of their own.

use std::error::Error;
use std::process::{Command, ExitCode};
use vipward_lab::{Entered, enter};

/// Runs `measure` in a lab. Its error goes to standard error, after the example's name, and is exit status 1.
pub fn example(name: &str, measure: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    if std::env::var_os("VIPWARD_COMMAND").is_none() {
        // Once more with the built command in the environment; the lab can't build.
        let Ok(this) = std::env::current_exe() else { return ExitCode::FAILURE };
        let arguments = std::env::args_os().skip(1);
        let status = Command::new(this).args(arguments).env("VIPWARD_COMMAND", crate::vipward()).status();
        return if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let measured = match enter() {
        Ok(Entered::Outside(code)) => return code,
        Ok(Entered::Inside) => measure(),
        Err(reason) => Err(reason.into()),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
