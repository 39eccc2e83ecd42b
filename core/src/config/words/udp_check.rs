//! `UDP_CHECK`. Not acted on yet.

use super::Block;
use super::connection::UNREAD as CONNECTION;
use super::pace::UNREAD as PACE;
use super::row::Default::Nothing;
use super::row::Status::{NotYet, Renamed};
use super::row::{Row, Table, Unread, count, row, text};

pub(super) const TABLE: Table<Unread> = Table { block: Block::UdpCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("payload", text("HEX"), Nothing, NotYet(""), "what is sent"),
    row("require_reply", text("HEX").optional(), Nothing, NotYet(""), "an answer is needed"),
    row("min_reply_length", text("BYTES"), Nothing, NotYet(""), "shortest good answer"),
    row("max_reply_length", text("BYTES"), Nothing, NotYet(""), "longest good answer"),
];
