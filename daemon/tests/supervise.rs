//! Two processes: what becomes of one when the other dies, hangs or is told something; and the service manager's part.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, SOON, VIPWARD, file};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The worker of a director that is up.
fn worker(director: &Director) -> Pid {
    until(|| {
        let threads = fs::read_dir(format!("/proc/{}/task", director.pid())).unwrap();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).ok());
        children.collect::<String>().split_whitespace().next().map(|pid| Pid::from_raw(pid.parse().unwrap()))
    })
}

fn until<T>(condition: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn running(pid: Pid) -> bool {
    // Its parent may not have reaped it yet.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_worker_that_dies_is_replaced_and_the_log_says_how_it_died() {
    let (folder, path) = file(GOOD);
    let record = folder.path().join("lb1.pcapng");
    let test = "a_worker_that_dies_is_replaced_and_the_log_says_how_it_died";
    let start = Director::start_with(test, &path, |command| {
        command.arg("--record").arg(&record);
    });
    let Some(mut director) = start else { return };
    director.says("nix0 does not exist");
    let first = worker(&director);
    until(|| fs::metadata(&record).ok().filter(|data| data.len() > 0));
    // The Rust runtime takes the first one for a stack that overflows, finds that it is not, and lets the next one kill.
    kill(first, Signal::SIGSEGV).unwrap();
    let _ = until(|| kill(first, Signal::SIGSEGV).err().or((!running(first)).then_some(nix::Error::ESRCH)));
    let said = director.says("the worker was killed by SIGSEGV after");
    assert!(said.last().unwrap().contains("ERROR"), "{said:#?}");
    let said = director.says("nix0 does not exist");
    for line in ["the next worker starts in 0.1 s", "lb1.pcapng.crash-1"] {
        assert!(said.iter().any(|said| said.contains(line)), "{line}: {said:#?}");
    }
    let second = worker(&director);
    assert_ne!(first, second);
    assert!(folder.path().join("lb1.pcapng.crash-1").exists());
    kill(second, Signal::SIGKILL).unwrap();
    director.says("the worker was killed by SIGKILL after");
    director.says("nix0 does not exist");
    assert!(folder.path().join("lb1.pcapng.crash-2").exists());
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn a_worker_that_hangs_is_replaced() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("a_worker_that_hangs_is_replaced", &path) else { return };
    director.says("nix0 does not exist");
    let first = worker(&director);
    kill(first, Signal::SIGSTOP).unwrap();
    director.says("the worker hangs");
    director.says("nix0 does not exist");
    assert!(!running(first));
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn a_worker_whose_supervisor_dies_stops_in_order() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("a_worker_whose_supervisor_dies_stops_in_order", &path) else { return };
    director.says("nix0 does not exist");
    let worker = worker(&director);
    director.signal(Signal::SIGKILL);
    director.says("the supervisor is dead: stopping in order");
    director.says("FAULT -> INIT: stopped");
    until(|| (!running(worker)).then_some(()));
    assert_eq!(director.ends(), None, "killed");
}

/// A terminal and a service manager send signals to all processes of a director.
#[test]
fn signals_are_the_supervisors() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("signals_are_the_supervisors", &path) else { return };
    director.says("nix0 does not exist");
    let first = worker(&director);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        kill(first, signal).unwrap();
    }
    director.signal(Signal::SIGHUP);
    director.says("was read again");
    assert_eq!(worker(&director), first, "it lives, and does what it is told");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let (_folder, path) = file(GOOD);
    let Some(mut director) = Director::start("the_second_signal_ends_it_at_once", &path) else { return };
    director.says("nix0 does not exist");
    let worker = worker(&director);
    // So that it can't stop.
    kill(worker, Signal::SIGSTOP).unwrap();
    director.signal(Signal::SIGTERM);
    director.signal(Signal::SIGINT);
    director.says("stopped at once, on the second signal");
    assert_eq!(director.ends(), Some(1));
    until(|| (!running(worker)).then_some(()));
}

#[test]
fn a_worker_that_nobody_supervises_does_not_start() {
    let (_folder, path) = file(GOOD);
    let output = Command::new(VIPWARD).args(["worker", "-f"]).arg(&path).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by `vipward run`"), "{output:?}");
}

/// What a thread may do, from its `/proc` file.
fn status(path: &str, field: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_else(|| panic!("no {field} in {text}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn the_supervisor_is_confined_and_neither_worker_nor_scripts_inherit_it() {
    let (folder, path) = file(GOOD);
    let seen = folder.path().join("seen");
    let script = folder.path().join("script");
    fs::write(&script, format!("#!/bin/sh\ncat /proc/self/status > {0}.new\nmv {0}.new {0}\n", seen.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text = GOOD.replace("priority 100", &format!("priority 100\n    notify_fault {}", script.display()));
    fs::write(&path, text).unwrap();
    let test = "the_supervisor_is_confined_and_neither_worker_nor_scripts_inherit_it";
    let Some(mut director) = Director::start(test, &path) else { return };
    director.says("nix0 does not exist");
    let (pid, worker) = (director.pid(), worker(&director));
    // Filtered: 2 (proc(5)).
    assert_eq!(status(&format!("/proc/{pid}/task/{pid}/status"), "Seccomp:"), "2");
    until(|| seen.exists().then_some(()));
    for (file, whose) in [(seen.to_str().unwrap(), "script"), (&format!("/proc/{worker}/status"), "worker")] {
        assert_eq!(status(file, "Seccomp:"), "0", "{whose}");
        assert_eq!(status(file, "NoNewPrivs:"), "0", "{whose}");
        assert_eq!(status(file, "SigBlk:"), "0000000000000000", "{whose}");
    }
    assert_eq!(status(seen.to_str().unwrap(), "VmLck:"), "0");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
}

/// A service manager: a socket that hears what it is told.
struct Manager {
    socket: UnixDatagram,
    said: Vec<String>,
}

impl Manager {
    /// Waits for a message with all of these lines; `WATCHDOG=1` between is passed over.
    fn hears(&mut self, wanted: &[&str]) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {wanted:?} in {:#?}", self.said));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.said.push(message.clone());
            if wanted.iter().all(|line| message.lines().any(|said| said.starts_with(line))) {
                return message;
            }
        }
    }
}

#[test]
fn the_service_manager_is_told_by_systemds_protocol() {
    let (folder, path) = file(GOOD);
    let address = folder.path().join("notify");
    let socket = UnixDatagram::bind(&address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let test = "the_service_manager_is_told_by_systemds_protocol";
    let start = Director::start_with(test, &path, |command| {
        command.env("NOTIFY_SOCKET", &address);
    });
    let Some(mut director) = start else { return };
    let mut manager = Manager { socket, said: Vec::new() };
    let main = format!("MAINPID={}", director.pid());
    manager.hears(&["READY=1", &main]);
    manager.hears(&["WATCHDOG=1"]);
    director.signal(Signal::SIGHUP);
    manager.hears(&["RELOADING=1", "MONOTONIC_USEC="]);
    manager.hears(&["READY=1"]);
    // Nothing feeds the watchdog but a worker's heartbeats.
    let first = worker(&director);
    kill(first, Signal::SIGSTOP).unwrap();
    let before = manager.said.len();
    manager.hears(&["STATUS=worker died"]);
    let fed = manager.said[before..].iter().filter(|said| said.contains("WATCHDOG")).count();
    assert!(fed <= 1, "one may have been under way: {:#?}", manager.said);
    manager.hears(&["READY=1", &main]);
    manager.hears(&["WATCHDOG=1"]);
    director.signal(Signal::SIGTERM);
    manager.hears(&["STOPPING=1"]);
    assert_eq!(director.ends(), Some(0));
}

#[test]
fn the_unit_file_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("vipward.service");
    let text = include_str!("../../packaging/vipward.service");
    assert!(text.contains("ExecStart=/usr/sbin/vipward run\n"));
    fs::write(&unit, text.replace("/usr/sbin/vipward", VIPWARD)).unwrap();
    let output = match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("NOT RUN: the_unit_file_is_sound: systemd-analyze: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("vipward")).collect();
    assert!(ours.is_empty(), "{said}");
}
