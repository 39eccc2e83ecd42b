//! One state file: an estate as one line of JSON, and below it the CRC-32 of that line.

use nix::unistd::Uid;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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
        nobody_else_writes(folder)?;
    }
    let new = beside(path);
    // What an earlier try left there, or somebody has put there to be written to: the name goes, and not what it points to.
    remove(&new)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_NOFOLLOW)
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
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let there = file.metadata()?;
    if !there.is_file() || !trusted(&there) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to somebody else, or is no regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
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

/// Root's or our own.
fn trusted(there: &Metadata) -> bool {
    there.uid() == 0 || there.uid() == Uid::effective().as_raw()
}

/// In a folder where others may put files, they could put one where ours is. With the sticky bit they can't take its place.
fn nobody_else_writes(folder: &Path) -> io::Result<()> {
    const OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let there = fs::metadata(folder)?;
    if trusted(&there) && (there.mode() & OTHERS == 0 || there.mode() & STICKY != 0) {
        return Ok(());
    }
    let why = format!("{} belongs to somebody else, or others may write into it", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}
