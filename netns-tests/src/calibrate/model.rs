//! The case in the simulator.

use super::catalogue::Calibrated;
use std::sync::Arc;
use vipward_core::time::{Duration, Instant};
use vipward_sim::drill::{Case, Row};
use vipward_sim::runner::{Run, events};
use vipward_sim::scenario::{Action, ClientPlan, Impairment, NodeId, NodeKind, Scenario};
use vipward_sim::trace::What;

/// A case is played so often in the simulator: each time with another seed, another phase between requests and the fault, and
/// another one of what nothing shows (addresses' renewals, checkers, scripts).
const PLAYS: u32 = 16;

/// The same where packets are lost by chance.
const LOSSES: u32 = 32;

/// At so many phases of its period what looks at a service is played.
const PHASES: u32 = 8;

/// Between a director's advert and the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    pub director: NodeId,
    pub vrid: u8,
    pub after: Duration,
}

/// When the fault strikes, as one tells it in a real cluster: so long after this director's last advert. Nothing where
/// nobody advertises yet.
pub fn phase(case: &Case) -> Result<Option<Phase>, String> {
    let run = events::run(&case.scenario, None)?;
    let before = run.trace.iter().rev().filter(|entry| entry.at < case.at);
    let adverts = before.filter_map(|entry| match &entry.what {
        What::Advert { vrid, .. } => Some((entry.node?, *vrid, case.at.since(entry.at))),
        _ => None, // only adverts tell phases
    });
    // The latest of each; of several virtual routers the first one.
    let mut first: Option<Phase> = None;
    for (director, vrid, after) in adverts {
        if first.is_none_or(|first| (director, vrid) < (first.director, first.vrid)) {
            first = Some(Phase { director, vrid, after });
        }
    }
    Ok(first)
}

/// What the model says: a row for each phase and seed that the real case may have had.
pub fn model(calibrated: &Calibrated) -> Result<Vec<Row>, String> {
    let case = &calibrated.case;
    let steps = || case.scenario.steps.iter();
    let hidden = looks_every(&case.scenario).filter(|_| steps().any(|step| of_service(&step.action)));
    // From dark there is nothing whose phase could be kept.
    let advert = if cold(case) { Duration::ZERO } else { advertises_every(&case.scenario) };
    let mut rows = Vec::new();
    for play in 0..if steps().any(|step| by_chance(&step.action)) { LOSSES } else { PLAYS } {
        // A whole number of adverts later, so the phase against them stays; and what nothing shows at another one.
        let hidden = hidden.map(|period| period * (play % PHASES) / PHASES).unwrap_or_default();
        let late = asked_later(&later(case, advert * (play % 5) + hidden), |client| client.every * (play % 4) / 4);
        let run: Run = events::run(&late.scenario, Some(u64::from(play) + 1))?;
        rows.push(Row::of(&late, run));
    }
    Ok(rows)
}

/// The case with everything so much later, but for the start.
pub fn later(case: &Case, shift: Duration) -> Case {
    let mut scenario: Scenario = (*case.scenario).clone();
    scenario.steps.iter_mut().for_each(|step| step.at = step.at + shift);
    scenario.duration += shift;
    Case { at: case.at + shift, scenario: Arc::new(scenario), later: Vec::new(), ..case.clone() }
}

/// The case with clients that begin so much later.
pub fn asked_later(case: &Case, by: impl Fn(&ClientPlan) -> Duration) -> Case {
    let mut scenario: Scenario = (*case.scenario).clone();
    for node in &mut scenario.nodes {
        if let NodeKind::Client(client) = &mut node.kind {
            client.from += by(client);
        }
    }
    Case { scenario: Arc::new(scenario), ..case.clone() }
}

/// Nobody runs at first.
pub fn cold(case: &Case) -> bool {
    case.scenario.directors().all(|(_, director)| !director.starts)
}

fn by_chance(action: &Action) -> bool {
    matches!(action, Action::Impair { impairment: Impairment::Lose(_), .. })
}

/// The longest advert interval; whole milliseconds, as the simulator's time.
fn advertises_every(scenario: &Scenario) -> Duration {
    let configs = scenario.directors().filter_map(|(_, director)| director.config.config.as_deref());
    let intervals = configs.flat_map(|config| &config.routers).map(|router| router.adverts.interval.duration());
    intervals.max().unwrap_or_default()
}

fn of_service(action: &Action) -> bool {
    matches!(
        action,
        Action::Down(_)
            | Action::Up(_)
            | Action::Slow { .. }
            | Action::Status { .. }
            | Action::Hang(_)
            | Action::Flap { .. }
            | Action::Script { .. }
    )
}

/// The longest time between two looks of a checker or a script.
fn looks_every(scenario: &Scenario) -> Option<Duration> {
    let configs = scenario.directors().filter_map(|(_, director)| director.config.config.as_deref());
    let periods = configs.flat_map(|config| {
        let servers = config.services.iter().flat_map(|service| &service.real_servers);
        let checkers = servers.flat_map(|server| &server.checkers).map(|checker| checker.delay_loop);
        checkers.chain(config.scripts.values().map(|script| script.interval)).collect::<Vec<_>>()
    });
    periods.max()
}

/// The same instant in the simulator's time.
pub fn instant(since_start: Duration) -> Instant {
    Instant::ZERO + since_start
}
