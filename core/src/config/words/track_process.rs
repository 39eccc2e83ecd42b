//! `vrrp_track_process`: processes that must run.

use super::Block;
use super::row::Default::{Is, Like, Nothing, Told};
use super::row::Status::Acted;
use super::row::{Row, Table, choice, flag, number, row, seconds, texts};
use super::said::{self, Lower, Said};
use super::track_file::MOST;
use super::track_script::{Tracks, track};
use super::values::keep;
use crate::config::places::Places;
use crate::config::process::{KnownBy, LONGEST_NAME, ProcessPattern, TrackProcess};
use crate::config::tree::Statement;
use crate::config::{TrackWeight, TrackerId};
use crate::text::{Diagnostic, nearest_name};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest delay, in milliseconds.
const LONGEST_DELAY: u64 = 3_600_000;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    command: Option<Arc<str>>,
    arguments: Vec<Arc<str>>,
    param_match: Option<KnownBy>,
    full_command: bool,
    weight: TrackWeight,
    quorum: u32,
    quorum_max: Option<u32>,
    fork_delay: Duration,
    terminate_delay: Duration,
    places: Places,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::TrackProcess, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("process", texts(1, usize::MAX, "NAME [ARGUMENT...]"), Nothing, Acted(|said, draft| {
        let mut words = said.line.args.iter().map(|word| Arc::from(&*word.text));
        draft.command = words.next();
        draft.arguments = words.collect();
    }), "the process to look for: by its name, of which 15 characters count, or with arguments or `full_command` by its command line"),
    row("param_match", choice(&["initial", "partial"]), Nothing, Acted(|said, draft| {
        draft.param_match = said.choice(&[("initial", KnownBy::Beginning), ("partial", KnownBy::FirstArguments)]);
    }), "partial: more arguments may follow; initial: and the last that is named may be longer"),
    row("weight", number(-254, 254).more(2, "[reverse]"), Is("0"), Acted(|said, draft| {
        keep(&mut draft.weight, said.lower.track_weight(said.line, &said.line.args, MOST));
    }), "added to the priority: positive while as many run as should, negative while they don't; 0: too few or too many means FAULT"),
    row("quorum", number(1, 65535), Is("1"), Acted(|said, draft| keep(&mut draft.quorum, said.number())), "fewest processes"),
    row("quorum_max", number(0, 65535), Told("as many as there are"), Acted(|said, draft| draft.quorum_max = said.number()), "most processes; 0: none may run"),
    row("delay", seconds(0, LONGEST_DELAY), Is("0"), Acted(|said, draft| {
        keep(&mut draft.fork_delay, said.seconds());
        draft.terminate_delay = draft.fork_delay;
    }), "sets `fork_delay` and `terminate_delay`"),
    row("terminate_delay", seconds(0, LONGEST_DELAY), Like("delay"), Acted(|said, draft| keep(&mut draft.terminate_delay, said.seconds())), "how long a change must last that comes of fewer processes"),
    row("fork_delay", seconds(0, LONGEST_DELAY), Like("delay"), Acted(|said, draft| keep(&mut draft.fork_delay, said.seconds())), "how long a change must last that comes of more processes"),
    row("full_command", flag(), Nothing, Acted(|_, draft| draft.full_command = true), "compare the first word of the command line, and not the name"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    if let Some(before) = lower.memory.processes.get(&name) {
        let first = before.places.of("");
        lower.push(
            Diagnostic::error("duplicate-name", format!("two vrrp_track_processes are called `{name}`"))
                .at(block.span(), "the second one")
                .also(first, "the first one")
                .help("give each a name of its own"),
        );
        return;
    }
    if draft.command.is_none() && !said::of(block.lines(), "process").any(|line| !line.args.is_empty()) {
        lower.push(
            Diagnostic::error("missing-word", format!("vrrp_track_process `{name}` has no `process`"))
                .at(block.span(), "nothing to look for")
                .help("add `process NAME`"),
        );
    }
    if let Some(most) = draft.quorum_max.filter(|most| *most > 0 && *most < draft.quorum) {
        lower.push(
            Diagnostic::warning(
                "process-quorum",
                format!("`quorum_max {most}` is less than `quorum {}`", draft.quorum),
            )
            .at(draft.places.of("quorum_max"), "no number of processes is ever right")
            .help(format!("write `quorum_max {}` or more", draft.quorum)),
        );
    }
    let by = match (draft.arguments.is_empty(), draft.param_match) {
        (true, None) if !draft.full_command => KnownBy::Name,
        (true, _) => KnownBy::Command,
        (false, None) => KnownBy::AllArguments,
        (false, Some(by)) => by,
    };
    // Without a command there is an error; the name is known all the same, so that its users are not blamed.
    let command = draft.command.unwrap_or_default();
    if by == KnownBy::Name && command.contains('/') {
        let file = command.rsplit('/').next().unwrap_or_default();
        lower.push(
            Diagnostic::warning("process-path", format!("no process is ever called `{command}`"))
                .at(
                    draft.places.of("process"),
                    "compared with names, which have no path: as in keepalived it fits none",
                )
                .help(format!("write `process {}`", file.get(..LONGEST_NAME).unwrap_or(file)))
                .help("or add `full_command`: then the first word of the command line is compared"),
        );
    }
    let process = TrackProcess {
        name: name.clone(),
        pattern: ProcessPattern { command, arguments: draft.arguments, by },
        weight: draft.weight,
        // `quorum_max 0`: none may run, whatever the default of `quorum` is.
        quorum: if draft.quorum_max == Some(0) { 0 } else { draft.quorum },
        quorum_max: draft.quorum_max,
        fork_delay: draft.fork_delay,
        terminate_delay: draft.terminate_delay,
        places: draft.places,
    };
    lower.memory.processes.insert(name, process);
}

impl Lower<'_> {
    /// Adds the processes of one list.
    pub(super) fn track_processes(
        &mut self,
        list: &Statement<'_>,
        processes: &BTreeMap<Arc<str>, TrackProcess>,
        draft: &mut impl Tracks,
    ) {
        for line in list.lines() {
            let name = &line.word;
            let Some(process) = processes.get(&*name.text) else {
                let message = format!("there is no vrrp_track_process called `{}`", name.text);
                let mut diagnostic =
                    Diagnostic::error("unknown-process", message).at(name.span, "nobody would look for it");
                diagnostic = match nearest_name(&name.text, processes.keys().map(|name| &**name)) {
                    Some(near) => {
                        let place = processes.get(near).map(|it| it.places.of("")).unwrap_or_default();
                        diagnostic.also(place, "is this one meant?").help(format!("write `{near}`"))
                    }
                    None => {
                        let define = format!("define `vrrp_track_process {} {{ ... }}`, or delete the line", name.text);
                        diagnostic.help(define)
                    }
                };
                self.push(diagnostic);
                continue;
            };
            let weight = self.weight_of(line, process.weight, "track_process", MOST);
            let (tracked, places) = draft.tracks();
            if !line.args.is_empty() {
                places.set(&Places::tracked_process(&process.name), line.word.span);
            }
            track(tracked, TrackerId::Process(process.name.clone()), weight);
        }
    }
}
