//! Commands that are no daemon: `check`, `demo`, `upgrade`.

pub mod check;
pub mod demo;
pub mod upgrade;
