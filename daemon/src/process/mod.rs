//! The processes of a director and their threads: supervisor, worker, hand-over.

pub mod confine;
pub mod hand_over;
pub mod neighbours;
pub mod orders;
pub mod reading;
pub mod summary;
pub mod supervise;
pub mod thread;
pub mod worker;
