//! The pace of checks: words that stand in virtual server, real server and checker, each handing down to the next.

use super::Block;
use super::row::Default::{Is, Like, Of, Told};
use super::row::Status::{Acted, Renamed};
use super::row::{Default, FOREVER, Row, count, row, seconds, switch};
use crate::time::Duration;
use std::sync::Arc;

/// Settings of a check that are inherited from the block around.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Pace {
    pub delay_loop: Duration,
    /// None: as `delay_loop`.
    pub warmup: Option<Duration>,
    /// None: each kind of check has its own.
    pub retry: Option<u32>,
    /// None: each kind of check has its own.
    pub delay_before_retry: Option<Duration>,
    pub connect_timeout: Duration,
    pub alpha: bool,
    pub virtualhost: Option<Arc<str>>,
}

/// What has a pace.
pub(super) trait Paced {
    fn pace(&mut self) -> &mut Pace;
}

/// The rows of a block whose values come from the block `outer` where they are not written.
#[rustfmt::skip]
pub(super) const fn rows<D: Paced>(outer: Option<Block>) -> [Row<D>; 6] {
    [
        row("delay_loop", seconds(1, FOREVER), default(outer, "delay_loop", Is("60")), Acted(|said, draft| {
            if let Some(pause) = said.seconds() { draft.pace().delay_loop = pause }
        }), "time between two checks"),
        row("retry", count(0), default(outer, "retry", Told("1; DNS_CHECK: 3; MISC_CHECK: 0")), Acted(|said, draft| {
            if let Some(tries) = said.number() { draft.pace().retry = Some(tries) }
        }), "tries after the first failure before a live server is down"),
        row("delay_before_retry", seconds(0, FOREVER), default(outer, "delay_before_retry", Told("1; HTTP_GET and SSL_GET: 3; DNS_CHECK: as `delay_loop`")), Acted(|said, draft| {
            if let Some(pause) = said.seconds() { draft.pace().delay_before_retry = Some(pause) }
        }), "time between those tries"),
        row("warmup", seconds(0, FOREVER), default(outer, "warmup", Like("delay_loop")), Acted(|said, draft| {
            if let Some(longest) = said.seconds() { draft.pace().warmup = Some(longest) }
        }), "the first check comes at a random time within this"),
        row("alpha", switch(), default(outer, "alpha", Is("off")), Acted(|said, draft| {
            draft.pace().alpha = said.switch();
        }), "down until a check has passed"),
        row("connect_timeout", seconds(1, FOREVER), default(outer, "connect_timeout", Is("5")), Acted(|said, draft| {
            if let Some(longest) = said.seconds() { draft.pace().connect_timeout = longest }
        }), "how long one try may take"),
    ]
}

const fn default(outer: Option<Block>, word: &'static str, own: Default) -> Default {
    match outer {
        Some(outer) => Of(outer, word),
        None => own,
    }
}

/// `nb_get_retry`.
pub(super) const fn old_name<D: Paced>() -> Row<D> {
    row("nb_get_retry", count(0), Default::Nothing, Renamed("retry"), "tries after the first failure")
}
