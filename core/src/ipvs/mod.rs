//! IPVS: the table that is wanted, the table that is there, and the operations that lead from one to the other.

pub mod table;

pub use table::*;
