//! Control groups: all processes of a director at once, and memory that is full.

use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a full one.
const LIMIT: &str = "33554432";

/// Where file systems of this type are mounted with this option.
fn mounted(kind: &str, option: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, place, of, options, ..] = words[..] else { return None };
        (of == kind && (option.is_empty() || options.split(',').any(|one| one == option))).then(|| PathBuf::from(place))
    })
}

/// A fresh group below `root`, removed when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make(root: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = root.join(format!("vipward-test-{}-{number}", own_pid()?));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn take(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }
}

/// By the numbers that everybody sees: labs have numbers of their own.
fn own_pid() -> io::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let boot = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(format!("{}-{}", numbers.split_whitespace().next().unwrap_or_default(), boot.get(..8).unwrap_or_default()))
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The kernel may not have reaped the last one yet.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("left behind: {}", self.0.display());
    }
}

/// All processes of a director.
#[derive(Debug)]
pub struct Group {
    /// `None`: there is no cgroup2 that may be written to; then they are the first process and its descendants.
    folder: Option<Folder>,
    first: Pid,
}

impl Group {
    /// `first` and what it has started so far; what is started later follows by itself.
    pub fn of(first: Pid) -> io::Result<Self> {
        let folder = mounted("cgroup2", "").and_then(|root| Folder::make(&root).ok());
        let group = Self { folder, first };
        if let Some(folder) = &group.folder {
            for pid in descendants(first) {
                folder.take(pid)?;
            }
        }
        Ok(group)
    }

    /// Which kind it is, in words.
    pub fn kind(&self) -> &'static str {
        if self.folder.is_some() { "cgroup2" } else { "process tree: no cgroup2 here may be written to" }
    }

    pub fn pids(&self) -> io::Result<Vec<Pid>> {
        let Some(folder) = &self.folder else { return Ok(descendants(self.first)) };
        let all = fs::read_to_string(folder.0.join("cgroup.procs"))?;
        Ok(all.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect())
    }

    /// Stops or lets go all of them at once; false where that can't be had.
    pub fn freeze(&self, frozen: bool) -> bool {
        let Some(folder) = &self.folder else { return false };
        let wanted = format!("frozen {}", u8::from(frozen));
        let asked = fs::write(folder.0.join("cgroup.freeze"), if frozen { "1" } else { "0" }).is_ok();
        let done = || fs::read_to_string(folder.0.join("cgroup.events")).is_ok_and(|events| events.contains(&wanted));
        asked && vipward_lab::wait_for(std::time::Duration::from_secs(1), || done().then_some(())).is_some()
    }

    /// SIGKILL for all of them by the kernel; false where it knows nothing of that (Linux before 5.14).
    pub fn kill(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| fs::write(folder.0.join("cgroup.kill"), "1").is_ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process and all below it.
fn descendants(first: Pid) -> Vec<Pid> {
    let mut found = vec![first];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw));
        }
    }
    found
}

/// A memory cgroup with a limit.
#[derive(Debug)]
pub struct MemoryGroup(Folder);

impl MemoryGroup {
    pub fn make() -> io::Result<Self> {
        if let Some(root) = mounted("cgroup", "memory") {
            let folder = Folder::make(&root)?;
            fs::write(folder.0.join("memory.limit_in_bytes"), LIMIT)?;
            return Ok(Self(folder));
        }
        let root = mounted("cgroup2", "").ok_or_else(|| io::Error::other("there are no memory cgroups here"))?;
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let folder = Folder::make(&root)?;
        fs::write(folder.0.join("memory.max"), LIMIT)?;
        // Without swap, or it takes for ever.
        let _ = fs::write(folder.0.join("memory.swap.max"), "0");
        Ok(Self(folder))
    }

    /// Takes a process in, as the first to be killed.
    pub fn take(&self, pid: Pid) -> io::Result<()> {
        fs::write(format!("/proc/{pid}/oom_score_adj"), "1000")?;
        self.0.take(pid)
    }

    /// Starts programs inside that are never content. Several: the OOM killer looks for whoever has most, and that must
    /// not be one of them.
    pub fn fill(&self, start: impl Fn() -> io::Result<Child>) -> io::Result<Hogs> {
        let mut hogs = Hogs(Vec::new());
        for _ in 0..4 {
            let child = start()?;
            self.0.take(Pid::from_raw(i32::try_from(child.id()).unwrap_or_default()))?;
            hogs.0.push(child);
        }
        Ok(hogs)
    }
}

/// Programs that want all memory; dropping them ends them.
#[derive(Debug)]
pub struct Hogs(Vec<Child>);

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            let _ = hog.kill();
            let _ = hog.wait();
        }
    }
}
