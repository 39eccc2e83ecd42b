//! Takeover times, measured from outside the daemons, and what the RFCs' arithmetic says about them.

use crate::pair::VIP;
use std::time::{Duration, SystemTime};
use vipward_lab::wait_for;
use vipward_lab::watch::Watch;

/// Master_Down_Interval of a backup (RFC 3768 6.1, RFC 9568 6.1); computed here once more, so that a slip in the
/// product's own arithmetic shows.
pub fn master_down(version: u8, priority: u8, advert_millis: u32) -> Duration {
    Duration::from_millis(u64::from(advert_millis)) * 3 + skew(version, priority, advert_millis)
}

/// Skew_Time of a backup: in version 2 a share of a second, in version 3 a share of the MASTER's interval.
pub fn skew(version: u8, priority: u8, advert_millis: u32) -> Duration {
    let unit = if version == 2 { 1000 } else { advert_millis };
    Duration::from_millis(u64::from(unit)) * (256 - u32::from(priority)) / 256
}

/// From the last advert that the watched backup heard to the VIP on its interface, for a takeover after `since`.
pub fn takeover(backup: &Watch, since: SystemTime, limit: Duration) -> Result<Duration, String> {
    let appeared = wait_for(limit, || backup.appeared(VIP, since));
    let appeared = appeared.ok_or_else(|| format!("the VIP did not come within {limit:?}: {:#?}", backup.seen()))?;
    let last = backup.last_advert_before(appeared).ok_or("the backup never heard an advert")?;
    appeared.duration_since(last).map_err(|error| error.to_string())
}

/// `3.609 s` and such, to the tenth of a millisecond below a second.
pub fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
