//! `in-lab PROGRAM [ARGUMENT]...` runs a program in a lab of its own: fresh network, process and mount namespaces,
//! without root where user namespaces are allowed. The program's exit status is this one's; 125 means that there can
//! be no lab. Nothing that the program starts outlives this command.

use std::process::{Command, ExitCode};
use vipward_lab::{Entered, attend, enter};

const NO_LAB: u8 = 125;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: in-lab PROGRAM [ARGUMENT]...");
        return ExitCode::from(2);
    };
    match enter() {
        Ok(Entered::Outside(code)) => code,
        Ok(Entered::Inside) => {
            let mut command = Command::new(&program);
            command.args(arguments);
            attend(command).unwrap_or_else(|error| {
                eprintln!("in-lab: {}: {error}", program.to_string_lossy());
                ExitCode::from(NO_LAB)
            })
        }
        Err(reason) => {
            eprintln!("in-lab: {reason}");
            ExitCode::from(NO_LAB)
        }
    }
}
