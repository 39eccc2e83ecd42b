//! `DNS_CHECK`. Not acted on yet.

use super::Block;
use super::connection::UNREAD as CONNECTION;
use super::pace::UNREAD as PACE;
use super::row::Default::{Is, Nothing};
use super::row::Status::{NotYet, Renamed};
use super::row::{Row, Table, Unread, count, row, text};

pub(super) const TABLE: Table<Unread> = Table { block: Block::DnsCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("type", text("TYPE"), Is("SOA"), NotYet(""), "what is asked"),
    row("name", text("NAME"), Nothing, NotYet(""), "for which name"),
];
