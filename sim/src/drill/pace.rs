//! How long things take by what the files say: what a drill has to wait for, and what it tells users to wait for.

use super::quorum::{self, Leases};
use std::time::Duration;
use vipward_core::config::{CheckerConfig, Config, RealServer};
use vipward_core::coordination::LONGEST_TRIAL;
use vipward_core::quantity::Priority;
use vipward_core::vrrp::intervals::{master_down_interval, skew_time};

/// How long a checker needs to see that its server is dead, at the longest: the server dies right after a probe that
/// passed, and every try is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Notice {
    /// The server says nothing at all: power off, a cable out. Each try takes all of `connect_timeout`.
    pub silent: Duration,
    /// It refuses connections: its process is dead.
    pub refused: Duration,
}

impl Notice {
    pub fn of(checker: &CheckerConfig) -> Self {
        let between = checker.delay_before_retry.saturating_mul(checker.retry);
        let refused = checker.delay_loop.saturating_add(between);
        let tries = checker.connect_timeout.saturating_mul(checker.retry.saturating_add(1));
        Self { refused, silent: refused.saturating_add(tries) }
    }
}

/// The longest that any of these checkers needs; zero without one.
pub(super) fn notice<'a>(servers: impl Iterator<Item = &'a RealServer>) -> Notice {
    let checkers = servers.flat_map(|server| &server.checkers).map(Notice::of);
    checkers.max().unwrap_or(Notice { silent: Duration::ZERO, refused: Duration::ZERO })
}

/// How long a drill waits for the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From cold to a settled cluster.
    pub settle: Duration,
    /// One takeover.
    pub takeover: Duration,
    /// Skew_Time at its greatest.
    pub skew: Duration,
    /// The longest advert interval.
    pub interval: Duration,
    /// Until the preferred director is back.
    pub way_back: Duration,
    /// Until a dead real server is out, and a good one in again, at the longest.
    pub seen: Duration,
    /// The same, with some rest after it.
    pub notice: Duration,
    /// What leases add; none: VRRP alone decides.
    pub leases: Option<Leases>,
}

/// No wait is longer, whatever a file asks for.
pub(super) const LONGEST: Duration = Duration::from_secs(600);

/// What comes after the last thing that must happen, so that quiet can be told from slow.
const REST: Duration = Duration::from_secs(5);

/// How long clients are served before a fault, and about as long after what follows from it.
pub(super) const CALM: Duration = Duration::from_secs(3);

impl Pace {
    pub fn of(configs: &[&Config]) -> Self {
        let routers = || configs.iter().flat_map(|config| &config.routers);
        // The slowest MASTER that a director may have to wait for is anybody's.
        let slowest = routers().map(|router| router.adverts.interval).max();
        let down = routers().map(|router| {
            let active = slowest.unwrap_or(router.adverts.interval);
            master_down_interval(router.version, router.priority, active, router.adverts.down_timer)
        });
        let skew = routers()
            .map(|router| skew_time(router.version, Priority::LOWEST, slowest.unwrap_or(router.adverts.interval)));
        let takeover = down.max().unwrap_or_default().min(LONGEST);
        let delay = routers().map(|router| router.preemption.delay).max().unwrap_or_default();
        let servers = || configs.iter().flat_map(|config| &config.services).flat_map(|service| &service.real_servers);
        let checkers = || servers().flat_map(|server| &server.checkers);
        let first_probe = checkers()
            .filter(|checker| checker.alpha)
            .map(|checker| checker.warmup.saturating_add(checker.connect_timeout));
        let rise = checkers()
            .map(|checker| checker.delay_loop.saturating_add(checker.connect_timeout))
            .max()
            .unwrap_or_default();
        let seen = notice(servers()).silent.max(rise);
        let leases = quorum::leases(configs);
        // A session that ended, and a service that has to prove itself again.
        let trial = leases.map(|leases| leases.ends.saturating_add(LONGEST_TRIAL)).unwrap_or_default();
        Self {
            takeover,
            skew: skew.max().unwrap_or_default(),
            interval: slowest.map(|slowest| slowest.duration()).unwrap_or_default(),
            settle: (takeover + Duration::from_secs(1))
                .saturating_add(first_probe.max().unwrap_or_default())
                .min(LONGEST),
            way_back: (takeover * 2 + REST).saturating_add(delay).saturating_add(trial).min(LONGEST),
            seen: seen.min(LONGEST),
            notice: seen.saturating_add(REST).min(LONGEST),
            leases,
        }
    }

    /// Beyond [`Self::takeover`], until another director has the lease of one that says nothing any more; zero without
    /// leases.
    pub fn lease_ends(&self) -> Duration {
        self.leases.map(|leases| leases.ends).unwrap_or_default()
    }

    /// Long enough for a takeover, and some rest.
    pub fn away(&self) -> Duration {
        self.takeover * 2 + self.lease_ends() + CALM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn a_checker_spends_every_try_before_it_gives_up() {
        let mut checker = config(100).services[0].real_servers[0].checkers[0].clone();
        checker.delay_loop = Duration::from_secs(6);
        checker.connect_timeout = Duration::from_secs(3);
        checker.retry = 3;
        checker.delay_before_retry = Duration::from_secs(3);
        let notice = Notice::of(&checker);
        assert_eq!((notice.refused.as_secs(), notice.silent.as_secs()), (6 + 3 * 3, 6 + 3 * 3 + 4 * 3));
    }

    #[test]
    fn a_drill_waits_for_the_slowest_of_the_directors() {
        let (fast, mut slow) = (config(150), config(100));
        slow.routers[0].adverts.interval = vipward_core::quantity::AdvertInterval::from_centis(1000).unwrap();
        let pace = Pace::of(&[&fast, &slow]);
        assert_eq!(pace.takeover.as_millis(), 30_609, "three intervals of ten seconds and the skew of priority 100");
    }

    #[test]
    fn no_file_makes_a_drill_endless() {
        let mut endless = config(100);
        endless.routers[0].preemption.delay = Duration::from_secs(1_000_000);
        endless.services[0].real_servers[0].checkers[0].delay_loop = Duration::from_secs(u64::MAX / 2);
        let pace = Pace::of(&[&endless]);
        assert!([pace.settle, pace.takeover, pace.way_back, pace.notice].iter().all(|wait| *wait <= LONGEST));
    }
}
