//! Machines straight from a queue of events. Their drivers are futures that are polled by hand at each instant at which
//! something is due for them: to be polled is to be told that something may have changed.

use super::probe::{Attempt, Progress};
use crate::runner::seam::{Daemon, Runner};
use crate::scenario::NodeId;
use crate::world::{Envelope, World};
use futures::future::LocalBoxFuture;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use vipward_core::check::{Probe, Verdict};
use vipward_core::seam::Refusal;
use vipward_core::time::Instant;

/// What one machine waits for.
pub struct Queue {
    world: Rc<RefCell<World>>,
    /// Its timer, by the world's clock.
    timer: Cell<Option<Instant>>,
    /// In the order in which they began. Those that have ended are let go at the next look.
    attempts: RefCell<Vec<Weak<Sleeper>>>,
}

/// An attempt of a checker that waits.
#[derive(Default)]
struct Sleeper {
    due: Cell<Option<Instant>>,
    waker: Cell<Option<Waker>>,
}

impl Queue {
    pub fn new(world: Rc<RefCell<World>>) -> Self {
        Self { world, timer: Cell::new(None), attempts: RefCell::default() }
    }

    /// Before each poll: the future says anew what it waits for.
    pub fn forget_timer(&self) {
        self.timer.set(None);
    }

    /// When it wants to be polled.
    pub fn due(&self) -> Option<Instant> {
        let attempts = self.attempts.borrow();
        let attempts = attempts.iter().filter_map(|sleeper| sleeper.upgrade()?.due.get());
        attempts.chain(self.timer.get()).min()
    }

    /// Lets the attempts look whose time has come, or all of them.
    pub fn wake_attempts(&self, now: Instant, all: bool) {
        self.attempts.borrow_mut().retain(|sleeper| {
            let Some(sleeper) = sleeper.upgrade() else { return false };
            if (all || sleeper.due.get().is_some_and(|at| at <= now))
                && let Some(waker) = sleeper.waker.take()
            {
                waker.wake();
            }
            true
        });
    }
}

impl Runner for Queue {
    fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    fn world_mut(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    async fn sleep_until(&self, id: NodeId, at: Instant) {
        poll_fn(|_| {
            let world = self.world.borrow();
            if world.local_time(id) >= at {
                return Poll::Ready(());
            }
            self.timer.set(Some(world.now() + world.until(id, at)));
            Poll::Pending
        })
        .await;
    }

    /// Rings with every poll.
    async fn bell(&self, _: NodeId) {
        let mut rung = false;
        poll_fn(|_| if std::mem::replace(&mut rung, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn ring(&self, _: NodeId) {}

    fn join(&self, _: IpAddr) -> Result<(), Refusal> {
        Ok(())
    }

    fn carry(&self, envelope: Envelope) -> Result<(), Refusal> {
        let mut world = self.world.borrow_mut();
        for to in world.recipients(&envelope) {
            if world.hears(to, envelope.datagram.destination) {
                world.carried(to, envelope.clone());
            }
        }
        Ok(())
    }

    /// Modelled, and not spoken.
    fn probe(daemon: &Daemon<Self>, probe: Probe) -> LocalBoxFuture<'static, Verdict> {
        let (runner, id) = (daemon.runner.clone(), daemon.id);
        // As over a network, one that can't begin has its verdict later, not a refusal.
        let _ = runner.world_mut().acts(id, daemon.half, daemon.incarnation, "starts a probe");
        let mut attempt = Attempt::new(probe, &runner.world(), id);
        let sleeper = Rc::new(Sleeper::default());
        runner.attempts.borrow_mut().push(Rc::downgrade(&sleeper));
        Box::pin(poll_fn(move |context| match attempt.advance(&mut runner.world_mut(), id) {
            Progress::Ended(verdict) => Poll::Ready(verdict),
            Progress::Waits => {
                sleeper.due.set(attempt.due());
                sleeper.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }))
    }
}
