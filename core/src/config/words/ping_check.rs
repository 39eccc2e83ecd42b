//! `PING_CHECK`: the words that every checker has, and no others.

use super::Block;
use super::connection;
use super::pace;
use super::real_server;
use super::row::Default::Nothing;
use super::row::Status::Renamed;
use super::row::{Row, Table, count, row};
use super::said::Said;
use super::tcp_check::{self, Draft};
use crate::check::ping;

pub(super) const TABLE: Table<Draft> = Table { block: Block::PingCheck, rows: &[OLD, PACE, CONNECTION] };

#[rustfmt::skip]
const OLD: &[Row<Draft>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
];
const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    tcp_check::read_as(&TABLE, ping::Settings.into(), said, outer);
}
