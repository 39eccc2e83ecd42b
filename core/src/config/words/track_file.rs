//! `track_file`: a file whose number changes priorities.

use super::Block;
use super::row::Default::{Is, Nothing};
use super::row::Status::Acted;
use super::row::{Row, Table, number, row, text, texts};
use super::said::{self, Lower, Said};
use super::track_script::{Tracks, track};
use super::values::keep;
use crate::config::places::Places;
use crate::config::tracking::{InitFile, TrackFile};
use crate::config::tree::Statement;
use crate::config::{TrackWeight, TrackerId};
use crate::text::{Diagnostic, nearest_name};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The greatest weight of a file.
pub(super) const MOST: i64 = 254;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    path: Option<Arc<str>>,
    weight: TrackWeight,
    init: Option<InitFile>,
    places: Places,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::TrackFile, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("file", text("PATH"), Nothing, Acted(|said, draft| draft.path = said.text().map(Arc::from)), "the file; it holds a number, and where it is missing or empty counts as 0"),
    row("weight", number(-254, 254).more(2, "[reverse]"), Is("1"), Acted(|said, draft| {
        keep(&mut draft.weight, said.lower.track_weight(said.line, &said.line.args, MOST));
    }), "the number times this is added to the priority; -254 or less means FAULT. 0: any number but 0 means FAULT"),
    row("init_file", texts(0, 2, "[VALUE] [overwrite]"), Nothing, Acted(|said, draft| {
        draft.init = said.lower.init_file(said.line);
    }), "write this number when the director starts (not at a reload), if there is no file; over what it holds with overwrite"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    if let Some(before) = lower.memory.files.get(&name) {
        let first = before.places.of("");
        lower.push(
            Diagnostic::error("duplicate-name", format!("two track_files are called `{name}`"))
                .at(block.span(), "the second one")
                .also(first, "the first one")
                .help("give each a name of its own"),
        );
        return;
    }
    if draft.path.is_none() && !said::of(block.lines(), "file").any(|line| !line.args.is_empty()) {
        lower.push(
            Diagnostic::error("missing-word", format!("track_file `{name}` has no `file`"))
                .at(block.span(), "nothing to read")
                .help("add `file \"PATH\"`"),
        );
    }
    // Without a path there is an error; the name is known all the same, so that its users are not blamed.
    let path = draft.path.unwrap_or_default();
    let file = TrackFile { name: name.clone(), path, weight: draft.weight, init: draft.init, places: draft.places };
    lower.memory.files.insert(name, file);
}

impl Lower<'_> {
    fn init_file(&mut self, line: &Statement<'_>) -> Option<InitFile> {
        let mut init = InitFile::default();
        for word in &line.args {
            match &*word.text {
                "overwrite" => init.overwrite = true,
                _ => init.number = self.number_of(line, word, i64::from(i32::MIN)..=i64::from(i32::MAX))?,
            }
        }
        Some(init)
    }

    /// Adds the files of one list.
    pub(super) fn track_files(
        &mut self,
        list: &Statement<'_>,
        files: &BTreeMap<Arc<str>, TrackFile>,
        draft: &mut impl Tracks,
    ) {
        for line in list.lines() {
            let name = &line.word;
            let Some(file) = files.get(&*name.text) else {
                let mut diagnostic =
                    Diagnostic::error("unknown-file", format!("there is no track_file called `{}`", name.text))
                        .at(name.span, "this file would never be read");
                diagnostic = match nearest_name(&name.text, files.keys().map(|name| &**name)) {
                    Some(near) => {
                        let place = files.get(near).map(|file| file.places.of("")).unwrap_or_default();
                        diagnostic.also(place, "is this one meant?").help(format!("write `{near}`"))
                    }
                    None => diagnostic.help(format!("define `track_file {} {{ ... }}`, or delete the line", name.text)),
                };
                self.push(diagnostic);
                continue;
            };
            let weight = self.weight_of(line, file.weight, "track_file", MOST);
            let (tracked, places) = draft.tracks();
            if !line.args.is_empty() {
                places.set(&Places::tracked_file(&file.name), line.word.span);
            }
            track(tracked, TrackerId::File(file.name.clone()), weight);
        }
    }
}
