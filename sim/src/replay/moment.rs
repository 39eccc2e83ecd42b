//! A moment explained: of each virtual router, who had it, since when and why, and what would have happened next.

use super::check::walk;
use super::explain::{Change, Known, causes};
use super::lane::{Chain, Lane, lanes};
use super::track::Track;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::quantity::Role;
use vipward_core::record::MachineName;
use vipward_core::time::Instant;
use vipward_core::vrrp::virtual_router::State;

/// What one director had of one virtual router.
struct Had {
    director: String,
    role: Role,
    /// Since when and why, if that is recorded.
    since: Option<(Instant, String)>,
    /// The chain of causes of the change to this role.
    causes: String,
    /// When it takes over if it hears nothing more.
    takes_over: Option<Instant>,
}

/// The answer for this moment of the common timeline.
pub fn explain(tracks: &[Track], moment: Instant) -> String {
    let lanes = lanes(tracks);
    let mut routers: BTreeMap<Arc<str>, Vec<Had>> = BTreeMap::new();
    let mut text = String::new();
    for lane in &lanes {
        match lane.at(moment) {
            Some(chain) => of_chain(&lanes, lane, chain, moment, &mut routers),
            None => _ = writeln!(text, "{}: no process of it is recorded at {moment} s", lane.name),
        }
    }
    for (router, had) in routers {
        let masters: Vec<&Had> = had.iter().filter(|had| had.role == Role::Master).collect();
        let who = match &masters[..] {
            [] => "nobody".to_owned(),
            all => all.iter().map(|had| had.director.as_str()).collect::<Vec<_>>().join(" and "),
        };
        let _ = writeln!(text, "{router} at {moment} s: {who} had it");
        for one in &had {
            let _ = match &one.since {
                Some((since, why)) => {
                    writeln!(text, "  {}: {} since {since} s: {why}", one.director, one.role)
                }
                None => writeln!(text, "  {}: {} since before the record begins", one.director, one.role),
            };
            // The first two lines say the same as this one.
            one.causes.lines().skip(2).for_each(|line| _ = writeln!(text, "  {line}"));
        }
        let next = had.iter().filter_map(|had| Some((had.takes_over?, &had.director))).min();
        if let Some((at, director)) = next {
            let _ = writeln!(text, "  otherwise: without another advert {director} takes over at {at} s");
        }
    }
    if text.is_empty() {
        text.push_str("no virtual router is known at this moment\n");
    }
    text.push_str("to leave out what was heard: --what-if \"without DIRECTOR's advert at TIME\"\n");
    text
}

fn of_chain(
    lanes: &[Lane<'_>],
    lane: &Lane<'_>,
    chain: &Chain<'_>,
    moment: Instant,
    routers: &mut BTreeMap<Arc<str>, Vec<Had>>,
) {
    let acting = chain.acting(MachineName::Election, moment);
    let mut known = Known::default();
    let mut why: BTreeMap<Arc<str>, String> = BTreeMap::new();
    let mut now: BTreeMap<Arc<str>, (Role, Option<Instant>)> = BTreeMap::new();
    for run in chain.runs() {
        let mut seen = false;
        walk(run, |step| {
            let later = run.common(step.step.at()) > moment;
            if !seen && run.run == acting.run && (later || now.is_empty()) {
                seen = later;
                for router in step.machines.election.iter().flat_map(|election| election.routers()) {
                    let down = match router.state() {
                        State::Backup(backup) => Some(run.common(backup.down_at)),
                        State::Master(_) | State::Init | State::Fault => None,
                    };
                    now.insert(router.name().clone(), (router.role(), down));
                }
            }
            if later {
                return;
            }
            for decision in step.step.decisions() {
                if let Decision::RoleChanged { router, vrid, from, to, cause } = decision {
                    let change = Change { router, vrid: vrid.get(), from: *from, to: *to, cause };
                    why.insert(router.clone(), causes(lanes, run, &known, step, &change));
                }
            }
            known.learn(run, step.step);
        });
    }
    for (router, (role, takes_over)) in now {
        // Where nothing is recorded after this moment, the last decision is what is known.
        let since = known.roles.get(&router);
        let role = since.map_or(role, |(_, role, _)| *role);
        let had = Had {
            director: lane.name.to_owned(),
            role,
            since: since.map(|(at, _, why)| (*at, why.clone())),
            causes: why.remove(&router).unwrap_or_default(),
            takes_over: takes_over.filter(|at| role == Role::Backup && *at >= moment),
        };
        routers.entry(router).or_default().push(had);
    }
}
