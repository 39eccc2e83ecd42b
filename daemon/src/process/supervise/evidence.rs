//! The flight record of a worker that died: kept under a name of its own, as the ring would lose it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many are kept. The newest is number 1.
const KEPT: u32 = 3;

/// Links `FILE` to `FILE.crash-1`, which becomes `FILE.crash-2`, and so on.
pub fn keep(record: &Path) {
    let kept = place(record, 1);
    match shift(record).and_then(|()| fs::hard_link(record, &kept)) {
        Ok(()) => tracing::info!("what the worker recorded is kept in {}", kept.display()),
        Err(error) => tracing::warn!("can't keep what the worker recorded in {}: {error}", kept.display()),
    }
}

fn shift(record: &Path) -> io::Result<()> {
    for number in (1..KEPT).rev() {
        match fs::rename(place(record, number), place(record, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn place(record: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(record.as_os_str());
    name.push(format!(".crash-{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_record_stays() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("lb1.pcapng");
        keep(&record);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was recorded");
        for crash in 1..=5 {
            let _ = fs::remove_file(&record);
            fs::write(&record, format!("crash {crash}")).unwrap();
            keep(&record);
        }
        let read = |number| fs::read_to_string(place(&record, number)).unwrap();
        assert_eq!([1, 2, 3].map(read), ["crash 5", "crash 4", "crash 3"]);
        assert!(!place(&record, 4).exists());
        assert_eq!(fs::read_to_string(&record).unwrap(), "crash 5");
    }
}
