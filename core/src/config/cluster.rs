//! The mistakes between the files of one cluster, which no single node can see.

use super::diagnostic::Diagnostic;
use super::model::Config;

/// One director and its configuration; [`super::Loaded::best_effort`] does where there are errors.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub name: &'a str,
    pub config: &'a Config,
}

/// Compares the nodes of one cluster.
pub fn check(_nodes: &[Node<'_>]) -> Vec<Diagnostic> {
    Vec::new()
}
