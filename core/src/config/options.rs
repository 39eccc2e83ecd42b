//! What reading a configuration is told beside the text.

use std::collections::BTreeMap;

/// What the text alone does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which `@ID` lines count: keepalived's `-i`, by default the host's name up to the first dot.
    pub config_id: String,
    /// `${_ENV NAME}`. Core has no environment; what is not here does not exist.
    pub environment: BTreeMap<String, String>,
    /// `${_RANDOM}` draws from this.
    pub seed: u64,
    pub limits: Limits,
    /// Routing tables by the names that the host gives them ([`super::table_names`]).
    pub tables: BTreeMap<String, u32>,
}

/// Bounds that keep a small file from growing without end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that `$NAME`, `~SEQ` and `~LST` may produce altogether.
    pub expanded_bytes: usize,
    /// Definitions within definitions, and blocks within blocks.
    pub depth: usize,
    /// Files within files.
    pub include_depth: usize,
    /// Files altogether.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { expanded_bytes: 128 << 20, depth: 64, include_depth: 32, files: 4096 }
    }
}
