//! The one loop that joins a machine with a world, the same code in the simulator and in the daemon.
//!
//! Its rules, each with a test in `core/tests/driver.rs`:
//! - What waits is heard before a timer that has expired: a paused director must hear the adverts in its queue before
//!   it claims an address.
//! - The same before a machine hands over: its successor has another socket.
//! - But work per turn is bounded ([`MAX_WAITING`] of each kind): a flood of one kind can neither keep a timer from
//!   firing nor hide what waits behind it.
//! - Effects are carried out in order, and one that fails comes back as an event before anything else is heard.
//! - No lease is given back by a turn that could not take an address off ([`may_ask`]).
//! - `select!` is biased: one seed, one order.
//! - The caller's other tasks get their turn, whatever floods in.

use crate::effect::Effect;
use crate::event::Event;
use crate::lease::LeaseOp;
use crate::machine::Machine;
use crate::probe::{self, ProbeId};
use crate::seam::{Clock, Host, Lease, Network, Refusal};
use crate::time::Instant;
use futures::future::{AbortHandle, Abortable, FutureExt, LocalBoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// How many waiting events of each kind are taken before expired timers get their turn: more than a socket's buffer
/// holds (1 MiB, which Linux doubles; 768 bytes a packet), so that a director that was paused hears every advert in its queue first,
/// and few enough that a flood delays a timer by milliseconds.
pub const MAX_WAITING: usize = 4096;

/// The kinds of what waits, in the order in which they are taken.
#[derive(Clone, Copy)]
enum Waiting {
    Host,
    /// What the quorum service says: before packets, which may have to be judged by it.
    Lease,
    Packets,
    /// Probes and scripts that have ended.
    Work,
}

/// Runs `machine` in its world until it has handled [`Event::Stop`] or [`Event::HandOver`].
///
/// Futures are polled on the caller's thread; nothing is spawned. Dropping the returned future is a crash: nothing is
/// cleaned up.
pub async fn drive<M, C, N, H, L>(machine: &mut M, clock: Rc<C>, network: Rc<N>, host: Rc<H>, lease: Rc<L>)
where
    M: Machine,
    C: Clock + 'static,
    N: Network + 'static,
    H: Host + 'static,
    L: Lease + 'static,
{
    let mut turn = Turn {
        machine,
        clock,
        network,
        host,
        lease,
        queue: VecDeque::new(),
        work: FuturesUnordered::new(),
        probes: BTreeMap::new(),
        now: Instant::ZERO,
        still_there: false,
    };
    loop {
        for kind in [Waiting::Host, Waiting::Lease, Waiting::Packets, Waiting::Work] {
            let mut taken = 0;
            while taken < MAX_WAITING
                && let Some(event) = turn.waiting(kind)
            {
                taken += 1;
                if turn.step(event).await {
                    return;
                }
            }
            if taken == MAX_WAITING {
                // A director under load never sleeps, but the world's own tasks must go on.
                tokio::task::yield_now().await;
            }
        }
        let wakeup = turn.machine.next_wakeup().map(|(at, _)| at);
        if wakeup.is_some_and(|at| at <= turn.clock.now()) {
            turn.step(Event::Wakeup).await;
            tokio::task::yield_now().await;
            continue;
        }
        if let Some(event) = turn.next(wakeup).await
            && turn.step(event).await
        {
            return;
        }
    }
}

struct Turn<'a, M, C, N, H, L> {
    machine: &'a mut M,
    clock: Rc<C>,
    network: Rc<N>,
    host: Rc<H>,
    lease: Rc<L>,
    /// Answers that were there at once: failed effects, tables read back.
    queue: VecDeque<Event>,
    /// Probes and scripts under way.
    work: FuturesUnordered<LocalBoxFuture<'static, Option<Event>>>,
    probes: BTreeMap<ProbeId, AbortHandle>,
    /// The instant of the last event: `now` never goes back, whatever the clock does.
    now: Instant,
    /// In this turn an address could not be removed.
    still_there: bool,
}

impl<M, C, N, H, L> Turn<'_, M, C, N, H, L>
where
    M: Machine,
    C: Clock + 'static,
    N: Network + 'static,
    H: Host + 'static,
    L: Lease + 'static,
{
    /// What is there without waiting. Answers come before all else: they belong to the event just handled.
    fn waiting(&mut self, kind: Waiting) -> Option<Event> {
        self.queue.pop_front().or_else(|| match kind {
            Waiting::Host => self.host.waiting_event(),
            Waiting::Lease => self.lease.waiting_event().map(Event::Lease),
            Waiting::Packets => self.network.waiting_advert().map(Event::AdvertReceived),
            // A cancelled probe ends without an event: on to the next.
            Waiting::Work => std::iter::from_fn(|| self.work.next().now_or_never().flatten()).flatten().next(),
        })
    }

    /// Waits for the next event, at most until `wakeup`.
    async fn next(&mut self, wakeup: Option<Instant>) -> Option<Event> {
        let Self { clock, network, host, lease, work, .. } = self;
        let sleep = async {
            match wakeup {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = host.event() => Some(event),
            said = lease.event() => Some(Event::Lease(said)),
            advert = network.advert() => Some(Event::AdvertReceived(advert)),
            Some(finished) = work.next(), if !work.is_empty() => finished,
            () = sleep => None,
        }
    }

    /// One event through the machine, its effects into the world. True after its last one.
    async fn step(&mut self, event: Event) -> bool {
        let last = matches!(event, Event::Stop | Event::HandOver);
        if event == Event::HandOver {
            for _ in 0..MAX_WAITING {
                let Some(waits) = self.waiting(Waiting::Packets) else { break };
                self.hear(waits).await;
            }
        }
        self.hear(event).await;
        last
    }

    async fn hear(&mut self, event: Event) {
        if let Event::ProbeFinished { probe, .. } = &event {
            self.probes.remove(probe);
        }
        self.now = self.now.max(self.clock.now());
        self.still_there = false;
        for effect in self.machine.handle(event, self.now) {
            self.carry_out(effect).await;
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        let done = match &effect {
            Effect::Listen { interface, group } => self.network.listen(interface, *group),
            Effect::StopListening { interface, group } => self.network.stop_listening(interface, *group),
            Effect::SendAdvert(advert) => self.network.send_advert(advert),
            Effect::Announce { interface, address } => self.network.announce(interface, *address),
            Effect::AddAddress(address) => self.host.add_address(address).await,
            Effect::RemoveAddress(key) => {
                let removed = self.host.remove_address(key).await;
                self.still_there |= removed.is_err();
                removed
            }
            Effect::Lease(op) => may_ask(op, self.still_there).and_then(|()| self.lease.ask(op)),
            Effect::RenewAddresses { addresses } => self.host.renew_addresses(addresses).await,
            Effect::ReadAddresses => self.host.read_addresses().await.map(|read| {
                self.queue.push_back(Event::AddressesRead(read));
            }),
            Effect::Ipvs(op) => self.host.ipvs(op).await,
            Effect::ReadIpvs => self.host.read_ipvs().await.map(|table| {
                self.queue.push_back(Event::IpvsRead(table));
            }),
            Effect::StartProbe { id, probe } => {
                let id = *id;
                let (handle, registration) = AbortHandle::new_pair();
                self.probes.insert(id, handle);
                let attempt = probe::run(probe.clone(), self.network.clone(), self.clock.clone());
                let attempt = Abortable::new(attempt, registration);
                self.work.push(Box::pin(async move {
                    attempt.await.ok().map(|verdict| Event::ProbeFinished { probe: id, verdict })
                }));
                Ok(())
            }
            Effect::CancelProbe(id) => {
                if let Some(handle) = self.probes.remove(id) {
                    handle.abort();
                }
                Ok(())
            }
            Effect::RunScript { script, command, timeout } => {
                let script = script.clone();
                let run = self.host.run_script(command, *timeout);
                self.work.push(Box::pin(async move { Some(Event::ScriptFinished { script, outcome: run.await }) }));
                Ok(())
            }
            Effect::Notify { queue, command } => {
                self.host.notify(queue, command);
                Ok(())
            }
            Effect::Decide(decision) => {
                self.host.record(self.now, decision);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.queue.push_back(Event::EffectFailed { effect: Box::new(effect), error });
        }
    }
}

/// A lease is not given back by a turn that could not take an address off: somebody else would get it at once.
/// `still_there`: one of the turn's removals failed.
pub fn may_ask(op: &LeaseOp, still_there: bool) -> Result<(), Refusal> {
    match op {
        LeaseOp::Release { .. } | LeaseOp::Close if still_there => {
            Err("an address could not be removed: the lease is not given back".to_owned())
        }
        LeaseOp::Release { .. }
        | LeaseOp::Close
        | LeaseOp::Open(_)
        | LeaseOp::Confirm { .. }
        | LeaseOp::Take { .. }
        | LeaseOp::Claim { .. }
        | LeaseOp::Withdraw { .. }
        | LeaseOp::Join(_) => Ok(()),
    }
}
