//! `FILE_CHECK`.

use super::Block;
use super::real_server;
use super::row::Default::{Nothing, Of};
use super::row::Status::Acted;
use super::row::{Row, Table, number, row, text};
use super::said::{self, Lower, Said};
use super::values::keep;
use crate::config::VirtualServer;
use crate::config::places::Places;
use crate::config::tracking::{FileCheck, FileWeight};
use crate::config::tree::Statement;
use crate::text::{Diagnostic, nearest_name};
use std::sync::Arc;

/// The greatest weight.
const MOST: i64 = 2_147_483_647;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    file: Option<Arc<str>>,
    weight: FileWeight,
    places: Places,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::FileCheck, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("track_file", text("NAME"), Nothing, Acted(|said, draft| draft.file = said.name()), "the tracked file"),
    row("weight", number(-MOST, MOST).more(2, "[reverse]"), Of(Block::TrackFile, "weight"), Acted(|said, draft| {
        keep(&mut draft.weight, said.lower.file_weight(said.line));
    }), "the number times this is added to the real server's weight; 0: any number but 0 takes it out"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Draft { file, weight, mut places } = draft;
    places.shrink();
    match file {
        Some(file) => outer.files.push(FileCheck { file, weight, places }),
        None if said::of(block.lines(), "track_file").any(|_| true) => {}
        None => said.lower.push(
            Diagnostic::error("missing-word", "`FILE_CHECK` has no `track_file`")
                .at(block.span(), "no file to read")
                .help("add `track_file NAME`"),
        ),
    }
}

impl Lower<'_> {
    fn file_weight(&mut self, line: &Statement<'_>) -> Option<FileWeight> {
        let weight = self.number_of(line, line.args.first()?, -MOST..=MOST)?;
        let reverse = match line.args.get(1) {
            Some(word) => self.choice_of(line, word, &[("reverse", true), ("noreverse", false)])?,
            None => false,
        };
        Some(FileWeight { weight, reverse })
    }

    /// Virtual servers are read before all `track_file` blocks are known.
    pub(super) fn tracked_by_servers(&mut self, services: &mut [VirtualServer]) {
        let checks = services.iter_mut().flat_map(|service| &mut service.real_servers).flat_map(|real| &mut real.files);
        for check in checks {
            if let Some(file) = self.memory.files.get(&check.file) {
                if !check.places.has("weight") {
                    check.weight = file.weight.into();
                }
                continue;
            }
            let names = self.memory.files.keys().map(|name| &**name);
            let diagnostic =
                Diagnostic::error("unknown-file", format!("there is no track_file called `{}`", check.file))
                    .at(check.places.of("track_file"), "this file would never be read");
            let diagnostic = match nearest_name(&check.file, names) {
                Some(near) => diagnostic.help(format!("write `track_file {near}`")),
                None => diagnostic.help(format!("define `track_file {} {{ ... }}`, or delete the block", check.file)),
            };
            self.report.push(diagnostic);
        }
    }
}
