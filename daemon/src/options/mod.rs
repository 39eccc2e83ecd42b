//! What the operator asked for: the command line, and configurations from the disk.

pub mod cli;
pub mod configuration;
pub mod keepalived;
pub mod listen;
