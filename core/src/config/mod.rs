//! keepalived's configuration: from text to [`Config`], with every mistake reported at its place.

pub mod cluster;
mod diagnostic;
mod files;
pub mod model;
mod render;
pub mod source;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use files::{Files, Limits, Options};
pub use model::*;
pub use render::render;
pub use source::{FileId, Location, Places, Sources, Span};

use std::path::Path;

/// What reading a configuration gave.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The configuration; `None` when there is an error.
    pub config: Option<Config>,
    /// Every mistake, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// What could be understood although there is an error.
    partial: Config,
}

impl Loaded {
    /// The configuration, or as much of it as could be understood: for comparing files that have mistakes, never for
    /// running.
    pub fn best_effort(&self) -> &Config {
        self.config.as_ref().unwrap_or(&self.partial)
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads the configuration at `path` and all that it includes.
pub fn load(sources: &mut Sources, files: &dyn Files, path: &Path, options: &Options) -> Loaded {
    let _ = options;
    let name = path.display().to_string();
    match files.read(path) {
        Ok(bytes) => {
            sources.add(name, String::from_utf8_lossy(&bytes));
            Loaded { config: Some(Config::default()), ..Loaded::default() }
        }
        Err(error) => Loaded {
            diagnostics: vec![Diagnostic::error("unreadable-file", format!("can't read `{name}`: {error}"))],
            ..Loaded::default()
        },
    }
}
