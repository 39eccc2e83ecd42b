//! What a checker leaves to its successor.

use crate::check::Binding;
use crate::config::CheckerConfig;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// One checker's. Forty thousand of them are written at once, so it is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerEstate {
    /// [`fingerprint`] of its settings: a checker goes on only as what it was.
    pub settings: u32,
    pub up: bool,
    /// Up: failures that are still forgiven. Down: steps that are good again.
    pub count: u32,
    /// The step of the next probe (HTTP_GET: position of the URL).
    pub url: u32,
    /// When the next probe is due; for one with a probe under way, at once.
    pub due: Instant,
    /// What it last said the real server's weight is, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// Tells settings of checkers of one real server from each other, wherever they are written.
pub fn fingerprint(config: &CheckerConfig) -> u32 {
    let CheckerConfig {
        kind,
        target,
        from,
        connect_timeout,
        retry,
        delay_before_retry,
        delay_loop,
        warmup,
        alpha,
        places: _,
    } = config;
    let settings = (kind, target, connect_timeout, retry, delay_before_retry, delay_loop, warmup, alpha);
    // Into memory nothing fails; if it did, checkers would begin anew.
    let mut bytes = postcard::to_allocvec(&settings).unwrap_or_default();
    // Earlier versions knew no `from`: without one the sum is theirs.
    if *from != Binding::default() {
        bytes.extend(postcard::to_allocvec(from).unwrap_or_default());
    }
    crc32fast::hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tcp;
    use crate::config::Places;
    use crate::time::Duration;

    /// The sum that builds without [`Binding`] made of the same checker.
    #[test]
    fn sums_of_earlier_versions_hold() {
        let mut config = CheckerConfig {
            kind: tcp::Settings.into(),
            target: ([198, 51, 100, 21], 80).into(),
            from: Binding::default(),
            connect_timeout: Duration::from_secs(5),
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            delay_loop: Duration::from_secs(6),
            warmup: Duration::from_secs(6),
            alpha: false,
            places: Places::default(),
        };
        let earlier = fingerprint(&config);
        let CheckerConfig {
            kind, target, connect_timeout, retry, delay_before_retry, delay_loop, warmup, alpha, ..
        } = &config;
        let settings = (kind, target, connect_timeout, retry, delay_before_retry, delay_loop, warmup, alpha);
        assert_eq!(earlier, crc32fast::hash(&postcard::to_allocvec(&settings).unwrap()));
        config.from.mark = 1;
        assert_ne!(fingerprint(&config), earlier);
    }
}
