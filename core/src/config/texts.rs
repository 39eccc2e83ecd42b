//! The text of every file that is being read.

use std::cell::OnceCell;
use std::sync::Arc;

/// A list that only grows: words borrow from its texts while an `include` brings in the next one.
#[derive(Default)]
pub(super) struct Texts {
    first: OnceCell<Box<Kept>>,
}

struct Kept {
    text: Arc<String>,
    next: OnceCell<Box<Kept>>,
}

impl Texts {
    pub fn keep(&self, text: Arc<String>) -> &str {
        let mut slot = &self.first;
        while let Some(kept) = slot.get() {
            slot = &kept.next;
        }
        &slot.get_or_init(|| Box::new(Kept { text, next: OnceCell::new() })).text
    }
}
