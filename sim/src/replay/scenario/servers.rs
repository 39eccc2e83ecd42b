//! What probes say about real servers.

use super::lives::Director;
use super::network::{Network, server};
use super::steps::Steps;
use super::text::{millis, quoted};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::check::{Shown, Verdict};
use vipward_core::time::Duration;

/// What probes say about real servers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Health {
    listening: bool,
    slow: bool,
    status: u16,
}

const WELL: Health = Health { listening: true, slow: false, status: 200 };

pub(super) fn servers(directors: &[Director], network: &Network, steps: &mut Steps) {
    let mut verdicts: Vec<_> = directors.iter().flat_map(|it| &it.runs).flat_map(|life| &life.verdicts).collect();
    verdicts.sort_by_key(|(started, ..)| *started);
    let mut health: BTreeMap<Ipv4Addr, Health> = BTreeMap::new();
    let mut digests = false;
    for (started, address, http, verdict, timeout) in verdicts {
        let IpAddr::V4(ip) = address.ip() else { continue };
        if !network.servers.contains_key(&ip) {
            continue;
        }
        let before = health.get(&ip).copied().unwrap_or(WELL);
        let after = match verdict {
            // A program's end tells of no connection, and is a step of its own.
            Verdict::Weighs(_) => before,
            Verdict::Passed if *http => WELL,
            // A connection says nothing about what is answered.
            Verdict::Passed => Health { listening: true, slow: false, ..before },
            // It tells of the director.
            Verdict::NotAsked(_) => before,
            Verdict::Failed(failure) => match failure.shows() {
                Shown::Absent => Health { listening: false, ..before },
                Shown::Late => Health { slow: true, ..before },
                Shown::Status(status) => Health { status, listening: true, slow: false },
                Shown::Command => before,
                Shown::Content => {
                    digests = true;
                    before
                }
            },
        };
        if before == after {
            continue;
        }
        health.insert(ip, after);
        let at = *started - Duration::from_millis(1);
        let name = quoted(&server(ip));
        if after == WELL || (after.listening && !before.listening) {
            // It also ends `slow` and `status`.
            steps.add(at, format!("up = {name}"));
        }
        if !after.listening && before.listening {
            steps.add(at, format!("down = {name}"));
        }
        if after.slow && !before.slow {
            let by = quoted(&millis(*timeout + Duration::from_secs(1)));
            steps.add(at, format!("slow = {name}, by = {by}"));
        }
        if after.status != before.status && after.status != 200 {
            steps.add(at, format!("status = {name}, code = {}", after.status));
        }
    }
    if digests {
        steps.left_out.push("pages with another digest: simulated real servers have one page".to_owned());
    }
}
