//! What an Election answers when it is asked how it is.

use super::Election;
use crate::config::{TrackWeight, Tracked, TrackerId, Transport, VirtualRouterConfig, Weighed};
use crate::decision::Decision;
use crate::interface::{Family, InterfaceAddress, InterfaceName};
use crate::lease::Mode;
use crate::machine::{Input, InputOf};
use crate::quantity::{Role, Version};
use crate::route::{Route, VirtualRule};
use crate::status::{
    AddressStatus, ElectionStatus, HeardStatus, History, IgnoredStatus, LeaseStatus, NextStatus, PacketCounts,
    RoleCounts, RouteStatus, RouterSettings, RouterStatus, RuleStatus, Shows, Since, StaticsStatus, TrackedStatus,
    TrackerStatus, age, millis,
};
use crate::time::Instant;
use crate::vrrp::virtual_router::{Backup, Heard, State, VirtualRouter};
use crate::vrrp::{Effect, Event, Outbox};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What goes by, and is shown.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    roles: BTreeMap<Arc<str>, Since>,
    scripts: BTreeMap<Arc<str>, Since>,
    processes: BTreeMap<Arc<str>, Since>,
    packets: BTreeMap<(InterfaceName, Family, u8), PacketCounts>,
    counts: BTreeMap<Arc<str>, RoleCounts>,
}

impl Seen {
    fn counts(&mut self, datagram: &crate::datagram::Datagram) -> Option<&mut PacketCounts> {
        let vrid = *datagram.message().get(1)?;
        let key = (datagram.interface.clone(), Family::of(datagram.destination), vrid);
        // Whatever comes from outside: 256 numbers in two families on each interface that there is.
        Some(self.packets.entry(key).or_default())
    }
}

impl Shows for Election {
    type Status = ElectionStatus;
    type Seen = Seen;

    fn hears(seen: &mut Seen, input: &InputOf<Self>, _: Instant) {
        match input {
            Input::Event(Event::AdvertReceived(datagram)) => {
                if let Some(counts) = seen.counts(datagram) {
                    counts.heard += 1;
                    counts.zero_heard += u64::from(stops(datagram));
                }
            }
            Input::ConfigLoaded { config, .. } => {
                let routers: BTreeSet<&str> = config.routers.iter().map(|router| &*router.name).collect();
                let scripts: BTreeSet<&str> = config.scripts.values().map(|script| &*script.name).collect();
                seen.roles.retain(|name, _| routers.contains(&**name));
                seen.counts.retain(|name, _| routers.contains(&**name));
                seen.scripts.retain(|name, _| scripts.contains(&**name));
                seen.processes.retain(|name, _| config.processes.contains_key(name));
            }
            Input::Event(_)
            | Input::News(_)
            | Input::Failed { .. }
            | Input::Wakeup
            | Input::Stop
            | Input::HandOver
            | Input::TakeBack
            | Input::Inherited(_) => {}
        }
    }

    fn asks_for(seen: &mut Seen, outbox: &Outbox, now: Instant) {
        if outbox.says() {
            for effect in outbox.effects() {
                if let Effect::SendAdvert(datagram) = effect
                    && let Some(counts) = seen.counts(datagram)
                {
                    counts.sent += 1;
                    counts.zero_sent += u64::from(stops(datagram));
                }
            }
        }
        for decision in outbox.decisions() {
            match decision {
                Decision::RoleChanged { router, from, to, cause, .. } => {
                    let counts = seen.counts.entry(router.clone()).or_default();
                    counts.became_master += u64::from(*to == Role::Master);
                    counts.left_master += u64::from(*from == Role::Master);
                    seen.roles.insert(router.clone(), Since { at: now, why: cause.to_string() });
                }
                Decision::RoleInherited { router, .. } => {
                    let why = "taken up from the process before".to_owned();
                    seen.roles.insert(router.clone(), Since { at: now, why });
                }
                Decision::ScriptChanged { script, why, .. } => {
                    seen.scripts.insert(script.clone(), Since { at: now, why: why.clone() });
                }
                Decision::ProcessChanged { process, why, .. } => {
                    seen.processes.insert(process.clone(), Since { at: now, why: why.clone() });
                }
                // Of these nothing is shown but the sentence.
                _ => {}
            }
        }
    }

    fn status(&self, seen: &Seen, history: &History, now: Instant) -> ElectionStatus {
        let routers = self.routers.iter().enumerate();
        let trackers = self.trackers.ids().map(|what| {
            let since = match what {
                TrackerId::Script(name) => seen.scripts.get(name),
                TrackerId::Process(name) => seen.processes.get(name),
                TrackerId::Interface(_) | TrackerId::File(_) => None,
            };
            TrackerStatus {
                what: what.to_string(),
                reading: self.trackers.reading(what).to_string(),
                since_ms: since.map(|since| age(since.at, now)),
                why: since.map(|since| since.why.clone()),
            }
        });
        let ignored = self.ignored().map(|(router, reason, packets)| IgnoredStatus {
            router: router.map(|name| name.to_string()),
            reason: reason.to_owned(),
            packets,
        });
        let statics = &self.config.statics;
        ElectionStatus {
            routers: routers.map(|(place, router)| self.show(place, router, seen, now)).collect(),
            trackers: trackers.collect(),
            ignored: ignored.collect(),
            decisions: history.show(now),
            statics: StaticsStatus {
                addresses: statics.addresses.iter().map(|it| self.show_address(it)).collect(),
                routes: statics.routes.iter().map(|it| self.show_route(it)).collect(),
                rules: statics.rules.iter().map(|it| self.show_rule(it)).collect(),
            },
            dumps: self.config.global.dumps.clone(),
        }
    }
}

impl Election {
    fn show(&self, place: usize, router: &VirtualRouter, seen: &Seen, now: Instant) -> RouterStatus {
        let config = router.config();
        let since = seen.roles.get(router.name());
        let tracked = config.tracking.list.iter().map(|Tracked { what, weight }| {
            let TrackWeight { weight: points, reverse } = *weight;
            let adds = match self.trackers.weigh(what, *weight) {
                Weighed::Adds(points) => points,
                Weighed::Fault | Weighed::Unknown => 0,
            };
            let reading = self.trackers.reading(what).to_string();
            TrackedStatus { what: what.to_string(), reading, weight: points, reverse, adds }
        });
        let key = (config.interfaces.heard_on.clone(), config.family, config.vrid.get());
        RouterStatus {
            name: router.name().to_string(),
            interface: config.interfaces.heard_on.to_string(),
            vrid: config.vrid.get(),
            family: match config.family {
                Family::V4 => "IPv4".to_owned(),
                Family::V6 => "IPv6".to_owned(),
            },
            version: match config.version {
                Version::V2 => 2,
                Version::V3 => 3,
            },
            role: router.role().to_string(),
            since_ms: since.map(|since| age(since.at, now)),
            why: since.map(|since| since.why.clone()),
            priority: router.priority().get(),
            configured_priority: config.priority.get(),
            tracked: tracked.collect(),
            advert_int_ms: millis(config.adverts.interval.duration()),
            source: router.source().map(|source| source.to_string()),
            heard: match router.state() {
                State::Backup(backup) => heard(backup, now),
                State::Init | State::Master(_) | State::Fault => None,
            },
            next: next(router, now),
            addresses: router
                .addresses()
                .iter()
                .map(|it| AddressStatus { excluded: config.excluded.contains(it), ..self.show_address(it) })
                .collect(),
            packets: seen.packets.get(&key).copied().unwrap_or_default(),
            group: self.groups.name_of(place).map(|name| name.to_string()),
            lease: self.lease(router),
            routes: router.routes().iter().map(|it| self.show_route(it)).collect(),
            rules: router.rules().iter().map(|it| self.show_rule(it)).collect(),
            settings: settings(config),
            roles: seen.counts.get(router.name()).copied().unwrap_or_default(),
        }
    }

    fn show_address(&self, address: &InterfaceAddress) -> AddressStatus {
        AddressStatus {
            address: address.address.to_string(),
            prefix_len: address.prefix_len,
            interface: address.interface.to_string(),
            there: self.book.is_there(&address.key()),
            excluded: false,
            words: address.words(),
        }
    }

    fn show_route(&self, route: &Route) -> RouteStatus {
        RouteStatus { route: route.to_string(), there: self.book.routes.is_there(&route.key) }
    }

    fn show_rule(&self, rule: &VirtualRule) -> RuleStatus {
        RuleStatus { rule: rule.to_string(), there: self.book.rules.is_there(&rule.rule) }
    }

    fn lease(&self, router: &VirtualRouter) -> Option<LeaseStatus> {
        let mode = match self.leases.part(router.name())?.mode {
            Mode::Off => return None,
            Mode::Fence => "fence",
            Mode::Elect => "elect",
        };
        Some(LeaseStatus {
            mode: mode.to_owned(),
            token: self.leases.token(router.name()).map(|token| token.to_string()),
            held_by: self.leases.held_by(router.name()).map(|name| name.to_string()),
        })
    }
}

/// Its priority is 0: it is the last of a MASTER that stops (RFC 9568 5.2.4, RFC 3768 5.3.4).
fn stops(datagram: &crate::datagram::Datagram) -> bool {
    datagram.message().get(2) == Some(&0)
}

fn settings(config: &VirtualRouterConfig) -> RouterSettings {
    let garp = &config.announcements;
    RouterSettings {
        garp_delay_s: garp.delay.as_secs(),
        garp_refresh_s: garp.refresh.as_secs(),
        garp_repeat: garp.repeat,
        garp_refresh_repeat: garp.refresh_repeat,
        garp_lower_prio_delay_s: garp.lower_prio_delay.as_secs(),
        garp_lower_prio_repeat: garp.lower_prio_repeat,
        down_timer_adverts: config.adverts.down_timer,
        lower_prio_no_advert: config.adverts.lower_prio_no_advert,
        nopreempt: !config.preemption.on,
        preempt_delay_ms: millis(config.preemption.delay),
        dont_track_primary: config.interfaces.tracked.is_none(),
        skip_check_adv_addr: config.adverts.skip_check_adv_addr,
        auth_type: config.password.map(|_| if config.ah { "AH" } else { "PASS" }.to_owned()),
        unicast_peers: match &config.transport {
            Transport::Multicast { .. } => Vec::new(),
            Transport::Unicast { peers } => peers.iter().map(ToString::to_string).collect(),
        },
    }
}

fn heard(backup: &Backup, now: Instant) -> Option<HeardStatus> {
    let (source, ago_ms, priority) = match backup.heard {
        Heard::Nobody => return None,
        Heard::Active { source, at } => (source, Some(age(at, now)), None),
        Heard::Stopped { source, skew: _ } => (source, None, Some(0)),
        Heard::Lower { source, priority } => (source, None, Some(priority)),
    };
    Some(HeardStatus { source: source.to_string(), ago_ms, priority })
}

fn next(router: &VirtualRouter, now: Instant) -> Option<NextStatus> {
    use crate::machine::Reason;
    let (at, reason) = router.next()?;
    let what = match reason {
        Reason::Advertise => "advert",
        Reason::MasterDown => "takes over",
        Reason::Preempt => "preempts",
        Reason::Announce => "announces",
        // No timers of a virtual router.
        Reason::Script
        | Reason::Process
        | Reason::Probe
        | Reason::Retry
        | Reason::Reread
        | Reason::Drain
        | Reason::SlowStart
        | Reason::Keep
        | Reason::Renew
        | Reason::Lease
        | Reason::Report
        | Reason::Heartbeat => return None,
    };
    Some(NextStatus { what: what.to_owned(), in_ms: age(now, at) })
}
