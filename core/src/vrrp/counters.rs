//! What goes wrong again and again: every occurrence is counted, few are told.
//!
//! A peer that is set up wrong sends its wrong advert every second. The first is told at once, the rest as a sum at most
//! once a minute for each router and kind, so that a flood of junk fills no log.

use crate::decision::{Decision, IgnoreReason};
use crate::limit::QUIET;
use crate::time::Instant;
use crate::vrrp::Outbox;
use crate::vrrp::election::estate::IgnoredEstate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Packets that were not taken as adverts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IgnoredAdverts {
    #[serde(with = "words")]
    kinds: BTreeMap<(Option<Arc<str>>, &'static str), Kind>,
    /// How many a predecessor had counted, by words of its own.
    before: Vec<IgnoredEstate>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kind {
    total: u64,
    /// Nothing is told before.
    quiet_until: Instant,
    untold: u64,
    last: (IpAddr, IgnoreReason),
}

impl IgnoredAdverts {
    /// Counts one, and tells it if it is the first for a while.
    pub fn count(
        &mut self,
        router: Option<&Arc<str>>,
        source: IpAddr,
        reason: IgnoreReason,
        now: Instant,
        out: &mut Outbox,
    ) {
        let kind = self.kinds.entry((router.cloned(), reason.word())).or_insert_with(|| Kind {
            total: 0,
            quiet_until: now,
            untold: 0,
            last: (source, reason.clone()),
        });
        kind.total += 1;
        kind.untold += 1;
        kind.last = (source, reason);
        if kind.quiet_until <= now {
            out.decide(kind.tell(router.cloned(), now));
        }
    }

    /// Tells the sums whose minute is over.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        for ((router, _), kind) in &mut self.kinds {
            if kind.untold > 0 && kind.quiet_until <= now {
                out.decide(kind.tell(router.clone(), now));
            }
        }
    }

    /// When the next sum is due.
    pub fn next(&self) -> Option<Instant> {
        self.kinds.values().filter(|kind| kind.untold > 0).map(|kind| kind.quiet_until).min()
    }

    /// How many packets were ignored so far, by router (none: nobody's) and [`IgnoreReason::word`].
    pub fn totals(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &str, u64)> {
        let mut totals: BTreeMap<(Option<&Arc<str>>, &str), u64> = BTreeMap::new();
        for ((router, word), kind) in &self.kinds {
            totals.insert((router.as_ref(), word), kind.total);
        }
        for IgnoredEstate { router, reason, total } in &self.before {
            *totals.entry((router.as_ref(), reason)).or_default() += total;
        }
        totals.into_iter().map(|((router, word), total)| (router, word, total))
    }

    /// What a successor counts on from.
    pub fn estate(&self) -> Vec<IgnoredEstate> {
        let counted = self.totals();
        counted
            .map(|(router, word, total)| IgnoredEstate { router: router.cloned(), reason: word.to_owned(), total })
            .collect()
    }

    /// Counts on from what a predecessor had counted.
    pub fn take_up(&mut self, before: Vec<IgnoredEstate>) {
        self.before = before;
    }
}

impl Kind {
    fn tell(&mut self, router: Option<Arc<str>>, now: Instant) -> Decision {
        self.quiet_until = now + QUIET;
        let (source, reason) = self.last.clone();
        Decision::AdvertsIgnored { router, source, reason, count: std::mem::take(&mut self.untold) }
    }
}

/// The words are written in no record: each kind's last reason has it.
mod words {
    use super::{Arc, BTreeMap, Kind};
    use serde::{Deserialize, Deserializer, Serializer};

    type Kinds = BTreeMap<(Option<Arc<str>>, &'static str), Kind>;

    pub fn serialize<S: Serializer>(kinds: &Kinds, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(kinds.iter().map(|((router, _), kind)| (router, kind)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Kinds, D::Error> {
        let kinds = Vec::<(Option<Arc<str>>, Kind)>::deserialize(from)?;
        Ok(kinds.into_iter().map(|(router, kind)| ((router, kind.last.1.word()), kind)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn told(out: &mut Outbox) -> Vec<String> {
        std::mem::take(out).decisions().map(Decision::to_string).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_once_a_minute() {
        let router: Arc<str> = Arc::from("V");
        let (mut ignored, mut out) = (IgnoredAdverts::default(), Outbox::default());
        let truncated = |len| IgnoreReason::Truncated { len, need: 8 };

        ignored.count(Some(&router), SOURCE, truncated(1), at(0), &mut out);
        assert_eq!(told(&mut out), ["V: ignored an advert from 10.0.0.9: truncated: 1 bytes, 8 needed"]);
        assert_eq!(ignored.next(), None);

        // Another length is the same kind, another router or reason is not.
        for second in 1..=3 {
            ignored.count(Some(&router), SOURCE, truncated(usize::try_from(second).unwrap()), at(second), &mut out);
        }
        assert_eq!(told(&mut out), [""; 0]);
        ignored.count(None, SOURCE, truncated(7), at(3), &mut out);
        ignored.count(Some(&router), SOURCE, IgnoreReason::WrongChecksum, at(3), &mut out);
        assert_eq!(told(&mut out).len(), 2);

        assert_eq!(ignored.next(), Some(at(60)));
        ignored.wake(at(59), &mut out);
        assert_eq!(told(&mut out), [""; 0]);
        ignored.wake(at(60), &mut out);
        assert_eq!(told(&mut out), ["V: ignored 3 adverts, the last from 10.0.0.9: truncated: 3 bytes, 8 needed"]);
        assert_eq!(ignored.next(), None);

        ignored.count(Some(&router), SOURCE, truncated(1), at(119), &mut out);
        assert_eq!(told(&mut out), [""; 0]);
        ignored.count(Some(&router), SOURCE, truncated(1), at(120), &mut out);
        assert_eq!(told(&mut out).len(), 1);

        let totals: Vec<_> = ignored.totals().map(|(router, word, n)| (router.is_some(), word, n)).collect();
        assert_eq!(totals, [(false, "truncated", 1), (true, "truncated", 6), (true, "wrong_checksum", 1)]);
    }
}
