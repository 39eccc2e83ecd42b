//! Where a check connects to, and from where.

use super::row::Default::{Is, Nothing, Told};
use super::row::Status::{Acted, Always};
use super::row::{Row, interface, ip, number, row, switch};
use crate::check::Binding;
use std::net::SocketAddr;

/// What connects.
pub(super) trait Connects {
    fn target(&mut self) -> &mut SocketAddr;
    fn from(&mut self) -> &mut Binding;
}

#[rustfmt::skip]
pub(super) const fn rows<D: Connects>() -> [Row<D>; 7] {
    [
        row("connect_ip", ip(), Told("the real server's address"), Acted(|said, draft| {
            if let Some(ip) = said.ip() { draft.target().set_ip(ip) }
        }), "address that is checked"),
        row("connect_port", number(1, 65535), Told("the real server's port"), Acted(|said, draft| {
            if let Some(port) = said.number() { draft.target().set_port(port) }
        }), "port that is checked"),
        row("bindto", ip(), Nothing, Acted(|said, draft| {
            draft.from().address = said.ip();
        }), "source address of the check"),
        row("bind_port", number(1, 65535), Nothing, Acted(|said, draft| {
            draft.from().port = said.number().unwrap_or_default();
        }), "source port of the check"),
        row("bind_if", interface(), Nothing, Acted(|said, draft| {
            draft.from().interface = said.interface();
        }), "interface of the check"),
        row("fwmark", number(0, u32::MAX as i64), Is("0"), Acted(|said, draft| {
            draft.from().mark = said.number().unwrap_or_default();
        }), "mark on packets of the check; 0: none"),
        row("log_all_failures", switch(), Nothing, Always("every failure is logged"), "log every failure"),
    ]
}
