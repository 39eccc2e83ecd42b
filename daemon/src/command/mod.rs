//! Commands that are no daemon: `check`, `config`, `demo`, `explain`, `history`, `serve`, `status`, `upgrade`.

pub mod check;
pub mod demo;
pub mod serve;
pub mod status;
pub mod upgrade;
pub mod words;
