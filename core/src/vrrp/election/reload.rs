//! A configuration comes into force: the first one, and every other by its difference to the one before.

use super::{Election, Listener, REREAD};
use crate::command::ScriptId;
use crate::config::{
    Config, Statics, SyncGroup, TrackFile, TrackProcess, TrackerId, Transport, VirtualRouterConfig, VirtualServer,
    VrrpScript, WatchedProcess,
};
use crate::decision::{Decision, PriorityCause, RoleCause};
use crate::interface::InterfaceAddress;
use crate::quantity::{Priority, Role};
use crate::route::{Route, VirtualRule};
use crate::time::Instant;
use crate::vrrp::VirtualRouter;
use crate::vrrp::book::MOST_ADDED;
use crate::vrrp::lifetime;
use crate::vrrp::track::process::ProcessTracker;
use crate::vrrp::track::script::ScriptTracker;
use crate::vrrp::track::{Reading, interface};
use crate::vrrp::virtual_router::{Context, DecidedBy};
use crate::vrrp::{Effect, Outbox};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Election {
    /// Puts a configuration in force by its difference to the one before: removed routers go first, changed ones take
    /// the change in place, untouched ones notice nothing, new ones start.
    pub(super) fn load(&mut self, new: Arc<Config>, now: Instant, out: &mut Outbox) {
        let old = std::mem::replace(&mut self.config, new);
        let new = self.config.clone();
        announce_difference(&old, &new, out);

        self.leases.load(new.coordination.clone(), now);
        let decided_by: Vec<DecidedBy> =
            new.routers.iter().map(|config| DecidedBy::of(self.leases.part(&config.name))).collect();

        let mut before: Vec<Option<VirtualRouter>> = std::mem::take(&mut self.routers).into_iter().map(Some).collect();
        let kept: Vec<Option<VirtualRouter>> =
            new.routers.iter().zip(&decided_by).map(|(config, by)| take_same(&mut before, config, *by)).collect();
        let mut gone: Vec<VirtualRouter> = before.into_iter().flatten().collect();
        let mut ctx = Context::new(now, out, &mut self.book);
        gone.iter_mut().for_each(|router| router.resign(&mut ctx));
        gone.iter_mut().for_each(|router| router.stop(RoleCause::Reconfigured, &mut ctx));

        self.want_statics();
        self.load_scripts(&new, now);
        let watched = self.watched_processes();
        self.load_processes(&new, now, out);
        let inherited = self.inherited.take();
        if let Some(estate) = &inherited {
            self.take_up_scripts(estate, now);
            self.files.take_up(estate.files.clone());
            self.take_up_processes(estate);
        }
        if self.files.load(new.watched_files()) {
            out.push(Effect::WatchFiles(self.files.watched().to_vec()));
        }
        self.files.ask_for(new.files_of_servers());
        if self.watched_processes() != watched {
            out.push(Effect::WatchProcesses(self.watched_processes()));
        }
        self.load_trackers(&new);
        let new_ones: BTreeSet<usize> =
            kept.iter().enumerate().filter(|(_, kept)| kept.is_none()).map(|(place, _)| place).collect();
        for ((config, by), kept) in new.routers.iter().zip(decided_by).zip(kept) {
            let priority = self.trackers.priority(config);
            let router = match kept {
                Some(mut router) => {
                    let mut ctx = Context::new(now, out, &mut self.book);
                    if router.config() != config {
                        router.reconfigure(config.clone(), &mut ctx);
                    }
                    router.set_priority(priority, PriorityCause::Reload, &mut ctx);
                    router
                }
                None => {
                    self.next_id += 1;
                    VirtualRouter::new(self.next_id, config.clone(), priority, by)
                }
            };
            self.routers.push(router);
        }

        self.groups.load(&new, &self.routers);

        // The process that renewed them has died, nobody knows how long ago.
        let unrenewed = inherited.as_ref().is_some_and(|estate| !estate.handed_over);
        let took_up = inherited.is_some();
        if let Some(estate) = inherited {
            self.take_up(estate, now, out);
        }
        self.routes_configured(false, now);
        self.tell_priorities(&new_ones, out);
        // An address owner's VIPs are its own addresses by definition.
        let shared = self.routers.iter().filter(|router| router.config().priority != Priority::OWNER);
        self.book.name_vips(shared.flat_map(VirtualRouter::addresses).map(InterfaceAddress::key));
        self.book.begin(self.neighbours);
        self.book.ask_for(new.services.iter().flat_map(VirtualServer::suspended_without).collect());
        // At start what nobody wants goes before anything listens, and what was taken up comes back. At a reload it is known
        // only at the end of the event which router still wants its addresses: until then nothing is added.
        self.change(now, if took_up { MOST_ADDED } else { 0 }, out);
        self.settle_statics(now, out);
        self.load_tracked_statics();
        if old.vip.lifetime != new.vip.lifetime || unrenewed {
            out.extend(lifetime::all(&self.book).into_iter().map(|addresses| Effect::RenewAddresses { addresses }));
        }

        self.wills.extend(gone.iter().chain(&self.routers).map(VirtualRouter::id));
        self.places = self.routers.iter().enumerate().map(|(place, router)| (router.id(), place)).collect();
        self.shortest = self.routers.iter().map(VirtualRouter::interval).min();
        self.index.clear();
        for (place, router) in self.routers.iter().enumerate() {
            let key = (router.config().interfaces.heard_on.clone(), router.config().family, router.config().vrid);
            self.index.entry(key).or_default().push(place);
        }
        self.timers.reset(self.routers.len());
        self.listen(out);
        let holds = !self.routers.is_empty() || !new.statics.addresses.is_empty();
        self.reread_at = holds.then(|| self.reread_at.unwrap_or(now + REREAD));
        self.scripts.values_mut().for_each(|script| script.wake(now, out));
        self.assess(None, now, out);
        self.align_groups(now, out);
        self.leases.forget(now, out);
        self.leases.wake(now, out);
    }

    /// A virtual router that begins counts with what is known of all that it tracks: links, and scripts of a predecessor. One
    /// that goes on has told its priority.
    fn tell_priorities(&self, new_ones: &BTreeSet<usize>, out: &mut Outbox) {
        let begins =
            |(place, router): &(usize, &VirtualRouter)| new_ones.contains(place) && router.role() == Role::Init;
        for (_, router) in self.routers.iter().enumerate().filter(begins) {
            let (from, to) = (router.config().priority.get(), router.priority().get());
            if let Some(cause) = self.trackers.first_cause(router.config()).filter(|_| from != to) {
                out.decide(Decision::PriorityChanged { router: router.name().clone(), from, to, cause });
            }
        }
    }

    /// Keeps what is known of the scripts that are still tracked.
    fn load_scripts(&mut self, new: &Config, now: Instant) {
        let tracked: BTreeSet<&ScriptId> = new.routers.iter().flat_map(|router| router.tracking.scripts()).collect();
        let mut before = std::mem::take(&mut self.scripts);
        for (name, script) in new.scripts.iter().filter(|(name, _)| tracked.contains(name)) {
            let tracker = match before.remove(name) {
                Some(mut tracker) => {
                    tracker.reconfigure(script.clone(), now);
                    tracker
                }
                None => ScriptTracker::new(script.clone(), now),
            };
            self.scripts.insert(name.clone(), tracker);
        }
    }

    /// The same of processes.
    fn load_processes(&mut self, new: &Config, now: Instant, out: &mut Outbox) {
        let mut before = std::mem::take(&mut self.processes);
        for process in new.tracked_processes() {
            let tracker = match before.remove(&process.name) {
                Some(mut tracker) => {
                    tracker.reconfigure(process.clone(), now, out);
                    tracker
                }
                None => ProcessTracker::new(process.clone()),
            };
            self.processes.insert(process.name.clone(), tracker);
        }
    }

    pub(super) fn watched_processes(&self) -> Vec<WatchedProcess> {
        self.processes.values().map(ProcessTracker::watched).collect()
    }

    /// Who tracks what, and what each kind knows of it by now.
    fn load_trackers(&mut self, new: &Config) {
        self.trackers.load(new.routers.iter());
        for what in self.trackers.ids().cloned().collect::<Vec<_>>() {
            match &what {
                TrackerId::Script(name) => {
                    let Some(script) = self.scripts.get(name) else { continue };
                    self.trackers.presume(&what, script.presumed());
                    self.trackers.read(&what, script.reading());
                }
                TrackerId::File(name) => {
                    self.trackers.read(&what, self.files.reading(name));
                }
                TrackerId::Process(name) => {
                    let reading = self.processes.get(name).map_or(Reading::Unknown, ProcessTracker::reading);
                    self.trackers.read(&what, reading);
                }
                TrackerId::Interface(name) => {
                    self.trackers.read(&what, interface::reading(self.links.get(name).copied()));
                }
            }
        }
    }

    /// Joins and leaves what the configuration asks for now.
    fn listen(&mut self, out: &mut Outbox) {
        let wanted: BTreeSet<Listener> = {
            let heard = self.routers.iter().filter(|router| router.decided_by() != DecidedBy::Elected);
            heard.map(|router| listener(router.config())).collect()
        };
        let before = std::mem::replace(&mut self.listening, wanted);
        for (interface, group) in before.difference(&self.listening).cloned() {
            out.push(Effect::StopListening { interface, group });
        }
        for (interface, group) in self.listening.difference(&before).cloned() {
            if self.links.contains_key(&interface) {
                out.push(Effect::Listen { interface, group });
            }
        }
    }
}

/// What a router needs to hear.
fn listener(config: &VirtualRouterConfig) -> Listener {
    let group = match &config.transport {
        Transport::Multicast { group } => Some(*group),
        Transport::Unicast { .. } => None,
    };
    (config.interfaces.heard_on.clone(), group)
}

/// The router of this name, if it can go on with the new configuration.
fn take_same(
    before: &mut [Option<VirtualRouter>],
    config: &VirtualRouterConfig,
    decided_by: DecidedBy,
) -> Option<VirtualRouter> {
    let same = |router: &VirtualRouter| {
        *router.name() == config.name
            && router.decided_by() == decided_by
            && VirtualRouter::same_router(router.config(), config)
    };
    before.iter_mut().find(|router| router.as_ref().is_some_and(same))?.take()
}

/// Names what a configuration adds, removes and changes of the Election's.
fn announce_difference(old: &Config, new: &Config, out: &mut Outbox) {
    let (old, new) = (blocks(old), blocks(new));
    let names = |blocks: &BTreeMap<(&str, &str), Block<'_>>, pick: &dyn Fn(&(&str, &str)) -> bool| -> Vec<String> {
        let shown = |(kind, name): &(&str, &str)| format!("{kind} {name}").trim_end().to_owned();
        blocks.keys().filter(|name| pick(name)).map(shown).collect()
    };
    let added = names(&new, &|name| !old.contains_key(name));
    let removed = names(&old, &|name| !new.contains_key(name));
    let changed = names(&new, &|name| old.contains_key(name) && old.get(name) != new.get(name));
    if !(added.is_empty() && removed.is_empty() && changed.is_empty()) {
        out.decide(Decision::ConfigApplied { added, removed, changed });
    }
}

/// A block that the Election reads.
#[derive(PartialEq)]
enum Block<'a> {
    Router(&'a VirtualRouterConfig),
    Script(&'a VrrpScript),
    File(&'a TrackFile),
    Process(&'a TrackProcess),
    Group(&'a SyncGroup),
    Addresses(&'a [InterfaceAddress]),
    Routes(&'a [Route]),
    Rules(&'a [VirtualRule]),
}

fn blocks(config: &Config) -> BTreeMap<(&str, &str), Block<'_>> {
    let routers = config.routers.iter().map(|router| (("vrrp_instance", &*router.name), Block::Router(router)));
    let scripts = config.scripts.values().map(|script| (("vrrp_script", &*script.name), Block::Script(script)));
    let groups = config.groups.iter().map(|group| (("vrrp_sync_group", &*group.name), Block::Group(group)));
    let files = config.files.values().map(|file| (("track_file", &*file.name), Block::File(file)));
    let processes = config.processes.values().map(|it| (("vrrp_track_process", &*it.name), Block::Process(it)));
    let Statics { addresses, routes, rules, tracked: _, places: _ } = &config.statics;
    let statics = [
        (!addresses.is_empty()).then_some((("static_ipaddress", ""), Block::Addresses(addresses))),
        (!routes.is_empty()).then_some((("static_routes", ""), Block::Routes(routes))),
        (!rules.is_empty()).then_some((("static_rules", ""), Block::Rules(rules))),
    ];
    let statics = statics.into_iter().flatten();
    routers.chain(scripts).chain(groups).chain(files).chain(processes).chain(statics).collect()
}
