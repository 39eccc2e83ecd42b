//! Reloads of a running director: the verdict reaches whoever asked for it, and no file holds it up.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, SOON, VIPWARD, file, worker};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// `vipward reload`, at the director of this configuration.
fn reload(path: &Path) -> Output {
    Command::new(VIPWARD).args(["reload", "--control"]).arg(path.with_extension("sock")).output().unwrap()
}

/// What it printed, if the exit status is 1.
#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn who_asks_for_a_reload_is_told_whether_it_applies() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("who_asks_for_a_reload_is_told_whether_it_applies", &path) else { return };
    director.says("nix0 does not exist");
    fs::write(&path, GOOD.replace("priority 100", "priority 90")).unwrap();
    let output = reload(&path);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"reloaded: the configuration was read again and applies\n");
    director.says("was read again");
    fs::write(&path, GOOD.replace("priority 100", "priority x").replace("192.0.2.100/24", "nowhere")).unwrap();
    let said = refusal(&reload(&path));
    assert!(said.starts_with("not reloaded, the running configuration stays: "), "{said}");
    for part in ["lb1.conf:4:14: ", "and another error, which the log shows"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    director.says("the running configuration stays");
    fs::remove_file(&path).unwrap();
    let said = refusal(&reload(&path));
    assert!(said.contains("lb1.conf") && said.contains("No such file"), "{said}");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
    let said = refusal(&reload(&path));
    assert!(said.starts_with("no answer from a director at "), "{said}");
}

/// A pipe without a writer, a device without an end, and a folder.
#[test]
fn an_include_that_is_no_regular_file_is_refused_at_once() {
    let (folder, path) = file(GOOD);
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let places = [pipe.as_path(), Path::new("/dev/zero"), folder.path()];
    let test = "an_include_that_is_no_regular_file_is_refused_at_once";
    let Some(mut director) = Director::start(test, &path) else { return };
    director.says("nix0 does not exist");
    for place in places {
        fs::write(&path, format!("{GOOD}include {}\n", place.display())).unwrap();
        let said = refusal(&reload(&path));
        assert!(said.contains("not a regular file") && said.contains("lb1.conf:9:"), "{said}");
    }
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
    // The same at the start.
    let Some(mut director) = Director::start(test, &path) else { return };
    director.says("included here");
    assert_eq!(director.ends(), Some(2));
}

/// Also by a worker that has just begun to read it for the first time.
#[test]
fn whoever_asks_while_a_worker_starts_is_answered() {
    // Long enough for many to ask meanwhile.
    let (_folder, path) = file(&(GOOD.to_owned() + &"# nothing\n".repeat(200_000)));
    let Some(mut director) = Director::start("whoever_asks_while_a_worker_starts_is_answered", &path) else { return };
    director.says("nix0 does not exist");
    kill(worker(&director), Signal::SIGKILL).unwrap();
    director.says("the worker was killed by SIGKILL");
    let deadline = Instant::now() + SOON;
    loop {
        let output = reload(&path);
        if output.status.success() {
            break;
        }
        let said = refusal(&output);
        assert!(said.contains("no worker runs now"), "{said}");
        assert!(Instant::now() < deadline, "{said}");
    }
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}
