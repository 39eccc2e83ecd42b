//! `MISC_CHECK`: what becomes of a program that ends in every way.

use super::*;
use std::future::pending;
use vipward_core::check::misc;

/// A world in which `exit N`, `signal N`, `missing`, `short` and `hang` are programs.
pub async fn run(command: &Command) -> Result<ScriptOutcome, Shortage> {
    let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["exit", status] => ScriptOutcome::Exited(status.parse().unwrap()),
        ["signal", signal] => ScriptOutcome::Killed(signal.parse().unwrap()),
        ["missing"] => ScriptOutcome::NotStarted("No such file or directory (os error 2)".to_owned()),
        ["short"] => return Err(Shortage::Processes),
        ["hang"] => pending().await,
        other => panic!("{other:?}"),
    })
}

fn program(text: &str, dynamic: bool) -> ProbeKind {
    let argv = text.split(' ').map(str::to_owned).collect();
    ProbeKind::Misc(misc::Run { command: Command { argv, user: None }, dynamic })
}

/// What became of it. Nobody is connected to.
async fn ends(text: &str, dynamic: bool) -> String {
    match verdict(refuses(io::ErrorKind::ConnectionRefused), program(text, dynamic)).await.0 {
        Verdict::Passed => "passed".to_owned(),
        Verdict::Weighs(weight) => format!("passed with {weight}"),
        Verdict::Failed(failure) => failure.to_string(),
        Verdict::NotAsked(shortage) => format!("{shortage:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn zero_is_well_and_the_rest_is_not() {
    for (text, says) in [
        ("exit 0", "passed"),
        ("exit 1", "misc_path exited with 1"),
        ("exit 2", "misc_path exited with 2"),
        ("exit 255", "misc_path exited with 255"),
        ("signal 11", "misc_path was killed by signal 11"),
        ("missing", "misc_path could not be started: No such file or directory (os error 2)"),
        ("short", "Processes"),
    ] {
        assert_eq!(ends(text, false).await, says, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn misc_dynamic_makes_weights_of_2_to_255() {
    for (text, says) in [
        ("exit 0", "passed"),
        ("exit 1", "misc_path exited with 1"),
        ("exit 2", "passed with 0"),
        ("exit 3", "passed with 1"),
        ("exit 255", "passed with 253"),
        ("signal 9", "misc_path was killed by signal 9"),
    ] {
        assert_eq!(ends(text, true).await, says, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_end_fails_at_misc_timeout() {
    let (verdict, took) = verdict(refuses(io::ErrorKind::ConnectionRefused), program("hang", false)).await;
    assert_eq!((verdict, took), (Verdict::Failed(misc::Wrong::TimedOut.into()), TIMEOUT));
}
