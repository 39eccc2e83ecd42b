//! What people are told of virtual servers: by `notify_up`, `notify_down`, `quorum_up`, `quorum_down`, to whose arguments nothing is
//! added, and by mail, with the subjects of keepalived 2.2.7 and its first line.
//!
//! Commands of one real server, and those of one virtual server's quorum, wait in a queue of their own.

use super::Outbox;
use crate::config::UpDownScripts;
use crate::ipvs::{Protocol, VirtualServerId};
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
}

/// A virtual server has its quorum, or not.
pub fn quorum(service: VirtualServerId, scripts: Option<&UpDownScripts>, up: bool, out: &mut Outbox) {
    run(scripts, up, || quorum_queue(service), out);
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
        let protocol = service.key().protocol;
        let subject = format!(
            "Realserver {} of virtual server {} - {}",
            named(protocol, server),
            named(protocol, service.key().address),
            word(up)
        );
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
        let key = service.key();
        let subject = format!("Virtualserver {} - {}", named(key.protocol, key.address), word(up));
        out.mail(Mail { topic: Topic::Checker, subject, body: format!("=> {line} <=\n\n{why}\n") });
    }
}

fn wants_mail(scripts: Option<&UpDownScripts>) -> bool {
    scripts.is_some_and(|scripts| scripts.mail)
}

fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// `[192.0.2.1]:tcp:80`.
fn named(protocol: Protocol, address: SocketAddr) -> String {
    format!("[{}]:{}:{}", address.ip(), protocol.to_string().to_ascii_lowercase(), address.port())
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
