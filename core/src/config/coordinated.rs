//! Directors of one virtual router that don't take its lease from one place: two of them may own its addresses at once.

use super::cluster::{Member, Node};
use crate::lease::{Coordination, Mode, Part};
use crate::text::Diagnostic;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Looks at virtual routers, one after the other.
pub(super) struct Coordinated<'a> {
    nodes: &'a [Node<'a>],
    /// What concerns whole nodes and was said of these: a hundred virtual routers have one cause.
    said: BTreeSet<(&'static str, Vec<usize>)>,
}

impl<'a> Coordinated<'a> {
    pub(super) fn new(nodes: &'a [Node<'a>]) -> Self {
        Self { nodes, said: BTreeSet::new() }
    }

    /// Looks at one virtual router, on all its nodes.
    pub(super) fn check(&mut self, members: &[Member<'_>], found: &mut Vec<Diagnostic>) {
        let parts: Vec<Seat<'_>> = members
            .iter()
            .map(|member| {
                let coordination = self.nodes.get(member.index).and_then(|node| node.config.coordination.as_ref());
                let part = coordination.and_then(|it| it.routers.get(&member.router.name));
                Seat { member: *member, whole: coordination, lease: coordination.zip(part.copied()) }
            })
            .collect();
        let at: Vec<usize> = parts.iter().map(|seat| seat.member.index).collect();
        let mut once = |code| self.said.insert((code, at.clone()));
        let with: Vec<&Seat<'_>> = parts.iter().filter(|seat| seat.lease.is_some()).collect();
        let Some(first) = with.first() else { return };
        if with.len() < parts.len() {
            let whole = parts.iter().any(|seat| seat.whole.is_none());
            if !whole || once("lease-on-some") {
                found.push(alone(first, &parts));
            }
            return;
        }
        one_router(&parts, found);
        let mut whole = Vec::new();
        whole_nodes(&parts, &mut whole);
        found.extend(whole.into_iter().filter(|said| once(said.code)));
    }
}

/// What one virtual router says on its nodes.
fn one_router(parts: &[Seat<'_>], found: &mut Vec<Diagnostic>) {
    if !alike(parts, |seat| seat.member.router.name.clone()) {
        let said = Diagnostic::error("lease-name-differs", "one virtual router, and leases of different names")
            .note(
                "a lease is named after its `vrrp_instance`: each director takes its own, and both have the addresses",
            )
            .help("give the `vrrp_instance` the same name on all directors");
        found.push(label(said, parts, |seat| format!("`{}`", seat.member.router.name)));
    }
    if !alike(parts, |seat| seat.lease.map(|(_, part)| part.mode)) {
        let said = Diagnostic::warning("lease-mode-differs", "`fence` on some directors, `elect` on others")
            .note("the lease still lets one director at a time have the addresses; priorities don't count between the two")
            .note("as a step of a migration this is fine");
        found.push(label(said, parts, |seat| seat.mode().to_owned()));
    }
}

/// What `[coordination]` says on nodes that share a virtual router.
fn whole_nodes(parts: &[Seat<'_>], found: &mut Vec<Diagnostic>) {
    if !alike(parts, |seat| seat.service().map(|it| it.path.clone())) {
        let said = Diagnostic::error("lease-path-differs", "the directors keep the lease under different paths")
            .note("each director takes its own lease, and both have the addresses")
            .help("write the same `path` in [coordination] of every `vipward.toml`");
        found.push(label(said, parts, |seat| seat.service().map_or_else(String::new, |it| format!("`{}`", it.path))));
    } else if let Some((a, b)) = strangers(parts) {
        let said = Diagnostic::warning("lease-hosts-differ", "the directors name no server in common")
            .note("if these are not servers of one ensemble, each director takes a lease of its own")
            .help("write the same `hosts` in [coordination] of every `vipward.toml`");
        found.push(label(said, &[a, b], |seat| seat.service().map_or_else(String::new, |it| it.hosts.join(", "))));
    }
    let name = |seat: &Seat<'_>| seat.whole.map(|it| it.director.clone());
    let mut others = parts.iter().enumerate();
    let twice = others.find_map(|(at, seat)| {
        let other = parts.get(at + 1..)?.iter().find(|other| name(other) == name(seat))?;
        Some([*seat, *other])
    });
    if let Some(both) = twice {
        let spreads = both.iter().any(|seat| seat.whole.is_some_and(|it| !it.spread.is_empty()));
        let said = if spreads { Diagnostic::error } else { Diagnostic::warning };
        let said = said("lease-director-twice", "two directors call themselves the same")
            .note(if spreads {
                "spreading counts them as one: one share goes to both, and the other share to nobody but by accident"
            } else {
                "no message and no node at the service tells which of them has the addresses"
            })
            .help("give each its own `director` in [coordination]");
        found.push(label(said, &both, |seat| format!("director `{}`", name(seat).unwrap_or_default())));
    }
    let session = |seat: &Seat<'_>| seat.service().map(|it| it.session_timeout).unwrap_or_default();
    if !alike(parts, session) {
        let said = Diagnostic::info("lease-session-differs", "the directors ask for different session timeouts")
            .note("each is missed after its own when it dies, and bears a silence of the service that fits its own");
        found.push(label(said, parts, |seat| format!("{} s", session(seat).as_secs_f64())));
    }
}

/// One node's part.
#[derive(Clone, Copy)]
struct Seat<'a> {
    member: Member<'a>,
    whole: Option<&'a Coordination>,
    /// None: by VRRP alone.
    lease: Option<(&'a Coordination, Part)>,
}

impl<'a> Seat<'a> {
    fn service(&self) -> Option<&'a Arc<crate::lease::QuorumService>> {
        self.lease.map(|(coordination, _)| &coordination.service)
    }

    fn mode(&self) -> &'static str {
        match self.lease.map(|(_, part)| part.mode) {
            None | Some(Mode::Off) => "by VRRP alone",
            Some(Mode::Fence) => "`fence`",
            Some(Mode::Elect) => "`elect`",
        }
    }
}

fn alike<T: PartialEq>(seats: &[Seat<'_>], what: impl Fn(&Seat<'_>) -> T) -> bool {
    let mut answers = seats.iter().map(what);
    answers.next().is_none_or(|first| answers.all(|other| other == first))
}

fn label(mut said: Diagnostic, seats: &[Seat<'_>], text: impl Fn(&Seat<'_>) -> String) -> Diagnostic {
    for seat in seats {
        said = said.at(seat.member.router.places.of(""), format!("{}: {}", seat.member.node, text(seat)));
    }
    said
}

/// Some need the lease, others don't know of it.
fn alone(with: &Seat<'_>, seats: &[Seat<'_>]) -> Diagnostic {
    let elect = seats.iter().any(|seat| seat.lease.is_some_and(|(_, part)| part.mode == Mode::Elect));
    let said = Diagnostic::error("lease-on-some", "not every director takes the lease of this virtual router")
        .note(if elect {
            "`elect` sends no adverts and hears none: both directors have the addresses, all the time"
        } else {
            "who takes no lease has the addresses whenever it hears no MASTER: both have them when they don't hear each \
             other"
        })
        .help(format!(
            "write a `vipward.toml` beside each file, with the same `hosts` and `path` as on {}; on the way from VRRP to \
             `elect` every director goes to `fence` first, see docs/coordination.md",
            with.member.node
        ));
    label(said, seats, |seat| seat.mode().to_owned())
}

/// Two that have no server in common.
fn strangers<'a>(seats: &[Seat<'a>]) -> Option<(Seat<'a>, Seat<'a>)> {
    let hosts = |seat: &Seat<'a>| seat.service().map(|it| it.hosts.iter().collect::<BTreeSet<_>>()).unwrap_or_default();
    let (first, rest) = seats.split_first()?;
    rest.iter().find(|other| hosts(first).is_disjoint(&hosts(other))).map(|other| (*first, *other))
}
