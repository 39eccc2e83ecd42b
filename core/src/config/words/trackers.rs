//! What a virtual router may track beside scripts and files. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::NotYet;
use super::row::{FOREVER, Row, Table, Unread, choice, flag, number, opens, row, seconds, texts};

pub(super) const TRACK_PROCESS: Table<Unread> = Table { block: Block::TrackProcess, rows: &[TRACK_PROCESS_ROWS] };

#[rustfmt::skip]
const TRACK_PROCESS_ROWS: &[Row<Unread>] = &[
    row("process", texts(1, usize::MAX, "NAME [ARGUMENT...]"), Nothing, NotYet(""), "the process to look for"),
    row("param_match", choice(&["initial", "partial"]), Nothing, NotYet(""), "how its arguments are compared"),
    row("weight", number(-254, 254).more(2, "[reverse]"), Nothing, NotYet(""), "added to the priority"),
    row("quorum", number(1, 65535), Nothing, NotYet(""), "fewest processes"),
    row("quorum_max", number(0, 65535), Nothing, NotYet(""), "most processes"),
    row("delay", seconds(0, FOREVER), Nothing, NotYet(""), "how long a change must last"),
    row("terminate_delay", seconds(0, FOREVER), Nothing, NotYet(""), "how long a loss must last"),
    row("fork_delay", seconds(0, FOREVER), Nothing, NotYet(""), "how long a gain must last"),
    row("full_command", flag(), Nothing, NotYet(""), "compare the whole command line"),
];

pub(super) const TRACK_GROUP: Table<Unread> = Table { block: Block::TrackGroup, rows: &[TRACK_GROUP_ROWS] };

#[rustfmt::skip]
const TRACK_GROUP_ROWS: &[Row<Unread>] = &[
    row("group", opens(Block::Lines), Nothing, NotYet(""), "the members"),
];
