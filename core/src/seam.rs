//! The seam: every trait that the simulators and the daemon each implement. Nothing else joins core with a world.
//! [`Clock`] and [`Streams`] stand on lower floors, where checkers converse over them.
//!
//! Methods take `&self`: a world is shared between the driver's turn and the probes that it has under way, all on one
//! thread. Futures are cancelled by dropping them; a dropped [`World::next`] must not lose anything.

pub use crate::check::{Datagrams, Streams};
pub use crate::time::Clock;

use crate::command::Command;
use crate::decision::Decision;
use crate::door::News;
use crate::machine::{InputOf, Machine};
use crate::mail::Mail;
use crate::time::Instant;
use futures::future::LocalBoxFuture;
use std::future::Future;

/// What could not be done, in words for the operator. It comes back to the machine as
/// [`crate::machine::Input::Failed`].
pub type Refusal = String;

/// What a world does for both machines.
pub trait Common: Clock {
    /// Starts a notify script behind those that its `queue` still holds; does not wait.
    fn notify(&self, queue: &str, command: &Command);
    /// Puts a mail into the director's queue; does not wait.
    fn mail(&self, mail: &Mail);
    /// Puts a line into a notify FIFO, which may have no reader; does not wait.
    fn fifo(&self, path: &str, line: &str);
    /// Takes one decision into the log, the timeline, the metrics.
    fn record(&self, now: Instant, decision: &Decision);
    /// Carries news to the other machine of this director; does not wait.
    fn news(&self, news: &News);
}

/// Where `M` lives: what tells it things, and carries out what it asks for.
///
/// The first things that an Election's world tells are [`crate::vrrp::Event::LinksRead`] and
/// [`crate::vrrp::Event::AddressesRead`]; then comes [`crate::machine::Input::ConfigLoaded`]. Addresses are added and
/// renewed with the lifetime that the last configuration told says.
pub trait World<M: Machine>: Common {
    /// One thing of this kind that is already there.
    fn waiting(&self, source: Source) -> Option<InputOf<M>>;

    /// The next thing of any kind; of what is there at once, the first by the order of [`Source::ALL`].
    fn next(&self) -> impl Future<Output = InputOf<M>>;

    /// Carries out effects that have no answer ([`crate::machine::Lane::is_quiet`]), in order and as one batch where
    /// that is cheaper. Returns those that could not be, by their places, and why.
    fn carry_out_all(&self, effects: &[M::Effect]) -> impl Future<Output = Vec<(usize, Refusal)>> {
        async {
            let mut refused = Vec::new();
            for (place, effect) in effects.iter().enumerate() {
                if let Err(error) = self.carry_out(effect).await {
                    refused.push((place, error));
                }
            }
            refused
        }
    }

    /// Carries out one effect, or says why that can't be.
    fn carry_out(&self, effect: &M::Effect) -> impl Future<Output = Result<Done<InputOf<M>>, Refusal>>;
}

/// The kinds of what a world tells, in the order in which they are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A link or address changed, a configuration was loaded, stop; and news of the other machine.
    Host,
    /// What the quorum service says: before packets, which may have to be judged by it.
    Lease,
    Packets,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::Host, Self::Lease, Self::Packets];
}

/// What became of an effect; `I` is what a machine is told.
pub enum Done<I> {
    /// It is done, and that is all.
    Quietly,
    /// It is done, and this is the answer.
    Answer(I),
    /// It goes on; what comes of it is told when it has ended. Whatever has a name can be ended by it.
    Begun(Option<WorkId>, LocalBoxFuture<'static, I>),
    /// Nobody wants that any more.
    Cancelled(WorkId),
}

/// The name of something that is under way: the number of a probe ([`crate::check::ProbeId::attempt`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkId(pub u64);
