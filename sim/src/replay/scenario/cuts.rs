//! Adverts that were sent and not heard.

use super::lives::{Director, Life};
use super::network::{Network, masked};
use super::steps::Steps;
use super::text::quoted;
use crate::replay::story::SILENT;
use crate::replay::words::decoded;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::datagram::Datagram;
use vipward_core::time::{Duration, Instant};

/// More cuts than this make no readable scenario.
const MOST_CUTS: usize = 200;

/// Adverts that were sent and not heard, where somebody listened.
pub(super) fn cuts(directors: &[Director], network: &Network, steps: &mut Steps) {
    let mut found = Vec::new();
    for from in directors {
        for to in directors.iter().filter(|to| to.name != from.name) {
            for sent in &from.runs {
                for heard in &to.runs {
                    found.extend(
                        lost(sent, heard, network).into_iter().map(|(a, b)| (a, b, from.name.clone(), to.name.clone())),
                    );
                }
            }
        }
    }
    if found.len() > MOST_CUTS {
        steps.left_out.push(format!("{} gaps between adverts: more than a scenario can show", found.len()));
        return;
    }
    for (at, until, from, to) in &found {
        steps.add(*at, format!("cut = {}, to = {}", quoted(from), quoted(to)));
        if let Some(until) = until {
            steps.add(*until, format!("heal = [{}, {}]", quoted(from), quoted(to)));
            // `heal` heals both directions; the other one may be cut still.
            let other = found
                .iter()
                .any(|(at, end, a, b)| (a, b) == (to, from) && at < until && end.is_none_or(|end| *until < end));
            if other {
                steps.add(*until, format!("cut = {}, to = {}", quoted(to), quoted(from)));
            }
        }
    }
}

/// When adverts from `from` to `to` were lost; no end: they were until one of the two ended.
fn lost(from: &Life, to: &Life, network: &Network) -> Vec<(Instant, Option<Instant>)> {
    let segment = |address: IpAddr| {
        let IpAddr::V4(ip) = address else { return None };
        network.segments.iter().position(|(network, length)| masked(ip, *length) == *network)
    };
    let own: Vec<Ipv4Addr> = to.addresses.values().map(|(address, _)| *address).collect();
    let reaches = |advert: &Datagram| match advert.destination {
        IpAddr::V4(ip) if ip.is_multicast() => {
            own.iter().any(|own| segment(IpAddr::V4(*own)) == segment(advert.source))
        }
        IpAddr::V4(ip) => own.contains(&ip),
        IpAddr::V6(_) => false,
    };
    let vrids: BTreeSet<u8> =
        to.configs.iter().flat_map(|(_, config, _)| config.routers.iter().map(|router| router.vrid.get())).collect();
    let sent: Vec<&(Instant, Datagram)> = from
        .sent
        .iter()
        .filter(|(_, advert)| reaches(advert) && decoded(advert).is_some_and(|(vrid, _)| vrids.contains(&vrid)))
        .collect();
    let same = |a: &Datagram, b: &Datagram| a.source == b.source && a.payload == b.payload;
    // Two clocks are never quite the same: what lies between sending and hearing most of the time is their difference.
    let mut offsets: Vec<i64> = Vec::new();
    // Another run of the same director sends the same adverts.
    let living = |at: Instant| from.began <= at + SILENT && at <= from.ended + SILENT;
    for (at, advert) in to.heard.iter().filter(|(at, _)| living(*at)) {
        let nearest = sent.iter().filter(|(_, other)| same(advert, other)).map(|(sent, _)| between(*sent, *at));
        offsets.extend(nearest.min_by_key(|distance| distance.unsigned_abs()));
    }
    if offsets.is_empty() {
        return Vec::new();
    }
    offsets.sort_unstable();
    let offset = offsets.get(offsets.len() / 2).copied().unwrap_or_default();
    let mut lost: Vec<(Instant, Option<Instant>)> = Vec::new();
    let mut open = false;
    for (at, advert) in sent {
        let arrives = Instant::from_nanos(at.as_nanos().saturating_add_signed(offset));
        let tolerance = Duration::from_millis(200).min(pace(&from.sent, advert) / 2);
        let heard = to.heard.iter().any(|(heard, other)| {
            same(advert, other) && between(arrives, *heard).unsigned_abs() <= tolerance.as_nanos() as u64
        });
        let instant = *at - Duration::from_millis(1);
        if heard {
            if std::mem::take(&mut open)
                && let Some((_, until)) = lost.last_mut()
            {
                *until = Some(instant);
            }
        } else if !open && to.listens(arrives) && to.listens(arrives + tolerance) {
            open = true;
            lost.push((instant, None));
        }
    }
    lost
}

/// The shortest time between two adverts like this one.
fn pace(sent: &[(Instant, Datagram)], advert: &Datagram) -> Duration {
    let like: Vec<Instant> = sent.iter().filter(|(_, other)| other == advert).map(|(at, _)| *at).take(8).collect();
    like.windows(2).filter_map(|pair| Some(pair.last()?.since(*pair.first()?))).min().unwrap_or(Duration::from_secs(1))
}

/// Nanoseconds from `a` to `b`.
fn between(a: Instant, b: Instant) -> i64 {
    i64::try_from(b.as_nanos()).unwrap_or(i64::MAX).saturating_sub(i64::try_from(a.as_nanos()).unwrap_or(i64::MAX))
}
