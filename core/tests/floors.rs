//! The floors of the packages, as ARCHITECTURE.md prints them: a room may use rooms of lower floors and itself, nothing
//! else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // All of it is tests.
#![allow(clippy::disallowed_methods)] // It reads the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [&str; 3] = ["core", "sim", "daemon"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The rooms of a package with their floors, from the block that begins with ```` ```floors PACKAGE ````; the lowest first.
fn floors(page: &str, package: &str) -> BTreeMap<String, usize> {
    let begin = format!("```floors {package}\n");
    let at = page.find(&begin).unwrap_or_else(|| panic!("ARCHITECTURE.md has no floors of {package}"));
    let block = &page[at + begin.len()..];
    let block = &block[..block.find("```").unwrap()];
    let mut floors = BTreeMap::new();
    for (floor, line) in block.lines().enumerate() {
        for room in line.split_whitespace().take_while(|word| !word.starts_with('#')) {
            let twice = floors.insert(room.to_owned(), floor);
            assert_eq!(twice, None, "{package}: {room} is listed twice");
        }
    }
    floors
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file's code without comments, texts, and what is compiled for tests only.
fn code(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim();
        if bare == "#[cfg(test)]" {
            // One item: to its end at the same depth.
            let (mut depth, mut begun) = (0i64, false);
            for line in lines.by_ref() {
                let count = |sign| i64::try_from(line.matches(sign).count()).unwrap();
                depth += count('{') - count('}');
                begun |= line.contains('{') || line.trim_end().ends_with(';');
                if begun && depth <= 0 {
                    break;
                }
            }
        } else if !bare.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The rooms that are named behind `crate::`.
fn used(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let mut word = |text: &str| {
            let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
            if end > 0 {
                rooms.push(text[..end].to_owned());
            }
        };
        match rest.strip_prefix('{') {
            None => word(rest),
            Some(group) => {
                let mut depth = 1;
                let mut part = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => word(std::mem::take(&mut part).trim()),
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    if !(c == ',' && depth == 1) {
                        part.push(c);
                    }
                }
                word(part.trim());
            }
        }
    }
    rooms
}

/// Every arrow of a package that does not lead down, as `file: room -> room`.
fn arrows_up(package: &str, floors: &BTreeMap<String, usize>) -> Vec<String> {
    let folder = repository().join(package).join("src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&folder).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        // `lib` and `main` stand on top of all rooms; `testing` is compiled for tests only.
        if ["lib", "main", "testing"].contains(&room.as_str()) {
            continue;
        }
        let Some(floor) = floors.get(&room) else {
            wrong.push(format!("{package}/src/{}: the room `{room}` is on no floor", inside.display()));
            continue;
        };
        for other in used(&code(&fs::read_to_string(&file).unwrap())) {
            match floors.get(&other) {
                _ if other == room => {}
                Some(below) if below < floor => {}
                Some(_) => wrong.push(format!("{package}/src/{}: {room} -> {other}", inside.display())),
                // An item of the package itself, or a macro.
                None => {}
            }
        }
    }
    wrong
}

#[test]
fn rooms_look_down_only() {
    let page = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let wrong: Vec<String> = PACKAGES.iter().flat_map(|package| arrows_up(package, &floors(&page, package))).collect();
    assert!(wrong.is_empty(), "these look up, or sideways to another room of their floor:\n{}", wrong.join("\n"));
}

#[test]
fn every_floor_that_is_listed_is_there() {
    let page = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for package in PACKAGES {
        for room in floors(&page, package).keys() {
            let at = repository().join(package).join("src").join(room);
            assert!(at.is_dir() || at.with_extension("rs").is_file(), "{package} has no room `{room}`");
        }
    }
}

/// The test can fail: an arrow up is seen, in a use, in a group and in the middle of a line.
#[test]
fn an_arrow_up_is_seen() {
    let text = "use crate::{time::Instant, driver};\nfn f() -> crate::vrrp::Role { g() }\n// crate::config\n\
                #[cfg(test)]\nmod tests {\n    use crate::record;\n}\nuse crate::health;\n";
    assert_eq!(used(&code(text)), ["time", "driver", "vrrp", "health"]);
}
