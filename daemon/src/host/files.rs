//! Files that virtual routers track (`track_file`). A thread of its own reads them: a file server that is dead stops nobody else.
//!
//! The kernel tells what changes in their folders (inotify(7)). What it can't tell is looked at every so often: a folder that
//! is made anew, a file behind a symbolic link, a file system of another machine.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::pipe2;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::config::{Config, TrackFile, WatchedFile};
use vipward_core::vrrp;

/// How often every file is read, whatever the kernel tells.
const READ_AGAIN: u16 = 10_000;
/// The same where the kernel can't tell of a folder.
const READ_SOON: u16 = 1_000;
/// Whoever writes a file empties it first: this long is waited for the number.
const WRITTEN: Duration = Duration::from_millis(20);
/// A number is shorter.
const LONGEST: u64 = 64;

/// The tracked files of an Election.
pub struct Files {
    tell: UnboundedSender<vrrp::Input>,
    /// Its other end is with the thread, which ends when this one is closed.
    watching: std::cell::RefCell<Option<OwnedFd>>,
}

impl Files {
    pub fn new(tell: UnboundedSender<vrrp::Input>) -> Self {
        Self { tell, watching: std::cell::RefCell::new(None) }
    }

    /// Reads these and no others from now on.
    pub fn watch(&self, files: &[WatchedFile]) -> io::Result<()> {
        // The thread before ends at its next look.
        self.watching.take();
        if files.is_empty() {
            return Ok(());
        }
        let (ends, own) = pipe2(OFlag::O_CLOEXEC)?;
        let (files, tell) = (files.to_vec(), self.tell.clone());
        std::thread::Builder::new().name("files".to_owned()).spawn(move || Watch::new(files, tell).run(&ends))?;
        *self.watching.borrow_mut() = Some(own);
        Ok(())
    }
}

struct Watch {
    files: Vec<WatchedFile>,
    folders: BTreeSet<PathBuf>,
    inotify: Option<Inotify>,
    told: BTreeMap<Arc<str>, i64>,
    /// What was said already of a file that can't be read, or holds no number.
    troubles: BTreeMap<Arc<str>, String>,
    tell: UnboundedSender<vrrp::Input>,
}

impl Watch {
    fn new(files: Vec<WatchedFile>, tell: UnboundedSender<vrrp::Input>) -> Self {
        let folder = |file: &WatchedFile| match Path::new(&*file.path).parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let inotify = match Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                tracing::warn!(
                    "tracked files are read once a second: the kernel does not tell when they change: {error}"
                );
                None
            }
        };
        let folders = files.iter().map(folder).collect();
        Self { files, folders, inotify, told: BTreeMap::new(), troubles: BTreeMap::new(), tell }
    }

    fn run(mut self, ends: &OwnedFd) {
        loop {
            // Before the files are read: what changes afterwards is told.
            let watched = self.watch_folders();
            if !self.read_all() || !self.wait(ends, watched) {
                return;
            }
            std::thread::sleep(WRITTEN);
            while let Some(Ok(_)) = self.inotify.as_ref().map(Inotify::read_events) {}
        }
    }

    /// False: some folder is not watched. Watching one again is harmless, and needed when it was made anew.
    fn watch_folders(&self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let changes = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let watched = self.folders.iter().filter(|folder| inotify.add_watch(*folder, changes).is_ok()).count();
        watched == self.folders.len()
    }

    /// Tells what is new. False: nobody listens any more.
    fn read_all(&mut self) -> bool {
        let mut news = Vec::new();
        for WatchedFile { name, path } in &self.files {
            let (number, trouble) = match number_in(Path::new(&**path)) {
                Ok(Some(number)) => (number, None),
                // keepalived keeps what it had, too.
                Ok(None) => {
                    (self.told.get(name).copied().unwrap_or(0), Some("it holds a number that is too great".to_owned()))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (0, None),
                Err(error) => (0, Some(format!("it counts as 0: {error}"))),
            };
            if let Some(trouble) = &trouble
                && self.troubles.get(name) != Some(trouble)
            {
                tracing::warn!("track_file {name}: {path}: {trouble}");
            }
            match trouble {
                Some(trouble) => drop(self.troubles.insert(name.clone(), trouble)),
                None => drop(self.troubles.remove(name)),
            }
            if self.told.get(name) != Some(&number) {
                self.told.insert(name.clone(), number);
                news.push((name.clone(), number));
            }
        }
        news.is_empty() || self.tell.send(vrrp::Event::FilesRead(news).into()).is_ok()
    }

    /// Until something may have changed. False: it is over.
    fn wait(&self, ends: &OwnedFd, watched: bool) -> bool {
        let timeout = PollTimeout::from(if watched { READ_AGAIN } else { READ_SOON });
        let mut waits = vec![PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        waits.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waits, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::warn!("tracked files are not watched any more: {error}");
                return false;
            }
        }
        waits.first().and_then(PollFd::revents).is_none_or(|events| events.is_empty())
    }
}

/// The number at the beginning of a file; 0 where there is none. `None`: one that no number here can be.
fn number_in(path: &Path) -> io::Result<Option<i64>> {
    let mut text = read(path)?;
    if text.is_empty() {
        std::thread::sleep(WRITTEN);
        text = read(path)?;
    }
    Ok(number(&text))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would wait for its other end.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// As keepalived 2.2.7 reads it: blanks, a sign, digits; what comes behind does not matter.
fn number(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        Some(_) | None => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let mut number = 0i64;
    for digit in digits {
        number = number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
    }
    i32::try_from(if negative { -number } else { number }).ok().map(i64::from)
}

/// `init_file`: writes the first numbers. Before this process may write into its own folders only.
pub fn prepare(config: &Config) {
    let watched = config.watched_files();
    let tracked = config.files.values().filter(|file| watched.iter().any(|watched| watched.name == file.name));
    tracked.for_each(write_first);
}

fn write_first(file: &TrackFile) {
    let Some(init) = file.init else { return };
    let mut how = OpenOptions::new();
    how.write(true).mode(0o644).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if init.overwrite {
        how.create(true).truncate(true)
    } else {
        how.create_new(true)
    };
    match how.open(&*file.path).and_then(|mut to| writeln!(to, "{}", init.number)) {
        Err(error) if !init.overwrite && error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => tracing::warn!("track_file {}: init_file: can't write {}: {error}", file.name, file.path),
        Ok(()) => tracing::debug!("track_file {}: {} written to {}", file.name, init.number, file.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use vipward_core::config::{InitFile, TrackWeight};
    use vipward_core::machine::Input;

    #[test]
    fn numbers_are_read_as_keepalived_reads_them() {
        for (text, is) in [
            ("10\n", Some(10)),
            ("  -253", Some(-253)),
            ("+7", Some(7)),
            ("7 tail", Some(7)),
            ("abc", Some(0)),
            ("", Some(0)),
            ("-", Some(0)),
            ("2147483648", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text.as_bytes()), is, "{text}");
        }
    }

    fn heard(from: &mut UnboundedReceiver<vrrp::Input>) -> Vec<(String, i64)> {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            match from.try_recv() {
                Ok(Input::Event(vrrp::Event::FilesRead(read))) => {
                    return read.into_iter().map(|(name, number)| (name.to_string(), number)).collect();
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert!(std::time::Instant::now() < deadline, "nothing is told"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_a_file_holds_is_told_at_once_and_whenever_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let watched = |name: &str| WatchedFile { name: name.into(), path: path(name).to_str().unwrap().into() };
        fs::write(path("a"), "5\n").unwrap();
        let (tell, mut from) = unbounded_channel();
        let files = Files::new(tell);
        files.watch(&[watched("a"), watched("deep/b")]).unwrap();
        let one = |name: &str, number| vec![(name.to_owned(), number)];
        assert_eq!(heard(&mut from), [("a".to_owned(), 5), ("deep/b".to_owned(), 0)]);
        fs::write(path("a"), "-7").unwrap();
        assert_eq!(heard(&mut from), one("a", -7));
        fs::write(path("new"), "8").unwrap();
        fs::rename(path("new"), path("a")).unwrap();
        assert_eq!(heard(&mut from), one("a", 8));
        fs::remove_file(path("a")).unwrap();
        assert_eq!(heard(&mut from), one("a", 0));
        // A folder that was not there.
        fs::create_dir(path("deep")).unwrap();
        fs::write(path("deep/b"), "9").unwrap();
        assert_eq!(heard(&mut from), one("deep/b", 9));
        // A pipe keeps nobody waiting.
        nix::unistd::mkfifo(&path("a"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(path("deep/b"), "10").unwrap();
        assert_eq!(heard(&mut from), one("deep/b", 10));
        // Another list: what it names is told anew, and nothing else any more.
        files.watch(&[watched("deep/b")]).unwrap();
        assert_eq!(heard(&mut from), one("deep/b", 10));
    }

    #[test]
    fn first_numbers_are_written_where_there_is_no_file_or_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let init = |number, overwrite| Some(InitFile { number, overwrite });
        for (init, holds) in [(init(5, false), "5\n"), (init(6, false), "5\n"), (init(0, true), "0\n"), (None, "0\n")] {
            let (name, path) = ("F".into(), path.to_str().unwrap().into());
            write_first(&TrackFile { name, path, weight: TrackWeight::default(), init, places: Default::default() });
            assert_eq!(fs::read_to_string(folder.path().join("f")).unwrap(), holds, "{init:?}");
        }
    }
}
