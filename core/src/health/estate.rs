//! What a checker leaves to its successor.

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
}

/// Tells settings of checkers of one real server from each other, wherever they are written.
pub fn fingerprint(config: &CheckerConfig) -> u32 {
    let CheckerConfig {
        kind,
        target,
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
    crc32fast::hash(&postcard::to_allocvec(&settings).unwrap_or_default())
}
