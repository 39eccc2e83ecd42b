//! `MISC_CHECK`. Not acted on yet.

use super::Block;
use super::pace::UNREAD_WITHOUT_CONNECTION as PACE;
use super::row::Default::Nothing;
use super::row::Status::{NotYet, Renamed};
use super::row::{FOREVER, Row, Table, Unread, count, flag, row, seconds, switch, texts};

pub(super) const TABLE: Table<Unread> = Table { block: Block::MiscCheck, rows: &[ROWS, PACE] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("log_all_failures", switch(), Nothing, NotYet(""), "log every failure; vipward always does"),
    row("misc_path", texts(1, usize::MAX, "COMMAND"), Nothing, NotYet(""), "the command"),
    row("misc_timeout", seconds(0, FOREVER), Nothing, NotYet(""), "how long it may take"),
    row("misc_dynamic", flag(), Nothing, NotYet(""), "its exit status sets the weight"),
    row("user", texts(1, 2, "USER [GROUP]"), Nothing, NotYet(""), "who runs it"),
];
