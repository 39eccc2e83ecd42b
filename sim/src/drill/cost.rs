//! What a fault costs clients by the protocol and by what the files say, whoever implements it: nobody can know that a MASTER
//! is dead before Master_Down_Interval is over (RFC 9568 6.1), nor that a real server is before its checker has spent its
//! tries. Where leases decide, nobody may have an address before the session of whoever had it is over, nor, with `on_loss =
//! "release"`, while the quorum service can't be asked. What clients notice beyond that is a finding.

use super::pace::{LONGEST, Pace};
use super::quorum;
use crate::scenario::{Action, Impairment, NodeId, NodeKind, Party, Scenario};
use crate::world::neighbours::LONGEST_BELIEF;
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

/// The kernel of a director that does not run keeps an address for as long at the longest, unless `[vip] lifetime` is off.
const LIFETIME: Duration = Duration::from_millis(3_100);

/// Clients ask ten times a second or less often, and a director has its turn.
const MARGIN: Duration = Duration::from_millis(500);

impl Cost {
    pub(super) fn of(scenario: &Scenario, pace: &Pace) -> Self {
        let exclusive = pace.leases.is_some_and(|leases| leases.exclusive);
        let mut cost = Self { failing: Duration::ZERO, two_owners: if exclusive { Duration::ZERO } else { HANDOVER } };
        if scenario.directors().any(|(_, director)| !director.starts) {
            cost.failing = pace.settle + MARGIN;
        }
        let lasts = match (scenario.steps.first(), scenario.steps.last()) {
            (Some(first), Some(last)) => last.at.since(first.at),
            _ => Duration::ZERO,
        };
        let prices = Prices { scenario, pace, directors: scenario.directors().count(), lasts };
        for step in &scenario.steps {
            cost.failing = cost.failing.max(prices.failing(&step.action));
            // The lease is one director's.
            if !exclusive {
                cost.two_owners = cost.two_owners.max(prices.two_owners(&step.action));
            }
        }
        cost
    }
}

/// What each step costs.
struct Prices<'a> {
    scenario: &'a Scenario,
    pace: &'a Pace,
    directors: usize,
    /// From the first step to the last one.
    lasts: Duration,
}

impl Prices<'_> {
    /// Until another one has what a director has given up.
    fn takeover(&self) -> Duration {
        self.pace.takeover + self.pace.interval + MARGIN
    }

    /// Until another one has what a director had that says nothing any more.
    fn lost(&self) -> Duration {
        self.takeover() + self.pace.lease_ends()
    }

    fn failing(&self, action: &Action) -> Duration {
        let lasts = self.lasts;
        match action {
            Action::Impair { impairment: Impairment::Cut, from, to, .. } => self.cut(from, to),
            // Whoever loses packets loses requests.
            Action::Impair { .. } => lasts + self.lost(),
            Action::Down(who) | Action::Hang(who) | Action::Slow { who, .. } | Action::Status { who, .. }
                if who.node.0 >= self.directors =>
            {
                match down_together(self.scenario, self.directors) {
                    // Nobody can serve until one is up, and that has to be seen.
                    true => lasts + self.pace.seen + MARGIN,
                    false => self.pace.seen + MARGIN,
                }
            }
            Action::Flap { who, .. } if who.node.0 >= self.directors => lasts + self.pace.seen + MARGIN,
            // A service of the director's own: its script has to see it, and the other one to take over.
            Action::Flap { who, .. } => lasts + seen(self.scenario, who.node) + self.takeover(),
            Action::Down(who) | Action::Hang(who) | Action::Slow { who, .. } | Action::Status { who, .. } => {
                seen(self.scenario, who.node) + self.takeover()
            }
            Action::Freeze(id) if quorum::node(self.scenario) == Some(*id) => self.quorum_away(),
            // A session is to bear these.
            Action::LeaderChange { .. } | Action::ServerDies(_) => Duration::ZERO,
            // Whoever stops says so: the next one waits for Skew_Time alone.
            Action::Stop(_) => self.pace.skew + MARGIN,
            // Whoever has an entry believes it as long as that, beyond what the director's own end costs.
            Action::DropGarp(_) => self.lost() + LONGEST_BELIEF,
            // It gives away what it has.
            Action::Script { .. } | Action::File { .. } => self.takeover(),
            Action::Process { node, .. } => seen(self.scenario, *node) + self.takeover(),
            // What mends costs nothing beyond what the fault did.
            Action::Start(_) | Action::Resume(_) | Action::Plug { .. } | Action::Heal(_) | Action::Up(_) => {
                Duration::ZERO
            }
            _ => self.lost(),
        }
    }

    fn cut(&self, from: &Party, to: &Party) -> Duration {
        let exclusive = self.pace.leases.is_some_and(|leases| leases.exclusive);
        match (from, to) {
            // The lease stays where it is.
            (Party::Node(from), Party::Node(to)) if exclusive && from.0 < self.directors && to.0 < self.directors => {
                Duration::ZERO
            }
            // Who hears nobody takes every address, says so, and serves nobody.
            (Party::Any, Party::Node(_)) if !exclusive => self.lasts + self.lost(),
            _ => self.lost(),
        }
    }

    /// While the quorum service answers nobody, and until directors have found it again.
    fn quorum_away(&self) -> Duration {
        let dark = self.scenario.directors().any(|(_, director)| !director.starts);
        match self.pace.leases {
            Some(leases) if leases.released || (dark && leases.needed) => self.lasts + leases.found + self.takeover(),
            // With `on_loss = "keep"` a director waits for a session timeout before it begins without the service.
            Some(leases) if dark => leases.session + leases.found + self.takeover(),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn two_owners(&self, action: &Action) -> Duration {
        let director = |party: &Party| match party {
            Party::Node(id) => id.0 < self.directors,
            Party::Any => true,
            Party::Segment(_) => false,
        };
        match action {
            // Each of them is MASTER until they hear each other again.
            Action::Impair { impairment: Impairment::Cut, from, to, .. } if director(from) && director(to) => {
                self.lasts + self.takeover()
            }
            Action::Kill(_) | Action::Freeze(_) => LIFETIME,
            _ => Duration::ZERO,
        }
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

/// How long the slowest script or process of a director needs to say that what it is about fails.
fn seen(scenario: &Scenario, id: NodeId) -> Duration {
    let NodeKind::Director(director) = &scenario.node(id).kind else { return Duration::ZERO };
    let scripts = director.config.config.iter().flat_map(|config| config.scripts.values());
    let each = scripts.map(|script| script.interval.saturating_mul(script.fall + 1).saturating_add(script.timeout));
    let processes = director.config.config.iter().flat_map(|config| config.processes.values());
    let delays = processes.map(|process| process.fork_delay.max(process.terminate_delay));
    each.chain(delays).max().unwrap_or_default().min(LONGEST)
}
