//! Which processes are those that are tracked: what /proc says of each, and what has happened since.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::config::{LONGEST_NAME, ProcessPattern, WatchedProcess};

/// So much of a command line is compared.
const LONGEST_LINE: u64 = 64 * 1024;

/// A number of a process.
pub type Pid = u32;

struct Tracked {
    name: Arc<str>,
    pattern: ProcessPattern,
    running: BTreeSet<Pid>,
}

pub struct Table {
    proc: PathBuf,
    all: Vec<Tracked>,
    /// Names, or command lines, decide about one of them at least.
    by_name: bool,
    by_line: bool,
}

impl Table {
    pub fn new(proc: &Path, processes: &[WatchedProcess]) -> Self {
        let track = |it: &WatchedProcess| Tracked {
            name: it.name.clone(),
            pattern: it.pattern.clone(),
            running: BTreeSet::new(),
        };
        let all: Vec<Tracked> = processes.iter().map(track).collect();
        let by_name = all.iter().any(|it| it.pattern.by_name());
        let by_line = all.iter().any(|it| !it.pattern.by_name());
        Self { proc: proc.to_owned(), all, by_name, by_line }
    }

    /// How many there are of each.
    pub fn counts(&self) -> impl Iterator<Item = (Arc<str>, u32)> {
        self.all.iter().map(|it| (it.name.clone(), u32::try_from(it.running.len()).unwrap_or(u32::MAX)))
    }

    /// Looks at every process that there is.
    pub fn read(&mut self) -> io::Result<()> {
        let mut there = BTreeSet::new();
        for entry in std::fs::read_dir(&self.proc)? {
            // A number is a process.
            if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<Pid>().ok()) {
                self.look_at(pid);
                there.insert(pid);
            }
        }
        self.all.iter_mut().for_each(|it| it.running.retain(|pid| there.contains(pid)));
        Ok(())
    }

    /// Looks at those that are known to run.
    pub fn look_again(&mut self) {
        let known: BTreeSet<Pid> = self.all.iter().flat_map(|it| it.running.iter().copied()).collect();
        known.into_iter().for_each(|pid| self.look_at(pid));
    }

    /// Looks at one, which may be gone.
    pub fn look_at(&mut self, pid: Pid) {
        let name = if self.by_name { self.first_of(pid, "comm", LONGEST_NAME as u64 + 1) } else { Vec::new() };
        let name = name.strip_suffix(b"\n").unwrap_or(&name);
        let line = if self.by_line { self.first_of(pid, "cmdline", LONGEST_LINE) } else { Vec::new() };
        let mut named = false;
        for tracked in &mut self.all {
            let is_named = tracked.pattern.is_name(name);
            named |= is_named;
            // The command line of a dead one is empty.
            set(&mut tracked.running, pid, is_named || tracked.pattern.is_command_line(&line));
        }
        // Its name stays with a process that nobody has waited for.
        if named && self.is_dead(pid) {
            self.ended(pid);
        }
    }

    /// A child is what its parent is, until it becomes another program.
    pub fn forked(&mut self, parent: Pid, child: Pid) {
        for tracked in self.all.iter_mut().filter(|it| it.running.contains(&parent)) {
            tracked.running.insert(child);
        }
    }

    pub fn renamed(&mut self, pid: Pid, name: &[u8]) {
        for tracked in self.all.iter_mut().filter(|it| it.pattern.by_name()) {
            set(&mut tracked.running, pid, tracked.pattern.is_name(name));
        }
    }

    pub fn ended(&mut self, pid: Pid) {
        for tracked in &mut self.all {
            tracked.running.remove(&pid);
        }
    }

    /// The third field of stat, behind the name, which may hold anything (proc_pid_stat(5)).
    fn is_dead(&self, pid: Pid) -> bool {
        let stat = self.first_of(pid, "stat", 128);
        let behind = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
        matches!(behind, None | Some(b'Z' | b'X'))
    }

    /// The first bytes of a file of its; none if it is gone.
    fn first_of(&self, pid: Pid, file: &str, most: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let path = self.proc.join(pid.to_string()).join(file);
        match File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
            Ok(_) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

fn set(running: &mut BTreeSet<Pid>, pid: Pid, runs: bool) {
    if runs {
        running.insert(pid);
    } else {
        running.remove(&pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use vipward_core::config::KnownBy;

    struct Proc(tempfile::TempDir);

    impl Proc {
        fn put(&self, pid: Pid, name: &str, state: char, line: &str) {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({name}) {state} 1 2 3")).unwrap();
            fs::write(folder.join("cmdline"), line).unwrap();
        }

        fn gone(&self, pid: Pid) {
            fs::remove_dir_all(self.0.path().join(pid.to_string())).unwrap();
        }
    }

    fn watched(name: &str, by: KnownBy, command: &str, arguments: &[&str]) -> WatchedProcess {
        let arguments = arguments.iter().map(|it| Arc::from(*it)).collect();
        WatchedProcess { name: name.into(), pattern: ProcessPattern { command: command.into(), arguments, by } }
    }

    fn counts(table: &Table) -> Vec<u32> {
        table.counts().map(|(_, count)| count).collect()
    }

    #[test]
    fn what_is_read_and_what_happens_say_the_same() {
        let proc = Proc(tempfile::tempdir().unwrap());
        fs::create_dir(proc.0.path().join("self")).unwrap();
        proc.put(10, "nginx", 'S', "nginx: master\0");
        proc.put(11, "nginx", 'Z', "");
        proc.put(12, "odd) Z (x", 'S', "/usr/bin/odd\0-v\0");
        proc.put(13, "python3", 'R', "/usr/bin/odd\0-v\0-x\0");
        let list = [
            watched("name", KnownBy::Name, "nginx", &[]),
            watched("odd", KnownBy::Name, "odd) Z (x", &[]),
            watched("line", KnownBy::AllArguments, "/usr/bin/odd", &["-v"]),
            watched("first", KnownBy::FirstArguments, "/usr/bin/odd", &["-v"]),
        ];
        let mut table = Table::new(proc.0.path(), &list);
        table.read().unwrap();
        assert_eq!(counts(&table), [1, 1, 1, 2], "the dead one does not count");

        // A child of what is tracked is one of them until it becomes something else.
        table.forked(10, 20);
        table.forked(13, 21);
        table.forked(99, 22);
        assert_eq!(counts(&table), [2, 1, 1, 3]);
        proc.put(20, "cat", 'S', "cat\0");
        table.look_at(20);
        table.ended(21);
        assert_eq!(counts(&table), [1, 1, 1, 2]);
        table.renamed(12, b"nginx");
        assert_eq!(counts(&table), [2, 0, 1, 2]);

        // What was missed is found by reading.
        proc.gone(10);
        proc.gone(13);
        proc.put(30, "nginx", 'S', "");
        table.look_again();
        assert_eq!(counts(&table), [0, 1, 1, 1], "those that are known, and no others");
        table.read().unwrap();
        assert_eq!(counts(&table), [1, 1, 1, 1]);
        fs::remove_dir_all(proc.0.path()).unwrap();
        assert!(table.read().is_err());
        assert_eq!(counts(&table), [1, 1, 1, 1], "what can't be read says nothing");
    }
}
