//! The one loop that joins a machine with a world, the same code in both simulators and in the daemon.
//!
//! Its rules, each with a test in `core/tests/driver.rs`:
//! - What waits is heard before a timer that has expired: a paused director must hear the adverts in its queue before
//!   it claims an address.
//! - The same before a machine hands over: its successor has another socket.
//! - But work per turn is bounded, in number ([`MAX_WAITING`] of each kind) and in time ([`TURN`]): a flood of one kind can
//!   neither keep a timer from firing nor hide what waits behind it.
//! - Effects are carried out lane by lane, and one that fails comes back as an event before anything else is heard.
//! - Nothing is given away by a turn that could not take off what it stands for ([`crate::machine::Effect::gives_away`]), and
//!   nothing is announced that was refused in the same turn ([`crate::machine::Effect::tells_of`]).
//! - What happens at one instant has one order: one seed, one run.
//! - The caller's other tasks get their turn, whatever floods in.

use crate::machine::{Effect, Input, InputOf, Lane, Like, Machine, Output};
use crate::seam::{Done, Refusal, Source, WorkId, World};
use crate::time::{Duration, Instant};
use futures::future::{AbortHandle, Abortable, FutureExt, LocalBoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How many waiting events of each kind are taken before expired timers get their turn: more than a socket's buffer
/// holds (1 MiB, which Linux doubles; 768 bytes a packet), so that a director that was paused hears every advert in its queue first,
/// and few enough that a flood delays a timer by milliseconds.
pub const MAX_WAITING: usize = 4096;

/// How long what waits of one kind is taken before the next has its turn, once [`TAKEN_AT_LEAST`] have been. A packet costs
/// some microseconds; those that cost more because of what they make the machine do are fewer.
pub const TURN: Duration = Duration::from_millis(50);
/// See [`TURN`]. A machine that was stopped in the middle of a turn still hears so many before it trusts its timers.
pub const TAKEN_AT_LEAST: usize = 256;

/// The kinds of what waits, in the order in which they are taken: what the world tells, then probes and scripts that have
/// ended.
const KINDS: [Option<Source>; 4] = [Some(Source::Host), Some(Source::Lease), Some(Source::Packets), None];

/// Runs `machine` in its world until it has handled [`Input::Stop`] or [`Input::HandOver`].
///
/// Futures are polled on the caller's thread; nothing is spawned. Dropping the returned future is a crash: nothing is
/// cleaned up.
pub async fn drive<K, M, W>(machine: &mut M, world: Rc<W>)
where
    K: Machine,
    M: Like<K>,
    W: World<K>,
{
    let mut turn = Turn {
        machine,
        world,
        queue: VecDeque::new(),
        work: FuturesUnordered::new(),
        named: BTreeMap::new(),
        now: Instant::ZERO,
        still_there: false,
        kind: PhantomData,
    };
    loop {
        for kind in KINDS {
            let mut taken = 0;
            let began = turn.world.now();
            let mut more = true;
            while more && let Some(input) = turn.waiting(kind) {
                taken += 1;
                if turn.step(input).await {
                    return;
                }
                more = taken < MAX_WAITING && (taken < TAKEN_AT_LEAST || turn.now.since(began) < TURN);
            }
            if !more {
                // A director under load never sleeps, but the world's own tasks must go on.
                tokio::task::yield_now().await;
            }
        }
        let wakeup = turn.machine.next_wakeup().map(|(at, _)| at);
        if wakeup.is_some_and(|at| at <= turn.world.now()) {
            turn.step(Input::Wakeup).await;
            tokio::task::yield_now().await;
            continue;
        }
        if let Some(input) = turn.next(wakeup).await
            && turn.step(input).await
        {
            return;
        }
    }
}

/// A probe or script under way.
struct Work<I> {
    name: Option<WorkId>,
    result: Abortable<LocalBoxFuture<'static, I>>,
}

/// One that was cancelled ends with nothing.
type Ended<I> = (Option<WorkId>, Option<I>);

impl<I> Future for Work<I> {
    type Output = Ended<I>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<I>> {
        let this = self.get_mut();
        this.result.poll_unpin(context).map(|result| (this.name, result.ok()))
    }
}

struct Turn<'a, K: Machine, M, W> {
    machine: &'a mut M,
    world: Rc<W>,
    /// Answers that were there at once: failed effects, tables read back.
    queue: VecDeque<InputOf<K>>,
    /// Probes and scripts under way.
    work: FuturesUnordered<Work<InputOf<K>>>,
    named: BTreeMap<WorkId, AbortHandle>,
    /// The instant of the last event: `now` never goes back, whatever the clock does.
    now: Instant,
    /// Something could not be taken off in this turn.
    still_there: bool,
    kind: PhantomData<K>,
}

impl<K, M, W> Turn<'_, K, M, W>
where
    K: Machine,
    M: Like<K>,
    W: World<K>,
{
    /// What is there without waiting. Answers come before all else: they belong to the event just handled.
    fn waiting(&mut self, kind: Option<Source>) -> Option<InputOf<K>> {
        if let Some(answer) = self.queue.pop_front() {
            return Some(answer);
        }
        match kind {
            Some(source) => self.world.waiting(source),
            None if self.work.is_empty() => None,
            None => loop {
                let ended = self.work.next().now_or_never()??;
                if let Some(input) = self.ended(ended) {
                    return Some(input);
                }
            },
        }
    }

    fn ended(&mut self, (name, input): Ended<InputOf<K>>) -> Option<InputOf<K>> {
        if let Some(name) = name {
            self.named.remove(&name);
        }
        input
    }

    /// Waits for the next event, at most until `wakeup`.
    async fn next(&mut self, wakeup: Option<Instant>) -> Option<InputOf<K>> {
        let Self { world, work, .. } = self;
        let sleep = async {
            match wakeup {
                Some(at) => world.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            input = world.next() => return Some(input),
            Some(ended) = work.next(), if !work.is_empty() => ended,
            () = sleep => return None,
        };
        self.ended(ended)
    }

    /// One event through the machine, its effects into the world. True after its last one.
    async fn step(&mut self, input: InputOf<K>) -> bool {
        let last = input.is_last();
        if let Input::HandOver = input {
            for _ in 0..MAX_WAITING {
                let Some(waits) = self.waiting(Some(Source::Packets)) else { break };
                self.hear(waits).await;
            }
        }
        self.hear(input).await;
        last
    }

    async fn hear(&mut self, input: InputOf<K>) {
        self.now = self.now.max(self.world.now());
        self.still_there = false;
        let mut batch = Vec::new();
        for lane in self.machine.handle(input, self.now).into_lanes() {
            for output in lane {
                match output {
                    Output::Effect(effect) if effect.lane().is_quiet() => batch.push(effect),
                    output => {
                        self.carry_out_all(std::mem::take(&mut batch)).await;
                        match output {
                            Output::Effect(effect) => self.carry_out(effect).await,
                            Output::Decide(decision) => self.world.record(self.now, &decision),
                            Output::Notify { queue, command } => self.world.notify(&queue, &command),
                            Output::News(news) => self.world.news(&news),
                            Output::Mail(mail) => self.world.mail(&mail),
                            Output::Fifo { path, line } => self.world.fifo(&path, &line),
                        }
                    }
                }
            }
        }
        self.carry_out_all(batch).await;
    }

    /// What has no answer, in one go: a thousand changes are a few calls of the kernel.
    async fn carry_out_all(&mut self, mut batch: Vec<K::Effect>) {
        let mut told = batch.split_off(batch.partition_point(|effect| effect.lane() < Lane::Announce));
        let refused = self.try_all(&batch).await;
        if !refused.is_empty() && !told.is_empty() {
            let missing: Vec<&K::Effect> = refused.iter().filter_map(|(place, _)| batch.get(*place)).collect();
            told.retain(|effect| !missing.iter().any(|change| effect.tells_of(change)));
        }
        self.came_back(batch, refused);
        let refused = self.try_all(&told).await;
        self.came_back(told, refused);
    }

    async fn try_all(&self, batch: &[K::Effect]) -> Vec<(usize, Refusal)> {
        if batch.is_empty() { Vec::new() } else { self.world.carry_out_all(batch).await }
    }

    /// What was refused of a batch is the machine's to know.
    fn came_back(&mut self, batch: Vec<K::Effect>, mut refused: Vec<(usize, Refusal)>) {
        if refused.is_empty() {
            return;
        }
        refused.sort_by_key(|(place, _)| *place);
        let mut refused = refused.into_iter().peekable();
        for (place, effect) in batch.into_iter().enumerate() {
            if let Some((_, error)) = refused.next_if(|(refused, _)| *refused == place) {
                self.still_there |= effect.takes_off();
                self.queue.push_back(Input::Failed { effect: Box::new(effect), error });
            }
        }
    }

    async fn carry_out(&mut self, effect: K::Effect) {
        let done = match effect.gives_away().filter(|_| self.still_there) {
            Some(why_not) => Err(why_not.to_owned()),
            None => self.world.carry_out(&effect).await,
        };
        match done {
            Ok(Done::Quietly) => {}
            Ok(Done::Answer(input)) => self.queue.push_back(input),
            Ok(Done::Begun(name, result)) => {
                let (handle, registration) = AbortHandle::new_pair();
                self.named.extend(name.map(|name| (name, handle)));
                self.work.push(Work { name, result: Abortable::new(result, registration) });
            }
            Ok(Done::Cancelled(name)) => {
                if let Some(handle) = self.named.remove(&name) {
                    handle.abort();
                }
            }
            Err(error) => {
                self.still_there |= effect.takes_off();
                self.queue.push_back(Input::Failed { effect: Box::new(effect), error });
            }
        }
    }
}
