//! What every other room stands on: the clock, files read with limits, the log, exit statuses, packets between processes,
//! requests over netlink, rights, what is short here.

pub mod calls;
pub mod clock;
pub mod disk;
pub mod exit;
pub mod folders;
pub mod log;
pub mod passing;
pub mod privileges;
pub mod quiet;
pub mod requests;
pub mod rights;
pub mod shortage;
pub mod signals;
