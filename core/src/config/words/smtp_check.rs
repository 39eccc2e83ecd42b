//! `SMTP_CHECK` and its `host` (deprecated). As in keepalived 2.2.7 each `host` is one more checker of the real server, with
//! connection words of its own; the block itself is a checker if it has no `host`, or says where to connect.

use super::Block;
use super::connection::{self, Connects};
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::Default::{Is, Nothing};
use super::row::Status::{Acted, Renamed};
use super::row::{Row, Table, count, opens, row, text};
use super::said::{self, Said};
use super::tcp_check;
use super::values::keep;
use crate::check::{Binding, smtp};
use crate::config::places::Places;
use crate::text::Diagnostic;
use crate::time::Duration;
use std::net::SocketAddr;

/// A domain has at most 255 octets (RFC 5321 4.5.3.1.2).
const LONGEST_NAME: usize = 255;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    check: tcp_check::Draft,
    helo_name: String,
    /// The real server, from which every `host` begins.
    server: Option<SocketAddr>,
    hosts: Vec<tcp_check::Draft>,
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

pub(super) const TABLE: Table<Draft> = Table { block: Block::SmtpCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("helo_name", text("NAME"), Is(smtp::HELO_NAME), Acted(|said, draft| {
        keep(&mut draft.helo_name, helo_name(said));
    }), "name that is said in HELO"),
    row("host", opens(Block::SmtpHost), Nothing, Acted(host), "one more host that is checked; several allowed, all must answer"),
];

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) const HOST: Table<tcp_check::Draft> = Table { block: Block::SmtpHost, rows: &[HOST_PACE, HOST_CONNECTION] };

const HOST_PACE: &[Row<tcp_check::Draft>] = &pace::rows(Some(Block::SmtpCheck));
const HOST_CONNECTION: &[Row<tcp_check::Draft>] = &connection::rows();

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.check.inherit(block, outer);
    draft.server = outer.address;
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Draft { check, helo_name, server, hosts } = draft;
    let Some(server) = server else { return };
    let itself = hosts.is_empty() || check.target != server || check.from != Binding::default();
    for check in itself.then_some(check).into_iter().chain(hosts) {
        let kind = smtp::Settings { helo_name: helo_name.clone() }.into();
        outer.checkers.push(said.lower.checker(block, check, kind, Duration::from_secs(1)));
    }
}

fn host(said: &mut Said<'_, '_, '_>, outer: &mut Draft) {
    let mut draft = tcp_check::Draft { pace: outer.check.pace.clone(), ..tcp_check::Draft::default() };
    draft.target = outer.server.unwrap_or(draft.target);
    let span = said.line.span();
    draft.places.head(span);
    said.lower.report.once("host", span, || {
        Diagnostic::info("old-word", "`host` is an old way to write one more checker")
            .at(span, "keepalived calls it deprecated")
            .help("write another `SMTP_CHECK` with `connect_ip` and `connect_port`")
    });
    said.lower.fill(&HOST, said.line.lines(), &mut draft);
    outer.hosts.push(draft);
}

fn helo_name(said: &mut Said<'_, '_, '_>) -> Option<String> {
    let value = said.value()?;
    let fits = (1..=LONGEST_NAME).contains(&value.text.len()) && value.text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        said.lower.bad(said.line, value, "a host name: up to 255 visible ASCII characters without a space");
    }
    fits.then(|| value.text.to_string())
}
