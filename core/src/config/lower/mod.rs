//! From blocks to meaning: every value checked against what its word takes, every default filled in.

mod addresses;
mod checker;
mod command;
mod global;
mod script;
mod server;
mod values;
mod vrrp;
mod whole;

use super::keywords::{self, Block, Keyword, Status};
use super::model::Config;
use super::tree::Statement;
use crate::text::Diagnostic;
use crate::text::Span;
use crate::text::report::Report;
use global::Defaults;
use std::collections::{BTreeMap, BTreeSet};

/// What the blocks mean. Mistakes go to `report`; what has one keeps its default.
pub(super) fn lower(root: &[Statement], report: &mut Report) -> Config {
    let mut lower = Lower { report, tracked: BTreeSet::new(), shell_users: Vec::new() };
    lower.audit(root);
    let mut config = Config::default();
    let mut defaults = Defaults::default();
    for block in of(root, "global_defs") {
        lower.global(block, &mut config.global, &mut defaults);
    }
    for block in of(root, "vrrp_script") {
        lower.script(block, &defaults, &mut config.scripts);
    }
    for block in of(root, "vrrp_instance") {
        lower.instance(block, &defaults, &config.scripts, &mut config.routers);
    }
    for block in of(root, "virtual_server") {
        lower.virtual_server(block, &mut config.services);
    }
    lower.afterwards(root, &config);
    config
}

/// The blocks of one kind.
fn of<'a>(lines: &'a [Statement], word: &'a str) -> impl Iterator<Item = &'a Statement> {
    lines.iter().filter(move |line| canonical(line) == Some(word))
}

/// The word by its present name.
fn canonical(line: &Statement) -> Option<&'static str> {
    let keyword = line.keyword?;
    Some(match keyword.status {
        Status::Renamed(to) => to,
        Status::Acted | Status::NotYet(_) | Status::Mail | Status::Dead(_) => keyword.word,
    })
}

struct Lower<'a> {
    report: &'a mut Report,
    /// The names in `track_script` lists.
    tracked: BTreeSet<String>,
    /// Where commands stand that run as the daemon's own user.
    shell_users: Vec<Span>,
}

impl Lower<'_> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// What can be said of every word alike: is it acted on, has it as many values as it needs, does it stand twice.
    fn audit(&mut self, lines: &[Statement]) {
        let mut first: BTreeMap<&'static str, &Statement> = BTreeMap::new();
        for line in lines {
            let Some(keyword) = line.keyword else { continue };
            self.status(line, keyword);
            let acted = match keyword.status {
                Status::Acted | Status::Mail => true,
                Status::Renamed(to) => keyword
                    .within
                    .iter()
                    .filter_map(|block| keywords::find(*block, to))
                    .any(|target| target.status == Status::Acted),
                Status::NotYet(_) | Status::Dead(_) => false,
            };
            if acted {
                self.arity(line, keyword);
                if let Some(name) = canonical(line)
                    && keyword.shape.block.is_none()
                    && keyword.shape.max > 0
                {
                    match first.get(name) {
                        Some(before) => self.twice(line, before, keyword),
                        None => {
                            first.insert(name, line);
                        }
                    }
                }
                self.audit(line.lines());
            }
        }
    }

    fn status(&mut self, line: &Statement, keyword: &'static Keyword) {
        let (word, span) = (keyword.word, line.word.span);
        match keyword.status {
            Status::Acted => {}
            Status::Mail => self.report.once("mail", span, || {
                Diagnostic::warning("no-mail", "mail is not sent yet")
                    .at(span, format!("`{word}` is read, but does nothing yet"))
                    .help("use `notify` scripts to be told about changes")
            }),
            Status::NotYet(_) if is_zero_interval(line) => self.report.once(word, span, || {
                Diagnostic::info("zero-interval", format!("`{word} 0` does nothing"))
                    .at(line.span(), "no pause is the default; keepalived calls 0 out of range")
                    .help("delete the line")
            }),
            Status::NotYet(instead) => self.report.once(word, span, || {
                let label = if instead.is_empty() { "it does nothing for now".to_owned() } else { instead.to_owned() };
                Diagnostic::warning("not-yet", format!("`{word}` is known, but vipward does not act on it yet"))
                    .at(span, label)
            }),
            Status::Dead(why) => self.report.once(word, span, || {
                Diagnostic::warning("dead-word", format!("`{word}` has no effect"))
                    .at(span, why)
                    .help("delete the line")
            }),
            Status::Renamed(to) => self.report.once(word, span, || {
                // keepalived kept the old name for HTTP_GET and SSL_GET only.
                let unheard = word == "nb_get_retry" && !keyword.within.contains(&Block::HttpGet);
                let note = if unheard { "; keepalived ignores it in this block" } else { "" };
                Diagnostic::warning("old-word", format!("`{word}` is the old name of `{to}`"))
                    .at(span, format!("read as `{to}`{note}"))
                    .help(format!("write `{to}`"))
            }),
        }
    }

    fn arity(&mut self, line: &Statement, keyword: &'static Keyword) {
        let shape = keyword.shape;
        if line.args.len() < shape.min {
            let (place, needs) = (line.span().after(), if shape.syntax.is_empty() { "a value" } else { shape.syntax });
            let block = if shape.block.is_some() { " {" } else { "" };
            self.push(
                Diagnostic::error("missing-value", format!("`{}` needs a value", keyword.word))
                    .at(place, format!("expected {needs}"))
                    .help(format!("write `{} {needs}{block}`: {}", keyword.word, keyword.help)),
            );
        } else if let Some(extra) = line.args.get(shape.max) {
            let span = line.args.last().map_or(extra.span, |last| extra.span.to(last.span));
            let takes = match shape.max {
                0 => "no value",
                1 => "one value",
                _ => "fewer values",
            };
            let known = keyword.within.iter().any(|block| keywords::find(*block, &extra.text).is_some());
            let diagnostic = if known {
                Diagnostic::error("extra-words", format!("`{}` stands on the line of `{}`", extra.text, keyword.word))
                    .at(span, format!("read as part of `{}`, so it does nothing", keyword.word))
                    .help("put it on a line of its own")
            } else {
                Diagnostic::warning("extra-words", format!("`{}` takes {takes}", keyword.word))
                    .at(span, "ignored, as keepalived does")
                    .help("delete it, or quote a value that holds spaces")
            };
            self.push(diagnostic);
        }
    }

    fn twice(&mut self, line: &Statement, before: &Statement, keyword: &'static Keyword) {
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

/// `vrrp_garp_interval 0` and its sister: the distributions' sample files have them.
fn is_zero_interval(line: &Statement) -> bool {
    matches!(&*line.word.text, "vrrp_garp_interval" | "vrrp_gna_interval")
        && line.args.first().is_some_and(|value| values::seconds(&value.text).is_some_and(|pause| pause.is_zero()))
}
