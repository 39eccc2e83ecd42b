//! keepalived's configuration: from text to [`Config`], with every mistake reported at its place.

pub mod model;
pub mod source;

pub use model::*;
pub use source::{FileId, Places, Span};
