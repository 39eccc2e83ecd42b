//! `vrrp_sync_group`: its words, and what they make of its members.

use super::Block;
use super::row::Default::{Is, Nothing, Told};
use super::row::Status::{Acted, NotYet};
use super::row::{Row, Table, command, flag, opens, row, switch};
use super::said::{self, Lower, Said};
use super::track_script::{Tracks, track};
use super::vrrp_instance_words::hook;
use crate::config::NotifyScripts;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{SyncGroup, TrackWeight, Tracked, TrackerId, VirtualRouterConfig};
use crate::quantity::Priority;
use crate::text::{Diagnostic, Span, nearest_name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const TABLE: Table<Draft> = Table { block: Block::SyncGroup, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("track_file", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let files = std::mem::take(&mut said.lower.memory.files);
        said.lower.track_files(said.line, &files, draft);
        said.lower.memory.files = files;
    }), "files that every member tracks"),
    row("track_process", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let processes = std::mem::take(&mut said.lower.memory.processes);
        said.lower.track_processes(said.line, &processes, draft);
        said.lower.memory.processes = processes;
    }), "processes that every member tracks"),
    row("track_bfd", opens(Block::Tracked), Nothing, NotYet("nothing is tracked by it"), "BFD sessions that must be up"),
    row("group", opens(Block::Lines), Nothing, Acted(|said, draft| draft.members(said)), "the members"),
    row("track_interface", opens(Block::Tracked), Nothing, Acted(|said, draft| said.lower.track_interfaces(said.line, None, draft)), "interfaces that every member tracks"),
    row("track_script", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let scripts = std::mem::take(&mut said.lower.memory.scripts);
        said.lower.track_scripts(said.line, &scripts, draft);
        said.lower.memory.scripts = scripts;
    }), "scripts that every member tracks"),
    row("notify_master", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.master)), "command when the group becomes MASTER"),
    row("notify_backup", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.backup)), "command when the group becomes BACKUP"),
    row("notify_fault", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.fault)), "command on FAULT"),
    row("notify_stop", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.stop)), "command on stop"),
    row("notify", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.any)), "command on every change; gets GROUP, the name, the role and 0"),
    row("smtp_alert", switch(), Told("`smtp_alert_vrrp` of `global_defs`, else off"), Acted(|said, draft| draft.smtp_alert = Some(said.switch())), "mail on role changes of the group"),
    row("global_tracking", flag(), Nothing, Acted(|_, draft| draft.weights = true), "older word for sync_group_tracking_weight"),
    row("sync_group_tracking_weight", flag(), Nothing, Acted(|_, draft| draft.weights = true), "weights of members' trackers count, for the whole group"),
    row("notify_priority_changes", switch(), Is("off"), Acted(|said, draft| draft.notify.priority_changes = said.switch()), "changes of every member's priority go into the notify FIFOs too"),
];

/// What stands in a group.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    members: Vec<(Arc<str>, Span)>,
    tracked: Vec<Tracked>,
    weights: bool,
    notify: NotifyScripts,
    smtp_alert: Option<bool>,
    places: Places,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

impl Tracks for Draft {
    fn tracks(&mut self) -> (&mut Vec<Tracked>, &mut Places) {
        (&mut self.tracked, &mut self.places)
    }
}

impl Draft {
    fn members(&mut self, said: &mut Said<'_, '_, '_>) {
        for name in said.line.lines().iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args)) {
            let known = said.lower.name(&name.text);
            if self.members.iter().all(|(other, _)| *other != known) {
                self.places.set(&known, name.span);
                self.members.push((known, name.span));
            }
        }
    }
}

/// Takes a group in, after all virtual routers, and puts into its members what it says of them.
pub(super) fn read(said: &mut Said<'_, '_, '_>, groups: &mut Vec<SyncGroup>, routers: &mut [VirtualRouterConfig]) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    if let Some(other) = groups.iter().find(|other| other.name == name) {
        lower.push(
            Diagnostic::error("duplicate-name", format!("two vrrp_sync_groups are called `{name}`"))
                .at(block.span(), "the second one")
                .also(other.places.of(""), "the first one")
                .help("give each a name of its own"),
        );
    }
    draft.members.retain(|(member, place)| {
        let Some(other) = groups.iter().find(|other| other.members.contains(member)) else { return true };
        lower.push(
            Diagnostic::warning("two-groups", format!("`{member}` is in two sync groups: only the first counts"))
                .at(*place, "no member of this one, as in keepalived")
                .also(other.places.of(member), format!("a member of `{}`", other.name))
                .help("delete one of them"),
        );
        false
    });
    // One that does not exist, or could not be understood: what is wrong is said elsewhere.
    draft.members.retain(|(member, _)| routers.iter().any(|router| router.name == *member));
    let places: BTreeMap<&Arc<str>, usize> =
        routers.iter().enumerate().map(|(place, router)| (&router.name, place)).collect();
    let members: Vec<usize> = draft.members.iter().filter_map(|(name, _)| places.get(name).copied()).collect();
    if members.len() > 1 {
        lower.weights(block, &draft, routers, &members);
        lower.priorities(block, routers, &members);
        lower.differing(block, routers, &members);
    }
    for place in &members {
        let Some(router) = routers.get_mut(*place) else { continue };
        router.notify.priority_changes |= draft.notify.priority_changes;
        for Tracked { what, weight } in &draft.tracked {
            let (key, own) = match what {
                TrackerId::Script(name) => (Places::tracked_script(name), false),
                TrackerId::File(name) => (Places::tracked_file(name), false),
                TrackerId::Process(name) => (Places::tracked_process(name), false),
                TrackerId::Interface(name) => (name.to_string(), *name == router.interfaces.heard_on),
            };
            // Its own interface is tracked anyway.
            if !own || weight.weight != 0 {
                router.places.set(&key, draft.places.of(&key));
                track(&mut router.tracking.list, what.clone(), *weight);
            }
        }
    }
    let members = draft.members.into_iter().map(|(name, _)| name).collect();
    let notify = NotifyScripts { mail: lower.memory.global.global.role_mails(draft.smtp_alert), ..draft.notify };
    groups.push(SyncGroup { name, members, notify, places: draft.places });
}

impl Lower<'_> {
    /// Members share one role, so a weight of one of them counts only if the group says so (keepalived 2.2.7), and then for
    /// all of them: otherwise their priorities would drift apart.
    fn weights(
        &mut self,
        group: &Statement<'_>,
        draft: &Draft,
        routers: &mut [VirtualRouterConfig],
        members: &[usize],
    ) {
        let mut all: Vec<Tracked> = Vec::new();
        let mut left_out: Vec<(Span, TrackerId, TrackWeight)> = Vec::new();
        for place in members {
            let Some(router) = routers.get_mut(*place) else { continue };
            let owner = router.priority == Priority::OWNER;
            let (weighted, fatal): (Vec<Tracked>, Vec<Tracked>) =
                std::mem::take(&mut router.tracking.list).into_iter().partition(|it| it.weight.weight != 0);
            router.tracking.list = fatal;
            for Tracked { what, weight } in weighted {
                if draft.weights {
                    track(&mut all, what, weight);
                } else if !owner {
                    let list = match &what {
                        TrackerId::Script(_) => "track_script",
                        TrackerId::Interface(_) => "track_interface",
                        TrackerId::File(_) => "track_file",
                        TrackerId::Process(_) => "track_process",
                    };
                    left_out.push((router.places.of(list), what, weight));
                }
            }
        }
        for place in members {
            let Some(router) = routers.get_mut(*place) else { continue };
            for Tracked { what, weight } in &all {
                track(&mut router.tracking.list, what.clone(), *weight);
            }
        }
        let Some((place, what, weight)) = left_out.first() else { return };
        let name = match what {
            TrackerId::Script(name) | TrackerId::File(name) | TrackerId::Process(name) => name.to_string(),
            TrackerId::Interface(name) => name.to_string(),
        };
        let diagnostic = Diagnostic::warning("group-weight", "weights of members are left out within a sync group")
            .at(*place, format!("`{name}` with weight {}", weight.weight))
            .also(group.span(), "in this group")
            .note("its failure moves nothing, as with keepalived")
            .help("write `weight 0`: a failure then means FAULT, for the whole group")
            .help("or add `sync_group_tracking_weight` to the group: it then counts for the whole group");
        self.push(match left_out.len() - 1 {
            0 => diagnostic,
            1 => diagnostic.note("and 1 more weight in this group"),
            more => diagnostic.note(format!("and {more} more weights in this group")),
        });
    }

    /// One role, so one priority: a group takes over when every member would, and that is what the lowest says.
    fn priorities(&mut self, group: &Statement<'_>, routers: &mut [VirtualRouterConfig], members: &[usize]) {
        let of = |place: &usize| routers.get(*place);
        let Some(lowest) = members.iter().filter_map(of).min_by_key(|router| router.priority) else { return };
        let Some(other) = members.iter().filter_map(of).find(|router| router.priority != lowest.priority) else {
            return;
        };
        let said = Diagnostic::warning("group-priority", "members of one sync group have different priorities")
            .at(other.places.of("priority"), format!("{}: counts as {}", other.priority, lowest.priority))
            .also(lowest.places.of("priority"), "the lowest of the group")
            .also(group.span(), "in this group")
            .note("a group has one role, and so one priority: the lowest of its members")
            .help("give all members the same priority");
        let priority = lowest.priority;
        self.push(said);
        for place in members {
            if let Some(router) = routers.get_mut(*place) {
                router.priority = priority;
            }
        }
    }

    /// What the slowest or most patient member decides for all of them.
    fn differing(&mut self, group: &Statement<'_>, routers: &[VirtualRouterConfig], members: &[usize]) {
        let all: Vec<&VirtualRouterConfig> = members.iter().filter_map(|place| routers.get(*place)).collect();
        let Some((first, rest)) = all.split_first() else { return };
        if let Some(other) = rest.iter().find(|router| router.preempts() != first.preempts()) {
            let patient = if first.preempts() { other } else { first };
            self.push(
                Diagnostic::warning("group-nopreempt", "`nopreempt` of one member counts for its whole sync group")
                    .at(patient.places.of("nopreempt"), format!("`{}` does not preempt", patient.name))
                    .also(group.span(), "so this group does not")
                    .note("a group takes over when every member would")
                    .help("write `nopreempt` in all members or in none"),
            );
        }
        if let Some(other) = rest.iter().find(|router| router.adverts.interval != first.adverts.interval) {
            let slow = if other.adverts.interval > first.adverts.interval { other } else { first };
            self.push(
                Diagnostic::info("group-interval", "members of one sync group have different advert intervals")
                    .at(slow.places.of("advert_int"), format!("`{}` waits longest for a silent MASTER", slow.name))
                    .also(group.span(), "and this group waits for it")
                    .help("write the same `advert_int` in all members"),
            );
        }
    }

    /// Groups against the names of all instances, understood or not.
    pub(super) fn groups(&mut self, root: &[Statement<'_>]) {
        let instances: BTreeSet<&str> =
            said::of(root, "vrrp_instance").filter_map(|block| block.args.first()).map(|name| &*name.text).collect();
        for group in said::of(root, "vrrp_sync_group") {
            let lists = said::of(group.lines(), "group").flat_map(|list| list.lines());
            let names: Vec<_> = lists.flat_map(|line| std::iter::once(&line.word).chain(&line.args)).collect();
            for name in names.iter().filter(|name| !instances.contains(&*name.text)) {
                let said =
                    Diagnostic::error("unknown-member", format!("there is no vrrp_instance called `{}`", name.text))
                        .at(name.span, "keepalived leaves it out: then it does not move with the others");
                self.push(match nearest_name(&name.text, instances.iter().copied()) {
                    Some(near) => said.help(format!("write `{near}`")),
                    None => said.help(format!("define `vrrp_instance {} {{ ... }}`, or delete the line", name.text)),
                });
            }
            let acts = group.lines().iter().any(|line| {
                let word = line.keyword.map_or("", |keyword| keyword.canonical());
                word.starts_with("notify") || word.starts_with("track_")
            });
            match names.len() {
                0 => self.push(
                    Diagnostic::warning("empty-group", "a sync group without members does nothing")
                        .at(group.span(), "no member")
                        .help("write the names of the members: `group { NAME NAME }`, or delete it"),
                ),
                1 if !acts => self.push(
                    Diagnostic::info("lone-group", "a sync group of one does nothing")
                        .at(group.span(), "only one member")
                        .help("delete the group"),
                ),
                _ => {}
            }
        }
    }
}
