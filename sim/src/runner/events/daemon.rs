//! A daemon: its two machines under the production driver, polled by hand.

use super::queue::Queue;
use super::{Make, Restless};
use crate::runner::seam::Daemon as Place;
use crate::scenario::NodeId;
use crate::world::{Half, World};
use futures::future::LocalBoxFuture;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use vipward_core::balancer::Balancer;
use vipward_core::estate::{BALANCER_PAUSE, ELECTION_PAUSE};
use vipward_core::supervisor::Guarded;
use vipward_core::time::Instant;
use vipward_core::vrrp::Election;

/// A machine that is not at rest after so many events of one instant never will be.
const MOST_AT_ONCE: u32 = 100_000;

pub(super) struct Daemon {
    id: NodeId,
    incarnation: u64,
    world: Rc<RefCell<World>>,
    drivers: [Driver; 2],
}

impl Daemon {
    pub fn new(id: NodeId, incarnation: u64, make: &dyn Make, world: &Rc<RefCell<World>>) -> Self {
        let supervised = world.borrow().supervises();
        let driver = |half| {
            let runner = Rc::new(Queue::new(world.clone()));
            let place = Place { runner: runner.clone(), id, half, incarnation };
            let handled = Rc::new(Cell::new(0));
            let count = handled.clone();
            let life: LocalBoxFuture<'static, ()> = match half {
                Half::Election => {
                    let machine = Restless { machine: make.election(id), handled };
                    if supervised {
                        let machine = Guarded::new(machine, place.clone());
                        Box::pin(place.lives::<Election, _>(machine, ELECTION_PAUSE))
                    } else {
                        Box::pin(place.lives::<Election, _>(machine, ELECTION_PAUSE))
                    }
                }
                Half::Balancer => {
                    let machine = Restless { machine: make.balancer(id), handled };
                    Box::pin(place.lives::<Balancer, _>(machine, BALANCER_PAUSE))
                }
            };
            let woken = Arc::new(Woken(AtomicBool::new(false)));
            let waker = Waker::from(woken.clone());
            // It is polled for the first time at once.
            Driver { half, runner, life: Some(life), waker, woken, handled: count, due: Some(Instant::ZERO) }
        };
        let drivers = [Half::Election, Half::Balancer].map(driver);
        Self { id, incarnation, world: world.clone(), drivers }
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Does what is due now. `changed`: something of the world did, look at everything.
    pub fn turn(&mut self, changed: bool) -> Result<(), &'static str> {
        for driver in &mut self.drivers {
            driver.turn(self.id, &self.world, changed)?;
        }
        // What the second of them told the first.
        let [election, _] = &mut self.drivers;
        election.turn(self.id, &self.world, false)
    }

    /// When something is due; a frozen one waits for nothing.
    pub fn next(&self) -> Option<Instant> {
        let world = self.world.borrow();
        if !world.director(self.id).is_some_and(|it| it.running()) {
            return None;
        }
        if world.has_mail(self.id) {
            return Some(world.now());
        }
        self.drivers.iter().filter_map(|driver| driver.due).min()
    }
}

/// Whether a future asked to be polled again.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One machine's life.
struct Driver {
    half: Half,
    runner: Rc<Queue>,
    /// `None`: it has ended.
    life: Option<LocalBoxFuture<'static, ()>>,
    waker: Waker,
    woken: Arc<Woken>,
    /// How many events its machine has handled at this instant.
    handled: Rc<Cell<u32>>,
    /// When it wants to be polled.
    due: Option<Instant>,
}

impl Driver {
    fn turn(&mut self, id: NodeId, world: &RefCell<World>, changed: bool) -> Result<(), &'static str> {
        let Some(life) = &mut self.life else { return Ok(()) };
        let now = {
            let world = world.borrow();
            let now = world.now();
            let concerned = changed || self.due.is_some_and(|at| at <= now) || world.has_mail_for(id, self.half);
            if !(concerned && world.director(id).is_some_and(|director| director.running())) {
                return Ok(());
            }
            now
        };
        self.runner.wake_attempts(now, changed);
        self.handled.set(0);
        let mut polls = 0;
        loop {
            self.woken.0.store(false, Ordering::Relaxed);
            self.runner.forget_timer();
            if life.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
                (self.life, self.due) = (None, None);
                return Ok(());
            }
            polls += 1;
            if self.handled.get() > MOST_AT_ONCE || polls > MOST_AT_ONCE {
                return Err("it never rests");
            }
            if !self.woken.0.load(Ordering::Relaxed) {
                self.due = self.runner.due();
                return Ok(());
            }
        }
    }
}
