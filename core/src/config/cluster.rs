//! The mistakes between the files of one cluster, which no single node can see.

use super::arithmetic::Arithmetic;
use super::model::{Config, InitialState, Transport, VirtualRouterConfig};
use crate::interface::{Family, InterfaceAddress, InterfaceName};
use crate::quantity::{Priority, Version, Vrid};
use crate::text::{Diagnostic, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One director and its configuration; [`super::Loaded::best_effort`] does where there are errors.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub name: &'a str,
    pub config: &'a Config,
}

/// Compares the nodes of one cluster. Each cause is reported once, however many nodes there are.
pub fn check(nodes: &[Node<'_>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    same_router_id(nodes, &mut found);
    let (mut arithmetic, mut leases) = (Arithmetic::new(nodes), super::coordinated::Coordinated::new(nodes));
    for group in groups(nodes) {
        if group.nodes() < 2 {
            continue;
        }
        let before = found.len();
        group.vrid(&mut found);
        // What a node says wrongly it hears about from its own file.
        if group.sound("priority") {
            group.priorities(&mut found);
            group.preemption(&mut found);
        }
        group.states(&mut found);
        if group.sound("virtual_ipaddress") {
            group.addresses(&mut found);
        }
        group.wire(&mut found);
        if ["unicast_peer", "unicast_src_ip", "mcast_src_ip", "mcast_dst_ip"].iter().all(|word| group.sound(word)) {
            group.transport(&mut found);
        }
        if group.sound("interface") {
            group.interfaces(&mut found);
        }
        leases.check(&group.0, &mut found);
        // Nodes that don't hear each other, or in the wrong order, are mended first: then other numbers may stand there.
        if !found.iter().skip(before).any(Diagnostic::is_error) {
            arithmetic.look_at(&group.0);
        }
    }
    found.extend(arithmetic.findings());
    super::director_loop::check(nodes, &mut found);
    found
}

/// One virtual router on one node.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// Of the node.
    pub(super) index: usize,
    pub(super) node: &'a str,
    pub(super) router: &'a VirtualRouterConfig,
}

impl Member<'_> {
    /// Its priority while all that it tracks is well, as far as that was understood.
    fn priority(&self) -> Priority {
        let sound = ["track_script", "track_interface"].iter().all(|word| self.router.places.sound(word));
        if sound { self.router.priority_when_well() } else { self.router.priority }
    }

    /// `100`, `100 + 20 = 120`.
    pub(super) fn priority_text(&self) -> String {
        let (configured, well) = (self.router.priority, self.priority());
        match well.get().checked_sub(configured.get()) {
            Some(0) => configured.to_string(),
            Some(more) => format!("{configured} + {more} = {well}"),
            // With `reverse`, and never in any other way.
            None => format!("{configured} - {} = {well}", configured.get().abs_diff(well.get())),
        }
    }
}

/// What is meant to be one virtual router, on all its nodes.
struct Group<'a>(Vec<Member<'a>>);

/// What two instances that are meant as one virtual router have in common. Names differ between nodes, and so may
/// anything else by mistake: one of these is enough.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Common<'a> {
    /// A link-local one with its interface.
    Address(IpAddr, Option<&'a InterfaceName>),
    Segment(Family, Vrid, &'a InterfaceName),
    Name(Family, Vrid, &'a str),
}

fn groups<'a>(nodes: &[Node<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    // Which group has what. Groups that turn out to be one are joined into the earlier; the later one stays, empty.
    let mut owner: BTreeMap<Common<'a>, usize> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for router in &node.config.routers {
            let keys = || {
                let addresses = router.addresses.iter().map(|it| Common::Address(it.address, it.segment()));
                addresses.chain([
                    Common::Segment(router.family, router.vrid, &router.interfaces.heard_on),
                    Common::Name(router.family, router.vrid, &router.name),
                ])
            };
            let mut fitting: BTreeSet<usize> = keys().filter_map(|key| owner.get(&key).copied()).collect();
            let target = fitting.pop_first().unwrap_or_else(|| {
                groups.push(Group(Vec::new()));
                groups.len() - 1
            });
            let mut members = Vec::new();
            for other in &fitting {
                members.extend(groups.get_mut(*other).map(|group| std::mem::take(&mut group.0)).unwrap_or_default());
            }
            members.push(Member { index, node: node.name, router });
            if !fitting.is_empty() {
                owner.values_mut().filter(|group| fitting.contains(group)).for_each(|group| *group = target);
            }
            owner.extend(keys().map(|key| (key, target)));
            if let Some(group) = groups.get_mut(target) {
                group.0.extend(members);
            }
        }
    }
    groups
}

fn same_router_id(nodes: &[Node<'_>], found: &mut Vec<Diagnostic>) {
    let mut by_id: BTreeMap<&str, Vec<&Node<'_>>> = BTreeMap::new();
    for node in nodes {
        if let Some(id) = &node.config.global.router_id {
            by_id.entry(id).or_default().push(node);
        }
    }
    for (id, nodes) in by_id.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
        let mut diagnostic =
            Diagnostic::info("same-router-id", format!("{} nodes call themselves `{id}`", nodes.len()));
        for node in nodes {
            diagnostic = diagnostic.at(node.config.global.places.of("router_id"), format!("on {}", node.name));
        }
        found.push(
            diagnostic
                .note("nobody can tell them apart in mails and logs")
                .help("give each node a `router_id` of its own, or delete the line: the host's name is taken then"),
        );
    }
}

impl<'a> Group<'a> {
    fn nodes(&self) -> usize {
        self.0.iter().map(|member| member.index).collect::<BTreeSet<_>>().len()
    }

    /// Whether all members give the same answer.
    fn agree<T: PartialEq>(&self, what: impl Fn(&Member<'a>) -> T) -> bool {
        let mut answers = self.0.iter().map(what);
        answers.next().is_none_or(|first| answers.all(|other| other == first))
    }

    /// Points at `word` in every member's file.
    fn labels(&self, mut diagnostic: Diagnostic, word: &str, text: impl Fn(&Member<'a>) -> String) -> Diagnostic {
        for member in &self.0 {
            diagnostic = diagnostic.at(member.router.places.of(word), format!("{}: {}", member.node, text(member)));
        }
        diagnostic
    }

    fn vrid(&self, found: &mut Vec<Diagnostic>) {
        if self.agree(|member| member.router.vrid) {
            return;
        }
        let shared = self.0.iter().flat_map(|member| &member.router.addresses).next();
        let address = shared.map_or_else(|| "the same address".to_owned(), |address| address.address.to_string());
        let diagnostic = Diagnostic::error(
            "vrid-differs",
            format!("{address} belongs to virtual routers with different virtual_router_ids"),
        );
        found.push(
            self.labels(diagnostic, "virtual_router_id", |member| format!("virtual router {}", member.router.vrid))
                .note("the nodes do not listen to each other: each becomes MASTER and holds the address")
                .help("write the same `virtual_router_id` on every node"),
        );
    }

    /// By what weights make of them while all is well.
    fn priorities(&self, found: &mut Vec<Diagnostic>) {
        let mut by_priority: BTreeMap<Priority, Vec<&Member<'a>>> = BTreeMap::new();
        for member in &self.0 {
            by_priority.entry(member.priority()).or_default().push(member);
        }
        for (priority, members) in &by_priority {
            if members.iter().map(|member| member.index).collect::<BTreeSet<_>>().len() > 1 {
                let mut diagnostic =
                    Diagnostic::warning("same-priority", format!("{} nodes have priority {priority}", members.len()));
                for member in members {
                    let weighed = member.router.priority != *priority;
                    let sum = if weighed { format!(": {}", member.priority_text()) } else { String::new() };
                    let place = member.router.places.of("priority");
                    diagnostic = diagnostic.at(place, format!("on {}{sum}", member.node));
                }
                found.push(
                    diagnostic
                        .note("the one with the greater IP address becomes MASTER")
                        .help("give each node a priority of its own"),
                );
            }
        }
        let best = |master: bool, priority: fn(&Member<'_>) -> Priority| {
            self.0.iter().filter(|member| is_master(member) == master).max_by_key(|member| priority(member))
        };
        let (Some(master), Some(backup)) = (best(true, |it| it.priority()), best(false, |it| it.priority())) else {
            return;
        };
        if backup.priority() <= master.priority() {
            return;
        }
        // Weights alone may be meant so: a script that succeeds on one node only.
        let configured = |master| best(master, |member| member.router.priority).map(|member| member.router.priority);
        let severity = if configured(false) > configured(true) { Severity::Error } else { Severity::Warning };
        let (ours, theirs) = (master.priority_text(), backup.priority_text());
        let message = format!("{} is BACKUP, but its priority is above the MASTER's", backup.node);
        found.push(
            Diagnostic::new(severity, "priority-order", message)
                .at(backup.router.places.of("priority"), format!("{}: BACKUP with {theirs}", backup.node))
                .at(master.router.places.of("priority"), format!("{}: MASTER with {ours}", master.node))
                .note(format!("the priority decides: {} takes over soon after its start", backup.node))
                .help("give the node that is to be MASTER the highest priority"),
        );
    }

    fn states(&self, found: &mut Vec<Diagnostic>) {
        let masters: Vec<_> = self.0.iter().filter(|member| is_master(member)).collect();
        if masters.len() > 1 {
            let mut diagnostic =
                Diagnostic::warning("several-masters", format!("{} nodes have `state MASTER`", masters.len()));
            for member in masters {
                diagnostic = diagnostic.at(member.router.places.of("state"), format!("on {}", member.node));
            }
            found.push(
                diagnostic
                    .note("started together, more than one may hold the address until the first adverts are heard")
                    .help("write `state BACKUP` on all but one"),
            );
        }
    }

    /// `nopreempt` works on the node that would otherwise take over. On a MASTER it is dropped, which its own file says.
    fn preemption(&self, found: &mut Vec<Diagnostic>) {
        let written = |member: &Member<'_>| member.router.places.has("nopreempt");
        let highest = self.0.iter().map(Member::priority).max();
        let works = self.0.iter().any(|member| !member.router.preemption.on && Some(member.priority()) == highest);
        if works || !self.0.iter().any(written) || self.0.iter().all(written) {
            return;
        }
        let Some(with) = self.0.iter().find(|member| written(member)) else { return };
        let mut tracked = self.0.iter().flat_map(|member| &member.router.tracking.list);
        let weighs = tracked.any(|tracked| tracked.weight.weight != 0);
        let Some(without) = self.0.iter().find(|member| !written(member)) else { return };
        found.push(
            Diagnostic::warning("nopreempt-uneven", "`nopreempt` on some nodes only, and not where it would matter")
                .at(with.router.places.of("nopreempt"), format!("{}: no effect here", with.node))
                .at(without.router.places.of(""), format!("{}: not here", without.node))
                .note("the node with the highest priority takes the address back all the same")
                .help(format!(
                    "write `state BACKUP` and `nopreempt` on every node{}",
                    if weighs { ", and `weight 0` for what they track" } else { "" }
                )),
        );
    }

    fn addresses(&self, found: &mut Vec<Diagnostic>) {
        let set = |member: &Member<'a>| -> BTreeSet<IpAddr> {
            member.router.addresses.iter().map(|address| address.address).collect()
        };
        let Some(first) = self.0.first() else { return };
        let everywhere = self.0.iter().skip(1).fold(set(first), |all, member| &all & &set(member));
        if !self.agree(set) {
            let diagnostic =
                Diagnostic::error("addresses-differ", "the nodes of one virtual router hold different addresses");
            let diagnostic = self.labels(diagnostic, "virtual_ipaddress", |member| {
                let own: Vec<_> = set(member).difference(&everywhere).map(ToString::to_string).collect();
                match own.as_slice() {
                    [] => "nothing that the others lack".to_owned(),
                    own => format!("not on every node: {}", own.join(", ")),
                }
            });
            found.push(
                diagnostic
                    .note("an address that only one node has is served only while that node is MASTER")
                    .note("keepalived drops adverts with other addresses: each node becomes MASTER")
                    .help("write the same addresses on every node"),
            );
        }
        for address in everywhere {
            self.one_address(address, found);
        }
    }

    /// The same address with another prefix or on another device.
    fn one_address(&self, address: IpAddr, found: &mut Vec<Diagnostic>) {
        let of = |member: &Member<'a>| member.router.addresses.iter().find(|other| other.address == address);
        let prefix = |member: &Member<'a>| of(member).map(|address| address.prefix_len);
        // Nodes name their interfaces as they like: what counts is whether it is the instance's own.
        let device = |member: &Member<'a>| {
            of(member).is_some_and(|address| address.interface != member.router.interfaces.heard_on)
        };
        let label = |member: &Member<'a>| {
            let address = of(member)?;
            let label = address.label.as_deref()?;
            Some(label.strip_prefix(address.interface.as_str()).unwrap_or(label).to_owned())
        };
        if self.agree(prefix) && self.agree(device) && self.agree(label) {
            return;
        }
        let diagnostic = Diagnostic::warning("address-differs", format!("{address} is not written alike on the nodes"));
        let mut diagnostic =
            self.labels(diagnostic, &address.to_string(), |member| of(member).map(describe).unwrap_or_default());
        if !self.agree(prefix) {
            diagnostic =
                diagnostic.note("the address moves with another prefix: routes to its network come and go with it");
        }
        let help = match (self.agree(prefix), self.agree(device)) {
            (false, _) => "write the same prefix on every node, that of the network",
            (true, false) => "put it on the instance's own interface on every node, or on none",
            (true, true) => "write the same label on every node, behind the interface's own name",
        };
        found.push(diagnostic.help(help));
    }

    /// What must be equal for one node to take another's adverts.
    fn wire(&self, found: &mut Vec<Diagnostic>) {
        if !self.sound("version") {
            return;
        }
        if !self.agree(|member| member.router.version) {
            let diagnostic = Diagnostic::error("version-differs", "the nodes speak different versions of VRRP");
            found.push(
                self.labels(diagnostic, "version", |member| format!("version {}", member.router.version))
                    .note("they drop each other's adverts, and each becomes MASTER")
                    .help("write the same `version` (or `vrrp_version`) on every node"),
            );
        } else if self.sound("authentication") && !self.agree(|member| (member.router.password, member.router.ah)) {
            let diagnostic = Diagnostic::error("authentication-differs", "the nodes do not authenticate alike");
            found.push(
                self.labels(diagnostic, "authentication", |member| match member.router.password {
                    Some(_) => (if member.router.ah { "by AH with this key" } else { "with this password" }).to_owned(),
                    None => "no authentication".to_owned(),
                })
                .note("they drop each other's adverts, and each becomes MASTER")
                .help(
                    "write the same `auth_type` and `auth_pass` on every node, or delete `authentication` everywhere",
                ),
            );
        }
        if self.sound("advert_int") && !self.agree(|member| member.router.adverts.interval) {
            let old = self.0.iter().any(|member| member.router.version == Version::V2);
            let (diagnostic, leads_to) = if old {
                let message = "the nodes have different `advert_int`s, which VRRPv2 forbids";
                (
                    Diagnostic::error("interval-differs", message),
                    "vipward forgives it; others drop such adverts (RFC 3768 7.1), and each node becomes MASTER",
                )
            } else {
                let message = "the nodes have different `advert_int`s";
                (
                    Diagnostic::warning("interval-differs", message),
                    "how long a takeover takes depends on who was MASTER",
                )
            };
            found.push(
                self.labels(diagnostic, "advert_int", |member| format!("every {}", member.router.adverts.interval))
                    .note(leads_to)
                    .help("write the same `advert_int` on every node"),
            );
        }
        if self.sound("down_timer_adverts") && !self.agree(|member| member.router.adverts.down_timer) {
            let diagnostic =
                Diagnostic::warning("down-timer-differs", "the nodes wait for different numbers of adverts");
            found.push(
                self.labels(diagnostic, "down_timer_adverts", |member| {
                    format!("{} adverts", member.router.adverts.down_timer)
                })
                .note("a node of lower priority may take over first")
                .help("write the same `down_timer_adverts` on every node"),
            );
        }
    }

    fn transport(&self, found: &mut Vec<Diagnostic>) {
        let unicast = |member: &Member<'a>| matches!(member.router.transport, Transport::Unicast { .. });
        if !self.agree(unicast) {
            let diagnostic =
                Diagnostic::error("unicast-differs", "some nodes send to `unicast_peer`, others by multicast");
            found.push(
                self.labels(diagnostic, "unicast_peer", |member| {
                    if unicast(member) { "unicast".to_owned() } else { "multicast".to_owned() }
                })
                .note("they never hear each other, and each becomes MASTER")
                .help("write `unicast_peer` on every node, or on none"),
            );
            return;
        }
        if !self.0.iter().any(unicast) {
            let group = |member: &Member<'a>| match &member.router.transport {
                Transport::Multicast { group } => Some(*group),
                Transport::Unicast { .. } => None,
            };
            if !self.agree(group) {
                let diagnostic = Diagnostic::error("group-differs", "the nodes use different multicast groups");
                found.push(
                    self.labels(diagnostic, "mcast_dst_ip", |member| {
                        group(member).map(|group| group.to_string()).unwrap_or_default()
                    })
                    .note("they never hear each other, and each becomes MASTER")
                    .help("write the same `vrrp_mcast_group4` (of IPv6 `vrrp_mcast_group6`) or `mcast_dst_ip` on every node"),
                );
            }
            return;
        }
        if self.same_source(found) {
            return;
        }
        for sender in &self.0 {
            let Some(source) = sender.router.source else { continue };
            for receiver in self.0.iter().filter(|receiver| receiver.index != sender.index) {
                let Transport::Unicast { peers } = &receiver.router.transport else { continue };
                if !peers.contains(&source) {
                    found.push(
                        Diagnostic::error(
                            "missing-peer",
                            format!("{} does not know {} as a peer", receiver.node, sender.node),
                        )
                        .at(
                            receiver.router.places.of("unicast_peer"),
                            format!("{}: {source} is not in this list", receiver.node),
                        )
                        .at(sender.router.places.of("unicast_src_ip"), format!("{}: sends from here", sender.node))
                        .note(format!("{} hears nothing from {} and becomes MASTER too", sender.node, receiver.node))
                        .help(format!("add {source} to `unicast_peer` on {}", receiver.node)),
                    );
                }
            }
        }
    }

    /// A file that was copied from one node to another, this line and all.
    fn same_source(&self, found: &mut Vec<Diagnostic>) -> bool {
        let mut by_source: BTreeMap<IpAddr, Vec<&Member<'a>>> = BTreeMap::new();
        for member in &self.0 {
            if let Some(source) = member.router.source {
                by_source.entry(source).or_default().push(member);
            }
        }
        let several = |members: &[&Member<'a>]| {
            members.iter().any(|member| Some(member.index) != members.first().map(|it| it.index))
        };
        let Some((source, members)) = by_source.into_iter().find(|(_, members)| several(members)) else { return false };
        let mut diagnostic =
            Diagnostic::error("same-source", format!("several nodes send their adverts from {source}"));
        for member in members {
            diagnostic = diagnostic.at(member.router.places.of("unicast_src_ip"), format!("on {}", member.node));
        }
        found.push(diagnostic.note("each takes the other's adverts for its own, and each becomes MASTER").help(
            "write each node's own address in its `unicast_src_ip`, and those of the others in its `unicast_peer`",
        ));
        true
    }

    /// Whether what all members say in `word` was understood.
    fn sound(&self, word: &str) -> bool {
        self.0.iter().all(|member| member.router.places.sound(word))
    }

    fn interfaces(&self, found: &mut Vec<Diagnostic>) {
        if !self.agree(|member| member.router.interfaces.heard_on.clone()) {
            let diagnostic = Diagnostic::info("interface-differs", "the nodes use interfaces with different names");
            found.push(
                self.labels(diagnostic, "interface", |member| member.router.interfaces.heard_on.to_string())
                    .note("fine if both are on the same segment"),
            );
        }
    }
}

fn is_master(member: &Member<'_>) -> bool {
    member.router.initial_state == InitialState::Master
}

/// `/24 on ens33, label ens33:3`.
fn describe(address: &InterfaceAddress) -> String {
    let mut text = format!("/{} on {}", address.prefix_len, address.interface);
    if let Some(label) = &address.label {
        text.push_str(&format!(", label {label}"));
    }
    text
}
