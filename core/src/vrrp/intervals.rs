//! The arithmetic of RFC 9568 6.1 and RFC 3768 6.1, exact to the nanosecond.
//!
//! Two implementations that round differently still elect the same MASTER, but one that rounds Skew_Time to whole
//! seconds (or centiseconds at short intervals) gives several BACKUPs the same timer, and all of them take over at once.

use crate::quantity::{AdvertInterval, Priority, Version};
use crate::time::Duration;

/// A 256th of a second.
const SECOND_256TH_NANOS: u64 = 1_000_000_000 / 256;

/// Skew_Time: how much longer a router of this priority waits than the highest would, so that the best takes over first.
///
/// Version 2: `(256 - Priority) / 256` seconds (RFC 3768 6.1). Version 3: that share of the MASTER's own interval,
/// `(256 - Priority) * Active_Adver_Interval / 256` (RFC 9568 6.1). Half a nanosecond is rounded up: never too early.
pub fn skew_time(version: Version, priority: Priority, active: AdvertInterval) -> Duration {
    let steps = 256 - u64::from(priority.get());
    Duration::from_nanos(match version {
        Version::V2 => steps * SECOND_256TH_NANOS,
        Version::V3 => (steps * u64::from(active.centis()) * 10_000_000).div_ceil(256),
    })
}

/// Master_Down_Interval, Active_Down_Interval in RFC 9568: how long a BACKUP hears nothing before it takes over.
///
/// `adverts * Active_Adver_Interval + Skew_Time`; the RFCs have 3 adverts, `down_timer_adverts` may change that.
pub fn master_down_interval(version: Version, priority: Priority, active: AdvertInterval, adverts: u8) -> Duration {
    active.duration() * u32::from(adverts) + skew_time(version, priority, active)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(p: u8) -> Priority {
        Priority::new(p).unwrap()
    }

    fn interval(centis: u16) -> AdvertInterval {
        AdvertInterval::from_centis(centis).unwrap()
    }

    /// RFC 3768 6.1: seconds, whatever the interval.
    #[test]
    fn version_2_skew_is_a_share_of_a_second() {
        for (p, nanos) in [(255, 3_906_250), (254, 7_812_500), (150, 414_062_500), (100, 609_375_000), (1, 996_093_750)]
        {
            for centis in [100, 25_500] {
                let skew = skew_time(Version::V2, priority(p), interval(centis));
                assert_eq!(skew, Duration::from_nanos(nanos), "priority {p}, {centis} centiseconds");
            }
        }
    }

    /// RFC 9568 6.1: a share of the MASTER's interval.
    #[test]
    fn version_3_skew_is_a_share_of_the_masters_interval() {
        for (p, centis, nanos) in [
            (100, 100, 609_375_000),
            (100, 10, 60_937_500),
            (100, 200, 1_218_750_000),
            (254, 1, 78_125),
            (255, 1, 39_063), // 39062.5, rounded up
            (1, 4095, 255 * 4095 * 78_125 / 2 + 1),
        ] {
            let skew = skew_time(Version::V3, priority(p), interval(centis));
            assert_eq!(skew, Duration::from_nanos(nanos), "priority {p}, {centis} centiseconds");
        }
    }

    /// Two neighbours in priority never share a timer, down to the shortest interval that there is.
    #[test]
    fn every_priority_has_its_own_skew() {
        for version in [Version::V2, Version::V3] {
            for centis in [1, 3, 10, 100, 4095] {
                let skews: Vec<_> = (1..=255).map(|p| skew_time(version, priority(p), interval(centis))).collect();
                assert!(skews.windows(2).all(|pair| pair[0] > pair[1]), "{version:?}, {centis} centiseconds");
            }
        }
    }

    #[test]
    fn master_down_interval_counts_adverts() {
        let of = |version, p, centis, adverts| master_down_interval(version, priority(p), interval(centis), adverts);
        assert_eq!(of(Version::V2, 100, 100, 3), Duration::from_nanos(3_609_375_000));
        assert_eq!(of(Version::V3, 100, 10, 3), Duration::from_nanos(360_937_500));
        // keepalived 2.2.7 with 2 s heard from the MASTER took over 7.219 s after its last advert.
        assert_eq!(of(Version::V3, 100, 200, 3), Duration::from_nanos(7_218_750_000));
        assert_eq!(of(Version::V3, 255, 1, 1), Duration::from_nanos(10_039_063));
        assert_eq!(
            of(Version::V3, 1, 4095, 100),
            Duration::from_nanos(4_095_000_000_000 + 255 * 4095 * 78_125 / 2 + 1)
        );
    }
}
