//! Where the words of a block were written.

use crate::text::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where each word of a block was written, so that a message about two files can point at lines of both. `""` is the
/// block's own head; an address of a list is found by its own text (`192.0.2.1`). A word that may stand several times
/// keeps its first place.
///
/// Two blocks that differ only in where they were written are the same block: moving lines about must not restart
/// anything at a reload. So all `Places` are equal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Places(BTreeMap<String, Span>);

impl Places {
    pub fn set(&mut self, word: &str, span: Span) {
        if !self.0.contains_key(word) {
            self.0.insert(word.to_owned(), span);
        }
    }

    /// The place of `word`; the block's head if the word was not written.
    pub fn of(&self, word: &str) -> Span {
        self.0.get(word).or_else(|| self.0.get("")).copied().unwrap_or_default()
    }

    pub fn has(&self, word: &str) -> bool {
        self.0.contains_key(word)
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}
