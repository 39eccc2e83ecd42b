//! `track_interface`: an interface is up while it has a carrier and is administratively up.

use super::Reading;

/// What the kernel's word about a link means. `running`: as [`crate::interface::Link::running`]; none: there is no such
/// interface.
pub fn reading(running: Option<bool>) -> Reading {
    Reading::of(running.unwrap_or(false))
}
