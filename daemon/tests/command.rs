//! The built command as its operator meets it: exit status, messages, signals.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, VIPWARD, file};
use nix::sys::signal::Signal;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn vipward(arguments: &[&str]) -> Output {
    Command::new(VIPWARD).args(arguments).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn broken() -> String {
    GOOD.replace("virtual_router_id 51", "virtual_router_id 51\n    prioirty 50")
}

#[test]
fn the_command_line_has_a_status_of_its_own() {
    assert_eq!(status(&vipward(&["--version"])), 0);
    assert_eq!(status(&vipward(&["--help"])), 0);
    assert_eq!(status(&vipward(&["frobnicate"])), 3);
    assert_eq!(status(&vipward(&["run", "--dataplane", "magic"])), 3);
    assert_eq!(status(&vipward(&["check", "-i", "a", "-i", "b", "x", "y", "z"])), 3);
}

#[test]
fn check_passes_a_sound_file_and_one_that_has_only_warnings() {
    let (_folder, path) = file(GOOD);
    assert_eq!(status(&vipward(&["check", path.to_str().unwrap()])), 0);
    fs::write(&path, GOOD.replace("virtual_router_id 51", "virtual_router_id 51\n    state SLAVE")).unwrap();
    let output = vipward(&["check", path.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("warning["), "{output:?}");
    assert_eq!(status(&output), 0);
    assert_eq!(status(&vipward(&["check", "--strict", path.to_str().unwrap()])), 2);
}

#[test]
fn nothing_to_run_starts_nothing_unless_it_is_meant() {
    for empty in ["", "# nothing\n", "@other global_defs {\n@other }\n"] {
        let (folder, path) = file(empty);
        let check = || status(&vipward(&["check", path.to_str().unwrap()]));
        assert_eq!(check(), 2, "{empty}");
        let output = vipward(&["run", "-f", path.to_str().unwrap()]);
        assert_eq!(status(&output), 2, "{output:?}");
        assert!(text(&output.stderr).contains("allow_empty"), "{output:?}");
        fs::write(folder.path().join("vipward.toml"), "[run]\nallow_empty = true\n").unwrap();
        assert_eq!(check(), 0, "{empty}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    let (_folder, path) = file(&broken());
    for arguments in [&["check", path.to_str().unwrap()][..], &["config", "words"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(VIPWARD).args(arguments).stdout(writer).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code == 0 || code == 2), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn check_names_the_mistake_and_its_place_as_text_and_as_json() {
    let (_folder, path) = file(&broken());
    let name = path.to_str().unwrap();
    let output = vipward(&["check", name]);
    assert_eq!(status(&output), 2);
    let said = text(&output.stdout);
    assert!(said.contains("error["), "{said}");
    assert!(said.contains(&format!("{name}:4:5")), "{said}");
    assert!(output.stderr.is_empty(), "{output:?}");

    let output = vipward(&["check", "--format", "json", name]);
    assert_eq!(status(&output), 2);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &said["diagnostics"][0];
    assert_eq!(first["severity"], "error");
    assert_eq!((&first["labels"][0]["line"], &first["labels"][0]["column"]), (&4.into(), &5.into()));
    assert_eq!(first["labels"][0]["file"], name);
}

#[test]
fn check_reads_the_settings_beside_the_configuration_too() {
    let (folder, path) = file(GOOD);
    let second = folder.path().join("lb2.conf");
    fs::write(&second, GOOD.replace("priority 100", "priority 50")).unwrap();
    let settings = folder.path().join("vipward.toml");
    let check = || vipward(&["check", path.to_str().unwrap(), second.to_str().unwrap()]);
    fs::write(&settings, "[record]\nfiles = 3\n").unwrap();
    assert_eq!(status(&check()), 0, "{:?}", check());
    fs::write(&settings, "[record]\nfile = 3\n").unwrap();
    let output = check();
    assert_eq!(status(&output), 2);
    let said = text(&output.stdout);
    assert_eq!(said.matches(&format!("{}:2:8", settings.display())).count(), 1, "{said}");
    assert!(said.contains("2 files: 1 error, 0 warnings"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_of_the_configuration() {
    assert_eq!(status(&vipward(&["check", "/nowhere/lb1.conf"])), 2);
    assert_eq!(status(&vipward(&["run", "-f", "/nowhere/lb1.conf"])), 2);
}

#[test]
fn a_broken_file_starts_nothing_and_says_what_is_wrong() {
    let (_folder, path) = file(&broken());
    let output = vipward(&["run", "-f", path.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    assert!(text(&output.stderr).contains("prioirty"), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn without_privilege_one_line_names_the_capability() {
    let (folder, path) = file(GOOD);
    // Where nobody can reach it, should this be root.
    let copy = folder.path().join("vipward");
    fs::copy(VIPWARD, &copy).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(copy);
    command.args(["run", "-f"]).arg(&path);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let deadline = Instant::now() + director::SOON;
    let output = loop {
        match command.output() {
            // Another test's child has the copy open for writing until it becomes another program.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            output => break output.unwrap(),
        }
    };
    assert_eq!(status(&output), 4, "{output:?}");
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("CAP_NET_RAW"), "{said}");
}

#[test]
fn a_director_starts_is_reloaded_and_stops() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("a_director_starts_is_reloaded_and_stops", &path) else { return };
    director.says("VI_1: virtual_router_id 51 on nix0");
    director.says("nix0 does not exist");

    // A broken file changes nothing, and is told about with its place.
    fs::write(&path, broken()).unwrap();
    director.signal(Signal::SIGHUP);
    let lines = director.says("the running configuration stays");
    assert!(lines.iter().any(|line| line.contains("ERROR") && line.contains("lb1.conf:4:5")), "{lines:#?}");

    let dump = path.with_extension("data");
    let dumps = format!("global_defs {{\n    state_dump_file {}\n}}\n", dump.display());
    fs::write(&path, dumps + &GOOD.replace("VI_1", "VI_2")).unwrap();
    director.signal(Signal::SIGHUP);
    let lines = director.says("added vrrp_instance VI_2");
    assert!(lines.last().unwrap().contains("removed vrrp_instance VI_1"), "{lines:#?}");

    // keepalived's signals do not kill: each asks for a dump.
    director.signal(Signal::SIGUSR1);
    director.says("written, as a signal asked");
    assert!(fs::read_to_string(&dump).unwrap().contains("VRRP Instance = VI_2"));
    director.signal(Signal::SIGTERM);
    director.says("stopping");
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn interrupt_ends_it_too() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("interrupt_ends_it_too", &path) else { return };
    director.says("nix0 does not exist");
    director.signal(Signal::SIGINT);
    assert_eq!(director.ends(), Some(0));
}
