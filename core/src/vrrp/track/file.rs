//! `track_file`: what is known of the files that are tracked.

use super::Reading;
use crate::config::WatchedFile;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The files that the world watches for this director, and their numbers as far as it has told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Files {
    watched: Vec<WatchedFile>,
    numbers: BTreeMap<Arc<str>, i64>,
    /// Those that real servers ask for, each with what was told last; none: nothing yet.
    #[serde(default)]
    asked_for: BTreeMap<Arc<str>, Option<i64>>,
    /// Of those, what may hold another number now.
    #[serde(default)]
    marked: BTreeSet<Arc<str>>,
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
            if self.asked_for.contains_key(name) {
                self.marked.insert(name.clone());
            }
        }
    }

    /// From now on it is told of these and no others.
    pub fn ask_for(&mut self, files: BTreeSet<Arc<str>>) {
        self.asked_for.retain(|file, _| files.contains(file));
        for file in files {
            self.asked_for.entry(file).or_default();
        }
        self.marked = self.asked_for.keys().cloned().collect();
    }

    /// What is known since the last call of those that were asked for.
    pub fn news(&mut self) -> Vec<(Arc<str>, i64)> {
        let mut news = Vec::new();
        for file in std::mem::take(&mut self.marked) {
            if let (Some(number), Some(told)) = (self.numbers.get(&file), self.asked_for.get_mut(&file))
                && told.replace(*number) != Some(*number)
            {
                news.push((file, *number));
            }
        }
        news
    }

    /// Unknown until the file was read for the first time.
    pub fn reading(&self, name: &str) -> Reading {
        self.numbers.get(name).map_or(Reading::Unknown, |number| Reading::Number(*number))
    }
}
