//! Lines of the log that something outside can cause at will: a few of each kind are told at once, the rest as a sum.
//!
//! [`vipward_core::limit`] does the same for what a machine decides by itself to tell once a minute.

use crate::system::clock;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use vipward_core::decision::LogLevel;
use vipward_core::limit::QUIET;
use vipward_core::time::{Duration, Instant};

/// How often [`Quiet::due`] is asked for sums.
pub const LOOK: Duration = Duration::from_secs(1);

/// Kinds that are told apart. What comes beyond is one kind more.
const MOST_KINDS: usize = 1 << 16;

/// The lines of one thread.
pub struct Limited<K>(RefCell<Quiet<K>>);

impl<K: Ord + 'static> Limited<K> {
    /// Starts to tell sums, in the current `LocalSet`.
    pub fn start() -> Rc<Self> {
        let all = Rc::new(Self(RefCell::default()));
        let own = Rc::downgrade(&all);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(all) = own.upgrade() else { return };
                all.sums();
            }
        });
        all
    }

    /// Tells it, if fewer than `most` of this kind were told in the last minute; or counts it.
    pub fn say(&self, kind: K, most: u32, level: LogLevel, line: impl FnOnce() -> String) {
        let mut line = Some(line);
        let mut words = || line.take().map(|line| line()).unwrap_or_default();
        if self.0.borrow_mut().admits(kind, most, clock::now(), || (level, words())) {
            say(level, &words());
        }
    }

    fn sums(&self) {
        for (level, line) in self.0.borrow_mut().due(clock::now()) {
            say(level, &line);
        }
    }
}

/// Limits lines, kind by kind.
#[derive(Debug)]
pub struct Quiet<K> {
    kinds: BTreeMap<Option<K>, Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    told: u32,
    untold: u64,
    last: Option<(LogLevel, String)>,
}

impl<K> Default for Quiet<K> {
    fn default() -> Self {
        Self { kinds: BTreeMap::new() }
    }
}

impl<K: Ord> Quiet<K> {
    /// True: tell it now. At most `most` of one kind are told within [`QUIET`]; of the others only the last one and
    /// their number ([`Self::due`]). `line` is asked for only when it is not told.
    pub fn admits(&mut self, kind: K, most: u32, now: Instant, line: impl FnOnce() -> (LogLevel, String)) -> bool {
        let kind = Some(kind);
        let kind = if self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind) { kind } else { None };
        let kind = self.kinds.entry(kind).or_insert(Kind { since: now, told: 0, untold: 0, last: None });
        if kind.untold == 0 && now.since(kind.since) >= QUIET {
            (kind.since, kind.told) = (now, 0);
        }
        if kind.told < most {
            kind.told += 1;
            return true;
        }
        kind.untold += 1;
        kind.last = Some(line());
        false
    }

    /// The sums that are due: the last line of each kind, and how many like it were not told.
    pub fn due(&mut self, now: Instant) -> Vec<(LogLevel, String)> {
        let mut sums = Vec::new();
        self.kinds.retain(|_, kind| {
            let passed = now.since(kind.since);
            if passed < QUIET {
                return true;
            }
            // What was told long ago need not be remembered.
            let Some((level, last)) = kind.last.take() else { return false };
            let seconds = passed.as_secs();
            sums.push((level, format!("{last} ({} more like this in the last {seconds} s)", kind.untold)));
            *kind = Kind { since: now, told: 1, untold: 0, last: None };
            true
        });
        sums
    }
}

/// Into the log.
pub fn say(level: LogLevel, line: &str) {
    match level {
        LogLevel::Info => tracing::info!("{line}"),
        LogLevel::Warning => tracing::warn!("{line}"),
        LogLevel::Error => tracing::error!("{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn a_few_are_told_at_once_and_the_rest_as_a_sum_once_a_minute() {
        let mut quiet = Quiet::default();
        let told = |kind: &'static str, second: u64, quiet: &mut Quiet<&str>| {
            quiet.admits(kind, 2, at(second), || (LogLevel::Warning, format!("{kind} {second}")))
        };
        let all: Vec<bool> = (0..5).map(|second| told("a", second, &mut quiet)).collect();
        assert_eq!(all, [true, true, false, false, false]);
        assert!(told("b", 5, &mut quiet), "another kind");
        assert_eq!(quiet.due(at(59)), []);
        let sum = "a 4 (3 more like this in the last 60 s)".to_owned();
        assert_eq!(quiet.due(at(60)), [(LogLevel::Warning, sum)]);
        assert!(told("a", 61, &mut quiet), "the sum counts as one");
        assert!(!told("a", 62, &mut quiet));
        assert_eq!(quiet.due(at(120)).len(), 1);
        assert_eq!(quiet.due(at(200)), []);
        assert!(quiet.kinds.is_empty(), "forgotten");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut quiet = Quiet::default();
        let admitted = (0..100_000).filter(|kind| quiet.admits(*kind, 1, at(0), || (LogLevel::Info, String::new())));
        assert_eq!(admitted.count(), MOST_KINDS + 1);
        assert_eq!(quiet.kinds.len(), MOST_KINDS + 1);
    }
}
