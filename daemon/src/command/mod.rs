//! Commands that are no daemon: `check`, `config`, `demo`, `upgrade`.

pub mod check;
pub mod demo;
pub mod upgrade;
pub mod words;
