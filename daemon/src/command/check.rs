//! `vipward check`: what is wrong with one configuration, or between those of a cluster.

use crate::options::cli::{Check, Format};
use crate::options::configuration::{host_name, load};
use crate::system::disk::{Disk, LooksAt};
use crate::system::exit::Exit;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use vipward_core::config::Loaded;
use vipward_core::config::cluster::{self, Node};
use vipward_core::settings;
use vipward_core::text::{Diagnostic, Label, Severity, Sources, render};

/// Prints all messages on standard output.
pub fn check(options: &Check) -> Exit {
    let (text, worst) = match report(options, std::io::stdout().is_terminal()) {
        Ok(said) => said,
        Err(why) => {
            eprintln!("vipward check: {why}");
            return Exit::Usage;
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // `vipward check | head`: the exit status tells all the same.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("vipward check: can't print: {error}");
            return Exit::Failed;
        }
        Ok(()) | Err(_) => {}
    }
    let counts = if options.strict { Severity::Warning } else { Severity::Error };
    if worst.is_some_and(|worst| worst >= counts) { Exit::Diagnostics } else { Exit::Fine }
}

/// All messages as a text, and how bad the worst is. The error says why the command line makes no sense.
pub fn report(options: &Check, color: bool) -> Result<(String, Option<Severity>), String> {
    let nodes = nodes(&options.files, &options.config_id)?;
    let mut sources = Sources::default();
    let mut loaded: Vec<_> =
        nodes.iter().map(|(file, id, _)| load(&mut sources, &Disk::with_pipe(file), file, id)).collect();
    let mut diagnostics: Vec<Diagnostic> = loaded.iter().flat_map(|loaded| loaded.diagnostics.clone()).collect();
    // One `vipward.toml` may stand beside several configurations.
    let beside: BTreeSet<PathBuf> = options.files.iter().map(|file| file.with_file_name(settings::NAME)).collect();
    let mut of_settings: Vec<Diagnostic> = Vec::new();
    for file in beside {
        let (settings, said) = settings::load(&mut sources, &Disk::new(LooksAt::default()), &file, None);
        of_settings.extend(said);
        let of_this = |((path, ..), _): &(&(&Path, String, String), _)| path.with_file_name(settings::NAME) == file;
        for ((path, id, _), loaded) in nodes.iter().zip(&mut loaded).filter(of_this) {
            let Some(settings) = &settings else { continue };
            let said = settings.complete(loaded.best_effort_mut(), id);
            let said: Vec<Diagnostic> = said.into_iter().filter(|said| !of_settings.contains(said)).collect();
            of_settings.extend(said);
            // Where there are errors, what is missing may have been misunderstood.
            if !loaded.has_errors() {
                let said = settings.nothing_to_run(loaded.best_effort()).map(|said| named(said, path, id));
                of_settings.extend(said);
            }
        }
    }
    if loaded.len() > 1 {
        let configs = loaded.iter().map(Loaded::best_effort);
        let cluster: Vec<_> = nodes.iter().zip(configs).map(|((_, _, name), config)| Node { name, config }).collect();
        diagnostics.extend(cluster::check(&cluster));
    }
    diagnostics.extend(of_settings);
    let text = match options.format {
        Format::Text => {
            format!("{}{}\n", render(&sources, &diagnostics, color), summary(options.files.len(), &diagnostics))
        }
        Format::Json => format!("{:#}\n", as_json(&sources, &diagnostics)),
    };
    // Ends with the process: nobody needs a large configuration to be taken apart first.
    std::mem::forget(loaded);
    Ok((text, diagnostics.iter().map(|said| said.severity).max()))
}

/// Says in which file and for which director, as no line can be pointed at.
fn named(mut said: Diagnostic, file: &Path, id: &str) -> Diagnostic {
    said.message = format!("{}, read for `{id}`: {}", file.display(), said.message);
    said
}

/// The directors to compare: file, `@ID`, name in messages. One file with several ids is shared by several directors.
fn nodes<'a>(files: &'a [PathBuf], ids: &[String]) -> Result<Vec<(&'a Path, String, String)>, String> {
    let shown = |file: &Path| file.display().to_string();
    Ok(match (files, ids) {
        (_, []) => files.iter().map(|file| (file.as_path(), host_name(), shown(file))).collect(),
        (_, [id]) => files.iter().map(|file| (file.as_path(), id.clone(), shown(file))).collect(),
        ([file], _) => ids.iter().map(|id| (file.as_path(), id.clone(), id.clone())).collect(),
        _ if files.len() == ids.len() => {
            files.iter().zip(ids).map(|(file, id)| (file.as_path(), id.clone(), shown(file))).collect()
        }
        _ => return Err(format!("{} files and {} --config-id do not fit together", files.len(), ids.len())),
    })
}

fn summary(files: usize, diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    format!(
        "{}: {}, {}",
        amount(files, "file"),
        amount(count(Severity::Error), "error"),
        amount(count(Severity::Warning), "warning")
    )
}

fn amount(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn as_json(sources: &Sources, diagnostics: &[Diagnostic]) -> Value {
    let label = |label: &Label| {
        let (start, end) = (sources.location(label.span), sources.location(label.span.after()));
        json!({
            "file": start.file, "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
            "text": label.text, "primary": label.primary,
        })
    };
    let messages: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "severity": diagnostic.severity.to_string(),
                "code": diagnostic.code,
                "message": diagnostic.message,
                "labels": diagnostic.labels.iter().map(label).collect::<Vec<_>>(),
                "notes": diagnostic.notes,
                "help": diagnostic.help,
            })
        })
        .collect();
    json!({ "diagnostics": messages })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[&str], ids: &[&str]) -> Result<Vec<(String, String)>, String> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Ok(nodes(&files, &ids)?.into_iter().map(|(_, id, name)| (id, name)).collect())
    }

    fn pair(id: &str, name: &str) -> (String, String) {
        (id.to_owned(), name.to_owned())
    }

    #[test]
    fn ids_belong_to_all_files_or_to_each_or_several_to_one() {
        assert_eq!(names(&["a", "b"], &["x"]), Ok(vec![pair("x", "a"), pair("x", "b")]));
        assert_eq!(names(&["a", "b"], &["x", "y"]), Ok(vec![pair("x", "a"), pair("y", "b")]));
        assert_eq!(names(&["a"], &["x", "y"]), Ok(vec![pair("x", "x"), pair("y", "y")]));
        assert_eq!(names(&["a"], &[]), Ok(vec![pair(&host_name(), "a")]));
        assert!(names(&["a", "b", "c"], &["x", "y"]).is_err());
    }
}
