//! `SMTP_CHECK` and its `host`. Not acted on yet.

use super::Block;
use super::connection::UNREAD as CONNECTION;
use super::pace::UNREAD as PACE;
use super::row::Default::Nothing;
use super::row::Status::{NotYet, Renamed};
use super::row::{Row, Table, Unread, count, opens, row, text};

pub(super) const TABLE: Table<Unread> = Table { block: Block::SmtpCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("helo_name", text("NAME"), Nothing, NotYet(""), "name in the greeting"),
    row("host", opens(Block::SmtpHost), Nothing, NotYet(""), "one more host"),
];

pub(super) const HOST: Table<Unread> = Table { block: Block::SmtpHost, rows: &[HOST_ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const HOST_ROWS: &[Row<Unread>] = &[
];
