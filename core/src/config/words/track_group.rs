//! `track_group`: virtual routers that can't do without a static address, route or rule.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::Acted;
use super::row::{Row, Table, opens, row};
use super::said::{self, Lower, Said};
use crate::config::line::Word;
use crate::config::{StaticItem, Statics, TrackedStatic, VirtualRouterConfig};
use crate::text::{Diagnostic, Span, nearest_name};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const TABLE: Table<Draft> = Table { block: Block::TrackGroup, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("group", opens(Block::Lines), Nothing, Acted(|said, draft| {
        for word in said.line.lines().iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args)) {
            draft.members.push((said.lower.name(&word.text), word.span));
        }
    }), "the virtual routers"),
];

/// What stands in one.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    members: Vec<(Arc<str>, Span)>,
}

impl said::Draft for Draft {}

/// The groups of a file by name, and where each stands.
pub(super) type Groups = BTreeMap<Arc<str>, (Vec<Arc<str>>, Span)>;

/// A static item that names a group, and where.
#[derive(Clone, Debug)]
pub(super) struct Names {
    what: StaticItem,
    group: String,
    place: Span,
}

/// Takes a group in, after all virtual routers.
pub(super) fn read(said: &mut Said<'_, '_, '_>, groups: &mut Groups, routers: &[VirtualRouterConfig]) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    if let Some((_, other)) = groups.get(&name) {
        let twice = format!("two track_groups are called `{name}`");
        lower.push(
            Diagnostic::error("duplicate-name", twice).at(block.span(), "the second one").also(*other, "the first one"),
        );
        return;
    }
    let mut members = Vec::new();
    for (member, place) in draft.members {
        if routers.iter().any(|router| router.name == member) {
            members.push(member);
            continue;
        }
        let message = format!("there is no vrrp_instance called `{member}`");
        let diagnostic = Diagnostic::warning("unknown-instance", message).at(place, "left out of the track_group");
        lower.push(match nearest_name(&member, routers.iter().map(|router| &*router.name)) {
            Some(near) => diagnostic.help(format!("write `{near}`")),
            None => diagnostic.help("name an instance of this file, or delete it"),
        });
    }
    groups.insert(name, (members, block.span()));
}

impl Lower<'_> {
    /// `track_group GROUP` on a line of `list`. It counts once the line is understood.
    pub(super) fn says_track_group(&mut self, list: &str, option: &Word<'_>, group: &Word<'_>) {
        if list.starts_with("virtual_") {
            self.push(
                Diagnostic::warning("no-effect", "`track_group` is for static addresses, routes and rules")
                    .at(option.span.to(group.span), format!("what stands in `{list}` goes with its own instance"))
                    .help("delete it"),
            );
            return;
        }
        self.memory.track_group = Some((group.text.to_string(), group.span));
    }

    /// The line that may have named one is understood.
    pub(super) fn is_tracked(&mut self, what: impl FnOnce() -> StaticItem) {
        if let Some((group, place)) = self.memory.track_group.take() {
            self.memory.tracked_statics.push(Names { what: what(), group, place });
        }
    }

    /// When all groups are known.
    pub(super) fn track_statics(&mut self, groups: &Groups, statics: &mut Statics) {
        for Names { what, group, place } in std::mem::take(&mut self.memory.tracked_statics) {
            let Some((routers, _)) = groups.get(&*group) else {
                let message = format!("there is no track_group called `{group}`");
                let diagnostic =
                    Diagnostic::warning("unknown-group", message).at(place, "no virtual router would notice");
                self.push(match nearest_name(&group, groups.keys().map(|name| &**name)) {
                    Some(near) => diagnostic.help(format!("write `track_group {near}`")),
                    None => diagnostic.help(format!("add `track_group {group} {{ group {{ ... }} }}`, or delete it")),
                });
                continue;
            };
            statics.tracked.push(TrackedStatic { what, routers: routers.clone() });
        }
    }
}
