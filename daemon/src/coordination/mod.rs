//! The quorum service: ZooKeeper.
//!
//! The client lives in a thread of its own, joined with the Election's by two channels. There it can do no harm: not by a
//! name that takes seconds to resolve, not by work that takes long, not by a panic in somebody else's code. It has
//! ordinary priority: what it does is due within seconds, an advert within a millisecond.
//!
//! What the thread says about time is never believed: that a session lives is told with the instant at which the machine
//! asked.

mod access;
mod asked;
mod nodes;
mod place;
mod service;
mod session;
mod tree;

use crate::system::clock::BootClock;
use place::Place;
use session::Surroundings;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vipward_core::lease::{LeaseEvent, LeaseOp};
use vipward_core::seam::Refusal;
use vipward_core::time::Duration;

/// How long the thread may take to end when all is given back.
const ENDING: Duration = Duration::from_secs(3);

/// One director's way to its quorum service.
pub struct ZooKeeper {
    thread: RefCell<Option<Thread>>,
    said: RefCell<UnboundedReceiver<LeaseEvent>>,
    say: UnboundedSender<LeaseEvent>,
    place: Arc<Place>,
}

struct Thread {
    ops: UnboundedSender<LeaseOp>,
    ended: oneshot::Receiver<()>,
}

impl ZooKeeper {
    /// Nothing runs before the first session is asked for: most directors need none.
    pub fn new() -> Self {
        let (say, said) = mpsc::unbounded_channel();
        Self { thread: RefCell::new(None), said: RefCell::new(said), say, place: Arc::default() }
    }

    /// Waits until all is given back and the session is closed, but not for long: it ends by itself.
    pub async fn end(&self) {
        let Some(Thread { ops, ended }) = self.thread.borrow_mut().take() else { return };
        drop(ops);
        if tokio::time::timeout(ENDING, ended).await.is_err() {
            tracing::warn!("the quorum service did not let go within {} s: not waiting for it", ENDING.as_secs());
        }
    }

    /// The next thing that it has to say.
    pub async fn says(&self) -> LeaseEvent {
        match poll_fn(|context| self.said.borrow_mut().poll_recv(context)).await {
            Some(event) => event,
            // Can't be: one sender is ours.
            None => std::future::pending().await,
        }
    }

    /// One that is already there.
    pub fn waiting(&self) -> Option<LeaseEvent> {
        self.said.borrow_mut().try_recv().ok()
    }

    /// Asks and does not wait. An error: it can't even be asked.
    pub fn ask(&self, op: &LeaseOp) -> Result<(), Refusal> {
        let mut thread = self.thread.borrow_mut();
        if let LeaseOp::Open(_) = op
            && thread.as_ref().is_none_or(|thread| thread.ops.is_closed())
        {
            *thread = Some(
                Thread::start(self.say.clone(), self.place.clone()).map_err(|error| format!("a thread: {error}"))?,
            );
        }
        match &*thread {
            Some(thread) => thread.ops.send(op.clone()).map_err(|_| "the thread has ended".to_owned()),
            // There is no session: dropped in silence.
            None => Ok(()),
        }
    }
}

impl Thread {
    fn start(say: UnboundedSender<LeaseEvent>, place: Arc<Place>) -> io::Result<Self> {
        let (ops, asked) = mpsc::unbounded_channel();
        let (tell_ended, ended) = oneshot::channel();
        std::thread::Builder::new().name("coordination".to_owned()).spawn(move || {
            let lived = live(asked, say.clone(), place);
            if let Err(error) = lived {
                let _ = say.send(LeaseEvent::Unreachable { reason: error.to_string() });
            }
            let _ = tell_ended.send(());
        })?;
        Ok(Self { ops, ended })
    }
}

fn live(ops: UnboundedReceiver<LeaseOp>, events: UnboundedSender<LeaseEvent>, place: Arc<Place>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        service::run(Surroundings { clock: BootClock::start()?, ops, events, place }).await;
        Ok(())
    })
}
