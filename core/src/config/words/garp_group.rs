//! `garp_group`: interfaces with pauses between announcements of their own, which they keep together.

use super::Block;
use super::row::Default::{Is, Nothing};
use super::row::Status::Acted;
use super::row::{FOREVER, Row, Table, interface, opens, row, seconds};
use super::said::{self, Said};
use super::values::keep;
use crate::config::{AnnouncementPauses, GarpGroup};
use crate::interface::InterfaceName;
use crate::text::{Diagnostic, Span};
use crate::time::Duration;

pub(super) const TABLE: Table<Draft> = Table { block: Block::GarpGroup, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("garp_interval", seconds(0, FOREVER), Is("0"), Acted(|said, draft| {
        keep(&mut draft.pauses.garp, said.seconds());
    }), "pause between two gratuitous ARPs on all of these interfaces together"),
    row("gna_interval", seconds(0, FOREVER), Is("0"), Acted(|said, draft| {
        keep(&mut draft.pauses.gna, said.seconds());
    }), "pause between two neighbour advertisements on all of these interfaces together"),
    row("interface", interface(), Nothing, Acted(|said, draft| {
        draft.interface = said.interface().map(|name| (name, said.line.span()));
    }), "one interface"),
    row("interfaces", opens(Block::Lines), Nothing, Acted(|said, draft| {
        for line in said.line.lines() {
            for word in std::iter::once(&line.word).chain(&line.args) {
                let name = said.lower.interface(line, word);
                draft.interfaces.extend(name.map(|name| (name, word.span)));
            }
        }
    }), "the interfaces"),
];

/// What stands in a group.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    interface: Option<(InterfaceName, Span)>,
    interfaces: Vec<(InterfaceName, Span)>,
    pauses: AnnouncementPauses,
}

impl said::Draft for Draft {}

/// Takes a group in, with those interfaces of it that are in no earlier one.
pub(super) fn read(said: &mut Said<'_, '_, '_>, groups: &mut Vec<GarpGroup>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let lower = &mut *said.lower;
    let pauses = draft.pauses;
    if pauses.garp == Duration::ZERO && pauses.gna == Duration::ZERO {
        lower.push(
            Diagnostic::warning("garp-group-empty", "this `garp_group` has no pause: it does nothing")
                .at(block.word.span, "left out, as keepalived does; vrrp_garp_interval and vrrp_gna_interval count")
                .help("write `garp_interval` or `gna_interval`, or delete the group"),
        );
        return;
    }
    let mut interfaces = Vec::new();
    for (name, place) in draft.interface.into_iter().chain(draft.interfaces) {
        if interfaces.contains(&name) || groups.iter().any(|group| group.interfaces.contains(&name)) {
            lower.push(
                Diagnostic::warning(
                    "two-garp-groups",
                    format!("`{name}` is in a `garp_group` already: only the first counts"),
                )
                .at(place, "left out, as keepalived does")
                .help("delete one of the two"),
            );
        } else {
            interfaces.push(name);
        }
    }
    if interfaces.is_empty() {
        lower.push(
            Diagnostic::warning("garp-group-empty", "this `garp_group` has no interface: it does nothing")
                .at(block.word.span, "left out")
                .help("write `interface NAME`, or several in `interfaces { }`"),
        );
        return;
    }
    groups.push(GarpGroup { interfaces, pauses });
}
