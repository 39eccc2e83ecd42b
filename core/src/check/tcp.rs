//! `TCP_CHECK` (keepalived.conf(5)): a connection can be opened. It is closed again at once.

use super::probe::not_connected;
use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Streams, Trouble};
use crate::time::Duration;
use serde::{Deserialize, Serialize};

/// The block has no words of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings;

/// Open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect;

impl Kind for Settings {
    type Attempt = Connect;

    const WORD: &'static str = "TCP_CHECK";

    fn attempt(&self, _: usize) -> Connect {
        Connect
    }

    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Connect {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Handshake];

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, _: &Progress) -> Result<(), Trouble> {
        streams.connect(probe.target, &probe.from).await.map(drop).map_err(|error| not_connected(&error, streams))
    }

    /// Nothing is asked.
    fn judge(&self, _: Answer) -> Result<(), Failure> {
        Ok(())
    }

    fn failures(&self) -> Vec<Failure> {
        vec![Failure::ConnectTimeout, Failure::Refused, Failure::Unreachable("No route to host".to_owned())]
    }
}
