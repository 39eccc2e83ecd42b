//! Where the words of a block were written.

use super::words;
use crate::text::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where each word of a block was written, so that a message about two files can point at lines of both. `""` is the
/// block's own head; an address of a list is found by its own text (`192.0.2.1`). A word that may stand several times
/// keeps its first place.
///
/// Two blocks that differ only in where they were written are the same block: moving lines about must not restart
/// anything at a reload. So all `Places` are equal.
///
/// A list, not a map: most blocks hold a handful of words, and there may be tens of thousands of blocks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Span>", into = "BTreeMap<String, Span>")]
pub struct Places {
    head: Option<Span>,
    words: Vec<(&'static str, Span)>,
    /// What is no word of the language. Lists may be long, and most blocks have none.
    #[expect(clippy::box_collection, reason = "a block without texts is two words shorter, and there are many")]
    texts: Option<Box<BTreeMap<String, Span>>>,
    /// Words with a mistake in what they say: something else stands in the model.
    wrong: Vec<&'static str>,
}

impl Places {
    /// Where the block itself begins.
    pub fn head(&mut self, span: Span) {
        self.head = Some(span);
    }

    /// Makes room for the words of a block with so many lines.
    pub(super) fn expect(&mut self, lines: usize) {
        self.words.reserve_exact(lines);
    }

    /// Keeps the place of a word of the language.
    pub(super) fn word(&mut self, word: &'static str, span: Span) {
        if self.find(word).is_none() {
            self.words.push((word, span));
        }
    }

    /// Keeps the place of something else: an address, a peer.
    pub fn set(&mut self, word: &str, span: Span) {
        self.texts.get_or_insert_default().entry(word.to_owned()).or_insert(span);
    }

    /// How a line of `track_script` that has options of its own is found.
    pub(super) fn tracked_script(name: &str) -> String {
        format!("track_script {name}")
    }

    /// The same of `track_file`.
    pub(super) fn tracked_file(name: &str) -> String {
        format!("track_file {name}")
    }

    /// The same of `track_process`.
    pub(super) fn tracked_process(name: &str) -> String {
        format!("track_process {name}")
    }

    /// The place of `word`; the block's head if the word was not written.
    pub fn of(&self, word: &str) -> Span {
        self.find(word).or(self.head).unwrap_or_default()
    }

    /// Keeps that what `word` says was not understood, so that no other message builds on it.
    pub(super) fn mistaken(&mut self, word: &'static str) {
        self.wrong.push(word);
    }

    /// Whether what `word` says was understood, or it was not written.
    pub fn sound(&self, word: &str) -> bool {
        !self.wrong.contains(&word)
    }

    pub fn has(&self, word: &str) -> bool {
        self.find(word).is_some()
    }

    fn find(&self, word: &str) -> Option<Span> {
        if word.is_empty() {
            return self.head;
        }
        let written = self.words.iter().find(|(name, _)| *name == word).map(|(_, span)| *span);
        written.or_else(|| self.texts.as_ref()?.get(word).copied())
    }

    /// Gives back what was allocated for more words.
    pub(super) fn shrink(&mut self) {
        self.words.shrink_to_fit();
    }
}

impl From<BTreeMap<String, Span>> for Places {
    fn from(map: BTreeMap<String, Span>) -> Self {
        let mut places = Self::default();
        for (name, span) in map {
            match words::all().find(|keyword| keyword.word == name) {
                Some(keyword) => places.words.push((keyword.word, span)),
                None if name.is_empty() => places.head = Some(span),
                None => places.set(&name, span),
            }
        }
        places
    }
}

impl From<Places> for BTreeMap<String, Span> {
    fn from(places: Places) -> Self {
        let head = places.head.map(|span| (String::new(), span));
        let words = places.words.into_iter().map(|(name, span)| (name.to_owned(), span));
        let texts = places.texts.map(|texts| *texts).unwrap_or_default();
        head.into_iter().chain(words).chain(texts).collect()
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}
