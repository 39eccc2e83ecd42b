//! The steps of a scenario, and those that each director's life asks for.

use super::lives::{Director, Life};
use super::text::{file_name, millis, quoted, settings};
use crate::replay::story::SILENT;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use vipward_core::time::{Duration, Instant};

/// So long after an upgrade the new process of a scenario has begun.
const READ_AGAIN: Duration = Duration::from_millis(20);

/// Steps, ordered by time when they are written.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<(Instant, String)>,
    /// What could not be taken in.
    pub(super) left_out: Vec<String>,
}

impl Steps {
    pub(super) fn add(&mut self, at: Instant, what: String) {
        self.steps.push((at, what));
    }

    pub(super) fn text(mut self) -> String {
        self.steps.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for line in &self.left_out {
            let _ = writeln!(text, "# left out: {line}");
        }
        text.push_str("\nsteps = [\n");
        for (at, what) in &self.steps {
            let _ = writeln!(text, "    {{ at = {}, {what} }},", quoted(&millis(at.since_origin())));
        }
        text.push_str("]\n");
        text
    }
}

/// Start, stop, kill, reload, links, scripts, sleeps.
pub(super) fn lives(director: &Director, all: &[Director], end: Instant, folder: &str, steps: &mut Steps) {
    let name = quoted(&director.name);
    let mut file = 0;
    let mut runs = None;
    for (number, life) in director.runs.iter().enumerate() {
        if number > 0 || life.began > Instant::ZERO {
            steps.add(life.began, format!("start = {name}"));
        }
        life.upgrades.iter().for_each(|at| steps.add(*at, format!("upgrade = {name}")));
        for (at, config, text) in &life.configs {
            if runs.is_some_and(|runs| runs != text) {
                let path = PathBuf::from(folder).join(file_name(&director.name, file));
                let (with, settings) = (quoted(&path.to_string_lossy()), quoted(&settings(folder, Some(config))));
                let at = after(*at, life);
                steps.add(at, format!("reload = {name}, with = {with}, settings = {settings}"));
            }
            runs = Some(text);
            file += 1;
        }
        for (from, until) in &life.frozen {
            steps.add(*from, format!("freeze = {name}"));
            steps.add(*until, format!("resume = {name}"));
        }
        for (at, interface, up) in &life.links {
            let word = if *up { "plug" } else { "unplug" };
            steps.add(*at, format!("{word} = {name}, interface = {}", quoted(interface.as_str())));
        }
        for (at, script, status) in &life.scripts {
            // The scenario's script must fail before the run that failed.
            let at = *at - Duration::from_millis(1);
            steps.add(at, format!("script = {}, on = {name}, exits = {}", quoted(script), (*status).clamp(0, 255)));
        }
        for (at, file, number) in &life.files {
            steps.add(*at, format!("file = {}, on = {name}, holds = {number}", quoted(file)));
        }
        for (at, process, count) in &life.processes {
            let runs = (*count).min(65535);
            steps.add(*at, format!("process = {}, on = {name}, runs = {runs}", quoted(process)));
        }
        for (at, order) in &life.orders {
            let order = order.to_string();
            if let Some((verb, rest)) = order.split_once(' ') {
                steps.add(*at, format!("{verb} = {}, on = {name}", quoted(rest)));
            }
        }
        for (at, address) in &life.deleted {
            steps.add(*at, format!("delete_address = {}, on = {name}", quoted(&address.to_string())));
        }
        for (at, destination, prefix_len) in &life.routes_deleted {
            steps.add(*at, format!("delete_route = \"{destination}/{prefix_len}\", on = {name}"));
        }
        let last = life.ended;
        if life.stopped {
            steps.add(last, format!("stop = {name}"));
        } else if life.goes_on && number + 1 == director.runs.len() {
            steps.left_out.push(format!("what {} did after an upgrade: these files don't have it", director.name));
        } else if last + SILENT < end || number + 1 < director.runs.len() {
            // It lived at least until others heard its last advert.
            let sources: BTreeSet<IpAddr> = life.sent.iter().map(|(_, advert)| advert.source).collect();
            let until = director.runs.get(number + 1).map_or(end, |next| next.began);
            let heard = all.iter().flat_map(|other| &other.runs).flat_map(|other| &other.heard);
            let heard = heard.filter(|(at, advert)| sources.contains(&advert.source) && *at < until);
            let alive = heard.map(|(at, _)| *at).max().unwrap_or(last).max(last);
            steps.add(alive + Duration::from_millis(1), format!("kill = {name}"));
        }
    }
}

/// When a configuration that was read at `at` is reloaded. Whoever begins or goes on in a scenario reads the one before; so
/// the new one comes when that is done.
fn after(at: Instant, life: &Life) -> Instant {
    let upgraded = life.upgrades.iter().rev().find(|upgraded| **upgraded <= at && at.since(**upgraded) < READ_AGAIN);
    match upgraded {
        Some(upgraded) => *upgraded + READ_AGAIN,
        None if at.since(life.began) < Duration::from_millis(1) => life.began + Duration::from_millis(1),
        None => at,
    }
}
