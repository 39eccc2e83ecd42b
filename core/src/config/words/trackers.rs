//! What a virtual router may track beside scripts, files and processes. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::NotYet;
use super::row::{Row, Table, Unread, opens, row};

pub(super) const TRACK_GROUP: Table<Unread> = Table { block: Block::TrackGroup, rows: &[TRACK_GROUP_ROWS] };

#[rustfmt::skip]
const TRACK_GROUP_ROWS: &[Row<Unread>] = &[
    row("group", opens(Block::Lines), Nothing, NotYet(""), "the members"),
];
