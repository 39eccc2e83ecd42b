//! What each process of a director may do, as the kernel tells it (proc(5)): docs/hardening.md has it as a table.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, child_of, file, running, until, worker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// By their numbers (capability.h).
const WORKER: u64 = 1 << 12 | 1 << 13 | 1 << 10 | 1 << 2;
const SUPERVISOR: u64 = 1 << 12 | 1 << 13 | 1 << 14;
const SETPCAP: u64 = 1 << 8;

/// `CapabilityBoundingSet` of the unit file.
fn unit() -> u64 {
    let text = include_str!("../../packaging/vipward.service");
    let number = |name: &str| match name {
        "CAP_CHOWN" => 0,
        "CAP_DAC_OVERRIDE" => 1,
        "CAP_DAC_READ_SEARCH" => 2,
        "CAP_FOWNER" => 3,
        "CAP_KILL" => 5,
        "CAP_SETGID" => 6,
        "CAP_SETUID" => 7,
        "CAP_SETPCAP" => 8,
        "CAP_NET_BIND_SERVICE" => 10,
        "CAP_NET_ADMIN" => 12,
        "CAP_NET_RAW" => 13,
        "CAP_IPC_LOCK" => 14,
        "CAP_SYS_NICE" => 23,
        other => panic!("{other}"),
    };
    let names =
        text.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet=")).flat_map(str::split_whitespace);
    names.fold(0, |set, name| set | 1 << number(name))
}

/// A field of a `status` file.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn set(text: &str, name: &str) -> u64 {
    u64::from_str_radix(&field(text, name), 16).unwrap()
}

/// `status` of all threads, by their names.
fn threads(pid: Pid) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // One may end meanwhile.
    let texts = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    texts.map(|text| (field(&text, "Name:"), text)).collect()
}

/// What this test was given: in a container it may be less than all.
fn ours() -> u64 {
    match geteuid().is_root() {
        true => set(&fs::read_to_string("/proc/self/status").unwrap(), "CapBnd:"),
        // Root of a user namespace.
        false => u64::MAX,
    }
}

/// A script that writes its `status` into `FOLDER/NAME`, where everybody may write.
fn tells(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (script, seen) = (folder.join(format!("{name}.sh")), folder.join(name));
    fs::write(&script, format!("#!/bin/sh\ncat /proc/self/status > {0}.new\nmv {0}.new {0}\n", seen.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    (script, seen)
}

/// The configuration with this in its virtual router.
fn with(path: &Path, more: &str) {
    fs::write(path, GOOD.replace("priority 100", &format!("priority 100\n    {more}"))).unwrap();
}

fn told(seen: &Path) -> String {
    until(|| fs::read_to_string(seen).ok())
}

#[test]
fn a_worker_has_the_rights_that_it_needs_on_all_its_threads() {
    let (folder, path) = file(GOOD);
    let record = folder.path().join("lb1.pcapng");
    let test = "a_worker_has_the_rights_that_it_needs_on_all_its_threads";
    let start = Director::start_with(test, &path, |command| {
        command.arg("--record").arg(&record).args(["--dataplane", "relay"]);
    });
    let Some(mut director) = start else { return };
    director.says("nix0 does not exist");
    let worker = worker(&director);
    until(|| fs::metadata(&record).ok().filter(|data| data.len() > 0));
    let threads = threads(worker);
    for name in ["election", "balancer", "log", "state", "record", "scripts"] {
        assert!(threads.iter().any(|(thread, _)| thread == name), "no {name} in {threads:?}");
    }
    for (name, text) in threads {
        for which in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(set(&text, which), WORKER & ours(), "{name}: {which}");
        }
        for which in ["CapInh:", "CapAmb:"] {
            assert_eq!(set(&text, which), 0, "{name}: {which}");
        }
        assert_eq!(field(&text, "NoNewPrivs:"), "1", "{name}");
        assert_eq!(field(&text, "Seccomp:"), "2", "{name}");
    }
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn the_supervisor_is_confined_and_has_no_more_than_the_unit_file_allows() {
    let (_folder, path) = file(GOOD);
    let test = "the_supervisor_is_confined_and_has_no_more_than_the_unit_file_allows";
    let Some(mut director) = Director::start(test, &path) else { return };
    director.says("nix0 does not exist");
    let supervisor = director.pid();
    for (name, text) in threads(supervisor) {
        assert_eq!(set(&text, "CapBnd:"), unit() & ours(), "{name}");
        if field(&text, "Pid:") == supervisor.to_string() {
            // Filtered: 2 (proc(5)).
            assert_eq!(field(&text, "Seccomp:"), "2");
            assert_eq!(set(&text, "CapEff:"), SUPERVISOR & ours());
            assert_eq!(set(&text, "CapPrm:"), SUPERVISOR & ours());
        } else {
            assert_eq!(field(&text, "Seccomp:"), "0", "{name}");
            assert_eq!(set(&text, "CapPrm:"), unit() & ours(), "{name}");
        }
    }
    // A worker that replaces another one, or is its successor, must be able to begin.
    kill(worker(&director), Signal::SIGKILL).unwrap();
    director.says("the worker was killed by SIGKILL after");
    director.says("nix0 does not exist");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn a_script_of_root_has_what_the_unit_file_allows_and_no_filter() {
    let (folder, path) = file(GOOD);
    let (script, seen) = tells(folder.path(), "seen");
    with(&path, &format!("notify_fault {}", script.display()));
    let test = "a_script_of_root_has_what_the_unit_file_allows_and_no_filter";
    let Some(mut director) = Director::start(test, &path) else { return };
    let text = told(&seen);
    for which in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(set(&text, which), unit() & !SETPCAP & ours(), "{which}");
    }
    assert_eq!(field(&text, "Seccomp:"), "0");
    assert_eq!(field(&text, "NoNewPrivs:"), "0");
    assert_eq!(field(&text, "SigBlk:"), "0000000000000000");
    // The signals 32 and 33 are the C library's.
    assert_eq!(set(&text, "SigIgn:") & 0x7fff_ffff, 0);
    assert_eq!(field(&text, "VmLck:"), "0");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn a_script_of_a_user_has_no_capabilities_and_gets_none_by_any_program() {
    let test = "a_script_of_a_user_has_no_capabilities_and_gets_none_by_any_program";
    if !geteuid().is_root() {
        eprintln!("NOT RUN: {test}: changing the user needs root");
        return;
    }
    let (folder, path) = file(GOOD);
    let (script, seen) = tells(folder.path(), "seen");
    with(&path, &format!("notify_fault {} nobody", script.display()));
    let Some(mut director) = Director::start(test, &path) else { return };
    let text = told(&seen);
    for which in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
        assert_eq!(set(&text, which), 0, "{which}");
    }
    assert_ne!(field(&text, "Uid:"), "0");
    assert_eq!(field(&text, "NoNewPrivs:"), "1");
    assert_eq!(field(&text, "Seccomp:"), "0");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

/// The two processes for scripts: the one that starts the other, and that.
fn parts(worker: Pid) -> (Pid, Pid) {
    let keeper = until(|| child_of(worker));
    (keeper, until(|| child_of(keeper)))
}

#[test]
fn scripts_run_after_a_reload_an_upgrade_and_the_death_of_the_process_that_starts_them() {
    let (folder, path) = file(GOOD);
    let test = "scripts_run_after_a_reload_an_upgrade_and_the_death_of_the_process_that_starts_them";
    let check = |name: &str| {
        let (script, seen) = tells(folder.path(), name);
        let block = format!("vrrp_script {name} {{\n    script {}\n    interval 1\n}}\n", script.display());
        let tracked =
            GOOD.replace("priority 100", &format!("priority 100\n    track_script {{\n        {name}\n    }}"));
        fs::write(&path, block + &tracked).unwrap();
        seen
    };
    let first = check("first");
    let Some(mut director) = Director::start(test, &path) else { return };
    told(&first);
    let reloaded = check("reloaded");
    director.signal(Signal::SIGHUP);
    told(&reloaded);
    // What was begun when it dies is lost; the next run is not.
    let old = worker(&director);
    let (keeper, server) = parts(old);
    kill(server, Signal::SIGKILL).unwrap();
    until(|| (!running(server)).then_some(()));
    let again = check("again");
    director.signal(Signal::SIGHUP);
    told(&again);
    assert_eq!((worker(&director), parts(old).0), (old, keeper));
    let upgraded = check("upgraded");
    let upgrade =
        Command::new(director::VIPWARD).arg("upgrade").arg("--control").arg(path.with_extension("sock")).status();
    assert!(upgrade.unwrap().success());
    told(&upgraded);
    until(|| (!running(old) && !running(keeper)).then_some(()));
    // Both at once: only another worker can have others.
    let last = until(|| child_of(director.pid()).filter(|pid| *pid != old));
    let (keeper, server) = parts(last);
    for pid in [keeper, server] {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    director.says("the process that starts scripts ended by itself");
    director.says("nix0 does not exist");
    fs::remove_file(&upgraded).unwrap();
    told(&upgraded);
    let (keeper, server) = parts(worker(&director));
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
    until(|| (!running(keeper) && !running(server)).then_some(()));
}

#[test]
fn a_worker_that_is_killed_takes_its_tracked_scripts_along_and_leaves_nobody_who_starts_others() {
    let (folder, path) = file(GOOD);
    let (script, seen) = tells(folder.path(), "seen");
    let text = fs::read_to_string(&script).unwrap() + "exec sleep 1000\n";
    fs::write(&script, text).unwrap();
    let block = format!("vrrp_script slow {{\n    script {}\n    interval 1\n    timeout 900\n}}\n", script.display());
    let tracked = GOOD.replace("priority 100", "priority 100\n    track_script {\n        slow\n    }");
    fs::write(&path, block + &tracked).unwrap();
    let test = "a_worker_that_is_killed_takes_its_tracked_scripts_along_and_leaves_nobody_who_starts_others";
    let Some(mut director) = Director::start(test, &path) else { return };
    told(&seen);
    let worker = worker(&director);
    let (keeper, server) = parts(worker);
    let script = until(|| child_of(server));
    kill(worker, Signal::SIGKILL).unwrap();
    until(|| [keeper, server, script].iter().all(|pid| !running(*pid)).then_some(()));
    director.says("the worker was killed by SIGKILL after");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}
