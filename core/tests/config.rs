//! The configuration language, as an operator meets it: what loads, what is said, and where.

// Helpers of tests may fail as tests may.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "config/helpers.rs"]
mod helpers;
#[path = "config/ipv6.rs"]
mod ipv6;

#[path = "config/arithmetic.rs"]
mod arithmetic;
#[path = "config/changes.rs"]
mod changes;
#[path = "config/claims.rs"]
mod claims;
#[path = "config/coordinated.rs"]
mod coordinated;
#[path = "config/defaults.rs"]
mod defaults;
#[path = "config/elections.rs"]
mod elections;
#[path = "config/fifos.rs"]
mod fifos;
#[path = "config/hostile.rs"]
mod hostile;
#[path = "config/language.rs"]
mod language;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/mistakes_of_checks.rs"]
mod mistakes_of_checks;
#[path = "config/nodes.rs"]
mod nodes;
#[path = "config/pairs.rs"]
mod pairs;
#[path = "config/routes.rs"]
mod routes;
#[path = "config/runs.rs"]
mod runs;
#[path = "config/server_groups.rs"]
mod server_groups;
#[path = "config/statics.rs"]
mod statics;
#[path = "config/table.rs"]
mod table;
