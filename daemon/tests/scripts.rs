//! What the log says of scripts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, file};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_failed_script_is_named_with_its_status_and_its_last_line_and_what_it_says_is_limited() {
    let (folder, path) = file(GOOD);
    let text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo no route $i >&2; done; exit 7";
    let fault = script(folder.path(), "fault", text);
    fs::write(&path, GOOD.replace("priority 100", &format!("priority 100\n    notify_fault {}", fault.display())))
        .unwrap();
    let test = "a_failed_script_is_named_with_its_status_and_its_last_line_and_what_it_says_is_limited";
    let Some(mut director) = Director::start(test, &path) else { return };
    let said = director.says("failed");
    let wanted = format!("VI_1: notify script {} failed: exit status: 7: no route 15", fault.display());
    assert!(said.last().unwrap().contains(&wanted), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("fault says: no route 1")), "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains(" says: ")).count(), 10);
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn a_script_that_does_not_end_is_ended_and_named() {
    let (folder, path) = file(GOOD);
    let fault = script(folder.path(), "fault", "sleep 1000");
    fs::write(&path, GOOD.replace("priority 100", &format!("priority 100\n    notify_fault {}", fault.display())))
        .unwrap();
    fs::write(folder.path().join("vipward.toml"), "[scripts]\nnotify_timeout = 1\n").unwrap();
    let Some(mut director) = Director::start("a_script_that_does_not_end_is_ended_and_named", &path) else { return };
    director.says(&format!("notify script {} ran for 1 s: it is ended", fault.display()));
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}
