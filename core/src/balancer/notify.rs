//! What people are told of virtual servers: by `notify_up`, `notify_down`, `quorum_up`, `quorum_down`, to whose arguments nothing is
//! added, by lines of notify FIFOs (`lvs_notify_fifo`, `notify_fifo`), and by mail, with the subjects of keepalived 2.2.7 and its first
//! line.
//!
//! Commands of one real server, and those of one virtual server's quorum, wait in a queue of their own.

use super::Outbox;
use crate::config::UpDownScripts;
use crate::ipvs::{Protocol, ServiceKey, VirtualServerId};
use crate::mail::{Mail, Topic};
use std::net::SocketAddr;
use std::sync::Arc;

/// A real server is up or down.
pub fn server(
    service: VirtualServerId,
    server: SocketAddr,
    scripts: Option<&UpDownScripts>,
    up: bool,
    out: &mut Outbox,
) {
    run(scripts, up, || server_queue(service, server), out);
    let named = || format!("RS {} {}", real_server(service, server), virtual_server(service));
    line(scripts, up, named, out);
}

/// A virtual server has its quorum, or not.
pub fn quorum(service: VirtualServerId, scripts: Option<&UpDownScripts>, up: bool, out: &mut Outbox) {
    run(scripts, up, || quorum_queue(service), out);
    line(scripts, up, || format!("VS {}", virtual_server(service)), out);
}

/// The mail about a real server, if one is wanted: in keepalived's `line`, and why.
pub fn server_mail(
    (service, server): (VirtualServerId, SocketAddr),
    scripts: Option<&UpDownScripts>,
    up: bool,
    (line, why): (&str, &str),
    out: &mut Outbox,
) {
    if wants_mail(scripts) {
        let (server, service) = (real_server(service, server), virtual_server(service));
        let subject = format!("Realserver {server} of virtual server {service} - {}", word(up));
        out.mail(Mail { topic: Topic::Checker, subject, body: format!("=> {line} <=\n\n{why}\n") });
    }
}

/// The mail about a quorum, if one is wanted.
pub fn quorum_mail(
    service: VirtualServerId,
    scripts: Option<&UpDownScripts>,
    up: bool,
    (line, why): (&str, &str),
    out: &mut Outbox,
) {
    if wants_mail(scripts) {
        let subject = format!("Virtualserver {} - {}", virtual_server(service), word(up));
        out.mail(Mail { topic: Topic::Checker, subject, body: format!("=> {line} <=\n\n{why}\n") });
    }
}

fn wants_mail(scripts: Option<&UpDownScripts>) -> bool {
    scripts.is_some_and(|scripts| scripts.mail)
}

fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// `[192.0.2.1]:tcp:80`; behind a mark `[192.0.2.1]:none:80`.
fn named(protocol: Option<Protocol>, address: SocketAddr) -> String {
    let protocol = protocol.map_or("none".to_owned(), |protocol| protocol.to_string().to_ascii_lowercase());
    format!("[{}]:{protocol}:{}", address.ip(), address.port())
}

/// As a mail and a line name a real server.
fn real_server(service: VirtualServerId, server: SocketAddr) -> String {
    let protocol = match service {
        VirtualServerId::Entry(key) => key.protocol(),
        VirtualServerId::Group { protocol, .. } => protocol,
    };
    named(protocol, server)
}

/// `[192.0.2.100]:tcp:80`, `FWM 3`, `[web]:0`.
fn virtual_server(service: VirtualServerId) -> String {
    match service {
        VirtualServerId::Entry(ServiceKey::Address { protocol, address }) => named(Some(protocol), address),
        VirtualServerId::Entry(ServiceKey::Mark { mark, .. }) => format!("FWM {mark}"),
        VirtualServerId::Group { group, .. } => format!("[{group}]:0"),
    }
}

/// The queue of a real server's commands.
pub fn server_queue(service: VirtualServerId, server: SocketAddr) -> Arc<str> {
    format!("real_server {server} of {service}").into()
}

/// The queue of the commands of a virtual server's quorum.
pub fn quorum_queue(service: VirtualServerId) -> Arc<str> {
    format!("quorum of {service}").into()
}

fn run(scripts: Option<&UpDownScripts>, up: bool, queue: impl Fn() -> Arc<str>, out: &mut Outbox) {
    let command = scripts.and_then(|scripts| if up { scripts.up.clone() } else { scripts.down.clone() });
    if let Some(command) = command {
        out.notify(queue(), command);
    }
}

/// A line of FIFOs: keepalived.conf(5), `lvs_notify_fifo`.
fn line(scripts: Option<&UpDownScripts>, up: bool, named: impl Fn() -> String, out: &mut Outbox) {
    if let Some(scripts) = scripts.filter(|scripts| !scripts.fifos.is_empty()) {
        out.fifos(&scripts.fifos, &format!("{} {}", named(), word(up)));
    }
}
