//! How far a long command is: one line on a terminal, with its rate and what is left. A pipe sees nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line changes.
const FRESH: Duration = Duration::from_millis(200);

/// The line, on standard error.
#[derive(Debug)]
pub struct Progress {
    /// What is counted: `seeds`.
    what: &'static str,
    began: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str) -> Self {
        Self { what, began: Instant::now(), shown: None, terminal: std::io::stderr().is_terminal() }
    }

    /// So many of all are done, in which so many seconds were simulated, where somebody counts them.
    pub fn show(&mut self, done: u64, all: u64, simulated: Option<u64>) {
        if !self.terminal || self.shown.is_some_and(|shown| shown.elapsed() < FRESH) {
            return;
        }
        self.shown = Some(Instant::now());
        let text = line(self.what, done, all, simulated, self.began.elapsed());
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }

    /// Takes the line away, so that something else can be printed.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, all: u64, simulated: Option<u64>, took: Duration) -> String {
    let took = took.as_secs_f64().max(0.001);
    let rate = done as f64 / took;
    let simulated = simulated.map(|seconds| format!(" ({:.0} simulated seconds)", seconds as f64 / took));
    let left = all.saturating_sub(done) as f64 / rate.max(0.001);
    format!("{done} of {all} {what}, {rate:.0} a second{}, {left:.0} s left", simulated.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_rate_and_the_time_that_is_left() {
        let took = Duration::from_secs(10);
        assert_eq!(line("cases", 30, 45, None, took), "30 of 45 cases, 3 a second, 5 s left");
        assert_eq!(
            line("seeds", 50, 100, Some(30_000), took),
            "50 of 100 seeds, 5 a second (3000 simulated seconds), 10 s left"
        );
    }
}
