//! `vipward drain` and `vipward undrain`: an order to a running director's Balancer, and what came of it.

use super::upgrade::{Words, tell_line};
use crate::options::cli::{Drain, Undrain};
use crate::system::exit::Exit;
use std::path::Path;
use vipward_core::balancer::drain::order::{Order, Removal, What};
use vipward_core::time::Duration;

/// As long as a question may take (`status::client`): virtual servers have a second for it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

const DRAIN: Words =
    Words { done: "drained: no new connections; `vipward status` shows how many are left", failed: "not drained" };
const UNDRAIN: Words = Words { done: "undrained: it takes connections again when it is up", failed: "not undrained" };

pub fn drain(options: &Drain) -> Exit {
    let limit = options.limit.map(|seconds| Duration::from_secs(seconds.into()));
    let what = What::Drain { remove: options.remove.then_some(Removal { limit }), force: options.force };
    give(what, &options.names, &options.control, &DRAIN)
}

pub fn undrain(options: &Undrain) -> Exit {
    give(What::Undrain, &options.names, &options.control, &UNDRAIN)
}

fn give(what: What, names: &[String], control: &Path, words: &Words) -> Exit {
    let names: Vec<&str> = names.iter().flat_map(|name| name.split_ascii_whitespace()).collect();
    match Order::about(what, &names) {
        Ok(order) => tell_line(format!("{order}\n").as_bytes(), control, words, PATIENCE),
        Err(why) => {
            eprintln!("{}: {why}", words.failed);
            Exit::Usage
        }
    }
}
