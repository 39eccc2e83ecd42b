//! `bfd_instance`. Not acted on yet.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::NotYet;
use super::row::{Row, Table, Unread, flag, ip, number, row, switch, text};

pub(super) const TABLE: Table<Unread> = Table { block: Block::Bfd, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("source_ip", ip(), Nothing, NotYet(""), "own address"),
    row("neighbor_ip", ip(), Nothing, NotYet(""), "the peer's address"),
    row("neighbour_ip", ip(), Nothing, NotYet(""), "the peer's address"),
    row("min_rx", text("MILLISECONDS"), Nothing, NotYet(""), "fastest that is taken"),
    row("min_tx", text("MILLISECONDS"), Nothing, NotYet(""), "fastest that is sent"),
    row("idle_tx", text("MILLISECONDS"), Nothing, NotYet(""), "pace while the session is down"),
    row("multiplier", number(1, 255), Nothing, NotYet(""), "packets missed before it is down"),
    row("passive", flag(), Nothing, NotYet(""), "let the peer begin"),
    row("ttl", number(1, 255), Nothing, NotYet(""), "TTL that is sent"),
    row("hoplimit", number(1, 255), Nothing, NotYet(""), "hop limit that is sent"),
    row("max_hops", number(-1, 255), Nothing, NotYet(""), "hops that are taken"),
    row("multihop", switch(), Nothing, NotYet(""), "port 4784 (RFC 5883)"),
    row("weight", number(-253, 253).more(2, "[reverse]"), Nothing, NotYet(""), "added to the priority"),
    row("vrrp", flag(), Nothing, NotYet(""), "for VRRP only"),
    row("checker", flag(), Nothing, NotYet(""), "for checkers only"),
];
