//! The findings in words, with the lines of the files.

use super::claims::Claim;
use super::mend::Mend;
use super::situation::{Failed, MOST, has};
use super::{Case, Cases};
use crate::config::cluster::Node;
use crate::config::places::Places;
use crate::config::{TrackWeight, Tracked, TrackerId};
use crate::quantity::Priority;
use crate::text::{Diagnostic, Span};

/// Trackers that one message names at most.
const MOST_NAMED: usize = 6;

/// What is said of all virtual routers with one cause.
pub(super) fn finding(nodes: &[Node<'_>], cases: &Cases<'_>) -> Diagnostic {
    let view = View { nodes, case: &cases.shown };
    let mut finding = match &cases.shown.claim {
        Claim::MovesNothing { node, tracker, peer, mend } => view.moves_nothing(*node, *tracker, *peer, *mend),
        Claim::NeedsOthers { node, tracker, peer, others, mend } => {
            view.needs_others(*node, *tracker, *peer, *others, *mend)
        }
        Claim::NoPreempt { node, tracker, peer } => view.no_preempt(*node, *tracker, *peer),
        Claim::NobodyLeft { trackers, mend } => view.nobody_left(trackers, *mend),
        Claim::MovesForNothing { from, to, what, same } => view.moves_for_nothing(*from, *to, *what, *same),
        Claim::HealthyWaits { failed, master, healthy, mend } => view.healthy_waits(failed, *master, *healthy, *mend),
        Claim::LeftOut { trackers } => view.left_out(*trackers),
    };
    let shown = view.case.trackers();
    let others: Vec<String> = cases
        .trackers
        .difference(&shown)
        .map(|(node, what)| format!("`{}` on {}", name(what), nodes.get(*node).map_or("every node", |node| node.name)))
        .collect();
    if let Some(more) = others.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        let named = others.get(..MOST_NAMED).unwrap_or_default();
        finding = finding.note(format!("the same with {}, and with {more} more", named.join(", ")));
    } else if !others.is_empty() {
        finding = finding.note(format!("the same with {}", list(&others)));
    }
    let mut routers = cases.routers.iter().filter(|(number, _)| **number != cases.shown_router).map(|(_, name)| name);
    match (routers.next(), routers.count()) {
        (None, _) => finding,
        (Some(name), 0) => finding.note(format!("and in {name}")),
        (Some(_), more) => finding.note(format!("and {} more virtual routers", more + 1)),
    }
}

struct View<'a> {
    nodes: &'a [Node<'a>],
    case: &'a Case<'a>,
}

impl View<'_> {
    fn moves_nothing(&self, node: usize, tracker: usize, peer: usize, mend: Mend) -> Diagnostic {
        let message = format!("when {}, {} keeps {}", self.fails(node, tracker), self.name(node), self.held(node));
        let finding = Diagnostic::warning("failure-moves-nothing", message);
        let finding = self.priorities(self.weight_at(finding, node, tracker), &[node, peer]);
        finding.note(self.stays_above(node, tracker, peer)).help(self.mended(node, tracker, peer, mend))
    }

    fn needs_others(&self, node: usize, tracker: usize, peer: usize, others: Failed, mend: Mend) -> Diagnostic {
        let names: Vec<String> = self.named(node, others);
        let names = if names.is_empty() || names.len() > MOST_NAMED {
            "more of its trackers fail".to_owned()
        } else {
            list(&names)
        };
        let message = format!(
            "when {}, {} keeps {} unless {names} as well",
            self.fails(node, tracker),
            self.name(node),
            self.held(node),
        );
        let finding = Diagnostic::info("failure-needs-others", message);
        let finding = self.priorities(self.weight_at(finding, node, tracker), &[node, peer]);
        finding
            .note(self.stays_above(node, tracker, peer))
            .help(format!("if it alone is to move it: {}", self.mended(node, tracker, peer, mend)))
    }

    fn no_preempt(&self, node: usize, tracker: usize, peer: usize) -> Diagnostic {
        let (ours, theirs) = (self.name(node), self.name(peer));
        let message =
            format!("when {}, {ours} keeps {}: {theirs} has `nopreempt`", self.fails(node, tracker), self.held(node));
        let mut finding = Diagnostic::warning("nopreempt-weight", message);
        if let Some(member) = self.case.member(peer) {
            let place = member.router.places.of("nopreempt");
            finding = finding.at(place, format!("{theirs}: takes nothing over from a MASTER that lives"));
        }
        let finding = self.priorities(self.weight_at(finding, node, tracker), &[node, peer]);
        let finding = if self.failing(node, tracker) < self.well(peer) {
            finding.note(format!(
                "{} is below {theirs}'s {}, but `nopreempt` leaves a MASTER of lower priority alone, as in keepalived",
                self.change(node, tracker),
                shown(self.well(peer))
            ))
        } else {
            finding.note("`nopreempt` leaves a MASTER alone whatever its priority is, as in keepalived")
        };
        finding
            .help(format!(
                "write `{}`: a failure means FAULT then, and {theirs} takes over",
                self.written(node, tracker, 0)
            ))
            .help(format!("or delete `nopreempt` on {theirs}"))
    }

    fn nobody_left(&self, trackers: &[usize], mend: Option<Mend>) -> Diagnostic {
        let tracked = |node: usize| trackers.get(node).and_then(|it| self.case.tracked(node, *it));
        let first = tracked(0);
        let shared = (0..trackers.len()).all(|node| tracked(node).map(|it| &it.what) == first.map(|it| &it.what));
        let failures: Vec<String> = trackers.iter().enumerate().map(|(node, it)| self.fails(node, *it)).collect();
        let failure = match first {
            Some(first) if shared => format!("`{}` {} on every node", name(&first.what), verb(first)),
            _ => list(&failures),
        };
        let held = self.held(0);
        let mut finding = Diagnostic::info("nobody-left", format!("when {failure}, nobody holds {held}"));
        for (node, tracker) in trackers.iter().enumerate() {
            finding =
                finding.at(self.place(node, *tracker), format!("{}: weight 0, so it means FAULT", self.name(node)));
        }
        match mend {
            Some(mend @ Mend::Weight { .. }) => finding.help(format!(
                "if they can fail together: {} on every node moves the address off one that fails, and keeps it where all do",
                write(mend)
            )),
            Some(Mend::Priority { .. } | Mend::Fault) | None => finding,
        }
    }

    fn moves_for_nothing(&self, from: usize, to: usize, what: usize, same: Option<TrackWeight>) -> Diagnostic {
        let nodes = &self.case.situation.nodes;
        let place = |node: usize| nodes.get(node).and_then(|it| it.place_of(what)).unwrap_or(0);
        let tracked = self.case.tracked(from, place(from));
        let failure = tracked.map_or_else(String::new, |it| format!("`{}` {}", name(&it.what), verb(it)));
        let message = format!(
            "when {failure} on every node, {} moves to {}, and back when that is over",
            self.held(from),
            self.name(to)
        );
        let mut finding = Diagnostic::info("failure-moves-to-and-fro", message);
        for node in 0..nodes.len() {
            finding = self.weight_at(finding, node, place(node));
        }
        let finding = finding.note(format!(
            "{} on {} is below {} on {}: nobody is better off",
            self.change(from, place(from)),
            self.name(from),
            self.change(to, place(to)),
            self.name(to)
        ));
        match same {
            Some(weight) => finding.help(format!("write `{}` on every node", weight_text(weight))),
            None => finding.help("write the same weight on every node, and the order in their priorities"),
        }
    }

    fn healthy_waits(&self, failed: &[Failed], master: usize, healthy: usize, mend: Mend) -> Diagnostic {
        let places = |node: usize| {
            let count = self.case.situation.nodes.get(node).map_or(0, |it| it.trackers.len());
            (0..count).filter(move |place| failed.get(node).is_some_and(|failed| has(*failed, *place)))
        };
        let all: Vec<(usize, usize)> =
            (0..failed.len()).flat_map(|node| places(node).map(move |place| (node, place))).collect();
        let failures: Vec<String> = all.iter().map(|(node, place)| self.fails(*node, *place)).collect();
        let (ours, theirs) = (self.name(master), self.name(healthy));
        let held = self.held(master);
        let message = format!("when {}, {ours} holds {held} although {theirs} is well", list(&failures));
        let mut finding = Diagnostic::info("healthy-node-waits", message);
        for (node, place) in &all {
            finding = self.weight_at(finding, *node, *place);
        }
        let finding = self.priorities(finding, &[master, healthy]);
        let own = failed.get(master).copied().unwrap_or(0);
        let failing = self.case.situation.nodes.get(master).and_then(|it| it.while_fails(|place| has(own, place)));
        let finding = finding.note(format!(
            "{} stays above {theirs}'s {}",
            change(self.well(master), failing),
            shown(self.well(healthy))
        ));
        match mend {
            Mend::Weight { .. } => finding.help(format!("write {} on every node", write(mend))),
            Mend::Priority { .. } | Mend::Fault => finding.help("write priorities that are closer to each other"),
        }
    }

    fn left_out(&self, trackers: usize) -> Diagnostic {
        let router = self.case.member(0).map(|member| member.router);
        let message = format!("{trackers} trackers: not every combination of failures was looked at");
        Diagnostic::info("many-trackers", message)
            .at(router.map(|it| it.places.of("")).unwrap_or_default(), "each failure alone was, and few combinations")
            .note(format!("up to {MOST} trackers every combination is"))
    }

    // Places.

    fn weight_at(&self, finding: Diagnostic, node: usize, tracker: usize) -> Diagnostic {
        let Some(tracked) = self.case.tracked(node, tracker) else { return finding };
        let text = format!("{}: {}", self.name(node), weight_text(tracked.weight));
        finding.at(self.place(node, tracker), text)
    }

    fn priorities(&self, finding: Diagnostic, nodes: &[usize]) -> Diagnostic {
        let members = nodes.iter().filter_map(|node| self.case.member(*node));
        members.fold(finding, |finding, member| {
            let place = member.router.places.of("priority");
            finding.also(place, format!("{}: priority {}", member.node, member.priority_text()))
        })
    }

    /// Where a weight was written: in the list, in the script's block, or not at all.
    fn place(&self, node: usize, tracker: usize) -> Span {
        let (Some(member), Some(tracked)) = (self.case.member(node), self.case.tracked(node, tracker)) else {
            return Span::default();
        };
        let places = &member.router.places;
        match &tracked.what {
            TrackerId::Interface(name) => places.of(name.as_str()),
            TrackerId::File(name) => {
                let own = Places::tracked_file(name);
                let file = self.nodes.get(member.index).and_then(|node| node.config.files.get(name));
                match file {
                    Some(file) if !places.has(&own) => file.places.of("weight"),
                    Some(_) | None => places.of(&own),
                }
            }
            TrackerId::Process(name) => {
                let own = Places::tracked_process(name);
                let process = self.nodes.get(member.index).and_then(|node| node.config.processes.get(name));
                match process {
                    Some(process) if !places.has(&own) => process.places.of("weight"),
                    Some(_) | None => places.of(&own),
                }
            }
            TrackerId::Script(name) => {
                let own = Places::tracked_script(name);
                let script = self.nodes.get(member.index).and_then(|node| node.config.scripts.get(name));
                match script {
                    Some(script) if !places.has(&own) => script.places.of("weight"),
                    Some(_) | None => places.of(&own),
                }
            }
        }
    }

    // Words.

    fn name(&self, node: usize) -> &str {
        self.case.member(node).map_or("", |member| member.node)
    }

    /// What a node holds: its first address.
    fn held(&self, node: usize) -> String {
        let router = self.case.member(node).map(|member| member.router);
        let first = router.and_then(|router| router.addresses.iter().chain(&router.excluded).next());
        first.map_or_else(|| router.map_or("", |router| &*router.name).to_owned(), |first| first.address.to_string())
    }

    /// `chk` fails on lb1.
    fn fails(&self, node: usize, tracker: usize) -> String {
        let Some(tracked) = self.case.tracked(node, tracker) else { return String::new() };
        format!("`{}` {} on {}", name(&tracked.what), verb(tracked), self.name(node))
    }

    /// What else fails on a node, without its name.
    fn named(&self, node: usize, failed: Failed) -> Vec<String> {
        let list = self.case.member(node).map(|member| member.router.tracking.list.as_slice()).unwrap_or_default();
        let failing = list.iter().enumerate().filter(|(place, _)| has(failed, *place));
        failing.map(|(_, tracked)| format!("`{}` {}", name(&tracked.what), verb(tracked))).collect()
    }

    fn well(&self, node: usize) -> Option<Priority> {
        self.case.situation.nodes.get(node).map(super::situation::Numbers::well)
    }

    fn failing(&self, node: usize, tracker: usize) -> Option<Priority> {
        self.case.situation.nodes.get(node)?.while_fails(|place| place == tracker)
    }

    /// `priority 110 - 5 = 105`.
    fn change(&self, node: usize, tracker: usize) -> String {
        change(self.well(node), self.failing(node, tracker))
    }

    fn stays_above(&self, node: usize, tracker: usize, peer: usize) -> String {
        let (ours, theirs) = (self.failing(node, tracker), self.well(peer));
        let (change, peer) = (self.change(node, tracker), self.name(peer));
        if ours == theirs {
            format!("{change} is {peer}'s as well, and an equal priority takes nothing over")
        } else {
            format!("{change} stays above {peer}'s {}", shown(theirs))
        }
    }

    fn mended(&self, node: usize, tracker: usize, peer: usize, mend: Mend) -> String {
        match mend {
            Mend::Weight { .. } => {
                let own = self.case.situation.nodes.get(node).and_then(|it| it.trackers.get(tracker));
                let alike = self.case.situation.nodes.iter().filter(|it| it.trackers.iter().any(|it| Some(it) == own));
                let place = if alike.count() > 1 { "on every node" } else { "" };
                format!("write {} {place}", write(mend)).trim_end().to_owned()
            }
            Mend::Priority { node, priority } => format!("write `priority {priority}` on {}", self.name(node)),
            Mend::Fault => format!(
                "write `{}`: a failure means FAULT then, and {} takes over",
                self.written(node, tracker, 0),
                self.name(peer)
            ),
        }
    }

    /// This weight, as it is written for this tracker.
    fn written(&self, node: usize, tracker: usize, weight: i16) -> String {
        let reverse = self.case.tracked(node, tracker).is_some_and(|it| it.weight.reverse);
        weight_text(TrackWeight { weight, reverse })
    }
}

fn name(what: &TrackerId) -> &str {
    match what {
        TrackerId::Script(name) | TrackerId::File(name) | TrackerId::Process(name) => name,
        TrackerId::Interface(name) => name.as_str(),
    }
}

/// What counts as its failure.
fn verb(Tracked { what, weight }: &Tracked) -> &'static str {
    match (what, weight.reverse) {
        (TrackerId::Script(_), false) => "fails",
        (TrackerId::Script(_), true) => "succeeds",
        (TrackerId::Interface(_), false) => "is down",
        (TrackerId::Interface(_), true) => "is up",
        (TrackerId::File(_), false) => "does not hold 0",
        (TrackerId::File(_), true) => "holds 0",
        (TrackerId::Process(_), false) => "does not run",
        (TrackerId::Process(_), true) => "runs",
    }
}

/// `weight -5`, `weight 20 reverse`.
fn weight_text(TrackWeight { weight, reverse }: TrackWeight) -> String {
    let reverse = if reverse { " reverse" } else { "" };
    format!("weight {weight}{reverse}")
}

/// `` `weight -11` or lower ``.
fn write(mend: Mend) -> String {
    let Mend::Weight { weight, more } = mend else { return String::new() };
    let farther = match (more, weight.weight > 0) {
        (false, _) => "",
        (true, true) => " or higher",
        (true, false) => " or lower",
    };
    format!("`{}`{farther}", weight_text(weight))
}

fn change(well: Option<Priority>, failing: Option<Priority>) -> String {
    let (Some(well), Some(failing)) = (well, failing) else { return String::new() };
    match well.get().checked_sub(failing.get()) {
        None | Some(0) => format!("priority {well}, which the weight leaves as it is,"),
        Some(less) => format!("priority {well} - {less} = {failing}"),
    }
}

fn shown(priority: Option<Priority>) -> String {
    priority.map(|priority| priority.to_string()).unwrap_or_default()
}

/// `a`, `a and b`, `a, b and c`.
fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
