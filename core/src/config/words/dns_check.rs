//! `DNS_CHECK`.

use super::Block;
use super::connection::{self, Connects};
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::Default::{Is, Nothing};
use super::row::Status::{Acted, Renamed};
use super::row::{Row, Table, choice, count, row, text};
use super::said::{self, Said};
use super::tcp_check;
use super::values::keep;
use crate::check::{Binding, CheckerKind, dns};
use crate::config::places::Places;
use std::net::SocketAddr;

/// keepalived.conf(5): "The retry default is 3."
const RETRY: u32 = 3;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    check: tcp_check::Draft,
    settings: dns::Settings,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.check.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.check.pace
    }
}

impl Connects for Draft {
    fn target(&mut self) -> &mut SocketAddr {
        &mut self.check.target
    }
    fn from(&mut self) -> &mut Binding {
        &mut self.check.from
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::DnsCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("type", choice(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY", "ANY"]), Is("SOA"), Acted(|said, draft| {
        keep(&mut draft.settings.record, said.choice(&dns::TYPES));
    }), "what is asked"),
    row("name", text("NAME"), Is("."), Acted(|said, draft| {
        keep(&mut draft.settings.name, name(said));
    }), "for which name"),
];

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.check.inherit(block, outer);
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Draft { mut check, settings } = draft;
    if outer.address.is_some() {
        check.pace.retry.get_or_insert(RETRY);
        let kind: CheckerKind = settings.into();
        // keepalived.conf(5): `delay_before_retry` "Defaults to delay_loop for DNS_CHECK".
        let before_retry = check.pace.delay_loop;
        outer.checkers.push(said.lower.checker(block, check, kind, before_retry));
    }
}

fn name(said: &mut Said<'_, '_, '_>) -> Option<dns::Name> {
    let value = said.value()?;
    let name = value.text.parse().ok();
    if name.is_none() {
        said.lower.bad(said.line, value, "a domain name: labels of up to 63 characters between dots, 253 in all");
    }
    name
}
