//! `include PATTERN`: which files a pattern names.

use super::Reader;
use crate::text::{Diagnostic, Span};
use std::path::{Path, PathBuf};

/// Patterns that braces of one line may stand for.
const MOST: usize = 1000;

impl Reader<'_, '_> {
    /// keepalived's other five words differ in what they complain about; vipward always complains when nothing matches.
    pub(super) fn include(&mut self, pattern: &str, span: Span) {
        if self.open.len() >= self.options.limits.include_depth || self.count >= self.options.limits.files {
            self.report.push(
                Diagnostic::error("endless-include", "too many files include each other")
                    .at(span, format!("{} files deep, {} in all", self.open.len(), self.count)),
            );
            return;
        }
        // The one definition that keepalived knows in such a line.
        let pattern = pattern.replace("${_PWD}", &self.folder().to_string_lossy());
        let parts = braces(&pattern);
        let several = parts.len() > 1;
        for part in parts {
            let path = self.folder().join(&part);
            let name = path.to_string_lossy().into_owned();
            let wild = several || name.contains(['*', '?', '[']);
            let unexpanded = part.contains(['$', '{', '}']);
            let paths = if wild || unexpanded { self.files.glob(&name) } else { vec![path.clone()] };
            // A name may hold a `$`; a glob would not find one with brackets.
            let paths =
                if paths.is_empty() && unexpanded && self.files.read(&path).is_ok() { vec![path] } else { paths };
            if paths.is_empty() {
                self.unmatched(&name, unexpanded, span);
            }
            for path in paths {
                self.included(&path, span);
            }
        }
    }

    fn unmatched(&mut self, name: &str, unexpanded: bool, span: Span) {
        let message = format!("no file matches `{name}`");
        self.report.push(if unexpanded {
            Diagnostic::error("empty-include", message)
                .at(span, "read as it is written: this line includes nothing")
                .note("definitions don't count in an `include` line, but for `${_PWD}`")
                .help("write the path out")
        } else {
            Diagnostic::warning("empty-include", message).at(span, "")
        });
    }

    fn included(&mut self, path: &Path, span: Span) {
        if self.open.iter().any(|open| open == path) {
            self.report.push(
                Diagnostic::error("endless-include", format!("`{}` includes itself", path.display()))
                    .at(span, "this closes the circle; it is not read again"),
            );
        } else if self.count < self.options.limits.files {
            self.file(path, Some(span));
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.open.last().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default()
    }
}

/// `a{b,c{d,e}}`: `ab`, `acd` and `ace`, as csh has it. What is no pair with a comma stays as it is, and so does what
/// would be too much.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        if done.len() + open.len() > MOST {
            return vec![pattern];
        }
        match split(&pattern) {
            Some((before, parts, after)) => {
                open.extend(parts.iter().rev().map(|part| format!("{before}{part}{after}")));
            }
            None => done.push(pattern),
        }
    }
    done
}

/// The first pair of braces that belong together: what is before it, its parts, what is behind.
fn split(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut from = 0;
    loop {
        let start = from + pattern.get(from..)?.find('{')?;
        // `${NAME}` is none.
        let definition = pattern.get(..start).is_some_and(|before| before.ends_with('$'));
        let inside = pattern.get(start + 1..)?;
        let (mut depth, mut parts, mut part) = (0_usize, Vec::new(), 0);
        for (at, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                ',' if depth == 0 => {
                    parts.push(inside.get(part..at)?);
                    part = at + 1;
                }
                '}' if depth == 0 => {
                    parts.push(inside.get(part..at)?);
                    if definition || parts.len() < 2 {
                        break;
                    }
                    return Some((pattern.get(..start)?, parts, inside.get(at + 1..)?));
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_as_csh_has_them() {
        for (pattern, want) in [
            ("a.conf", vec!["a.conf"]),
            ("{a,b}.conf", vec!["a.conf", "b.conf"]),
            ("foo/{,cat,dog}", vec!["foo/", "foo/cat", "foo/dog"]),
            ("{a,b{c,d}}x", vec!["ax", "bcx", "bdx"]),
            ("{a,b}{c,d}", vec!["ac", "ad", "bc", "bd"]),
            ("{a}", vec!["{a}"]),
            ("{a,b", vec!["{a,b"]),
            ("${A}/{b,c}", vec!["${A}/b", "${A}/c"]),
        ] {
            assert_eq!(braces(pattern), want, "{pattern}");
        }
        assert_eq!(braces(&"{a,b}".repeat(40)).len(), 1);
    }
}
