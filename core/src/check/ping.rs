//! `PING_CHECK` (keepalived.conf(5)): the host answers an ICMP echo. Its block has only the words that all checkers have;
//! of the target and of our own end the port is of no use.
//!
//! One attempt is one request: a lost packet is a failed attempt, which `retry` forgives.

use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Streams, Trouble};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind};

/// The block has no words of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings;

/// Ask for one echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo;

impl Kind for Settings {
    type Attempt = Echo;

    const WORD: &'static str = "PING_CHECK";

    fn attempt(&self, _: usize) -> Echo {
        Echo
    }

    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Echo {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Echo];

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, _: &Progress) -> Result<(), Trouble> {
        streams.echo(probe.target.ip(), &probe.from).await.map_err(|error| no_echo(&error, streams))
    }

    /// Nothing is asked that has more than one answer.
    fn judge(&self, _: Answer) -> Result<(), Failure> {
        Ok(())
    }

    fn failures(&self) -> Vec<Failure> {
        vec![Failure::ResponseTimeout, Failure::Unreachable("No route to host".to_owned())]
    }
}

fn no_echo(error: &Error, streams: &impl Streams) -> Trouble {
    if let Some(shortage) = streams.shortage(error) {
        return Trouble::NotAsked(shortage);
    }
    Trouble::Failed(match error.kind() {
        ErrorKind::TimedOut => Failure::ResponseTimeout,
        _ => Failure::Unreachable(error.to_string()),
    })
}
