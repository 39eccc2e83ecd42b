//! Leases of a quorum service, as values: how a director takes part, what the service is asked, what it says.
//!
//! A quorum service (ZooKeeper; etcd has the same notions) keeps *sessions*: whoever holds one and is heard within its
//! timeout keeps what it created, and what it created goes when the session does. The Election asks by [`LeaseOp`] and
//! hears by [`LeaseEvent`]; who speaks the service's protocol is behind [`crate::seam::World`] and decides nothing.

pub mod lives;
pub mod surely;

use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a lease is for: a virtual router, by its name in keepalived's file, which must be the same on every director.
/// Any character may occur; a client writes it as its service allows.
pub type LeaseKey = Arc<str>;

/// `director` of `[coordination]`: how a director calls itself. People read it; nothing is safe because of it.
pub type DirectorName = Arc<str>;

/// How one director takes part: `[coordination]` of `vipward.toml` beside keepalived's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordination {
    pub service: Arc<QuorumService>,
    pub director: DirectorName,
    /// The virtual routers that are coordinated, by name; never one whose mode is [`Mode::Off`].
    pub routers: BTreeMap<LeaseKey, Part>,
    pub spread: Vec<Spread>,
}

/// What a virtual router wants of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub mode: Mode,
    pub on_loss: OnLoss,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// VRRP alone.
    Off,
    /// VRRP elects; only the holder of the lease has the addresses.
    Fence,
    /// No VRRP: the best candidate takes the lease, and who has it is MASTER.
    Elect,
}

/// `on_loss`: what becomes of a router while the service can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnLoss {
    /// It has no addresses then.
    Release,
    /// It goes on as without a service: two directors that don't hear each other both own the addresses.
    Keep,
}

/// `[coordination.spread.NAME]`: virtual routers that are spread over the living directors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub name: Arc<str>,
    pub routers: Vec<LeaseKey>,
    /// How many of them this director takes at most.
    pub limit: Option<u32>,
}

/// Where the service is and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumService {
    /// `host:port`, at least one.
    pub hosts: Vec<String>,
    /// Root of everything that is kept there: `/vipward/site-a`. Begins with `/`, does not end with one.
    pub path: String,
    /// The session timeout to ask for.
    pub session_timeout: Duration,
    /// A file with lines `user:password` for digest authentication, the newest first: the secret itself is in no
    /// configuration and in no recording.
    pub auth_file: Option<PathBuf>,
}

/// Tells a session from every other one, also from earlier ones of this director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Session(pub i64);

/// Fencing token: greater with every grant of a key (ZooKeeper: `czxid` of the owner's node).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub i64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Why a candidate should hold a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub director: DirectorName,
    /// The effective priority, scripts' weights and spreading counted in: 1..=255.
    pub priority: u8,
    /// It wants the lease of a holder with a lower priority (`nopreempt` makes it false).
    pub preempt: bool,
}

/// A claim among the others of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub claim: Claim,
    /// Smaller: it was there first. Different for each candidate of a key.
    pub sequence: i64,
}

/// A director that lives, as it entered itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    pub director: DirectorName,
    /// How many virtual routers of each spread group it takes at most; a group without limit is not listed.
    pub limits: BTreeMap<Arc<str>, u32>,
}

/// What is asked of the service.
///
/// All but [`Self::Open`] and [`Self::Close`] speak of the session that is open; without one they are dropped in silence
/// (the machine asks anew when it hears [`LeaseEvent::Opened`]). They are carried out in the order in which they are
/// asked. When the connection breaks, the client finds out by itself what became of them, or asks again, for as long as the
/// session lives: each is answered in the end, or the session is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseOp {
    /// Connect, open a session and keep it; when one is lost, open another, with back-off, until [`Self::Close`]. The
    /// service's own heartbeats are the client's business.
    Open(Arc<QuorumService>),
    /// End the session, so that all that it created goes at once.
    Close,
    /// Ask the service whether the session lives, by a write that a quorum commits: a follower that lost its leader goes
    /// on answering pings and reads. Answered by [`LeaseEvent::Confirmed`] with the same `asked_at`, or not at all:
    /// never asked again by the client.
    Confirm { asked_at: Instant },
    /// Create the owner of `key` (ephemeral), with the director's name in it. Answered by [`LeaseEvent::Granted`], also
    /// if this session owns it already, or by [`LeaseEvent::Held`]; that one is watched from then on.
    Take { key: LeaseKey, director: DirectorName },
    /// Delete the owner of `key` if this session created it, and forget a watch. Answered by [`LeaseEvent::Released`].
    Release { key: LeaseKey },
    /// Be a candidate for `key` (ephemeral, sequential), or change one's claim. From then on each change of the
    /// candidates is told by [`LeaseEvent::Candidates`], the first time at once.
    Claim { key: LeaseKey, claim: Claim },
    /// Be none any more, and hear of them no more. Not answered.
    Withdraw { key: LeaseKey },
    /// Be a member (ephemeral), or change what one says. From then on each change is told by [`LeaseEvent::Members`].
    Join(Member),
    /// Tell whether somebody holds `key`, and take nothing. Answered by [`LeaseEvent::Held`] or [`LeaseEvent::Vacant`].
    Watch { key: LeaseKey },
    /// Read `auth_file` anew, and go on with what it says now, should the service let that in. Not answered.
    Authenticate,
}

/// What the service has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseEvent {
    /// There is a session, and nothing that an earlier one created is its own. `timeout` is what the service granted.
    /// It proves nothing about time: that is what [`LeaseOp::Confirm`] is for.
    Opened { session: Session, timeout: Duration },
    /// The answer to [`LeaseOp::Confirm`].
    Confirmed { session: Session, asked_at: Instant },
    /// The service says that the session is over. It comes too late to be relied on; another session is being opened.
    Lost { session: Session },
    /// The service can't be reached, or refuses us: for people. Told when it begins and when the reason changes.
    Unreachable { reason: String },
    /// `key` is ours for as long as the session lives.
    Granted { session: Session, key: LeaseKey, token: Token },
    /// Somebody else holds it; [`Self::Vacant`] follows when it is free.
    Held { key: LeaseKey, by: DirectorName },
    /// A lease that was told as held is free: ask for it now.
    Vacant { key: LeaseKey },
    /// The answer to [`LeaseOp::Release`]: not ours, whoever has it.
    Released { session: Session, key: LeaseKey },
    /// Somebody deleted our ownership although the session lives.
    Gone { session: Session, key: LeaseKey },
    /// All candidates for `key`, in any order.
    Candidates { key: LeaseKey, candidates: Vec<Candidate> },
    /// All members, in any order.
    Members(Vec<Member>),
    /// The service refused (access rights, a node that somebody else made): it is asked again later.
    Refused { op: Box<LeaseOp>, reason: String },
    /// Nobody may have `key` yet: the service has forgotten who held it, and a director that is cut off from it may still
    /// have the addresses for as long as `wait`. To be asked again then.
    NotYet { key: LeaseKey, wait: Duration },
}

/// For people: what is asked, without what repeats itself.
impl fmt::Display for LeaseOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(service) => write!(f, "open a session at {}{}", service.hosts.join(","), service.path),
            Self::Close => f.write_str("end the session"),
            Self::Confirm { asked_at } => write!(f, "ask whether the session lives, at {asked_at}"),
            Self::Take { key, .. } => write!(f, "take the lease of {key}"),
            Self::Release { key } => write!(f, "give the lease of {key} back"),
            Self::Claim { key, claim } => write!(f, "be a candidate for {key} with priority {}", claim.priority),
            Self::Withdraw { key } => write!(f, "be no candidate for {key}"),
            Self::Join(member) => write!(f, "be a member as {}", member.director),
            Self::Watch { key } => write!(f, "look who holds the lease of {key}"),
            Self::Authenticate => f.write_str("read the password anew"),
        }
    }
}

impl fmt::Display for LeaseEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { session, timeout } => {
                write!(f, "session {:#x} opened, its timeout is {:.1} s", session.0, timeout.as_secs_f64())
            }
            Self::Confirmed { asked_at, .. } => write!(f, "the session lives, asked at {asked_at}"),
            Self::Lost { session } => write!(f, "session {:#x} is over", session.0),
            Self::Unreachable { reason } => write!(f, "the quorum service can't be reached: {reason}"),
            Self::Granted { key, token, .. } => write!(f, "the lease of {key} is granted (token {token})"),
            Self::Held { key, by } => write!(f, "the lease of {key} is held by {by}"),
            Self::Vacant { key } => write!(f, "the lease of {key} is free"),
            Self::Released { key, .. } => write!(f, "the lease of {key} is given back"),
            Self::Gone { key, .. } => write!(f, "somebody took the lease of {key} away"),
            Self::Candidates { key, candidates } => write!(f, "{} candidates for {key}", candidates.len()),
            Self::Members(members) => write!(f, "{} living directors", members.len()),
            Self::Refused { op, reason } => write!(f, "refused: {op}: {reason}"),
            Self::NotYet { key, wait } => write!(f, "nobody gets the lease of {key} for {:.1} s", wait.as_secs_f64()),
        }
    }
}
