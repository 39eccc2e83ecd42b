//! What a node's kernel has, by iproute2.

use std::process::Command;
use std::time::Duration;
use vipward_lab::{Node, Process, wait_for};

/// What `ip` says to these words on a node.
///
/// # Panics
/// When it can't be run, or fails: this is for tests.
pub fn ip(node: &Node, words: &str) -> String {
    let mut command = Command::new("ip");
    command.args(words.split(' '));
    let output = node.output(command).unwrap_or_else(|error| panic!("ip {words}: {error}"));
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until `look` finds these lines on a node.
///
/// # Panics
/// When it does not within `limit`; says what there is, and what the daemon said.
#[track_caller]
pub fn becomes(node: &Node, look: fn(&Node) -> Vec<String>, lines: &[String], daemon: &Process, limit: Duration) {
    let mut last = Vec::new();
    let same = wait_for(limit, || {
        last = look(node);
        (last == lines).then_some(())
    });
    assert!(same.is_some(), "expected {lines:#?}\nthere are {last:#?}\n{}", daemon.output());
}
