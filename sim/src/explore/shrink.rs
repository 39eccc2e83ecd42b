//! From a case that fails to a small one that fails by the same invariant: first fewer faults (delta debugging, Zeller and
//! Hildebrandt 2002), then less cluster, round and round until nothing can be left out.

use super::case::{Case, Ground};
use super::draft::Draft;
use crate::invariants::Violation;
use crate::runner::events::Make;

/// Runs after which what is left counts as small enough.
const MOST_RUNS: u32 = 2_000;

/// The smallest case found, and what breaks in it.
pub fn shrink(case: Case, violation: Violation, make: &dyn Make) -> (Case, Violation) {
    let mut shrinker = Shrinker { best: case, violation, make, left: MOST_RUNS };
    loop {
        let runs = shrinker.left;
        let before = shrinker.size();
        shrinker.cut_the_end();
        shrinker.fewer_faults();
        shrinker.less_cluster();
        if shrinker.size() == before || shrinker.left == 0 || shrinker.left == runs {
            return (shrinker.best, shrinker.violation);
        }
    }
}

struct Shrinker<'a> {
    best: Case,
    violation: Violation,
    make: &'a dyn Make,
    left: u32,
}

impl Shrinker<'_> {
    /// Keeps a candidate that fails in the same way.
    fn keep(&mut self, candidate: Case) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        match candidate.run(self.make) {
            Ok(Some(violation)) if violation.invariant == self.violation.invariant => {
                self.violation = violation;
                self.best = candidate;
                true
            }
            // What can't be read or never rests is another failure.
            Ok(_) | Err(_) => false,
        }
    }

    fn size(&self) -> (usize, usize, u64) {
        let cluster = match &self.best.ground {
            Ground::Drawn(draft) => simpler(draft).len(),
            Ground::Given(_) => 0,
        };
        (self.best.lines.len(), cluster, self.best.seconds)
    }

    /// Nothing after the break matters.
    fn cut_the_end(&mut self) {
        let seconds = self.violation.at.as_nanos().div_ceil(1_000_000_000) + 1;
        if seconds < self.best.seconds {
            let mut candidate = Case { seconds, ..self.best.clone() };
            candidate.lines.retain(|line| line.at <= seconds * 1000);
            self.keep(candidate);
        }
    }

    /// Leaves out halves, quarters, eighths of the faults, down to single ones.
    fn fewer_faults(&mut self) {
        let mut chunk = self.best.lines.len().div_ceil(2);
        while chunk > 0 && self.left > 0 {
            let mut at = 0;
            let mut any = false;
            while at < self.best.lines.len() {
                let mut candidate = self.best.clone();
                let end = (at + chunk).min(candidate.lines.len());
                candidate.lines.drain(at..end);
                if self.keep(candidate) {
                    any = true;
                } else {
                    at += chunk;
                }
            }
            if chunk == 1 && !any {
                break;
            }
            if !any || chunk > 1 {
                chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
            }
        }
    }

    fn less_cluster(&mut self) {
        let mut at = 0;
        while let Ground::Drawn(draft) = &self.best.ground {
            let Some((draft, gone)) = simpler(draft).into_iter().nth(at) else { break };
            let mut candidate = Case { ground: Ground::Drawn(draft), ..self.best.clone() };
            candidate.lines.retain(|line| !gone.iter().any(|name| line.what.contains(name.as_str())));
            if !self.keep(candidate) {
                at += 1;
            }
            if self.left == 0 {
                break;
            }
        }
    }
}

/// Every draft that has one thing less, and the words that a step may not mention then.
fn simpler(draft: &Draft) -> Vec<(Draft, Vec<String>)> {
    let mut found = Vec::new();
    let mut push = |gone: Vec<String>, change: &dyn Fn(&mut Draft)| {
        let mut smaller = draft.clone();
        change(&mut smaller);
        found.push((smaller, gone));
    };
    for (at, director) in draft.directors.iter().enumerate().filter(|_| draft.directors.len() > 1) {
        let gone = ["\"", ":"].map(|end| format!("\"lb{}{end}", director.number));
        push(gone.into(), &|it| drop(it.directors.remove(at)));
    }
    for (at, router) in draft.routers.iter().enumerate().filter(|_| draft.routers.len() > 1) {
        let served = |vip: u8| router.vips.contains(&vip);
        if !draft.services.iter().any(|service| served(service.vip)) && !draft.clients.iter().any(|it| served(it.vip)) {
            let gone = router.vips.iter().map(|vip| format!("\"192.0.2.{vip}\"")).chain([router.route()]).collect();
            push(gone, &|it| drop(it.routers.remove(at)));
        }
    }
    for (at, service) in draft.services.iter().enumerate() {
        let gone = service.servers.iter().map(|server| format!("\"web{}\"", server.number)).collect();
        push(gone, &|it| drop(it.services.remove(at)));
        if service.group {
            push(Vec::new(), &|it| it.services.iter_mut().skip(at).take(1).for_each(|it| it.group = false));
        }
        for (place, server) in service.servers.iter().enumerate().filter(|_| service.servers.len() > 1) {
            push(vec![format!("\"web{}\"", server.number)], &|it| {
                it.services.iter_mut().skip(at).take(1).for_each(|service| {
                    service.servers.remove(place);
                });
            });
        }
    }
    // The last one first: the others keep their names.
    for (at, client) in draft.clients.iter().enumerate().rev() {
        if at + 1 == draft.clients.len() {
            push(vec![format!("\"visitor{}\"", at + 1)], &|it| _ = it.clients.pop());
        }
        if client.keeps > 0 {
            push(Vec::new(), &|it| it.clients.iter_mut().skip(at).take(1).for_each(|it| it.keeps = 0));
        }
    }
    for (at, director) in draft.directors.iter().enumerate() {
        if director.drift != 0 {
            push(Vec::new(), &|it| it.directors.iter_mut().skip(at).take(1).for_each(|it| it.drift = 0));
        }
        if director.script.is_some() {
            let name = format!("on = \"lb{}\", exits", director.number);
            push(vec![name], &|it| it.directors.iter_mut().skip(at).take(1).for_each(|it| it.script = None));
        }
        if director.file.is_some() {
            let name = format!("on = \"lb{}\", holds", director.number);
            push(vec![name], &|it| it.directors.iter_mut().skip(at).take(1).for_each(|it| it.file = None));
        }
        if director.process.is_some() {
            let name = format!("on = \"lb{}\", runs", director.number);
            push(vec![name], &|it| it.directors.iter_mut().skip(at).take(1).for_each(|it| it.process = None));
        }
        if director.back.is_some() {
            push(Vec::new(), &|it| it.directors.iter_mut().skip(at).take(1).for_each(|it| it.back = None));
        }
    }
    for (at, router) in draft.routers.iter().enumerate() {
        if router.routes {
            push(vec![router.route()], &|it| it.routers.iter_mut().skip(at).take(1).for_each(|it| it.routes = false));
        }
        let grouped = draft.services.iter().any(|service| service.group && router.vips.contains(&service.vip));
        if router.vips.len() > 1 && !grouped {
            let gone = router.vips.iter().skip(1).map(|vip| format!("\"192.0.2.{vip}\"")).collect();
            push(gone, &|it| it.routers.iter_mut().skip(at).take(1).for_each(|it| it.vips.truncate(1)));
        }
        if router.password || router.unicast {
            push(Vec::new(), &|it| {
                it.routers.iter_mut().skip(at).take(1).for_each(|it| (it.password, it.unicast) = (false, false));
            });
        }
    }
    found
}
