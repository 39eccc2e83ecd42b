//! `lvs_timeouts`, `lvs_sync_daemon`, and its old form in a `vrrp_instance`.

use super::said::{Lower, Said};
use crate::config::line::Word;
use crate::config::tree::Statement;
use crate::config::{Config, GlobalDefs, LvsSyncDaemon, LvsTimeouts, VirtualRouterConfig};
use crate::interface::{Family, InterfaceName};
use crate::ipvs::SyncDaemon;
use crate::text::{Diagnostic, Span, nearest_name};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What `lvs_sync_daemon` says, until it is known which id its virtual router has.
#[derive(Clone, Debug)]
pub(in crate::config) struct SyncLine {
    line: LvsSyncDaemon,
    id: Option<u8>,
    place: Span,
}

/// The most seconds that keepalived takes: a month.
const MOST_SECONDS: i64 = 2_678_400;

/// `IP_VS_SYNC_GROUP`, `IP_VS_SYNC_PORT`.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
const PORT: u16 = 8848;

fn usual(interface: InterfaceName) -> SyncDaemon {
    SyncDaemon { interface, id: 0, max_length: None, port: PORT, ttl: 1, group: GROUP.into() }
}

pub(super) fn timeouts(said: &mut Said<'_, '_, '_>) -> Option<LvsTimeouts> {
    let line = said.line;
    let mut timeouts = LvsTimeouts::default();
    let mut words = line.args.iter();
    while let Some(word) = words.next() {
        let slot = match &*word.text {
            "tcp" => &mut timeouts.tcp,
            "tcpfin" => &mut timeouts.tcp_fin,
            "udp" => &mut timeouts.udp,
            _ => {
                said.lower.bad(line, word, "tcp, tcpfin or udp, each with its seconds");
                return None;
            }
        };
        let Some(value) = words.next() else {
            said.no_value(word);
            return None;
        };
        let seconds = said.lower.number_of::<u32>(line, value, 0..=MOST_SECONDS)?;
        // 0 changes nothing, as in the kernel.
        *slot = Some(seconds).filter(|seconds| *seconds > 0);
    }
    (timeouts != LvsTimeouts::default()).then_some(timeouts)
}

pub(super) fn sync_daemon(said: &mut Said<'_, '_, '_>) -> Option<SyncLine> {
    let line = said.line;
    let interface = said.interface()?;
    let (mut daemon, mut router, mut id) = (usual(interface), None, None);
    let mut words = line.args.iter().skip(1).enumerate();
    while let Some((at, word)) = words.next() {
        let known = matches!(&*word.text, "inst" | "id" | "maxlen" | "port" | "ttl" | "group");
        if at == 0 && !known {
            router = Some(said.lower.name(&word.text));
            continue;
        }
        if !known {
            said.lower.bad(line, word, "inst, id, maxlen, port, ttl or group");
            return None;
        }
        let Some((_, value)) = words.next() else {
            said.no_value(word);
            return None;
        };
        match &*word.text {
            "inst" => router = Some(said.lower.name(&value.text)),
            "id" => id = Some(said.lower.number_of(line, value, 0..=255)?),
            "maxlen" => daemon.max_length = Some(said.lower.number_of(line, value, 1..=65507)?),
            "port" => daemon.port = said.lower.port(line, value)?,
            "ttl" => daemon.ttl = said.lower.number_of(line, value, 1..=255)?,
            _ => daemon.group = group(said.lower, line, value)?,
        }
    }
    Some(SyncLine { line: LvsSyncDaemon { daemon, router }, id, place: line.span() })
}

/// Where a sync daemon can send to.
fn group(lower: &mut Lower<'_>, line: &Statement<'_>, value: &Word<'_>) -> Option<IpAddr> {
    let group = value.text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
    if group.is_none() {
        lower.bad(line, value, "a multicast address, such as 224.0.0.81");
    }
    group
}

impl Said<'_, '_, '_> {
    fn no_value(&mut self, word: &Word<'_>) {
        self.lower.push(
            Diagnostic::error("missing-value", format!("`{}` needs a value", word.text))
                .at(word.span.after(), "the line ends here")
                .help(format!("add it, or delete `{}`", word.text)),
        );
    }
}

impl Lower<'_> {
    /// `lvs_sync_daemon_interface` of a `vrrp_instance`: with id 0, as in keepalived.
    pub(super) fn sync_of_instance(&mut self, router: &Arc<str>, said: Option<(InterfaceName, Span)>) {
        let Some((interface, place)) = said else { return };
        self.push(
            Diagnostic::warning("old-word", "`lvs_sync_daemon_interface` is an old form")
                .at(place, "the first of a file counts, and `lvs_sync_daemon` of global_defs before it")
                .help(format!("write `lvs_sync_daemon {interface} {router}` in global_defs")),
        );
        let line = LvsSyncDaemon { daemon: usual(interface), router: Some(router.clone()) };
        self.memory.sync_of_instance.get_or_insert(SyncLine { line, id: Some(0), place });
    }

    /// When all virtual routers are known.
    pub(in crate::config) fn synchronised(&mut self, global: &mut GlobalDefs, routers: &[VirtualRouterConfig]) {
        let Some(SyncLine { mut line, id, place }) =
            self.memory.global.sync.take().or(self.memory.sync_of_instance.take())
        else {
            return;
        };
        let router = line.router.as_ref().map(|name| (name, routers.iter().find(|router| router.name == *name)));
        if let Some((name, None)) = router {
            let near = nearest_name(name, routers.iter().map(|router| &*router.name));
            let message = format!("there is no vrrp_instance called `{name}`");
            let diagnostic = Diagnostic::warning("unknown-instance", message).at(place, "no sync daemon would run");
            self.push(match near {
                Some(near) => diagnostic.help(format!("write `inst {near}`")),
                None => diagnostic.help("name an instance of this file, or none"),
            });
        }
        line.daemon.id = id.or(router.and_then(|(_, router)| router).map(|it| it.vrid.get())).unwrap_or(0);
        global.lvs_sync_daemon = Some(line);
    }

    /// Linux: connections of a service whose real server has another family can't be told to others, so IPVS takes
    /// either such a real server or a sync daemon.
    pub(super) fn synchronisable(&mut self, config: &Config) {
        if config.global.lvs_sync_daemon.is_none() {
            return;
        }
        for service in &config.services {
            let keys = service.keys();
            let other = |ip: IpAddr| keys.iter().any(|key| key.family() != Family::of(ip));
            if let Some(real) = service.real_servers.iter().find(|real| other(real.address.ip())) {
                self.push(
                    Diagnostic::error("mixed-families", "with `lvs_sync_daemon` a tunnel can't change the family")
                        .at(real.places.of(""), "the kernel refuses either this real server or the sync daemon")
                        .help("use an address of the virtual server's family, or delete `lvs_sync_daemon`"),
                );
            }
        }
    }
}
