//! `BFD_CHECK`. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::NotYet;
use super::row::{Row, Table, Unread, row, switch, text};

pub(super) const BFD_CHECK: Table<Unread> = Table { block: Block::BfdCheck, rows: &[BFD_CHECK_ROWS] };

#[rustfmt::skip]
const BFD_CHECK_ROWS: &[Row<Unread>] = &[
    row("alpha", switch(), Nothing, NotYet(""), "down until a check has passed"),
    row("name", text("NAME"), Nothing, NotYet(""), "the BFD session"),
];
