//! Two processes: what becomes of one when the other dies, hangs or is told something; and the service manager's part.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // clippy knows only functions marked #[test] as tests

mod director;

use director::{Director, GOOD, SOON, VIPWARD, child_of, file, running, until, worker};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
    // Those that come together mean the same; one that comes a second later does not.
    director.signal(Signal::SIGINT);
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(500));
        if !running(worker) {
            break;
        }
        director.signal(Signal::SIGINT);
    }
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

/// A configuration that makes MASTERs at once, of which the first writes `marker`, and each sends a hundred adverts a
/// second: so many that a log of every packet floods.
fn masters(folder: &Path) -> String {
    let script = folder.join("master");
    let marker = folder.join("marker");
    fs::write(&script, format!("#!/bin/sh\n: > {}\n", marker.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let router = |number: u8| {
        let text = GOOD.replace("VI_1", &format!("VI_{number}")).replace("_id 51", &format!("_id {number}"));
        let text = text.replace("192.0.2.100", &format!("192.0.2.{}", 100 + number));
        text.replace("priority 100", "priority 255\n    version 3\n    advert_int 0.01")
    };
    let first = router(1).replace("version 3", &format!("version 3\n    notify_master {}", script.display()));
    (2..=20).fold(first, |text, number| text + &router(number))
}

/// A director on an interface that exists, with its log in `stderr`.
fn start_on_a_link(path: &Path, stderr: OwnedFd, more: impl FnOnce(&mut Command)) -> Ends {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let inside = "ip link add nix0 type veth peer name nix1 && ip addr add 192.0.2.1/24 dev nix0 && \
                  ip link set nix1 up && ip link set nix0 up && exec \"$@\"";
    command.args(["--net", "sh", "-c", inside, "sh", VIPWARD, "run", "-f"]).arg(path);
    command.arg("--control").arg(path.with_extension("sock")).arg("--state").arg(path.with_extension("state"));
    more(&mut command);
    Ends(command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap())
}

/// A process that does not outlive its test.
struct Ends(Child);

impl Ends {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn can_unshare(test: &str) -> bool {
    Director::start(test, Path::new("/nonexistent")).is_some()
}

/// How many packets have left by nix0 in the network of this process.
fn sent(pid: Pid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("nix0:")).unwrap();
    line.split_whitespace().nth(10).unwrap().parse().unwrap()
}

/// Puts into a pipe what it takes.
fn fill(pipe: &OwnedFd) {
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL).unwrap());
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    while nix::unistd::write(pipe, b"x").is_ok() {}
    fcntl(pipe, FcntlArg::F_SETFL(flags)).unwrap();
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    if !can_unshare("a_log_that_nobody_reads_stops_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, marker) = (folder.path().join("lb1.conf"), folder.path().join("marker"));
    fs::write(&path, masters(folder.path())).unwrap();
    let (read, write) = nix::unistd::pipe().unwrap();
    fill(&write);
    let mut director = start_on_a_link(&path, write, |command| {
        command.args(["--log-level", "trace"]);
    });
    until(|| marker.exists().then_some(()));
    let first = until(|| child_of(director.pid()));
    fs::remove_file(&marker).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    until(|| marker.exists().then_some(()));
    let second = until(|| child_of(director.pid()).filter(|pid| *pid != first));
    // More than may wait.
    until(|| (sent(second) > 10_000).then_some(()));
    assert!(running(second), "it is not taken for hung");
    assert_eq!(child_of(director.pid()), Some(second));
    kill(director.pid(), Signal::SIGTERM).unwrap();
    let ended = until(|| director.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    drop(read);
}

#[test]
fn a_log_that_is_read_late_tells_what_is_missing_and_one_that_is_closed_stops_nothing() {
    if !can_unshare("a_log_that_is_read_late_tells_what_is_missing_and_one_that_is_closed_stops_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, marker) = (folder.path().join("lb1.conf"), folder.path().join("marker"));
    fs::write(&path, masters(folder.path())).unwrap();
    let (read, write) = nix::unistd::pipe().unwrap();
    let mut director = start_on_a_link(&path, write, |command| {
        command.args(["--log-level", "trace"]);
    });
    until(|| marker.exists().then_some(()));
    let worker = until(|| child_of(director.pid()));
    until(|| (sent(worker) > 10_000).then_some(()));
    let mut lines = BufReader::new(fs::File::from(read)).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("lines of the log were dropped: standard error was not read")));
    drop(lines);
    // From now on each write is an error.
    fs::remove_file(&marker).unwrap();
    kill(worker, Signal::SIGKILL).unwrap();
    until(|| marker.exists().then_some(()));
    kill(director.pid(), Signal::SIGTERM).unwrap();
    let ended = until(|| director.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_service_manager_that_does_not_listen_stops_nothing() {
    let (folder, path) = file(GOOD);
    let address = folder.path().join("notify");
    let manager = UnixDatagram::bind(&address).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.set_nonblocking(true).unwrap();
    while filling.send_to(b"x", &address).is_ok() {}
    let test = "a_service_manager_that_does_not_listen_stops_nothing";
    let start = Director::start_with(test, &path, |command| {
        command.env("NOTIFY_SOCKET", &address);
    });
    let Some(mut director) = start else { return };
    director.says("nix0 does not exist");
    kill(worker(&director), Signal::SIGKILL).unwrap();
    director.says("the worker was killed by SIGKILL after");
    director.says("nix0 does not exist");
    director.signal(Signal::SIGTERM);
    assert_eq!(director.ends(), Some(0));
    drop(manager);
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
