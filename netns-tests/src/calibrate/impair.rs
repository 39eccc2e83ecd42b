//! Ways between machines that lose packets: rules of nftables where packets leave the switch towards a machine, by the sender's
//! Ethernet address. All change in one transaction: both directions of a way heal at once.

use super::network::{Machines, mac};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use vipward_sim::scenario::{Heal, Impairment, NodeId, Party, Scenario, SegmentId};

/// A way that is spoiled: from some to some.
#[derive(Clone, Copy, Debug)]
struct Spoiled {
    from: Party,
    to: Party,
    impairment: Impairment,
}

/// What is spoiled by now.
#[derive(Debug, Default)]
pub(super) struct Ways {
    spoiled: Vec<Spoiled>,
    /// Segments on which gratuitous ARP for these addresses is dropped. (A rule can't compare two fields of a packet.)
    garp: BTreeSet<SegmentId>,
    addresses: BTreeSet<Ipv4Addr>,
}

impl Ways {
    pub fn impair(
        &mut self,
        machines: &Machines,
        from: Party,
        to: Party,
        both: bool,
        impairment: Impairment,
    ) -> io::Result<()> {
        let whole = [from, to].iter().any(|party| matches!(party, Party::Segment(_)));
        if whole || !matches!(impairment, Impairment::Cut | Impairment::Lose(_)) {
            return Err(io::Error::other(format!("{impairment:?} from {from:?} to {to:?} can't be played here")));
        }
        self.spoiled.push(Spoiled { from, to, impairment });
        if both {
            self.spoiled.push(Spoiled { from: to, to: from, impairment });
        }
        self.write(machines)
    }

    pub fn heal(&mut self, machines: &Machines, heal: Heal) -> io::Result<()> {
        let on = |way: &Spoiled, id: NodeId| way.from == Party::Node(id) || way.to == Party::Node(id);
        self.spoiled.retain(|way| match heal {
            Heal::All => false,
            Heal::Node(id) => !on(way, id),
            Heal::Between(a, b) => !(on(way, a) && on(way, b)),
        });
        self.write(machines)
    }

    /// From now on the segment's switch drops gratuitous ARP.
    pub fn drop_garp(&mut self, machines: &Machines, scenario: &Scenario, segment: SegmentId) -> io::Result<()> {
        let configs = scenario.directors().filter_map(|(_, plan)| plan.config.config.as_deref());
        let routers = configs.flat_map(|config| &config.routers);
        for address in routers.flat_map(|router| router.addresses.iter().chain(&router.excluded)) {
            match address.address {
                IpAddr::V4(address) => _ = self.addresses.insert(address),
                IpAddr::V6(address) => return Err(io::Error::other(format!("{address}: only ARP is dropped here"))),
            }
        }
        self.garp.insert(segment);
        self.write(machines)
    }

    fn write(&self, machines: &Machines) -> io::Result<()> {
        let chains: String = (0..machines.nodes.len()).map(|at| self.chains(at, machines)).collect();
        // What is not there can't be deleted; what was just made can.
        let script = format!("table netdev ways {{ }}\ndelete table netdev ways\ntable netdev ways {{\n{chains}}}\n");
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut input) = nft.stdin.take() {
            input.write_all(script.as_bytes())?;
        }
        let said = nft.wait_with_output()?;
        match said.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("nft: {}", String::from_utf8_lossy(&said.stderr).trim()))),
        }
    }
}

impl Ways {
    /// What is dropped on its way to this node, as nftables reads it.
    fn chains(&self, at: usize, machines: &Machines) -> String {
        let garp: String = self
            .addresses
            .iter()
            .map(|ip| format!("        ether type arp arp saddr ip {ip} arp daddr ip {ip} drop\n"))
            .collect();
        let lines = lines(&self.spoiled, at, machines);
        let chain = |(number, (interface, segment)): (usize, (&String, &usize))| {
            let garp = if self.garp.contains(&SegmentId(*segment)) { garp.as_str() } else { "" };
            if lines.is_empty() && garp.is_empty() {
                return String::new();
            }
            let port = machines.port(at, interface);
            format!(
                "    chain to{at}x{number} {{\n        type filter hook egress device \"{port}\" priority 0;\n{garp}{lines}    \
                 }}\n"
            )
        };
        machines.ports[at].iter().enumerate().map(chain).collect()
    }
}

/// What of each way that is spoiled is dropped on its way to this node.
fn lines(spoiled: &[Spoiled], at: usize, machines: &Machines) -> String {
    let mut lines = String::new();
    for way in spoiled {
        let here = match way.to {
            Party::Any => true,
            Party::Node(id) => id.0 == at,
            Party::Segment(_) => false,
        };
        let sender = match way.from {
            Party::Any => String::new(),
            Party::Node(id) if here && id.0 != at => {
                let ports = machines.ports.get(id.0).map_or(0, |ports| ports.len());
                let all: Vec<String> = (0..ports).map(|port| mac(id.0, port)).collect();
                format!("ether saddr {{ {} }} ", all.join(", "))
            }
            Party::Node(_) | Party::Segment(_) => continue,
        };
        if !here {
            continue;
        }
        let _ = match way.impairment {
            Impairment::Lose(share) => writeln!(lines, "        {sender}numgen random mod 1000 < {} drop", share.0),
            _ => writeln!(lines, "        {sender}drop"),
        };
    }
    lines
}
