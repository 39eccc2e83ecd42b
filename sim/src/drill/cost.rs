//! What a fault costs clients by the protocol and by what the files say, whoever implements it: nobody can know that a MASTER
//! is dead before Master_Down_Interval is over (RFC 9568 6.1), nor that a real server is before its checker has spent its
//! tries. What clients notice beyond that is a finding.

use super::pace::{LONGEST, Pace};
use crate::scenario::{Action, Impairment, NodeId, NodeKind, Party, Scenario};
use std::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How long requests may fail.
    pub failing: Duration,
    /// How long an address may have two owners.
    pub two_owners: Duration,
}

/// One hears the other, and yields.
const HANDOVER: Duration = Duration::from_secs(1);

/// The kernel of a director that does not run keeps an address for as long at the longest, unless `[vip] lease` is off.
const LIFETIME: Duration = Duration::from_millis(3_100);

/// Clients ask ten times a second or less often, and a director has its turn.
const MARGIN: Duration = Duration::from_millis(500);

impl Cost {
    pub(super) fn of(scenario: &Scenario, pace: &Pace) -> Self {
        let mut cost = Self { failing: Duration::ZERO, two_owners: HANDOVER };
        let takeover = pace.takeover + pace.interval + MARGIN;
        let dark = scenario.directors().any(|(_, director)| !director.starts);
        if dark {
            cost.failing = pace.settle + MARGIN;
        }
        let directors = scenario.directors().count();
        let lasts = match (scenario.steps.first(), scenario.steps.last()) {
            (Some(first), Some(last)) => last.at.since(first.at),
            _ => Duration::ZERO,
        };
        for step in &scenario.steps {
            let failing = match &step.action {
                Action::Impair { impairment: Impairment::Cut, from, to, .. } => {
                    let director = |party: &Party| match party {
                        Party::Node(id) => id.0 < directors,
                        Party::Any => true,
                        Party::Segment(_) => false,
                    };
                    if director(from) && director(to) {
                        // Each of them is MASTER until they hear each other again.
                        cost.two_owners = cost.two_owners.max(lasts + takeover);
                    }
                    match (from, to) {
                        // Who hears nobody takes every address, says so, and serves nobody.
                        (Party::Any, Party::Node(_)) => lasts + takeover,
                        _ => takeover,
                    }
                }
                // Whoever loses packets loses requests.
                Action::Impair { .. } => lasts + takeover,
                Action::Down(who) | Action::Hang(who) | Action::Slow { who, .. } | Action::Status { who, .. }
                    if who.node.0 >= directors =>
                {
                    match down_together(scenario, directors) {
                        // Nobody can serve until one is up, and that has to be seen.
                        true => lasts + pace.seen + MARGIN,
                        false => pace.seen + MARGIN,
                    }
                }
                Action::Flap { who, .. } if who.node.0 >= directors => lasts + pace.seen + MARGIN,
                // A service of the director's own: its script has to see it, and the other one to take over.
                Action::Flap { who, .. } => lasts + seen(scenario, who.node) + takeover,
                Action::Down(who) | Action::Hang(who) | Action::Slow { who, .. } | Action::Status { who, .. } => {
                    seen(scenario, who.node) + takeover
                }
                Action::Kill(_) | Action::Freeze(_) => {
                    cost.two_owners = cost.two_owners.max(LIFETIME);
                    takeover
                }
                // Whoever stops says so: the next one waits for Skew_Time alone.
                Action::Stop(_) => pace.skew + MARGIN,
                // What mends costs nothing beyond what the fault did.
                Action::Start(_) | Action::Resume(_) | Action::Plug { .. } | Action::Heal(_) | Action::Up(_) => {
                    Duration::ZERO
                }
                _ => takeover,
            };
            cost.failing = cost.failing.max(failing);
        }
        cost
    }
}

/// Every real server fails, and somebody answers for none of them.
fn down_together(scenario: &Scenario, directors: usize) -> bool {
    let servers = scenario.nodes.iter().filter(|node| matches!(node.kind, NodeKind::RealServer(_))).count();
    let fail = scenario.steps.iter().filter(|step| match &step.action {
        Action::Down(who) | Action::Hang(who) | Action::Slow { who, .. } | Action::Status { who, .. } => {
            who.node.0 >= directors
        }
        _ => false,
    });
    fail.count() >= servers
}

/// How long the slowest script of a director needs to see that what it checks fails.
fn seen(scenario: &Scenario, id: NodeId) -> Duration {
    let NodeKind::Director(director) = &scenario.node(id).kind else { return Duration::ZERO };
    let scripts = director.config.config.iter().flat_map(|config| config.scripts.values());
    let each = scripts.map(|script| script.interval.saturating_mul(script.fall + 1).saturating_add(script.timeout));
    each.max().unwrap_or_default().min(LONGEST)
}
