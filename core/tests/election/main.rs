//! The Election as timelines: instants, what arrives, and what must come out, nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // All of it is tests.

mod timeline;

mod addresses;
mod ah;
mod announce;
mod backup;
mod checks;
mod coordination;
mod estate;
mod faults;
mod fifo;
mod ipv6;
mod junk;
mod last_will;
mod lifetime;
mod mail;
mod master;
mod model;
mod news;
mod reload;
mod routes;
mod scripts;
mod start;
mod states;
mod statics;
mod sync_group;
mod track_file;
mod track_interface;
mod track_process;
