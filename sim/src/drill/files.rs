//! The directors' files: read as the daemon reads them, and named as people call them.

use crate::scenario::Disk;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use vipward_core::config::cluster::Node;
use vipward_core::config::{self, Config};
use vipward_core::settings;
use vipward_core::text::{Diagnostic, Sources, Span};

/// One director's file.
#[derive(Clone, Debug)]
pub(super) struct DirectorFile {
    pub name: Arc<str>,
    pub path: PathBuf,
    /// What could be understood of it.
    pub config: Arc<Config>,
    pub codes: Vec<String>,
    /// It has errors: a daemon would not start with it.
    pub broken: bool,
    /// Its first line, for what stands nowhere in it.
    pub head: Option<Span>,
}

impl DirectorFile {
    pub fn node(&self) -> Node<'_> {
        Node { name: &self.name, config: &self.config }
    }
}

/// Reads all files; their mistakes land in `findings`.
pub(super) fn read(paths: &[PathBuf], sources: &mut Sources, findings: &mut Vec<Diagnostic>) -> Vec<DirectorFile> {
    let mut files = Vec::new();
    for (path, name) in paths.iter().zip(names(paths)) {
        let options = config::Options { config_id: name.clone(), ..config::Options::default() };
        let before = sources.ids().count();
        let loaded = config::load(sources, &Disk, path, &options);
        let (settings, mut said) = settings::load(sources, &Disk, path, None);
        let mut broken = loaded.has_errors() || settings.is_none();
        let mut config = loaded.best_effort().clone();
        said.extend(settings.unwrap_or_default().complete(&mut config, &name));
        broken |= said.iter().any(Diagnostic::is_error);
        files.push(DirectorFile {
            name: name.into(),
            path: path.clone(),
            config: Arc::new(config),
            codes: loaded.diagnostics.iter().chain(&said).map(|found| found.code.to_owned()).collect(),
            broken,
            head: sources.ids().nth(before).map(|file| Span::new(file, 0, 0)),
        });
        findings.extend(loaded.diagnostics);
        findings.extend(said);
    }
    files
}

/// What tells the files apart: `lb1` of `lb1.conf`; the folder's name where all are called `keepalived.conf`; else the
/// whole path, and a number where even that is the same.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let folder = |path: &Path| match path.parent()?.components().next_back()? {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    };
    let all_differ = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == paths.len();
    let by = |name: &dyn Fn(&Path) -> Option<String>| {
        paths.iter().map(|path| name(path)).collect::<Option<Vec<String>>>().filter(all_differ)
    };
    by(&stem).or_else(|| by(&folder)).or_else(|| by(&|path| Some(path.display().to_string()))).unwrap_or_else(|| {
        let numbered = paths.iter().enumerate();
        numbered.map(|(at, path)| format!("{}-{}", stem(path).unwrap_or_default(), at + 1)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(paths: &[&str]) -> Vec<String> {
        names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_director_is_called_by_what_tells_its_file_from_the_others() {
        assert_eq!(names_of(&["a/lb1.conf", "b/lb2.conf"]), ["lb1", "lb2"]);
        assert_eq!(names_of(&["a/keepalived.conf", "b/keepalived.conf"]), ["a", "b"]);
        assert_eq!(names_of(&["x/a/k.conf", "y/a/k.conf"]), ["x/a/k.conf", "y/a/k.conf"]);
        assert_eq!(names_of(&["k.conf", "k.conf"]), ["k-1", "k-2"]);
    }
}
