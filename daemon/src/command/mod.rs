//! Commands that are no daemon: `check`, `config`, `demo`, `explain`, `history`, `status`, `upgrade`.

pub mod check;
pub mod demo;
pub mod status;
pub mod upgrade;
pub mod words;
