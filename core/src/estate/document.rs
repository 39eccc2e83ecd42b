//! An estate as JSON, with what a reader must know before it believes it.

use super::Estate;
use serde::{Deserialize, Serialize};

/// Version of the format. It goes up only when an older reader would misunderstand: new fields have defaults, and fields
/// that are not known are passed over, so that neighbouring versions of vipward read each other's
/// (`core/tests/estate.rs` reads one that was written in the beginning).
pub const FORMAT: u32 = 1;

/// An estate and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub format: u32,
    /// The version of vipward that wrote it; for people.
    #[serde(default)]
    pub vipward: String,
    /// The boot whose clock the instants are (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    pub estate: Estate,
}

/// Why an estate is left where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it has format {0}, and this version of vipward reads format {FORMAT}")]
    OtherFormat(u32),
    #[error("it is from before the last boot")]
    OtherBoot,
}

impl Document {
    pub fn new(boot: &str, estate: Estate) -> Self {
        let (vipward, boot) = (env!("CARGO_PKG_VERSION").to_owned(), boot.to_owned());
        Self { format: FORMAT, vipward, boot, estate }
    }

    /// One line.
    pub fn to_json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    /// Reads one that this boot, named by `boot`, has to do with.
    pub fn from_json(json: &[u8], boot: &str) -> Result<Self, Unusable> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            boot: String,
        }
        let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
        let head: Head = serde_json::from_slice(json).map_err(damaged)?;
        if head.format != FORMAT {
            return Err(Unusable::OtherFormat(head.format));
        }
        if head.boot != boot {
            return Err(Unusable::OtherBoot);
        }
        serde_json::from_slice(json).map_err(damaged)
    }
}
