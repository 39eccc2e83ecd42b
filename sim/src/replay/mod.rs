//! Replay of flight recordings: the very machines on the very events. Every effect must be the one recorded.
//!
//! - [`track`]: files become tracks, one for each run of a director's daemon
//! - [`lane`]: tracks become lanes, one for each director
//! - [`check`]: the machines walk through a track
//! - [`command`]: `vipward-sim replay`
//! - [`story`]: tracks become a timeline
//! - [`page`]: and that a page
//! - [`explain`]: the state at a moment, and the causes of a role
//! - [`moment`]: who had a virtual router then, why, and what would have come next
//! - [`what_if`]: the machines once more, without an advert
//! - [`scenario`]: the recordings of a cluster become a scenario file

pub mod check;
pub mod command;
pub mod explain;
pub mod lane;
pub mod moment;
pub mod page;
pub mod scenario;
pub mod story;
pub mod track;
pub mod what_if;
mod words;

pub use check::{Checked, Difference, Machines, Moment, walk};
pub use track::{Track, read};
pub use words::{Words, asked, told, utc};

use std::fmt::Write;
use vipward_core::record::Begin;

/// What came of a replay; the worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    AsRecorded,
    /// An effect was not the one recorded.
    Differs,
    /// A file is damaged or of another version. One that is merely cut off is how a killed daemon leaves it.
    Damaged,
}

/// Replays one track; a few lines that say whose it is and whether all went as recorded.
pub fn summary(track: &Track) -> (String, Ending) {
    let checked = walk(track, |_| {});
    let (first, last) = track.span();
    let mut text = format!(
        "{}: vipward {}, from {}, for {}.{:03} s\n",
        track.name,
        track.version,
        utc(track.epoch.saturating_add(first.as_nanos())),
        last.since(first).as_secs(),
        last.since(first).subsec_millis()
    );
    let mut verdict = Ending::AsRecorded;
    for fault in &track.faults {
        let _ = writeln!(text, "  {fault}");
        if fault.is_damage() {
            verdict = Ending::Damaged;
        }
    }
    for (at, why) in &checked.breaks {
        let _ = writeln!(text, "  {at} s: {why}");
    }
    let unchecked = checked.steps - checked.checked - checked.differences.len() as u64;
    let _ = write!(text, "  {} steps, {} checked", checked.steps, checked.checked);
    if unchecked > 0 {
        let _ = write!(text, ", {unchecked} not: they follow a gap or a difference");
    }
    if checked.differences.is_empty() {
        text.push_str(": every effect is the one recorded\n");
    } else {
        verdict = verdict.max(Ending::Differs);
        text.push('\n');
        if track.version != Begin::this_version() {
            let _ = writeln!(text, "  this is vipward {}: it may well decide otherwise", Begin::this_version());
        }
        for difference in &checked.differences {
            let _ = write!(text, "  {difference}");
        }
    }
    (text, verdict)
}
