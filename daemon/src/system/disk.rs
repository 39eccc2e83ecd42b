//! Files of the host, read with limits: what a configuration names may be a pipe, a device without an end, or lie on a
//! server that does not answer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use vipward_core::text::Files;

/// All that is read for one configuration, in bytes. The largest one known, with 37,298 real servers, has 8 MiB.
pub const LONGEST: u64 = 128 << 20;

/// The file system.
pub struct Disk {
    /// What may still be read, in bytes.
    rest: Mutex<u64>,
    /// A file that may be a pipe: an operator has named it on the command line.
    piped: Option<PathBuf>,
    looks_at: LooksAt,
}

/// What is being read now, for whoever waits for it.
#[derive(Clone, Debug, Default)]
pub struct LooksAt(Arc<Mutex<PathBuf>>);

impl LooksAt {
    pub fn path(&self) -> PathBuf {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, path: &Path) {
        path.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Disk {
    /// Reads regular files alone, [`LONGEST`] bytes altogether.
    pub fn new(looks_at: LooksAt) -> Self {
        Self { rest: Mutex::new(LONGEST), piped: None, looks_at }
    }

    /// The same; `file` may be a pipe too, as in `vipward check <(generate)`.
    pub fn with_pipe(file: &Path) -> Self {
        Self { piped: Some(file.to_owned()), ..Self::new(LooksAt::default()) }
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        if self.piped.as_deref() == Some(path) {
            return File::open(path);
        }
        // Opening a pipe would wait for its writer, and some devices act when they are opened.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.looks_at.set(path);
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        let read = self.open(path)?.take(*rest + 1).read_to_end(&mut bytes)?;
        match rest.checked_sub(read as u64) {
            Some(less) => *rest = less,
            None => {
                return Err(io::Error::other(format!("a configuration of more than {} MiB", LONGEST >> 20)));
            }
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.looks_at.set(Path::new(pattern));
        // In the order of their names; what can't be read is missed by the reader, who knows the `include` line.
        glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    #[test]
    fn only_regular_files_are_read_and_a_named_pipe_where_it_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let disk = Disk::new(LooksAt::default());
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let error = disk.read(path).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(disk.read(&file).unwrap(), b"text");
        assert_eq!(disk.looks_at.path(), file);
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, "through a pipe").unwrap()
        });
        assert_eq!(Disk::with_pipe(&pipe).read(&pipe).unwrap(), b"through a pipe");
        writer.join().unwrap();
    }

    #[test]
    fn a_configuration_of_many_large_files_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        // With a hole: nothing is written.
        File::create(&path).unwrap().set_len(LONGEST / 2 + 1).unwrap();
        let disk = Disk::new(LooksAt::default());
        assert_eq!(disk.read(&path).unwrap().len() as u64, LONGEST / 2 + 1);
        let error = disk.read(&path).unwrap_err();
        assert_eq!(error.to_string(), "a configuration of more than 128 MiB");
    }
}
