//! `vrrp_sync_group`. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::{Mail, NotYet};
use super::row::{Row, Table, Unread, boolean, command, flag, opens, row, switch};

pub(super) const TABLE: Table<Unread> = Table { block: Block::SyncGroup, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("track_file", opens(Block::Tracked), Nothing, NotYet("nothing is tracked by it"), "files that change the priority"),
    row("track_process", opens(Block::Tracked), Nothing, NotYet("nothing is tracked by it"), "processes that must run"),
    row("track_bfd", opens(Block::Tracked), Nothing, NotYet("nothing is tracked by it"), "BFD sessions that must be up"),
    row("group", opens(Block::Lines), Nothing, NotYet(""), "the members"),
    row("track_interface", opens(Block::Tracked), Nothing, NotYet(""), "interfaces that every member tracks"),
    row("track_script", opens(Block::Tracked), Nothing, NotYet(""), "scripts that every member tracks"),
    row("notify_master", command(), Nothing, NotYet(""), "command on becoming MASTER"),
    row("notify_backup", command(), Nothing, NotYet(""), "command on becoming BACKUP"),
    row("notify_fault", command(), Nothing, NotYet(""), "command on FAULT"),
    row("notify_stop", command(), Nothing, NotYet(""), "command on stop"),
    row("notify", command(), Nothing, NotYet(""), "command on every change"),
    row("smtp_alert", switch(), Nothing, Mail(None), "mail on role changes"),
    row("global_tracking", flag(), Nothing, NotYet(""), "weights of members' trackers count"),
    row("sync_group_tracking_weight", flag(), Nothing, NotYet(""), "weights may differ within the group"),
    row("notify_priority_changes", boolean(), Nothing, NotYet(""), "priority changes go into the pipes too"),
];
