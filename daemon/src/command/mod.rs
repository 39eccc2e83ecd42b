//! Commands that are no daemon: `check`, `config`, `demo`, `drain`, `explain`, `history`, `keepalived`, `serve`, `status`, `upgrade`.

pub mod check;
pub mod demo;
pub mod drain;
pub mod keepalived;
pub mod serve;
pub mod status;
pub mod upgrade;
pub mod words;
