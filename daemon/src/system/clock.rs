//! `CLOCK_BOOTTIME`: it never jumps, and it goes on while the machine is suspended.
//!
//! tokio's own timer counts whole milliseconds of `CLOCK_MONOTONIC`, which stops during suspend. So all sleepers of one
//! thread share one timerfd, which fires to the microsecond and after a suspend at once.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tokio::net::unix::pipe;
use vipward_core::seam::Clock;
use vipward_core::time::{Duration, Instant};

/// The clock of one thread.
pub struct BootClock {
    timer: TimerFd,
    /// What `timer` is set to.
    armed: Cell<Option<Instant>>,
    /// Who sleeps until when; the number tells two of the same instant apart.
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next: Cell<u64>,
}

impl BootClock {
    /// Starts the clock in the current `LocalSet`.
    pub fn start() -> io::Result<Rc<Self>> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        // A timerfd is read like a pipe, and tokio's pipe is a safe way to wait for a descriptor.
        let expired = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        let clock = Rc::new(Self {
            timer,
            armed: Cell::new(None),
            sleepers: RefCell::new(BTreeMap::new()),
            next: Cell::new(0),
        });
        let ticker = Rc::downgrade(&clock);
        tokio::task::spawn_local(async move {
            while expired.readable().await.is_ok() {
                let mut expirations = [0; 8];
                if expired.try_read(&mut expirations).is_err() {
                    continue;
                }
                let Some(clock) = ticker.upgrade() else { return };
                clock.armed.set(None);
                clock.wake_due();
            }
        });
        Ok(clock)
    }

    fn wake_due(&self) {
        let now = self.now();
        loop {
            let first = self.sleepers.borrow().first_key_value().map(|(key, _)| *key);
            match first {
                Some(key) if key.0 <= now => {
                    if let Some(waker) = self.sleepers.borrow_mut().remove(&key) {
                        waker.wake();
                    }
                }
                Some((at, _)) => return self.arm(at),
                None => return,
            }
        }
    }

    /// Makes the timer fire at `at`, unless it fires earlier anyway.
    fn arm(&self, at: Instant) {
        if self.armed.get().is_some_and(|armed| armed <= at) {
            return;
        }
        // Zero would disarm it.
        let expiration = Expiration::OneShot(TimeSpec::from_duration(at.since_origin().max(Duration::from_nanos(1))));
        match self.timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME) {
            Ok(()) => self.armed.set(Some(at)),
            Err(error) => tracing::error!("can't set the timer: {error}"),
        }
    }
}

impl Clock for BootClock {
    fn now(&self) -> Instant {
        now()
    }

    async fn sleep_until(&self, at: Instant) {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let bed = Bed { clock: self, key: (at, number) };
        poll_fn(|context| {
            if self.now() >= at {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().insert(bed.key, context.waker().clone());
            self.arm(at);
            Poll::Pending
        })
        .await;
    }
}

/// The time since boot.
pub fn now() -> Instant {
    // Linux has had this clock since 2.6.39; the error can't happen, and zero would only mean that no time passes.
    let since_boot =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Instant::ZERO + since_boot
}

/// A sleeper's place among the others, given back when it wakes or is dropped.
struct Bed<'a> {
    clock: &'a BootClock,
    key: (Instant, u64),
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        self.clock.sleepers.borrow_mut().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_local_set;

    #[test]
    fn sleepers_wake_in_the_order_of_their_instants_and_never_early() {
        on_local_set(async {
            let clock = BootClock::start().unwrap();
            let start = clock.now();
            let woken = Rc::new(RefCell::new(Vec::new()));
            let sleep = |millis| {
                let (clock, woken) = (clock.clone(), woken.clone());
                async move {
                    let at = start + Duration::from_millis(millis);
                    clock.sleep_until(at).await;
                    assert!(clock.now() >= at);
                    woken.borrow_mut().push(millis);
                }
            };
            tokio::join!(sleep(30), sleep(10), sleep(20), sleep(0));
            assert_eq!(*woken.borrow(), [0, 10, 20, 30]);
        });
    }

    #[test]
    fn an_instant_in_the_past_and_the_origin_do_not_wait() {
        on_local_set(async {
            let clock = BootClock::start().unwrap();
            clock.sleep_until(Instant::ZERO).await;
            clock.sleep_until(clock.now() - Duration::from_secs(1)).await;
        });
    }

    #[test]
    fn a_dropped_sleeper_does_not_keep_the_others_from_waking() {
        on_local_set(async {
            let clock = BootClock::start().unwrap();
            let soon = clock.now() + Duration::from_millis(5);
            let later = clock.now() + Duration::from_millis(25);
            tokio::select! {
                biased;
                () = clock.sleep_until(later) => panic!("the later one woke first"),
                () = clock.sleep_until(soon) => {}
            }
            assert!(clock.sleepers.borrow().is_empty());
            clock.sleep_until(later).await;
            assert!(clock.now() >= later);
        });
    }
}
