//! One state file: an estate as one line of JSON, and below it the CRC-32 of that line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use vipward_core::estate::{Document, Estate, Unusable};

/// Writes it in place of the one before: whoever reads finds the old one or the new one, whole.
///
/// Nothing is forced to the disk. What the system loses when the machine fails is of a boot that is over, and worthless.
pub fn write(path: &Path, boot: &str, estate: Estate) -> io::Result<()> {
    let mut bytes = Document::new(boot, estate).to_json().map_err(io::Error::other)?;
    bytes.push(b'\n');
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("{sum:08x}\n").as_bytes());
    if let Some(folder) = path.parent() {
        // Addresses and names of what is inside are not for everybody.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let new = beside(path);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Half a file on a full disk takes room from others.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Reads what an earlier process of this boot left; `None`: nothing.
pub fn read(path: &Path, boot: &str) -> io::Result<Option<Result<Estate, Unusable>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |what: &str| Some(Err(Unusable::Damaged(what.to_owned())));
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(damaged("it has no end")) };
    let (line, rest) = bytes.split_at(end + 1);
    if rest != format!("{:08x}\n", crc32fast::hash(line)).as_bytes() {
        return Ok(damaged("its sum does not fit"));
    }
    Ok(Some(Document::from_json(line, boot).map(|document| document.estate)))
}

/// Takes it away, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}
