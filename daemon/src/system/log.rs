//! The log: standard error, one line an event: when, how loud, one sentence.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use vipward_core::decision::{Decision, Severity};

/// What is logged. Each level includes those above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Somebody should look now: a virtual router in FAULT, a lost quorum, something that could not be done
    Error,
    /// Service is degraded or a peer misbehaves; somebody should look in the morning
    Warn,
    /// What was decided, and why: a role changed, a server came back, a configuration was applied
    #[default]
    Info,
    /// How it was done: what was started, which privilege was used
    Debug,
    /// Every packet and every kernel notification
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Starts logging. The libraries underneath report only their errors.
pub fn start(level: LogLevel) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let filter = Targets::new().with_target("vipward", level).with_default(LevelFilter::ERROR);
    // Fails only when a subscriber is there already, which is then the one that counts.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// One decision, as loud as it says itself.
pub fn decision(decision: &Decision) {
    match decision.severity() {
        Severity::Info => tracing::info!("{decision}"),
        Severity::Warning => tracing::warn!("{decision}"),
        Severity::Error => tracing::error!("{decision}"),
    }
}
