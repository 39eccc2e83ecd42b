//! What reading files needs from the outside.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The file system. Core has none; the runner brings one.
pub trait Files {
    /// The bytes of one file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a shell pattern (`include`), in the order in which they are to be read.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
}

/// Files held in memory: for tests, scenarios and everybody without a disk. `*` and `?` match within one folder.
impl Files for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.keys().filter(|path| path.to_str().is_some_and(|path| matches(pattern, path))).cloned().collect()
    }
}

/// Whether `text` fits the shell pattern. Linear in the product of both lengths at worst.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(want) if want == c || (*want == '?' && *c != '/') => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((after, from)) if text.get(from).is_some_and(|skipped| *skipped != '/') => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                Some(_) | None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
