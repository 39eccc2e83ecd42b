//! Faults planted around a machine: each wraps the product's own and spoils what goes in or comes out. Nothing of it is
//! in the machines themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use vipward_core::balancer::{self, Balancer};
use vipward_core::check::Verdict;
use vipward_core::command::{ScriptId, ScriptOutcome};
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::estate::{BalancerEstate, ElectionEstate};
use vipward_core::interface::{Family, InterfaceAddress, InterfaceName, Link};
use vipward_core::ipvs::{Op, ServiceKey};
use vipward_core::machine::{Input, LastWill, LeavesWill, Machine, Outbox, Output, Reason};
use vipward_core::quantity::{Priority, Role, Version};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::lifetime::RENEW;
use vipward_core::vrrp::packet::{AddressList, Advert, Authentication, wire_of};
use vipward_core::vrrp::virtual_router::State;
use vipward_core::vrrp::{self, Effect, Election, Event, intervals};
use vipward_sim::runner::events::{GuardedMachine, Make};
use vipward_sim::scenario::NodeId;

/// One kind of spoiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    AdvertsWithheld,
    AddressKept,
    SkewWithoutPriority,
    TieBreakReversed,
    PriorityZeroIgnored,
    TimerBeforePacket,
    DeleteLost,
    CheckerNeverRetries,
    StaleVerdict,
    AddressGivenUp,
    AnnounceStorm,
    RoleFlapping,
    PreemptForgotten,
    SorryServerStays,
    RoleForgotten,
    StaleEstate,
    VerdictsForgotten,
    RenewedAfterMaster,
    RenewalsWithheld,
    PasswordNotCompared,
    AddressesNotCompared,
    LinkBackUnheard,
    ScriptWellUnheard,
    RoutesKept,
    GroupsFirstAlone,
}

impl Fault {
    pub const ALL: [(Self, &'static str); 25] = [
        (Self::AdvertsWithheld, "adverts withheld while MASTER: every advert after the first is dropped"),
        (Self::AddressKept, "address kept after leaving MASTER: removals are dropped"),
        (Self::SkewWithoutPriority, "skew without priority: everybody waits as if its priority were 254"),
        (Self::TieBreakReversed, "tie-break reversed: of equal priorities the smaller address wins"),
        (Self::PriorityZeroIgnored, "priority 0 ignored: a goodbye is not heard"),
        (Self::TimerBeforePacket, "timer before packet after a freeze: overdue timers fire as if nobody had slept"),
        (Self::DeleteLost, "IPVS delete lost: a destination's removal never reaches the kernel"),
        (Self::CheckerNeverRetries, "checker that never retries: after a failed attempt there is no other"),
        (Self::StaleVerdict, "stale verdict after reload: the last verdict from before it is repeated for ever"),
        (Self::AddressGivenUp, "address removed before BACKUP: a MASTER gives it up and goes on claiming it"),
        (Self::AnnounceStorm, "announce storms: addresses are announced again with every advert"),
        (Self::RoleFlapping, "role flapping: the link seems to go down and up every five seconds"),
        (Self::PreemptForgotten, "preemption forgotten: adverts of a lower priority count as the highest"),
        (Self::SorryServerStays, "sorry server stays: it is never taken out again"),
        (Self::RoleForgotten, "role forgotten in the estate: whoever hands over as MASTER leaves no role"),
        (Self::StaleEstate, "estate of any age taken up: a MASTER's last advert always seems to have left just now"),
        (Self::VerdictsForgotten, "verdicts forgotten in the estate: every real server is up in it"),
        (Self::RenewedAfterMaster, "renewal goes on after MASTER was left: twice a second, whatever the role"),
        (Self::RenewalsWithheld, "renewals withheld: the kernel never hears of them"),
        (Self::PasswordNotCompared, "password not compared: an advert with any other is believed"),
        (Self::AddressesNotCompared, "addresses not compared: an advert without any is believed"),
        (Self::LinkBackUnheard, "recovery of a link not heard: one that was lost stays lost"),
        (Self::ScriptWellUnheard, "recovery of a script not heard: one that failed goes on failing"),
        (Self::RoutesKept, "routes kept after leaving MASTER: removals are dropped"),
        (Self::GroupsFirstAlone, "a group's first address alone: its others get no real servers"),
    ];
}

/// The product's machines with this fault around them.
impl Make for Fault {
    fn election(&self, _: NodeId) -> Box<dyn GuardedMachine<Election>> {
        Box::new(Voter::new(*self))
    }

    fn balancer(&self, _: NodeId) -> Box<dyn GuardedMachine<Balancer>> {
        Box::new(Checker::new(*self))
    }
}

/// A spoiled Election.
struct Voter {
    fault: Fault,
    inner: Election,
    /// The inner clock is ahead by that much.
    ahead: Duration,
    /// Which router was MASTER before, by VRID.
    masters: BTreeSet<u8>,
    /// Addresses to announce with the next advert.
    vips: Vec<InterfaceAddress>,
    flap_at: Option<Instant>,
    links: Vec<Link>,
    /// What was renewed last, and when it is again.
    renewed: Option<(Instant, Arc<[InterfaceAddress]>)>,
    /// Interfaces whose link was lost, and scripts that failed.
    lost: BTreeSet<InterfaceName>,
    failed: BTreeSet<ScriptId>,
}

impl Voter {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            inner: Election::default(),
            ahead: Duration::ZERO,
            masters: BTreeSet::new(),
            vips: Vec::new(),
            flap_at: None,
            links: Vec::new(),
            renewed: None,
            lost: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    /// A recovery becomes the failure once more.
    fn keep_failing(&mut self, event: &mut Event) {
        match (self.fault, event) {
            (Fault::LinkBackUnheard, Event::LinkChanged(link)) => {
                if !link.running {
                    self.lost.insert(link.name.clone());
                }
                link.running &= !self.lost.contains(&link.name);
            }
            (Fault::ScriptWellUnheard, Event::ScriptFinished { script, outcome }) => {
                if *outcome != ScriptOutcome::Exited(0) {
                    self.failed.insert(script.clone());
                } else if self.failed.contains(script) {
                    *outcome = ScriptOutcome::Exited(1);
                }
            }
            _ => {}
        }
    }

    fn master(&self, vrid: u8) -> bool {
        self.inner.routers().iter().any(|it| it.config().vrid.get() == vrid && it.role() == Role::Master)
    }

    /// How much earlier than it should the most urgent BACKUP is woken.
    fn early(&self) -> Duration {
        let best = Priority::new(254).unwrap();
        let excess = self.inner.routers().iter().filter(|it| it.role() == Role::Backup).map(|it| {
            let (version, interval) = (it.config().version, it.config().adverts.interval);
            let skew = |priority| intervals::skew_time(version, priority, interval);
            skew(it.priority()).saturating_sub(skew(best))
        });
        excess.max().unwrap_or_default()
    }

    /// What an advert is changed into; none: it is not heard.
    fn spoil(&self, datagram: Datagram) -> Option<Datagram> {
        let (source, to) = (datagram.source, datagram.destination);
        let Ok(advert) = Advert::decode(datagram.message(), source, to) else { return Some(datagram) };
        let Some(router) = self.inner.routers().iter().find(|it| it.config().vrid == advert.vrid) else {
            return Some(datagram);
        };
        let ours = router.priority().get();
        let config = router.config();
        let wire: Vec<u8> = config.addresses.iter().flat_map(|it| wire_of(it.address)).collect();
        let mut advert = advert;
        match (self.fault, config.password) {
            (Fault::PasswordNotCompared, Some(password)) => advert.authentication = Authentication::Password(password),
            (Fault::AddressesNotCompared, _) if advert.addresses.is_empty() => {
                advert.addresses = AddressList::from_wire(Family::V4, &wire);
            }
            _ => {}
        }
        let priority = match self.fault {
            Fault::PriorityZeroIgnored if advert.priority == 0 => return None,
            Fault::TieBreakReversed if advert.priority == ours && router.role() == Role::Master => {
                if router.source().is_some_and(|own| source > own) { return None } else { 255 }
            }
            Fault::PreemptForgotten if advert.priority > 0 && advert.priority < ours => 255,
            Fault::PasswordNotCompared | Fault::AddressesNotCompared => advert.priority,
            _ => return Some(datagram),
        };
        let pseudo = (advert.version == Version::V3 || advert.version == Version::V2).then_some((source, to));
        let payload = Advert { priority, ..advert }.encode(pseudo);
        Some(Datagram { payload, ..datagram })
    }
}

impl Machine for Voter {
    type Event = Event;
    type Effect = Effect;
    type Estate = ElectionEstate;

    fn handle(&mut self, input: vrrp::Input, now: Instant) -> vrrp::Outbox {
        let mut out = Outbox::default();
        let mut input = Some(input);
        match self.fault {
            Fault::SkewWithoutPriority if input == Some(Input::Wakeup) => {
                if let Some((at, Reason::MasterDown)) = self.inner.next_wakeup()
                    && at > now + self.ahead
                    && at <= now + self.ahead + self.early()
                {
                    self.ahead = at.since(now);
                }
            }
            Fault::TimerBeforePacket => {
                // Everything overdue happens at its nominal time first.
                for _ in 0..10_000 {
                    match self.inner.next_wakeup() {
                        Some((at, Reason::MasterDown | Reason::Advertise)) if at < now => {
                            out.append(self.inner.handle(Input::Wakeup, at));
                        }
                        _ => break,
                    }
                }
            }
            Fault::RoleFlapping => {
                if let Some(Input::Event(Event::LinksRead(links))) = &input {
                    self.links = links.clone();
                    self.flap_at = Some(now + Duration::from_secs(5));
                }
                if self.flap_at.is_some_and(|at| at <= now) {
                    self.flap_at = Some(now + Duration::from_secs(5));
                    for running in [false, true] {
                        for link in self.links.clone() {
                            let link = Event::LinkChanged(Link { running, ..link });
                            out.append(self.inner.handle(link.into(), now));
                        }
                    }
                }
            }
            _ => {}
        }
        if self.fault == Fault::StaleEstate
            && let Some(Input::Inherited(estate)) = &mut input
        {
            for router in &mut estate.routers {
                if let State::Master(master) = &mut router.state {
                    master.last_advert = now;
                }
            }
        }
        if let Some(Input::Event(event)) = &mut input {
            self.keep_failing(event);
        }
        if let Some(Input::Event(Event::AdvertReceived(datagram))) = input {
            input = self.spoil(datagram).map(|datagram| Event::AdvertReceived(datagram).into());
        }
        if let Some(input) = input {
            out.append(self.inner.handle(input, now + self.ahead));
        }
        let mut spoiled = Outbox::default();
        for output in out {
            if let Output::Decide(Decision::RoleChanged { vrid, from: Role::Master, .. }) = &output {
                self.masters.remove(&vrid.get());
            }
            let Output::Effect(effect) = output else {
                spoiled.put(output);
                continue;
            };
            match (&effect, self.fault) {
                (Effect::RenewAddresses { .. }, Fault::RenewalsWithheld) => continue,
                (Effect::RenewAddresses { addresses }, Fault::RenewedAfterMaster) => {
                    self.renewed = Some((now + RENEW, addresses.clone()));
                }
                (Effect::SendAdvert(advert), Fault::AdvertsWithheld) => {
                    let vrid = advert.payload.get(1).copied().unwrap_or(0);
                    if self.master(vrid) && !self.masters.insert(vrid) {
                        continue;
                    }
                }
                (Effect::SendAdvert(_), Fault::AnnounceStorm) => {
                    for vip in &self.vips {
                        let (interface, address) = (vip.interface.clone(), vip.address);
                        spoiled.push(Effect::Announce { interface, address });
                    }
                }
                (Effect::RemoveAddress(_), Fault::AddressKept) => continue,
                (Effect::RemoveRoute(_), Fault::RoutesKept) => continue,
                (Effect::AddAddress(vip), Fault::AddressGivenUp) => {
                    // Once; putting it back is not heard.
                    if !self.vips.contains(vip) {
                        self.vips.push(vip.clone());
                        spoiled.push(effect.clone());
                        spoiled.push(Effect::RemoveAddress(vip.key()));
                    }
                    continue;
                }
                (Effect::AddAddress(vip), Fault::AnnounceStorm) => self.vips.push(vip.clone()),
                (Effect::RemoveAddress(key), Fault::AnnounceStorm | Fault::AddressGivenUp) => {
                    self.vips.retain(|vip| vip.key() != *key)
                }
                _ => {}
            }
            spoiled.push(effect);
        }
        if let Some((at, addresses)) = self.renewed.as_mut().filter(|(at, _)| *at <= now) {
            *at = now + RENEW;
            spoiled.push(Effect::RenewAddresses { addresses: addresses.clone() });
        }
        spoiled
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        let (at, reason) = self.inner.next_wakeup().unzip();
        let at = at.map(|at| match (self.fault, reason) {
            (Fault::SkewWithoutPriority, Some(Reason::MasterDown)) => at - self.ahead - self.early(),
            _ => at - self.ahead,
        });
        let flap = self.flap_at.map(|at| (at, Reason::Retry));
        let renewed = self.renewed.as_ref().map(|(at, _)| (*at, Reason::Renew));
        at.zip(reason).into_iter().chain(flap).chain(renewed).min()
    }

    fn estate(&self, now: Instant) -> Option<ElectionEstate> {
        let mut estate = self.inner.estate(now + self.ahead)?;
        if self.fault == Fault::RoleForgotten {
            estate.routers.retain(|router| !matches!(router.state, State::Master(_)));
        }
        Some(estate)
    }
}

/// A spoiled Balancer.
struct Checker {
    fault: Fault,
    inner: Balancer,
    loads: u32,
    last: BTreeMap<SocketAddr, Verdict>,
    failed: BTreeSet<SocketAddr>,
    sorry: BTreeSet<SocketAddr>,
    /// The first service of each virtual server.
    firsts: BTreeSet<ServiceKey>,
}

impl Checker {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            inner: Balancer::default(),
            loads: 0,
            last: BTreeMap::new(),
            failed: BTreeSet::new(),
            sorry: BTreeSet::new(),
            firsts: BTreeSet::new(),
        }
    }
}

impl Machine for Checker {
    type Event = balancer::Event;
    type Effect = balancer::Effect;
    type Estate = BalancerEstate;

    fn handle(&mut self, mut input: balancer::Input, now: Instant) -> balancer::Outbox {
        use balancer::{Effect, Event};
        match &mut input {
            Input::ConfigLoaded { config, .. } => {
                self.loads += 1;
                let sorry = config.services.iter().filter_map(|service| service.sorry_server.as_ref());
                self.sorry = sorry.map(|sorry| sorry.address).collect();
                self.firsts = config.services.iter().filter_map(|service| service.keys().first().copied()).collect();
            }
            Input::Event(Event::ProbeFinished { probe, verdict }) => {
                if self.fault == Fault::StaleVerdict && self.loads > 1 {
                    if let Some(stale) = self.last.get(&probe.server) {
                        *verdict = stale.clone();
                    }
                } else {
                    self.last.insert(probe.server, verdict.clone());
                }
                if *verdict != Verdict::Passed {
                    self.failed.insert(probe.server);
                }
            }
            _ => {}
        }
        let loses = |effect: &Effect| match (effect, self.fault) {
            (Effect::Ipvs(Op::RemoveDestination { .. }), Fault::DeleteLost) => true,
            (Effect::Ipvs(Op::RemoveDestination { address, .. }), Fault::SorryServerStays) => {
                self.sorry.contains(address)
            }
            (Effect::StartProbe { id, .. }, Fault::CheckerNeverRetries) => self.failed.contains(&id.server),
            (Effect::Ipvs(Op::AddDestination { service, .. }), Fault::GroupsFirstAlone) => {
                !self.firsts.contains(service)
            }
            _ => false,
        };
        let effects = self.inner.handle(input, now).into_iter();
        effects.filter(|output| !matches!(output, Output::Effect(effect) if loses(effect))).collect()
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.inner.next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<BalancerEstate> {
        let mut estate = self.inner.estate(now)?;
        if self.fault == Fault::VerdictsForgotten {
            let servers = estate.services.iter_mut().flat_map(|service| &mut service.servers);
            servers.flat_map(|server| &mut server.checkers).for_each(|checker| checker.up = true);
        }
        Some(estate)
    }
}

impl LeavesWill for Voter {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.inner.changed_shares()
    }
}

impl LeavesWill for Checker {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.inner.changed_shares()
    }
}
