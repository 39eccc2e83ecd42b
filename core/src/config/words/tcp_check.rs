//! `TCP_CHECK`, and what every checker that connects ends as.

use super::Block;
use super::connection::{self, Connects};
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::{Row, Table};
use super::said::{self, Lower, Said};
use crate::check::{Binding, tcp};
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{CheckerConfig, CheckerKind};
use crate::text::Diagnostic;
use crate::time::Duration;
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub target: SocketAddr,
    pub from: Binding,
    pub pace: Pace,
    pub places: Places,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            target: (Ipv4Addr::UNSPECIFIED, 0).into(),
            from: Binding::default(),
            pace: Pace::default(),
            places: Places::default(),
        }
    }
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}

impl Connects for Draft {
    fn target(&mut self) -> &mut SocketAddr {
        &mut self.target
    }
    fn from(&mut self) -> &mut Binding {
        &mut self.from
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::TcpCheck, rows: &[PACE, OLD, CONNECTION] };

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const OLD: &[Row<Draft>] = &[pace::old_name()];
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    read_as(&TABLE, tcp::Settings.into(), said, outer);
}

/// The block of a kind that has no settings of its own.
pub(super) fn read_as(
    table: &Table<Draft>,
    kind: CheckerKind,
    said: &mut Said<'_, '_, '_>,
    outer: &mut real_server::Draft,
) {
    let mut draft = Draft::default();
    draft.inherit(said.line, outer);
    said.lower.fill(table, said.line.lines(), &mut draft);
    if outer.address.is_some() {
        let checker = said.lower.checker(said.line, draft, kind, Duration::from_secs(1));
        outer.checkers.push(checker);
    }
}

impl Draft {
    /// Takes over what the real server says.
    pub fn inherit(&mut self, block: &Statement<'_>, outer: &real_server::Draft) {
        self.target = outer.address.unwrap_or(self.target);
        self.pace = outer.pace.clone();
        self.places.head(block.span());
    }
}

impl Lower<'_> {
    /// `before_retry`: what this kind waits before it tries again, unless a block says otherwise.
    pub(super) fn checker(
        &mut self,
        block: &Statement<'_>,
        mut draft: Draft,
        kind: CheckerKind,
        before_retry: Duration,
    ) -> CheckerConfig {
        // An echo has no port, nor has a program.
        if draft.target.port() == 0 && kind.attempts().any(|attempt| attempt.connects() || attempt.sends()) {
            self.push(
                Diagnostic::error("no-check-port", "this checker has no port to check")
                    .at(block.span(), "the real server stands for all ports")
                    .help("add `connect_port PORT`"),
            );
        }
        if draft.from.address.is_some_and(|address| address.is_ipv4() != draft.target.is_ipv4()) {
            self.push(
                Diagnostic::error(
                    "mixed-families",
                    "`bindto` and the address that is checked are of different families",
                )
                .at(draft.places.of("bindto"), format!("nothing goes from here to {}", draft.target.ip()))
                .help("use an address of the same family"),
            );
        }
        draft.places.shrink();
        let pace = draft.pace;
        CheckerConfig {
            kind,
            target: draft.target,
            from: draft.from,
            connect_timeout: pace.connect_timeout,
            retry: pace.retry.unwrap_or(1),
            delay_before_retry: pace.delay_before_retry.unwrap_or(before_retry),
            delay_loop: pace.delay_loop,
            warmup: pace.warmup.unwrap_or(pace.delay_loop),
            alpha: pace.alpha,
            places: draft.places,
        }
    }
}
