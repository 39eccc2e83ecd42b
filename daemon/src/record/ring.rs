//! The files of a recording: `FILE` is the one being written, `FILE.1` the one before it, and so on.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use vipward_core::settings::Record;

/// The first bytes of every pcapng file.
const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// How much is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    pub file: PathBuf,
    /// Bytes after which a new file begins. A file can become longer by what a quarter of a second brings; and one
    /// whose beginning (configuration and state) takes more than half of this may be twice as long as its beginning.
    pub max_bytes: u64,
    /// Files kept, the one being written included.
    pub files: u32,
}

impl Ring {
    /// As the settings say, if they want a recording at all.
    pub fn of(settings: Record) -> Option<Self> {
        let Record { file, max_bytes, files } = settings;
        Some(Self { file: file?, max_bytes, files })
    }

    /// Moves every file one place on, drops the oldest and opens a fresh one, readable by its owner only: configurations
    /// hold passwords. What is no recording is never moved or overwritten.
    pub fn turn(&self) -> io::Result<File> {
        if self.is_recording(&self.file)? {
            for place in (1..self.files).rev() {
                let (from, to) = (self.place(place - 1), self.place(place));
                match fs::rename(&from, &to) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            if self.files <= 1 {
                fs::remove_file(&self.file)?;
            }
        }
        if let Some(folder) = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file)
    }

    /// Whether there is a recording of ours, or at least nothing of anybody else's.
    fn is_recording(&self, path: &Path) -> io::Result<bool> {
        let kind = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        if !kind.is_file() {
            return refused("it exists and is no regular file");
        }
        let mut start = Vec::new();
        File::open(path)?.take(4).read_to_end(&mut start)?;
        if start.is_empty() || start == MAGIC { Ok(true) } else { refused("it exists and is no recording") }
    }

    /// `FILE`, `FILE.1`, …
    fn place(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.file.clone();
        }
        let mut name = OsString::from(self.file.as_os_str());
        name.push(format!(".{number}"));
        name.into()
    }
}
