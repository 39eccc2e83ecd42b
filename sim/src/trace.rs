//! What happened in a run, in the order of time: the one record that timelines, expectations and reports read.

use crate::scenario::NodeId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::interface::AddressKey;
use vipward_core::ipvs::{Op, Setting};
use vipward_core::quantity::Role;
use vipward_core::route::{RouteKey, Rule};
use vipward_core::supervisor::Saying;
use vipward_core::time::{Duration, Instant};

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Instant,
    /// None: to the network as a whole.
    pub node: Option<NodeId>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A step of the scenario: what was done, in one word for the column and in a sentence.
    Step {
        word: &'static str,
        text: String,
    },
    /// A daemon began to run.
    Started,
    /// After an upgrade a new process began to run where the one before it had handed over.
    TakenUp,
    /// A daemon's process is gone, in order or not; a relay's table with it.
    Ended {
        relay: bool,
    },
    /// Power is off: kernel tables are empty.
    KernelForgot,
    /// A daemon ended in order.
    Stopped,
    /// Where a record begins in the middle of a daemon's life: the role that a virtual router has.
    Found {
        router: Arc<str>,
        role: Role,
    },
    /// A supervisor said something.
    Supervisor(Saying),
    /// A machine decided something.
    Decided(Decision),
    /// The kernel's table changed.
    AddressAdded(AddressKey),
    AddressRemoved(AddressKey),
    /// The kernel took it off by itself: nobody renewed its lifetime.
    AddressExpired(AddressKey),
    RouteAdded(RouteKey),
    RouteRemoved(RouteKey),
    RuleAdded(Rule),
    RuleRemoved(Rule),
    Ipvs(Op),
    /// An advert left.
    Advert {
        vrid: u8,
        priority: u8,
        destination: IpAddr,
    },
    /// A gratuitous ARP left.
    Announced {
        address: IpAddr,
    },
    /// A notify script was started.
    Notified {
        command: String,
    },
    /// A line went into a notify FIFO.
    WroteLine {
        path: String,
        line: String,
    },
    /// A mail was asked for.
    Mailed {
        subject: String,
    },
    /// It was taken by a mail server, alone or in a list.
    Delivered {
        subject: String,
    },
    /// A packet of protocol 112 found the socket's buffer full.
    BufferFull,
    /// The ports of a real server opened or closed, or this one of a director.
    ServerUp {
        port: Option<u16>,
    },
    ServerDown {
        port: Option<u16>,
    },
    /// A client's requests begin to fail, for this reason.
    TroubleBegan {
        cause: String,
    },
    /// They are good again for a while; `longest` is the longest outage in between.
    TroubleEnded {
        lasted: Duration,
        failed: u64,
        asked: u64,
        longest: Duration,
    },
    /// A connection that a client kept open broke, for this reason.
    ConnectionBroke {
        cause: String,
    },
    /// It is open again, so long after.
    ConnectedAgain {
        after: Duration,
    },
    /// An invariant is broken.
    Violated {
        invariant: &'static str,
        text: String,
    },
    /// What IPVS has for all services changed.
    SetIpvs(Setting),
}

/// One request of a client, from its start to its end.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: NodeId,
    pub started: Instant,
    pub ended: Instant,
    pub outcome: Outcome,
}

/// A connection that a client kept open broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    pub client: NodeId,
    /// Which of its connections, from 0.
    pub number: u32,
    pub at: Instant,
    pub cause: String,
    /// The director that carried it, and to where; none: who has the address answered by itself.
    pub through: Option<(NodeId, SocketAddr)>,
    /// When the client had another one; none: it had none at the end.
    pub again: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status came from this node.
    Answered {
        by: NodeId,
        status: u16,
    },
    Refused {
        cause: String,
    },
    TimedOut {
        cause: String,
    },
}

impl Outcome {
    /// A status below 500 is an answer that the client asked for.
    pub fn good(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status < 500)
    }

    /// Why it is not good.
    pub fn cause(&self) -> String {
        match self {
            Self::Answered { status, .. } => format!("status {status}"),
            Self::Refused { cause } => format!("refused: {cause}"),
            Self::TimedOut { cause } => format!("no answer: {cause}"),
        }
    }
}

/// An outage that a client saw.
#[derive(Clone, Debug)]
pub struct Outage {
    pub client: NodeId,
    /// The start of the first failed request.
    pub began: Instant,
    /// The start of the first good request after it; none: it lasted to the end.
    pub ended: Option<Instant>,
    pub failed: u64,
    pub cause: String,
}

impl Outage {
    /// How long it was, in a run that lasted until `end`.
    pub fn lasted(&self, end: Instant) -> Duration {
        self.ended.unwrap_or(end).since(self.began)
    }
}

/// The outages of one client: requests in the order in which they started, a failed one begins, a good one ends.
pub fn outages(client: NodeId, requests: &[Request]) -> Vec<Outage> {
    let mut own: Vec<&Request> = requests.iter().filter(|request| request.client == client).collect();
    own.sort_by_key(|request| request.started);
    let mut outages: Vec<Outage> = Vec::new();
    let mut open: Option<Outage> = None;
    for request in own {
        if request.outcome.good() {
            if let Some(mut outage) = open.take() {
                outage.ended = Some(request.started);
                outages.push(outage);
            }
        } else {
            let outage = open.get_or_insert_with(|| Outage {
                client,
                began: request.started,
                ended: None,
                failed: 0,
                cause: request.outcome.cause(),
            });
            outage.failed += 1;
        }
    }
    outages.extend(open);
    outages
}

/// Outages with less than two seconds between them: one bad time to whoever looks at the clock. (A client that waits a second
/// for an answer, and meets a slow server again as soon as it has given up, fails once a second.)
#[derive(Clone, Debug)]
pub struct Trouble {
    pub client: NodeId,
    pub began: Instant,
    pub ended: Option<Instant>,
    pub failed: u64,
    pub asked: u64,
    pub longest: Duration,
    pub cause: String,
}

/// See [`Trouble`].
const APART: Duration = Duration::from_secs(2);

/// Joins a client's outages that follow each other closely, in a run that lasted until `end`.
pub fn troubles(outages: &[Outage], requests: &[Request], end: Instant) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    for outage in outages {
        let lasted = outage.lasted(end);
        match troubles.last_mut() {
            Some(last) if last.ended.is_some_and(|at| outage.began.since(at) < APART) => {
                last.ended = outage.ended;
                last.failed += outage.failed;
                last.longest = last.longest.max(lasted);
            }
            Some(_) | None => troubles.push(Trouble {
                client: outage.client,
                began: outage.began,
                ended: outage.ended,
                failed: outage.failed,
                asked: 0,
                longest: lasted,
                cause: outage.cause.clone(),
            }),
        }
    }
    for trouble in &mut troubles {
        let meanwhile = requests.iter().filter(|request| {
            request.client == trouble.client
                && request.started >= trouble.began
                && request.started < trouble.ended.unwrap_or(end)
        });
        trouble.asked = meanwhile.count() as u64;
    }
    troubles
}

/// A client connection that a director's IPVS sent to a destination.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub at: Instant,
    pub client: NodeId,
    pub director: NodeId,
    pub service: SocketAddr,
    pub destination: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at: u64, good: bool) -> Request {
        let outcome = if good {
            Outcome::Answered { by: NodeId(1), status: 200 }
        } else {
            Outcome::TimedOut { cause: "nobody".to_owned() }
        };
        Request { client: NodeId(0), started: Instant::from_millis(at), ended: Instant::from_millis(at + 1), outcome }
    }

    #[test]
    fn an_outage_lasts_from_the_first_failed_request_to_the_first_good_one() {
        let requests = [(0, true), (100, false), (200, false), (300, true), (400, true), (500, false)];
        let requests: Vec<Request> = requests.into_iter().map(|(at, good)| request(at, good)).collect();
        let found = outages(NodeId(0), &requests);
        let found: Vec<_> =
            found.iter().map(|outage| (outage.lasted(Instant::from_millis(900)).as_millis(), outage.failed)).collect();
        assert_eq!(found, [(200, 2), (400, 1)]);
    }

    #[test]
    fn requests_that_end_out_of_order_are_judged_in_the_order_in_which_they_started() {
        let requests = [(300, true), (100, false), (0, true)];
        let requests: Vec<Request> = requests.into_iter().map(|(at, good)| request(at, good)).collect();
        let found = outages(NodeId(0), &requests);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].began, Instant::from_millis(100));
    }
}
