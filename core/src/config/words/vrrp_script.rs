//! `vrrp_script`.

use super::Block;
use super::row::Default::{Is, Like, Nothing, Of};
use super::row::Status::Acted;
use super::row::{FOREVER, Row, Table, count, flag, number, row, seconds, texts};
use super::said::{self, Lower, Said};
use super::values::keep;
use crate::command::{Command, ScriptUser};
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{TrackWeight, VrrpScript};
use crate::text::{Diagnostic, Span};
use crate::time::Duration;

/// The greatest weight of what is up or down.
pub(super) const MOST: i64 = 253;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    /// The command, and where it stands.
    argv: Option<(Vec<String>, Span)>,
    user: Option<ScriptUser>,
    interval: Duration,
    timeout: Option<Duration>,
    weight: TrackWeight,
    rise: u32,
    fall: u32,
    init_fail: bool,
    places: Places,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::VrrpScript, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("script", texts(1, usize::MAX, "COMMAND"), Nothing, Acted(|said, draft| {
        draft.argv = said.script_command();
    }), "the command; no shell reads it"),
    row("interval", seconds(1, FOREVER), Is("1"), Acted(|said, draft| {
        keep(&mut draft.interval, said.seconds());
    }), "how often it runs"),
    row("timeout", seconds(1, FOREVER), Like("interval"), Acted(|said, draft| {
        draft.timeout = said.seconds();
    }), "running longer is failing"),
    row("weight", number(-253, 253).more(2, "[reverse]"), Is("0"), Acted(|said, draft| {
        keep(&mut draft.weight, said.lower.track_weight(said.line, &said.line.args, MOST));
    }), "added to the priority: positive while it succeeds, negative while it fails; 0: failing means FAULT"),
    row("rise", count(1), Is("1"), Acted(|said, draft| {
        keep(&mut draft.rise, said.number());
    }), "successes in a row to be up"),
    row("fall", count(1), Is("1"), Acted(|said, draft| {
        keep(&mut draft.fall, said.number());
    }), "failures in a row to be down"),
    row("user", texts(1, 2, "USER [GROUP]"), Of(Block::GlobalDefs, "script_user"), Acted(|said, draft| {
        draft.user = said.user().or(draft.user.take());
    }), "who runs it"),
    row("init_fail", flag(), Nothing, Acted(|_, draft| draft.init_fail = true), "it counts as failed until it first succeeds"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.user = said.lower.memory.global.inherited.script_user.clone();
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    if let Some((argv, span)) = &draft.argv {
        lower.no_shell(argv, *span);
        if draft.user.is_none() {
            lower.memory.shell_users.push(*span);
        }
    }
    if let Some(before) = lower.memory.scripts.get(&name) {
        let first = before.places.of("");
        lower.push(
            Diagnostic::error("duplicate-name", format!("two vrrp_scripts are called `{name}`"))
                .at(block.span(), "the second one")
                .also(first, "the first one")
                .help("give each a name of its own"),
        );
        return;
    }
    if draft.argv.is_none() && !said::of(block.lines(), "script").any(|line| !line.args.is_empty()) {
        lower.push(
            Diagnostic::error("missing-word", format!("vrrp_script `{name}` has no `script`"))
                .at(block.span(), "nothing to run")
                .help("add `script \"COMMAND\"`"),
        );
    }
    // Without a command there is an error; the name is known all the same, so that its users are not blamed.
    let argv = draft.argv.map_or_else(|| vec![String::new()], |(argv, _)| argv);
    let script = VrrpScript {
        name: name.clone(),
        command: Command { argv, user: draft.user },
        interval: draft.interval,
        timeout: draft.timeout.unwrap_or(draft.interval),
        weight: draft.weight,
        rise: draft.rise,
        fall: draft.fall,
        init_fail: draft.init_fail,
        places: draft.places,
    };
    lower.memory.scripts.insert(name, script);
}

impl Lower<'_> {
    /// `-253..253 [reverse]`, or up to what is the most.
    pub fn track_weight(&mut self, line: &Statement<'_>, words: &[Word<'_>], most: i64) -> Option<TrackWeight> {
        let weight = self.number_of(line, words.first()?, -most..=most)?;
        let reverse = match words.get(1) {
            Some(word) => self.choice_of(line, word, &[("reverse", true), ("noreverse", false)])?,
            None => false,
        };
        Some(TrackWeight { weight, reverse })
    }
}
