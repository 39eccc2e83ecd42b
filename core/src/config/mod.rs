//! keepalived's configuration: from text to [`Config`], with every mistake reported at its place.

mod arithmetic;
pub mod cluster;
mod coordinated;
mod director_loop;
mod entries;
mod fifo;
mod line;
mod lvs;
mod model;
mod notify;
mod options;
mod places;
mod process;
mod reader;
mod slow_start;
mod statics;
mod texts;
mod tracking;
mod tree;
mod vip;
mod virtual_server;
pub mod words;

pub use entries::{Entries, Member};
pub use fifo::{Fifo, Fifos};
pub use lvs::{LvsSyncDaemon, LvsTimeouts};
pub use model::*;
pub use notify::{Alerts, NotifyScripts, RoleMails, UpDownScripts};
pub use options::{Limits, Options};
pub use places::Places;
pub use process::{KnownBy, LONGEST_NAME, ProcessPattern, TrackProcess, WatchedProcess};
pub use slow_start::SlowStart;
pub use statics::{StaticItem, Statics, TrackedStatic};
pub use tracking::{FileCheck, FileWeight, InitFile, Reading, TrackFile, WatchedFile, Weighed};
pub use vip::{LIFETIME, Vip};
pub use virtual_server::*;
pub use words::routes::tables as table_names;

use crate::text::report::Report;
use crate::text::{Diagnostic, Files, Sources};
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

    /// [`Self::best_effort`], to be completed.
    pub fn best_effort_mut(&mut self) -> &mut Config {
        self.config.as_mut().unwrap_or(&mut self.partial)
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads the configuration at `path` and all that it includes. Every file lands in `sources`, for [`crate::text::render`].
pub fn load(sources: &mut Sources, files: &dyn Files, path: &Path, options: &Options) -> Loaded {
    let (mut report, texts) = (Report::default(), texts::Texts::default());
    let mut reader = reader::Reader::new(sources, &mut report, &texts, files, options);
    reader.file(path, None);
    let config = reader.finish();
    let (config, partial) = if report.has_errors() { (None, config) } else { (Some(config), Config::default()) };
    Loaded { config, partial, diagnostics: report.finish(sources) }
}
