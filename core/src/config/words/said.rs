//! From lines to what they mean: calls the setter of each word's row, and says what can be said of every word alike.

use super::row::{Default, Setter, Status, Table, Takes};
use super::server_group::ServerGroup;
use super::{Block, Keyword, Standing, find};
use crate::config::VrrpScript;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::process::TrackProcess;
use crate::config::tracking::TrackFile;
use crate::config::tree::Statement;
use crate::interface::Family;
use crate::text::report::Report;
use crate::text::{Diagnostic, Span};
use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is remembered from block to block while a configuration is read.
#[derive(std::default::Default)]
pub(in crate::config) struct Memory {
    /// Names that many blocks share: interfaces, schedulers, hosts.
    names: BTreeSet<Arc<str>>,
    /// Drafts with the defaults of their rows filled in.
    fresh: Vec<(Block, Box<dyn Any>)>,
    /// `global_defs`, and what it hands down.
    pub global: super::global_defs::Draft,
    /// `vrrp_script` blocks by name.
    pub scripts: BTreeMap<Arc<str>, VrrpScript>,
    /// `track_file` blocks by name.
    pub files: BTreeMap<Arc<str>, TrackFile>,
    pub processes: BTreeMap<Arc<str>, TrackProcess>,
    /// `virtual_server_group` blocks by name.
    pub server_groups: BTreeMap<Arc<str>, ServerGroup>,
    /// How many entries virtual servers by group make.
    pub group_entries: u128,
    /// The names in `track_script` lists.
    pub tracked: BTreeSet<String>,
    /// Routing tables that the host gives names.
    pub tables: BTreeMap<String, u32>,
    /// How many policy rules have said no priority.
    pub unnumbered_rules: BTreeMap<Family, u32>,
    /// `lvs_sync_daemon_interface`, the first.
    pub sync_of_instance: Option<super::lvs::SyncLine>,
    /// Where commands stand that run as the daemon's own user.
    pub shell_users: Vec<Span>,
    /// `track_group` of the line that is being read.
    pub track_group: Option<(String, Span)>,
    /// Static items that name a `track_group`.
    pub(super) tracked_statics: Vec<super::track_group::Names>,
}

/// Takes blocks in, with a place for messages and a memory.
pub(in crate::config) struct Lower<'r> {
    pub report: &'r mut Report,
    pub memory: &'r mut Memory,
}

/// One line before its setter.
pub(in crate::config) struct Said<'l, 'r, 't> {
    pub lower: &'l mut Lower<'r>,
    pub line: &'l Statement<'t>,
    pub takes: &'static Takes,
}

/// What the words of a block are collected in.
pub(in crate::config) trait Draft: Clone + std::default::Default + 'static {
    /// Where its words were written, if any message asks.
    fn places(&mut self) -> Option<&mut Places> {
        None
    }
}

/// Which rows of a block have been seen. No block has more.
#[derive(Clone, Copy, std::default::Default)]
struct Seen([u64; 4]);

impl Seen {
    /// Whether it is there for the first time.
    fn insert(&mut self, index: usize) -> bool {
        let Some(bits) = self.0.get_mut(index / 64) else { return true };
        let bit = 1 << (index % 64);
        let new = *bits & bit == 0;
        *bits |= bit;
        new
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().zip([0, 64, 128, 192]).flat_map(|(mut bits, first)| {
            std::iter::from_fn(move || {
                let next = bits.trailing_zeros();
                bits &= bits.checked_sub(1)?;
                Some(first + next as usize)
            })
        })
    }
}

impl Lower<'_> {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// The name, once in memory however many blocks have it.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.memory.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = Arc::from(name);
        self.memory.names.insert(name.clone());
        name
    }

    /// A draft that says what the rows' defaults say, each taken in by its own setter.
    pub fn fresh<D: Draft>(&mut self, table: &Table<D>) -> D {
        let mut known = self.memory.fresh.iter().filter(|(block, _)| *block == table.block);
        if let Some(draft) = known.find_map(|(_, draft)| draft.downcast_ref::<D>()) {
            return draft.clone();
        }
        let mut draft = D::default();
        for row in table.iter() {
            if let (Default::Is(value), Some(set)) = (row.default, row.status.setter()) {
                let word = |text: &'static str| Word { text: Cow::Borrowed(text), span: Span::default() };
                let args = value.split(' ').map(word).collect();
                let line = Statement { word: word(row.word), args, keyword: find(table.block, row.word), body: None };
                set(&mut Said { lower: self, line: &line, takes: &row.takes }, &mut draft);
            }
        }
        self.memory.fresh.push((table.block, Box::new(draft.clone())));
        draft
    }

    /// Takes the lines of a block in: first plain words in the order of the file, then blocks and lists in the order of
    /// their rows. So a block knows all that the one around it hands down, wherever it is written.
    pub fn fill<D: Draft>(&mut self, table: &Table<D>, lines: &[Statement<'_>], draft: &mut D) {
        let (mut seen, mut blocks) = (Seen::default(), Seen::default());
        // Most blocks have as many words as lines, and few of them.
        if let Some(places) = draft.places() {
            places.expect(lines.len().min(16));
        }
        for line in lines {
            let Some(keyword) = line.keyword.filter(|keyword| keyword.block == table.block) else { continue };
            // A block of words keeps its own place; its word in the block around is never asked for.
            let list = keyword.takes.block.is_none_or(|block| block.is_list() || block == Block::Authentication);
            if let (true, Some(places)) = (list, draft.places()) {
                places.word(keyword.canonical(), line.span());
            }
            let Some(row) = table.row(keyword.target) else { continue };
            if keyword.standing != Standing::Acted {
                self.standing(line, keyword);
            }
            if matches!(row.status, Status::NotYet(_) | Status::Kept(..) | Status::Dead(_)) {
                if let Some(set) = row.status.setter() {
                    set(&mut Said { lower: self, line, takes: &row.takes }, draft);
                }
                continue;
            }
            self.arity(line, keyword);
            if keyword.takes.block.is_some() {
                blocks.insert(keyword.target);
                continue;
            }
            if keyword.takes.max > 0 && !seen.insert(keyword.target) {
                self.twice(line, lines, keyword);
            }
            if let Some(set) = row.status.setter() {
                let before = self.report.errors();
                set(&mut Said { lower: self, line, takes: &row.takes }, draft);
                self.mistaken(before, keyword, draft);
            }
        }
        for index in blocks.iter() {
            let Some((takes, set)) = table.row(index).and_then(|row| Some((&row.takes, row.status.setter()?))) else {
                continue;
            };
            let same = |keyword: &Keyword| keyword.block == table.block && keyword.target == index;
            self.each(lines.iter().filter(|line| line.keyword.is_some_and(same)), takes, set, draft);
        }
    }

    fn each<'l, 't: 'l, D: Draft>(
        &mut self,
        lines: impl Iterator<Item = &'l Statement<'t>>,
        takes: &'static Takes,
        set: Setter<D>,
        draft: &mut D,
    ) {
        for line in lines {
            let before = self.report.errors();
            set(&mut Said { lower: self, line, takes }, draft);
            if let Some(keyword) = line.keyword {
                self.mistaken(before, keyword, draft);
            }
        }
    }

    /// Keeps that a line had an error of its own.
    fn mistaken<D: Draft>(&self, before: usize, keyword: &'static Keyword, draft: &mut D) {
        if self.report.errors() > before
            && keyword.takes.block.is_none_or(|block| block.is_list() || block == Block::Authentication)
            && let Some(places) = draft.places()
        {
            places.mistaken(keyword.canonical());
        }
    }

    /// Says of a word what vipward does not do about it.
    fn standing(&mut self, line: &Statement<'_>, keyword: &'static Keyword) {
        let (word, span) = (keyword.word, line.word.span);
        match keyword.standing {
            Standing::Acted | Standing::Always(_) | Standing::Also(_) => {}
            // A packet filter that somebody counts on: running without it would be wrong.
            Standing::NotYet(_) if word == "no_accept" => self.push(
                Diagnostic::error("not-yet", "`no_accept` is known, but vipward does not act on it yet")
                    .at(span, "this host would take packets for the addresses")
                    .help("delete the line, and drop those packets in a packet filter if they must not arrive"),
            ),
            Standing::NotYet(instead) => self.report.once(word, span, || {
                let label = if instead.is_empty() { "it does nothing for now".to_owned() } else { instead.to_owned() };
                Diagnostic::warning("not-yet", format!("`{word}` is known, but vipward does not act on it yet"))
                    .at(span, label)
            }),
            Standing::Dead(why) => self.report.once(word, span, || {
                Diagnostic::warning("dead-word", format!("`{word}` has no effect"))
                    .at(span, why)
                    .help("delete the line")
            }),
            Standing::Renamed(to) => self.report.once(word, span, || {
                // keepalived kept the old name for HTTP_GET and SSL_GET only.
                let unheard = word == "nb_get_retry" && !matches!(keyword.block, Block::HttpGet | Block::SslGet);
                let note = if unheard { "; keepalived ignores it in this block" } else { "" };
                Diagnostic::warning("old-word", format!("`{word}` is the old name of `{to}`"))
                    .at(span, format!("read as `{to}`{note}"))
                    .help(format!("write `{to}`"))
            }),
        }
    }

    fn arity(&mut self, line: &Statement<'_>, keyword: &'static Keyword) {
        let takes = &keyword.takes;
        if line.args.len() < takes.min {
            let (place, syntax) = (line.span().after(), takes.syntax());
            let needs = if syntax.is_empty() { "a value" } else { &*syntax };
            let block = if takes.block.is_some() { " {" } else { "" };
            self.push(
                Diagnostic::error("missing-value", format!("`{}` needs a value", keyword.word))
                    .at(place, format!("expected {needs}"))
                    .help(format!("write `{} {needs}{block}`: {}", keyword.word, keyword.meaning())),
            );
        } else if line.args.first().is_some_and(|value| value.text == "=") {
            // Said where the value is looked at.
        } else if let Some(extra) = line.args.get(takes.max) {
            let span = line.args.last().map_or(extra.span, |last| extra.span.to(last.span));
            let number = match takes.max {
                0 => "no value",
                1 => "one value",
                _ => "fewer values",
            };
            let diagnostic = if find(keyword.block, &extra.text).is_some() {
                Diagnostic::error("extra-words", format!("`{}` stands on the line of `{}`", extra.text, keyword.word))
                    .at(span, format!("read as part of `{}`, so it does nothing", keyword.word))
                    .help("put it on a line of its own")
            } else {
                Diagnostic::warning("extra-words", format!("`{}` takes {number}", keyword.word))
                    .at(span, "ignored, as keepalived does")
                    .help("delete it, or quote a value that holds spaces")
            };
            self.push(diagnostic);
        }
    }

    fn twice(&mut self, line: &Statement<'_>, lines: &[Statement<'_>], keyword: &'static Keyword) {
        // Thousands of the same line: no use to look for the first one each time.
        let same = |other: &Keyword| other.block == keyword.block && other.target == keyword.target;
        let first = lines.iter().find(|other| other.keyword.is_some_and(same));
        let Some(before) = first.filter(|_| !self.report.is_full()) else {
            self.push(Diagnostic::error("duplicate-word", "").at(line.span(), ""));
            return;
        };
        let same = line.args.iter().map(|word| &word.text).eq(before.args.iter().map(|word| &word.text));
        let first_counts = keyword.word.starts_with("notify") || keyword.word.starts_with("quorum_");
        let counts = if first_counts { "only the first counts" } else { "only the last counts" };
        let severity = if first_counts && !same { Diagnostic::error } else { Diagnostic::warning };
        self.push(
            severity("duplicate-word", format!("`{}` stands twice in one block: {counts}", keyword.word))
                .at(line.span(), if first_counts { "never used" } else { "this one counts" })
                .also(before.span(), "the first one")
                .help("delete one of them"),
        );
    }
}

/// The lines of one word, by its present name.
pub(super) fn of<'a, 't>(
    lines: &'a [Statement<'t>],
    word: &'a str,
) -> impl Iterator<Item = &'a Statement<'t>> + use<'a, 't> {
    lines.iter().filter(move |line| line.keyword.is_some_and(|keyword| keyword.canonical() == word))
}
