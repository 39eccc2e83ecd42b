//! `virtual_server`.

use super::Block;
use super::forwarding::method;
use super::granularity::{self, Granularity};
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::Default::{Is, Like, Nothing, Told};
use super::row::Status::{Acted, Also, Always, Dead, NotYet};
use super::row::{Row, Table, choice, command, count, flag, number, row, switch, text, texts};
use super::said::{self, Lower, Said};
use super::server_group::FAMILIES;
use super::target::Target;
use super::values::keep;
use crate::config::UpDownScripts;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{RealServer, SorryServer, VirtualServer};
use crate::interface::Family;
use crate::ipvs::{Forwarding, Protocol, Scheduler, ServiceFlags};
use crate::text::{Diagnostic, Span};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// None: there is a mistake in it.
    pub target: Option<Target>,
    scheduler: Option<Arc<str>>,
    /// Said or not.
    scheduler_known: bool,
    forwarding_known: bool,
    pub forwarding: Forwarding,
    pub protocol: Option<Protocol>,
    pub ip_family: Option<Family>,
    persistence_timeout: Option<u32>,
    pub granularity: Granularity,
    persistence_engine: Option<Arc<str>>,
    quorum: u32,
    hysteresis: u32,
    sorry: Option<SocketAddr>,
    sorry_forwarding: Option<Forwarding>,
    sorry_inhibit: bool,
    notify: UpDownScripts,
    omega: bool,
    /// For real servers that say nothing themselves.
    pub weight: u32,
    pub inhibit_on_failure: bool,
    ha_suspend: bool,
    flags: ServiceFlags,
    pub pace: Pace,
    pub real_servers: Vec<RealServer>,
    /// A real server was written, be it wrong.
    any_real_server: bool,
    places: Places,
}

impl Default for Draft {
    /// Before the rows have said what holds.
    fn default() -> Self {
        Self {
            target: None,
            scheduler: None,
            scheduler_known: false,
            forwarding_known: false,
            forwarding: Forwarding::Nat,
            protocol: None,
            ip_family: None,
            persistence_timeout: None,
            granularity: Granularity::default(),
            persistence_engine: None,
            quorum: 0,
            hysteresis: 0,
            sorry: None,
            sorry_forwarding: None,
            sorry_inhibit: false,
            notify: UpDownScripts::default(),
            omega: false,
            weight: 0,
            inhibit_on_failure: false,
            ha_suspend: false,
            flags: ServiceFlags::default(),
            pace: Pace::default(),
            real_servers: Vec::new(),
            any_real_server: false,
            places: Places::default(),
        }
    }
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::VirtualServer, rows: &[ROWS, PACE, LATER] };

const PACE: &[Row<Draft>] = &pace::rows(None);

const PROTOCOLS: [(&str, Protocol); 3] = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)];

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("lb_algo", choice(&Scheduler::KNOWN), Is("wlc"), Acted(|said, draft| {
        let scheduler = said.choice(&Scheduler::KNOWN.map(|name| (name, name)));
        if let Some(name) = scheduler { draft.scheduler = Some(said.lower.name(name)) }
        draft.scheduler_known = true;
    }), "IPVS scheduler"),
    row("lvs_sched", choice(&Scheduler::KNOWN), Like("lb_algo"), Also("lb_algo"), "IPVS scheduler"),
    row("lb_kind", method(), Is("NAT"), Acted(|said, draft| {
        keep(&mut draft.forwarding, said.forwarding());
        draft.forwarding_known = true;
    }), "how packets reach the real servers"),
    row("lvs_method", method(), Like("lb_kind"), Also("lb_kind"), "how packets reach the real servers"),
    row("protocol", choice(&["TCP", "UDP", "SCTP"]), Nothing, Acted(|said, draft| {
        draft.protocol = said.choice(&PROTOCOLS).or(draft.protocol);
    }), "transport protocol of the service"),
    row("ip_family", choice(&["inet", "inet6"]), Told("what the real servers are"), Acted(|said, draft| {
        draft.ip_family = said.choice(&FAMILIES);
    }), "family of a virtual server by mark"),
    row("persistence_timeout", number(1, 2_678_400).optional(), Nothing, Acted(|said, draft| {
        draft.persistence_timeout = persistence(said);
    }), "a client stays with its real server for so many seconds; 360 without a number"),
    row("persistence_granularity", text("NETMASK"), Told("each client by itself"), Acted(|said, draft| {
        keep(&mut draft.granularity, granularity::read(said));
    }), "clients of one such network count as one: a netmask, or a prefix length, of IPv6 up to 128"),
    row("persistence_engine", choice(&["sip"]), Nothing, Acted(|said, draft| {
        if let Some(name) = said.choice(&[("sip", "sip")]) { draft.persistence_engine = Some(said.lower.name(name)) }
    }), "what tells clients apart beside their addresses; sip: the Call-ID of SIP over UDP; not by the relay"),
    row("quorum", count(1), Is("1"), Acted(|said, draft| {
        keep(&mut draft.quorum, quorum(said));
    }), "live weight that is needed"),
    row("hysteresis", count(0), Is("0"), Acted(|said, draft| {
        keep(&mut draft.hysteresis, said.number());
    }), "how far above and below `quorum` a change must go"),
    row("sorry_server", texts(1, 2, "IP [PORT]"), Nothing, Acted(|said, draft| {
        draft.sorry = said.lower.server_address(said.line, draft.port());
    }), "who answers when the quorum is lost"),
    row("sorry_server_lvs_method", method(), Like("lb_kind"), Acted(|said, draft| {
        draft.sorry_forwarding = said.forwarding();
    }), "how packets reach the sorry server"),
    row("sorry_server_inhibit", flag(), Nothing, Acted(|_, draft| draft.sorry_inhibit = true), "the sorry server stays in the table with weight 0 while it is not needed"),
    row("weight", number(1, 65535), Is("1"), Acted(|said, draft| {
        keep(&mut draft.weight, said.number());
    }), "weight of real servers that name none"),
    row("inhibit_on_failure", switch(), Is("off"), Acted(|said, draft| {
        draft.inhibit_on_failure = said.switch();
    }), "a failed real server stays in the table with weight 0"),
    row("virtualhost", text("HOST"), Told("the address that is checked"), Acted(|said, draft| {
        draft.pace.virtualhost = said.name();
    }), "Host header of HTTP checks that name none"),
    row("ha_suspend", flag(), Nothing, Acted(|_, draft| draft.ha_suspend = true), "no checks while this host has not the address"),
    row("quorum_up", command(), Nothing, Acted(|said, draft| said.up_or_down(&mut draft.notify, |it| &mut it.up)), "command when the quorum is gained"),
    row("quorum_down", command(), Nothing, Acted(|said, draft| said.up_or_down(&mut draft.notify, |it| &mut it.down)), "command when the quorum is lost"),
    row("omega", flag(), Nothing, Acted(|_, draft| draft.omega = true), "a stop tells notify_down of every real server that is up, and quorum_down"),
    row("smtp_alert", switch(), Told("`smtp_alert_checker` of `global_defs`, else off"), Acted(|said, draft| draft.notify.mail = said.switch()), "mail when the quorum is gained or lost"),
    row("ops", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::ONE_PACKET)), "each packet of UDP is scheduled by itself; not by the relay"),
    row("flag-1", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_1)), "scheduler's flag 1"),
    row("flag-2", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_2)), "scheduler's flag 2"),
    row("flag-3", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_3)), "scheduler's flag 3"),
    row("sh-port", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_2)), "sh: the client's port counts too; not by the relay"),
    row("sh-fallback", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_1)), "sh: another server when the chosen one can't; not by the relay"),
    row("mh-port", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_2)), "mh: the client's port counts too"),
    row("mh-fallback", flag(), Nothing, Acted(|_, draft| draft.flag(ServiceFlags::SCHEDULER_1)), "mh: another server when the chosen one can't"),
    row("real_server", texts(1, 2, "IP [PORT]").opens(Block::RealServer), Nothing, Acted(|said, draft| {
        draft.any_real_server = true;
        real_server::read(said, draft);
    }), "one server behind the service"),
];

/// Not acted on yet, or any more.
#[rustfmt::skip]
const LATER: &[Row<Draft>] = &[
    row("hashed", flag(), Nothing, Always("the kernel has it set for each service"), "flag of the service"),
    row("nat_mask", text("NETMASK"), Nothing, Dead("IPVS takes no mask here, and never misses it"), "netmask for NAT in LVS of the 2.2 kernels"),
    row("snmp_name", text("NAME"), Nothing, NotYet(""), "name in SNMP"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, services: &mut Vec<VirtualServer>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    (draft.scheduler_known, draft.forwarding_known) = (false, false);
    draft.target = said.lower.target(block);
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(target) = draft.target.clone() else { return };
    let lower = &mut *said.lower;
    lower.unsaid(block, &draft);
    lower.flags_of_others(block, &draft);
    let (quorum, hysteresis) = (draft.quorum, draft.hysteresis);
    if hysteresis >= quorum && hysteresis > 0 {
        lower.push(
            Diagnostic::error("bad-hysteresis", format!("`hysteresis {hysteresis}` is not below `quorum {quorum}`"))
                .at(draft.places.of("hysteresis"), "once gained, the quorum could never be lost")
                .help("use a hysteresis below the quorum"),
        );
    }
    lower.no_server_twice(&draft.real_servers);
    if !draft.any_real_server {
        lower.push(
            Diagnostic::warning("no-real-servers", "this virtual server has no real_server")
                .at(block.span(), "nobody answers")
                .help("add `real_server IP PORT { ... }`"),
        );
    }
    lower.persistent_anyway(block, &target, &mut draft);
    lower.engine_fits(block, &target, &draft);
    let Some(entries) = lower.entries(block, target, &draft) else { return };
    lower.granularity_fits(draft.granularity, &entries, draft.places.of("persistence_granularity"));
    let sorry_forwarding = draft.sorry_forwarding.unwrap_or(draft.forwarding);
    draft.real_servers.shrink_to_fit();
    draft.places.shrink();
    services.push(VirtualServer {
        entries,
        scheduler: Scheduler(draft.scheduler.unwrap_or_else(|| Arc::from(""))),
        persistence_timeout: draft.persistence_timeout,
        persistence_granularity: draft.granularity.netmask(),
        persistence_prefix: draft.granularity.prefix(),
        persistence_engine: draft.persistence_engine.filter(|_| draft.persistence_timeout.is_some()),
        quorum,
        hysteresis,
        sorry_server: draft.sorry.map(|address| SorryServer {
            address,
            forwarding: sorry_forwarding,
            inhibit: draft.sorry_inhibit,
        }),
        flags: draft.flags,
        ha_suspend: draft.ha_suspend,
        notify: draft.notify.shared(),
        omega: draft.omega,
        real_servers: draft.real_servers,
        places: draft.places,
    });
}

/// Seconds, where a virtual server is persistent and does not say how long.
const USUAL_PERSISTENCE: u32 = 360;

fn persistence(said: &mut Said<'_, '_, '_>) -> Option<u32> {
    let Some(value) = said.value() else { return Some(USUAL_PERSISTENCE) };
    if value.text.parse::<u32>() == Ok(0) {
        said.lower.push(
            Diagnostic::warning("bad-value", "`persistence_timeout 0` is out of range")
                .at(value.span, "no persistence")
                .help("for no persistence, delete the line"),
        );
        return None;
    }
    said.number()
}

fn quorum(said: &mut Said<'_, '_, '_>) -> Option<u32> {
    let value = said.value()?;
    if value.text.parse::<u32>() == Ok(0) {
        said.lower.push(
            Diagnostic::warning("bad-value", "`quorum 0` is out of range")
                .at(value.span, "1 is taken, as in keepalived")
                .help("write `quorum 1`, or delete the line"),
        );
        return Some(1);
    }
    said.number()
}

impl Draft {
    /// What real servers that name no port have.
    pub fn port(&self) -> u16 {
        self.target.as_ref().map_or(0, Target::port)
    }

    /// Every real server and the sorry server: its address, how packets reach it, where it stands.
    pub fn servers(&self) -> impl Iterator<Item = (IpAddr, Forwarding, Span)> {
        let sorry_forwarding = self.sorry_forwarding.unwrap_or(self.forwarding);
        let sorry = self.sorry.map(|at| (at.ip(), sorry_forwarding, self.places.of("sorry_server")));
        self.real_servers.iter().map(|real| (real.address.ip(), real.forwarding, real.places.of(""))).chain(sorry)
    }

    fn flag(&mut self, flag: ServiceFlags) {
        self.flags = self.flags.with(flag);
    }
}

impl Lower<'_> {
    /// Words that should be there; keepalived takes something else than most people expect.
    fn unsaid(&mut self, block: &Statement<'_>, draft: &Draft) {
        let marks = draft.target.as_ref().is_some_and(Target::only_marks);
        if !marks && draft.protocol.is_none() && said::of(block.lines(), "protocol").next().is_none() {
            self.push(
                Diagnostic::error("missing-word", "this virtual server has no `protocol`")
                    .at(block.span(), "keepalived takes UDP")
                    .help("add `protocol TCP`"),
            );
        }
        if !draft.scheduler_known {
            self.push(
                Diagnostic::warning("missing-word", "this virtual server has no `lb_algo`")
                    .at(block.span(), "wlc is taken")
                    .help("add `lb_algo wlc`, or another scheduler"),
            );
        }
        if !draft.forwarding_known {
            self.push(
                Diagnostic::warning("missing-word", "this virtual server has no `lb_kind`")
                    .at(block.span(), "NAT is taken")
                    .help("add `lb_kind NAT`, or DR or TUN"),
            );
        }
    }

    /// IPVS needs persistence to serve every port, and a granularity is one of persistence: keepalived takes both for asked
    /// for.
    fn persistent_anyway(&mut self, block: &Statement<'_>, target: &Target, draft: &mut Draft) {
        let said_of = |word| said::of(block.lines(), word).next().map(Statement::span);
        if draft.persistence_timeout.is_some() || said_of("persistence_timeout").is_some() {
            return;
        }
        let every_port = target.addresses().iter().any(|address| address.port() == 0).then(|| block.span());
        let Some(place) = every_port.or_else(|| said_of("persistence_granularity")) else { return };
        draft.persistence_timeout = Some(USUAL_PERSISTENCE);
        let message = match every_port {
            Some(_) => "a virtual server of every port is persistent",
            None => "a virtual server with `persistence_granularity` is persistent",
        };
        self.push(
            Diagnostic::warning("persistent", message)
                .at(place, format!("a client stays with its real server for {USUAL_PERSISTENCE} s, as with keepalived"))
                .help(format!("write `persistence_timeout {USUAL_PERSISTENCE}`, or another number")),
        );
    }

    /// An engine without persistence, or of a protocol that it can't read.
    fn engine_fits(&mut self, block: &Statement<'_>, target: &Target, draft: &Draft) {
        let Some(line) = said::of(block.lines(), "persistence_engine").next() else { return };
        // What is no engine was told.
        if draft.persistence_engine.is_none() {
            return;
        }
        if draft.persistence_timeout.is_none() {
            self.push(
                Diagnostic::warning("no-persistence", "`persistence_engine` without persistence does nothing")
                    .at(line.span(), "ignored, as in keepalived")
                    .help("add `persistence_timeout 360`, or delete it"),
            );
        } else if !target.only_marks() && draft.protocol != Some(Protocol::Udp) {
            self.push(
                Diagnostic::warning("engine-of-another", "the engine sip is about UDP, and this service is not")
                    .at(line.span(), "the kernel drops every packet that is no SIP over UDP")
                    .help("write `protocol UDP`, or delete it"),
            );
        }
    }

    /// Flags that mean nothing to this scheduler, or to this protocol.
    fn flags_of_others(&mut self, block: &Statement<'_>, draft: &Draft) {
        let scheduler = draft.scheduler.as_deref().unwrap_or_default();
        for word in ["sh-port", "sh-fallback", "mh-port", "mh-fallback"] {
            let (of, _) = word.split_once('-').unwrap_or_default();
            for line in said::of(block.lines(), word).filter(|_| scheduler != of) {
                self.push(
                    Diagnostic::warning("flag-of-another", format!("`{word}` is a flag of the scheduler {of}"))
                        .at(line.span(), format!("to `lb_algo {scheduler}` it means something else, or nothing"))
                        .help(format!("delete it, or write `lb_algo {of}`")),
                );
            }
        }
        let marks = draft.target.as_ref().is_some_and(Target::only_marks);
        for line in said::of(block.lines(), "ops").filter(|_| !marks && draft.protocol != Some(Protocol::Udp)) {
            self.push(
                Diagnostic::warning("flag-of-another", "`ops` is about UDP, and this service is not")
                    .at(line.span(), "nothing changes by it")
                    .help("delete it"),
            );
        }
    }

    fn no_server_twice(&mut self, servers: &[RealServer]) {
        let mut first = std::collections::BTreeMap::new();
        for server in servers {
            match first.get(&server.address) {
                None => {
                    first.insert(server.address, server.places.of(""));
                }
                Some(before) => self.push(
                    Diagnostic::error("duplicate-server", format!("real_server {} stands twice", server.address))
                        .at(server.places.of(""), "the second time")
                        .also(*before, "the first time")
                        .help("delete one of them; for a larger share, use `weight`"),
                ),
            }
        }
    }
}
