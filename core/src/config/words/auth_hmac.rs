//! `auth_hmac`: adverts that are signed. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::NotYet;
use super::row::{Row, Table, Unread, choice, number, row, texts};

pub(super) const TABLE: Table<Unread> = Table { block: Block::AuthHmac, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("key", texts(2, 2, "ID VALUE"), Nothing, NotYet(""), "a key; several for a change of keys"),
    row("active_key", number(1, 255), Nothing, NotYet(""), "the key that signs"),
    row("time_window", number(1, 300), Nothing, NotYet(""), "how old an advert may be"),
    row("anti_replay", choice(&["time", "monotonic"]), Nothing, NotYet(""), "what tells an old advert"),
    row("mode", choice(&["enforce", "permissive", "receive-only"]), Nothing, NotYet(""), "what happens to unsigned adverts"),
];
