//! `virtual_server` and `real_server`.

use super::super::line::Word;
use super::super::model::{RealServer, SorryServer, VirtualServer};
use super::super::tree::Statement;
use super::checker::Pace;
use super::{Lower, canonical};
use crate::config::places::Places;
use crate::ipvs::{Forwarding, Protocol, Scheduler, ServiceKey};
use crate::text::Diagnostic;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

const FORWARDING: [(&str, Forwarding); 3] =
    [("NAT", Forwarding::Nat), ("DR", Forwarding::Dr), ("TUN", Forwarding::Tun)];

/// What a virtual server hands down to its real servers.
struct Outer {
    address: SocketAddr,
    forwarding: Forwarding,
    weight: u32,
    inhibit_on_failure: bool,
    pace: Pace,
}

impl Lower<'_> {
    pub fn virtual_server(&mut self, block: &Statement, services: &mut Vec<VirtualServer>) {
        let Some(address) = self.service_address(block) else { return };
        let mut places = Places::default();
        places.set("", block.span());
        let mut outer =
            Outer { address, forwarding: Forwarding::Nat, weight: 1, inhibit_on_failure: false, pace: Pace::default() };
        let (mut protocol, mut scheduler, mut kind) = (None, None, None);
        let (mut persistence_timeout, mut persistence_granularity) = (None, Ipv4Addr::BROADCAST);
        let (mut quorum, mut hysteresis) = (1, 0);
        let (mut sorry, mut sorry_kind) = (None, None);
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            places.set(
                if word == "lvs_sched" {
                    "lb_algo"
                } else if word == "lvs_method" {
                    "lb_kind"
                } else {
                    word
                },
                line.span(),
            );
            if self.pace(line, word, &mut outer.pace) {
                continue;
            }
            match word {
                "lb_algo" | "lvs_sched" => scheduler = self.scheduler(line).or(scheduler),
                "lb_kind" | "lvs_method" => kind = self.forwarding(line).or(kind),
                "protocol" => protocol = self.protocol(line).or(protocol),
                "persistence_timeout" => persistence_timeout = self.persistence(line),
                "persistence_granularity" => {
                    persistence_granularity = self.granularity(line).unwrap_or(persistence_granularity);
                }
                "quorum" => quorum = self.number(line, 1..=i64::from(i32::MAX)).unwrap_or(quorum),
                "hysteresis" => hysteresis = self.number(line, COUNT).unwrap_or(hysteresis),
                "weight" => outer.weight = self.number(line, 1..=65535).unwrap_or(outer.weight),
                "inhibit_on_failure" => outer.inhibit_on_failure = self.switch(line),
                "sorry_server" => sorry = self.server_address(line, address),
                "sorry_server_lvs_method" => sorry_kind = self.forwarding(line),
                // Real servers come below, when all is known that they inherit.
                _ => {}
            }
        }
        outer.forwarding = kind.unwrap_or(Forwarding::Nat);
        self.unsaid(block, protocol.is_some(), scheduler.is_some(), kind.is_some());
        if hysteresis >= quorum && hysteresis > 0 {
            self.push(
                Diagnostic::error(
                    "bad-hysteresis",
                    format!("`hysteresis {hysteresis}` is not below `quorum {quorum}`"),
                )
                .at(places.of("hysteresis"), "once gained, the quorum could never be lost")
                .help("use a hysteresis below the quorum"),
            );
        }
        let mut real_servers: Vec<RealServer> = Vec::new();
        for line in super::of(block.lines(), "real_server") {
            if let Some(server) = self.real_server(line, &outer) {
                real_servers.push(server);
            }
        }
        self.no_server_twice(&real_servers);
        if !block.lines().iter().any(|line| canonical(line) == Some("real_server")) {
            self.push(
                Diagnostic::warning("no-real-servers", "this virtual server has no real_server")
                    .at(block.span(), "nobody answers")
                    .help("add `real_server IP PORT { ... }`"),
            );
        }
        let sorry_server =
            sorry.map(|address| SorryServer { address, forwarding: sorry_kind.unwrap_or(outer.forwarding) });
        services.push(VirtualServer {
            key: ServiceKey { protocol: protocol.unwrap_or(Protocol::Tcp), address },
            scheduler: scheduler.unwrap_or_else(|| Scheduler(Arc::from("wlc"))),
            persistence_timeout,
            persistence_granularity,
            quorum,
            hysteresis,
            sorry_server,
            real_servers,
            places,
        });
    }

    fn service_address(&mut self, block: &Statement) -> Option<SocketAddr> {
        let first = self.value(block)?;
        if let "fwmark" | "group" = &*first.text {
            self.push(
                Diagnostic::error("not-yet", format!("a virtual_server by `{}` is not supported yet", first.text))
                    .at(block.span(), "this service would not exist")
                    .help("write one virtual_server for each address and port"),
            );
            return None;
        }
        let address = self.ip(block, first)?;
        let port = match block.args.get(1) {
            Some(port) => self.number_of(block, port, 0..=65535)?,
            None => {
                self.push(
                    Diagnostic::error("missing-value", "`virtual_server` needs a port")
                        .at(block.span().after(), "expected PORT")
                        .help(format!("write `virtual_server {address} PORT {{`; 0 stands for all ports")),
                );
                return None;
            }
        };
        Some(SocketAddr::new(address, port))
    }

    /// `IP [PORT]`; the service's port if there is none.
    fn server_address(&mut self, line: &Statement, service: SocketAddr) -> Option<SocketAddr> {
        let address = self.value(line)?;
        if let Some((ip, port)) = address.text.rsplit_once(':')
            && line.args.len() == 1
            && ip.parse::<IpAddr>().is_ok()
            && address.text.parse::<IpAddr>().is_err()
        {
            self.push(
                Diagnostic::error("bad-value", format!("`{}` is no address", address.text))
                    .at(address.span, "a space stands between address and port")
                    .help(format!("write `{} {ip} {port}`", line.word.text)),
            );
            return address.text.parse().ok();
        }
        let ip = self.ip(line, address)?;
        let port = match line.args.get(1) {
            Some(port) => self.number_of(line, port, 0..=65535)?,
            None => service.port(),
        };
        Some(SocketAddr::new(ip, port))
    }

    fn scheduler(&mut self, line: &Statement) -> Option<Scheduler> {
        let names = Scheduler::KNOWN.map(|name| (name, name));
        self.choice(line, &names).map(|name| Scheduler(Arc::from(name)))
    }

    fn forwarding(&mut self, line: &Statement) -> Option<Forwarding> {
        let kind = self.choice(line, &FORWARDING);
        if let Some(extra) = line.args.get(1) {
            self.report.once("tunnel type", extra.span, || {
                Diagnostic::warning("not-yet", format!("`{}` is known, but vipward does not act on it yet", extra.text))
                    .at(extra.span, "tunnels are plain IPIP")
            });
        }
        kind
    }

    fn protocol(&mut self, line: &Statement) -> Option<Protocol> {
        self.choice(line, &[("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)])
    }

    fn persistence(&mut self, line: &Statement) -> Option<u32> {
        let Some(value) = self.value(line) else { return Some(360) };
        if value.text.parse::<u32>() == Ok(0) {
            self.push(
                Diagnostic::error("bad-value", "`persistence_timeout` can't be 0")
                    .at(value.span, "must be seconds from 1 to 2678400")
                    .help("for no persistence, delete the line"),
            );
            return None;
        }
        self.number_of(line, value, 1..=2_678_400)
    }

    fn granularity(&mut self, line: &Statement) -> Option<Ipv4Addr> {
        let value = self.value(line)?;
        let prefix = value.text.parse::<u32>().ok().filter(|prefix| (1..=32).contains(prefix));
        let mask = match prefix {
            Some(prefix) => Some(Ipv4Addr::from(u32::MAX << (32 - prefix))),
            None => value.text.parse::<Ipv4Addr>().ok().filter(|mask| {
                let mask = u32::from(*mask);
                mask != 0 && mask.leading_ones() + mask.trailing_zeros() == 32
            }),
        };
        if mask.is_none() {
            self.bad(line, value, "a netmask, such as 255.255.255.0, or a prefix length from 1 to 32");
        }
        mask
    }

    /// Words that should be there; keepalived takes something else than most people expect.
    fn unsaid(&mut self, block: &Statement, protocol: bool, scheduler: bool, kind: bool) {
        let has = |words: &[&str]| words.iter().any(|word| super::of(block.lines(), word).next().is_some());
        if !protocol && !has(&["protocol"]) {
            self.push(
                Diagnostic::error("missing-word", "this virtual server has no `protocol`")
                    .at(block.span(), "keepalived takes UDP")
                    .help("add `protocol TCP`"),
            );
        }
        if !scheduler && !has(&["lb_algo", "lvs_sched"]) {
            self.push(
                Diagnostic::warning("missing-word", "this virtual server has no `lb_algo`")
                    .at(block.span(), "wlc is taken")
                    .help("add `lb_algo wlc`, or another scheduler"),
            );
        }
        if !kind && !has(&["lb_kind", "lvs_method"]) {
            self.push(
                Diagnostic::warning("missing-word", "this virtual server has no `lb_kind`")
                    .at(block.span(), "NAT is taken")
                    .help("add `lb_kind NAT`, or DR or TUN"),
            );
        }
    }

    fn real_server(&mut self, block: &Statement, outer: &Outer) -> Option<RealServer> {
        let address = self.server_address(block, outer.address);
        let mut places = Places::default();
        places.set("", block.span());
        let mut pace = outer.pace.clone();
        let (mut weight, mut forwarding) = (outer.weight, outer.forwarding);
        let mut inhibit_on_failure = outer.inhibit_on_failure;
        let (mut upper_threshold, mut lower_threshold) = (0, 0);
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            places.set(word, line.span());
            if self.pace(line, word, &mut pace) {
                continue;
            }
            match word {
                "weight" => weight = self.number(line, 0..=65535).unwrap_or(weight),
                "lvs_method" | "lb_kind" => forwarding = self.forwarding(line).unwrap_or(forwarding),
                "inhibit_on_failure" => inhibit_on_failure = self.switch(line),
                "uthreshold" => upper_threshold = self.number(line, COUNT).unwrap_or(0),
                "lthreshold" => lower_threshold = self.number(line, COUNT).unwrap_or(0),
                // Checkers come below; the audit reports the rest.
                _ => {}
            }
        }
        let address = address?;
        if upper_threshold > 0 && lower_threshold > upper_threshold {
            self.push(
                Diagnostic::error("bad-threshold", "`lthreshold` is above `uthreshold`")
                    .at(places.of("lthreshold"), "once full, this server would flap")
                    .also(places.of("uthreshold"), "")
                    .help("use a lower `lthreshold`"),
            );
        }
        self.reachable(block, address, forwarding, outer);
        let checkers = self.checkers(block, address, &pace);
        let any = block
            .lines()
            .iter()
            .any(|line| canonical(line).is_some_and(|word| word.ends_with("_CHECK") || word.ends_with("_GET")));
        if !any {
            self.report.once("no-checker", block.span(), || {
                Diagnostic::warning("no-checker", "this real server has no checker")
                    .at(block.span(), "always counts as up, whatever happens to it")
                    .help("add `TCP_CHECK { }`, or HTTP_GET with a `url`")
            });
        }
        Some(RealServer {
            address,
            weight,
            forwarding,
            inhibit_on_failure,
            upper_threshold,
            lower_threshold,
            checkers,
            places,
        })
    }

    /// What the forwarding method can't do.
    fn reachable(&mut self, block: &Statement, address: SocketAddr, forwarding: Forwarding, outer: &Outer) {
        let port_word: Option<&Word> = block.args.get(1);
        if forwarding == Forwarding::Dr && address.port() != outer.address.port() && outer.address.port() != 0 {
            self.push(
                Diagnostic::error(
                    "dr-port",
                    format!("DR can't change the port from {} to {}", outer.address.port(), address.port()),
                )
                .at(port_word.map_or(block.span(), |word| word.span), "packets arrive with the virtual server's port")
                .help(format!("use port {} here, or `lb_kind NAT`", outer.address.port())),
            );
        }
        if address.is_ipv4() != outer.address.is_ipv4() && forwarding != Forwarding::Tun {
            self.push(
                Diagnostic::error("mixed-families", format!("{forwarding} can't turn IPv4 into IPv6 or back"))
                    .at(block.span(), format!("the virtual server is {}", outer.address.ip()))
                    .help("use an address of the same family, or `lb_kind TUN`"),
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
