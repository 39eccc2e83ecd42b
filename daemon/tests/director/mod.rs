//! A director in a network namespace of its own, with its log.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const VIPWARD: &str = env!("CARGO_BIN_EXE_vipward");

/// Far more than a busy machine needs.
pub const SOON: Duration = Duration::from_secs(60);

/// A configuration whose interface does not exist.
pub const GOOD: &str = "\
vrrp_instance VI_1 {
    interface nix0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.100/24
    }
}
";

/// A folder with one file.
pub fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lb1.conf");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// Waits until there is something.
#[allow(dead_code)] // Not every test file waits for more than the log.
pub fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first child of this process, if it has one.
#[allow(dead_code)]
pub fn child_of(pid: Pid) -> Option<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let children = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    children.collect::<String>().split_whitespace().next().and_then(|pid| pid.parse().ok()).map(Pid::from_raw)
}

/// The worker of a director that is up.
#[allow(dead_code)]
pub fn worker(director: &Director) -> Pid {
    until(|| child_of(director.pid()))
}

#[allow(dead_code)]
pub fn running(pid: Pid) -> bool {
    // Its parent may not have reaped it yet.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The running one.
pub struct Director {
    process: Child,
    log: Receiver<String>,
}

impl Director {
    /// `None`, loudly, where there are no namespaces.
    pub fn start(test: &str, path: &Path) -> Option<Self> {
        Self::start_with(test, path, |_| {})
    }

    /// The same with more arguments, or another environment.
    pub fn start_with(test: &str, path: &Path, more: impl FnOnce(&mut Command)) -> Option<Self> {
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", VIPWARD, "run", "-f"]).arg(path);
        command.arg("--control").arg(path.with_extension("sock")).arg("--state").arg(path.with_extension("state"));
        more(&mut command);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let director = Self { process, log };
        let first = director.log.recv_timeout(SOON).unwrap();
        if first.starts_with("unshare:") {
            let required =
                std::env::var("VIPWARD_REQUIRE").is_ok_and(|list| list.split([',', ' ']).any(|word| word == "netns"));
            assert!(!required, "{test} needs a network namespace: {first}");
            eprintln!("NOT RUN: {test} needs a network namespace: {first}");
            return None;
        }
        Some(director)
    }

    /// Waits for a line of the log; gives all up to it.
    pub fn says(&self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("no `{wanted}` in {lines:#?}"));
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(wanted)) {
                return lines;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap())
    }

    pub fn ends(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
