//! `track_file`: what is known of the files that are tracked.

use super::Reading;
use crate::config::WatchedFile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files that the world watches for this director, and their numbers as far as it has told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Files {
    watched: Vec<WatchedFile>,
    numbers: BTreeMap<Arc<str>, i64>,
}

impl Files {
    /// Takes a configuration's list and keeps what is known. True: the world has to watch others.
    pub fn load(&mut self, watched: Vec<WatchedFile>) -> bool {
        self.numbers.retain(|name, _| watched.iter().any(|file| file.name == *name));
        let others = self.watched != watched;
        self.watched = watched;
        others
    }

    pub fn watched(&self) -> &[WatchedFile] {
        &self.watched
    }

    /// Goes on with what a predecessor knew, until the files are read.
    pub fn take_up(&mut self, numbers: BTreeMap<Arc<str>, i64>) {
        self.numbers = numbers;
    }

    pub fn numbers(&self) -> &BTreeMap<Arc<str>, i64> {
        &self.numbers
    }

    pub fn heard(&mut self, name: &Arc<str>, number: i64) {
        if self.watched.iter().any(|file| file.name == *name) {
            self.numbers.insert(name.clone(), number);
        }
    }

    /// Unknown until the file was read for the first time.
    pub fn reading(&self, name: &str) -> Reading {
        self.numbers.get(name).map_or(Reading::Unknown, |number| Reading::Number(*number))
    }
}
