//! What every file that people write needs: its text with places in it, messages that point there, and the word that
//! was probably meant. Configurations, `vipward.toml` and scenarios use it alike.

mod diagnostic;
mod files;
mod nearest;
mod render;
pub(crate) mod report;
mod source;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use files::Files;
pub use nearest::nearest_name;
pub(crate) use nearest::normal;
pub use render::render;
pub use source::{FileId, Location, Sources, Span};
