//! Who has an address when, out of what the kernels of several nodes told their watchers.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use vipward_lab::watch::{Watch, What};

/// A stretch of time in which a node had the address; without an end: it still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: SystemTime,
    pub to: Option<SystemTime>,
}

/// All stretches of a node, in the order of time, since its watch began.
pub fn stretches(watch: &Watch, wanted: IpAddr) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for one in watch.seen() {
        let What::Address { address, present } = one.what else { continue };
        if address.address != wanted {
            continue;
        }
        match found.last_mut().filter(|last| last.to.is_none()) {
            Some(open) if !present => open.to = Some(one.at),
            // A renewal is told like a new one.
            Some(_) => {}
            None if present => found.push(Stretch { from: one.at, to: None }),
            None => {}
        }
    }
    found
}

/// The longest time in which both had it.
pub fn both(one: &[Stretch], other: &[Stretch]) -> Duration {
    let now = SystemTime::now();
    let mut longest = Duration::ZERO;
    for a in one {
        for b in other {
            let (from, to) = (a.from.max(b.from), a.to.unwrap_or(now).min(b.to.unwrap_or(now)));
            longest = longest.max(to.duration_since(from).unwrap_or_default());
        }
    }
    longest
}

/// How long nobody had it before `other` got it for the first time after `since`; zero when `one` still had it then.
pub fn nobody(one: &[Stretch], other: &[Stretch], since: SystemTime) -> Option<Duration> {
    let got = other.iter().find(|stretch| stretch.from >= since)?.from;
    let before = one.iter().rfind(|stretch| stretch.from < got)?;
    Some(got.duration_since(before.to?).unwrap_or_default())
}

/// How long neither had it between two instants, and how long both had.
pub fn unserved_and_shared(
    one: &[Stretch],
    other: &[Stretch],
    from: SystemTime,
    to: SystemTime,
) -> (Duration, Duration) {
    let has = |stretches: &[Stretch], at: SystemTime| {
        stretches.iter().any(|stretch| stretch.from <= at && stretch.to.is_none_or(|end| at < end))
    };
    let edges = one.iter().chain(other).flat_map(|stretch| [Some(stretch.from), stretch.to]).flatten();
    let mut edges: Vec<SystemTime> = edges.filter(|edge| *edge > from && *edge < to).chain([from, to]).collect();
    edges.sort();
    let (mut nobody, mut two) = (Duration::ZERO, Duration::ZERO);
    for (begin, end) in edges.iter().zip(edges.iter().skip(1)) {
        let length = end.duration_since(*begin).unwrap_or_default();
        match (has(one, *begin), has(other, *begin)) {
            (false, false) => nobody += length,
            (true, true) => two += length,
            (true, false) | (false, true) => {}
        }
    }
    (nobody, two)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn stretch(from: u64, to: u64) -> Stretch {
        Stretch { from: at(from), to: Some(at(to)) }
    }

    #[test]
    fn the_longest_overlap_counts_and_touching_is_none() {
        let one = [stretch(1, 4), stretch(10, 20)];
        assert_eq!(both(&one, &[stretch(3, 11)]), Duration::from_secs(1));
        assert_eq!(both(&one, &[stretch(3, 15)]), Duration::from_secs(5));
        assert_eq!(both(&one, &[stretch(4, 10)]), Duration::ZERO);
        let open = [Stretch { from: at(12), to: None }];
        assert_eq!(both(&one, &open), Duration::from_secs(8));
    }

    #[test]
    fn what_is_neither_ones_and_what_is_both_ones_within_a_time() {
        let (one, other) = ([stretch(1, 4), stretch(10, 20)], [stretch(3, 6), Stretch { from: at(12), to: None }]);
        let of = |from, to| unserved_and_shared(&one, &other, at(from), at(to));
        let seconds = Duration::from_secs;
        assert_eq!(of(0, 30), (seconds(1 + 4), seconds(1 + 8)));
        assert_eq!(of(7, 9), (seconds(2), Duration::ZERO));
        assert_eq!(of(13, 15), (Duration::ZERO, seconds(2)));
    }

    #[test]
    fn the_gap_before_a_takeover() {
        let (one, other) = ([stretch(1, 4)], [stretch(9, 20)]);
        assert_eq!(nobody(&one, &other, at(2)), Some(Duration::from_secs(5)));
        assert_eq!(nobody(&one, &other, at(10)), None, "it got it before");
        assert_eq!(nobody(&[stretch(1, 12)], &other, at(2)), Some(Duration::ZERO));
    }
}
