//! `vipward worker`: the process in which a director's two machines run. Its supervisor ([`crate::process::supervise`]) started it
//! and tells it what the operator wants.

use crate::dataplane::relay::Relay;
use crate::host::Door;
use crate::host::files;
use crate::host::scripts::fifos::{Fifos, Left};
use crate::host::scripts::{Launcher, Means};
use crate::mail::Post;
use crate::options::cli::{Run, Worker};
use crate::options::configuration::{config_id, seed};
use crate::process::confine;
use crate::process::hand_over;
use crate::process::hand_over::{Giving, Listener, Piece};
use crate::process::neighbours::{self, Claims, Presence};
use crate::process::orders::{Supervisor, Told, leave_signals_to_the_supervisor};
use crate::process::reading::{Read, Reading, first_configuration};
use crate::process::summary;
use crate::process::thread::{AfterGiving, Hired, Thread, Voice};
use crate::record::{Recording, Ring};
use crate::state::{Place, Shelf};
use crate::status::{About, Desk, orders, questions};
use crate::system::exit::Exit;
use crate::system::{log, passing, quiet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::mpsc;
use vipward_core::balancer::Balancer;
use vipward_core::config::Config;
use vipward_core::decision::LogLevel;
use vipward_core::estate::{BalancerEstate, ElectionEstate, Estate, OfOne};
use vipward_core::machine::{Input, Machine, ToBoth};
use vipward_core::record::MachineName;
use vipward_core::settings::Relay as Allowed;
use vipward_core::supervisor::{NOTES, Order, Report, ReportSink};
use vipward_core::time::Duration;
use vipward_core::vrrp::{self, Election};

/// How long an orderly stop may take altogether.
const STOP: Duration = Duration::from_secs(10);

/// How long an orderly stop waits for mails, and a worker that has handed over. What is not sent by then is lost, and said.
const LAST_MAILS: Duration = Duration::from_secs(3);
const RETIRED_MAILS: Duration = Duration::from_secs(60);

/// How often a supervisor that does not read its packets is tried to be told of a verdict, 10 ms each time.
const VERDICT_TRIES: u32 = 100;

/// Runs until its supervisor ends it, or is gone.
pub fn run(worker: &Worker) -> Exit {
    let options = &worker.run;
    log::begin(options.log_level);
    let socket = match passing::from_stdin() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Usage;
        }
    };
    let launcher = match confine::begin(options) {
        Ok(launcher) => launcher,
        Err(error) => return io_failed(error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return io_failed(error),
    };
    let inside = runtime.enter();
    let mut supervisor = match leave_signals_to_the_supervisor().and_then(|()| Supervisor::listen(socket)) {
        Ok(supervisor) => supervisor,
        Err(error) => return io_failed(error),
    };
    drop(inside);
    let (read, wanted) = match runtime.block_on(first_configuration(options, &mut supervisor)) {
        Ok(read) => read,
        Err(ended) => return ended,
    };
    let sources = read.sources;
    let Some((config, settings)) = read.plan else { return Exit::Diagnostics };
    files::prepare(&config);
    let thread = match confine::finish(&settings) {
        Ok(thread) => thread,
        Err(error) => return io_failed(error),
    };
    let (presence, neighbours) = match neighbours::begin(&options.file, &config) {
        Ok(begun) => begun,
        Err(why) => {
            tracing::error!("not started: {why}");
            return Exit::Failed;
        }
    };
    if let Some(file) = &settings.record.file {
        supervisor.reports.report(Report::Records(std::path::absolute(file).unwrap_or_else(|_| file.clone())));
    }
    let recording = match Ring::of(settings.record.clone()) {
        Some(ring) => match Recording::start(ring, config_id(options), seed(), &sources) {
            Ok(recording) => Some(recording),
            Err(error) => return io_failed(error),
        },
        None => None,
    };
    let place = Place::new(&settings.state.dir, &options.file, &config_id(options));
    let means = Means { launcher, longest: settings.scripts.notify_timeout };
    let beside = Beside { presence, neighbours, place, means, thread, allowed: settings.relay, wanted };
    let ended = runtime.block_on(work(worker, config, recording.as_ref(), supervisor, beside));
    if let Some(recording) = recording {
        recording.finish();
    }
    ended.unwrap_or_else(io_failed)
}

fn io_failed(error: io::Error) -> Exit {
    tracing::error!("{error}");
    Exit::Failed
}

/// A director at work: what its main thread has of it.
struct Director<'a> {
    options: &'a Run,
    recording: Option<&'a Recording>,
    /// What carries the virtual servers' traffic, until that was said.
    carrier: Option<(LogLevel, String)>,
    supervisor: Supervisor,
    election: Thread<Election>,
    balancer: Thread<Balancer>,
    relay: Option<Arc<Relay>>,
    place: Place,
    shelf: Shelf,
    launcher: Launcher,
    /// What is read for the order of this number, and a later order that waits for the end of that.
    reading: Option<(u32, Reading)>,
    wanted: Option<u32>,
    /// As other directors of this host see it.
    presence: Option<Presence>,
    /// Who answers how this director is.
    desk: Desk,
    post: Post,
    fifos: Fifos,
}

/// What an operator's order or a death leads to.
enum Turn {
    /// Nothing more.
    On,
    Stop,
    /// Another process acts.
    Retired,
}

/// What a director has beside its configuration.
struct Beside {
    presence: Option<Presence>,
    /// How many other directors live in this network namespace.
    neighbours: usize,
    place: Place,
    means: Means,
    /// For the Election.
    thread: Hired,
    /// What a relay allows, if there is one.
    allowed: Allowed,
    /// A reload that was asked for while the files were read for the first time.
    wanted: Option<u32>,
}

async fn work(
    worker: &Worker,
    config: Config,
    recording: Option<&Recording>,
    supervisor: Supervisor,
    Beside { presence, neighbours, place, means, thread, allowed, wanted }: Beside,
) -> io::Result<Exit> {
    let options = &worker.run;
    let shelf = Shelf::start(place.clone())?;
    let post = Post::start()?;
    let fifos = Fifos::start(means.clone())?;
    let voice = Voice { means: means.clone(), post: post.clone(), fifos: fifos.clone() };
    let tap = || recording.map(Recording::tap);
    let (voter, checker) = Door::pair();
    let (of_election, of_balancer) = (questions(), questions());
    let (orders, answers) = orders();
    let line = supervisor.reports.clone();
    let mut election = Thread::election(thread, voter, tap(), line, shelf.slot(), voice.clone(), of_election.1)?;
    let mut balancer =
        Thread::balancer(checker, options.dataplane, tap(), shelf.slot(), voice, (of_balancer.1, answers))?;
    let about = About { director: config_id(options), file: options.file.display().to_string() };
    let desk = Desk::open(about, post.clone(), election.asked(of_election.0), balancer.asked(of_balancer.0), orders)?;
    let mut relay = None;
    let mut carrier = None;
    for ready in [election.ready().await, balancer.ready().await] {
        match ready {
            Ok(world) => {
                match world.carrier {
                    None => tracing::info!("{}", world.uses),
                    Some(level) => carrier = Some((level, world.uses)),
                }
                relay = relay.or(world.relay);
            }
            Err(why) => return Ok(why.exit()),
        }
    }
    if let Some(relay) = &relay {
        relay.allow(&config, &allowed);
    }
    for line in summary::of(&options.file, &config) {
        tracing::info!("{line}");
    }
    if neighbours > 0 {
        let _ = election.inputs.send(vrrp::Event::NeighboursLive.into());
    }
    let mut director = Director {
        options,
        recording,
        carrier,
        supervisor,
        election,
        balancer,
        relay,
        place,
        shelf,
        launcher: means.launcher,
        reading: None,
        wanted,
        presence,
        desk,
        post,
        fifos,
    };
    director.say_carrier(&config);
    // Only now, when both worlds are there: a director that lacks something touches nothing.
    if worker.successor {
        director.supervisor.reports.report(Report::Prepared { notes: NOTES });
        if !director.inherit(Arc::new(config)).await? {
            return Ok(Exit::Fine);
        }
        director.supervisor.reports.report(Report::TookOver);
    } else {
        director.fifos.loaded(&config, Vec::new());
        director.begin(loaded(Arc::new(config)), worker.after_farewell);
    }
    director.run().await
}

impl Director<'_> {
    fn tell(&self, told: &ToBoth) {
        // One that has ended is noticed elsewhere.
        let _ = self.election.inputs.send(told.clone().input());
        let _ = self.balancer.inputs.send(told.clone().input());
    }

    /// Begins by what a predecessor left in its state file, if one did. `after_farewell`: its roles were given away.
    fn begin(&mut self, loaded: ToBoth, after_farewell: bool) {
        // First this: from the first thing that the machines do on, silence means something.
        self.supervisor.reports.report(Report::Ready);
        let election = self.place.read(MachineName::Election).and_then(ElectionEstate::of);
        if let Some(estate) = election.filter(|_| !after_farewell) {
            let _ = self.election.inputs.send(Input::Inherited(estate));
        }
        if let Some(estate) = self.place.read(MachineName::Balancer).and_then(BalancerEstate::of) {
            let _ = self.balancer.inputs.send(Input::Inherited(estate));
        }
        self.tell(&loaded);
    }

    /// Waits for what the old worker leaves, and begins with it. False: nothing came, and nothing was touched.
    async fn inherit(&mut self, config: Arc<Config>) -> io::Result<bool> {
        let loaded = loaded(config.clone());
        let line = loop {
            match self.supervisor.next().await {
                Told::Order(Order::Inherit, Some(line)) => break line,
                Told::Order(Order::Stop, _) | Told::Gone => return Ok(false),
                // Nothing to do with one that does not act yet.
                Told::Order(_, _) => {}
            }
        };
        let (tell, mut pieces) = mpsc::unbounded_channel();
        let boot = self.place.boot().clone();
        let all = tokio::task::spawn_blocking(move || {
            hand_over::receive(&line, &boot, |piece| {
                let _ = tell.send(piece);
            })
        });
        let mut waiting = vec![MachineName::Election, MachineName::Balancer];
        let mut left: Vec<Left> = Vec::new();
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Relay { table, listeners } => {
                    if let Some(relay) = &self.relay {
                        relay
                            .inherit(table, listeners.into_iter().map(|Listener(key, socket)| (key, socket)).collect());
                    }
                }
                Piece::Fifo(fifo) => left.push(fifo.0),
                // Each begins as soon as it has what is its own.
                Piece::Estate(Estate::Election(estate)) => {
                    begin(&self.election, Some(estate), &loaded);
                    waiting.retain(|name| *name != MachineName::Election);
                }
                Piece::Estate(Estate::Balancer(estate)) => {
                    begin(&self.balancer, Some(estate), &loaded);
                    waiting.retain(|name| *name != MachineName::Balancer);
                }
            }
        }
        all.await.map_err(io::Error::other)??;
        self.fifos.loaded(&config, left);
        for name in waiting {
            // It had nothing to leave.
            match name {
                MachineName::Election => begin(&self.election, None, &loaded),
                MachineName::Balancer => begin(&self.balancer, None, &loaded),
            }
        }
        Ok(self.election.loaded().await && self.balancer.loaded().await)
    }

    async fn run(mut self) -> io::Result<Exit> {
        if let Some(number) = self.wanted.take() {
            self.begin_reading(number);
        }
        loop {
            let turn = tokio::select! {
                biased;
                told = self.supervisor.next() => self.obey(told).await?,
                (number, read) = read_by(&mut self.reading) => self.was_read(number, read),
                () = self.election.done() => return Ok(ended("election")),
                () = self.balancer.done() => return Ok(ended("balancer")),
                // It can't start another one. A worker that can has this one's roles in a moment.
                () = self.launcher.gone() => return Ok(ended("process that starts scripts")),
            };
            match turn {
                Turn::On => {}
                Turn::Stop => return Ok(self.stop().await),
                Turn::Retired => return Ok(self.carry().await),
            }
        }
    }

    async fn obey(&mut self, told: Told) -> io::Result<Turn> {
        match told {
            Told::Order(Order::Stop, _) => return Ok(Turn::Stop),
            Told::Order(Order::Reload { number }, _) => match &self.reading {
                // The file may have changed since that was begun.
                Some(_) => self.wanted = Some(number),
                None => self.begin_reading(number),
            },
            Told::Order(Order::HandOver, Some(line)) => return self.hand_over(line).await,
            Told::Order(Order::Status, Some(client)) => self.desk.serve(client),
            // These have a place in a hand-over only.
            Told::Order(Order::HandOver | Order::Inherit | Order::TakeBack | Order::Retire | Order::Status, _) => {}
            Told::Gone => {
                tracing::error!("the supervisor is dead: stopping in order");
                return Ok(Turn::Stop);
            }
        }
        Ok(Turn::On)
    }

    /// Once there are virtual servers.
    fn say_carrier(&mut self, config: &Config) {
        if let Some((level, line)) = self.carrier.take_if(|_| !config.services.is_empty()) {
            quiet::say(level, &line);
        }
    }

    fn begin_reading(&mut self, number: u32) {
        match Reading::begin(self.options) {
            Ok(reading) => self.reading = Some((number, reading)),
            Err(error) => self.verdict(number, Err(error.to_string())),
        }
    }

    /// The new configuration, or what is wrong with it.
    fn was_read(&mut self, number: u32, read: Result<Read, String>) -> Turn {
        self.reading = None;
        let verdict = read.and_then(|read| self.take_up(read));
        self.verdict(number, verdict);
        if let Some(number) = self.wanted.take() {
            self.begin_reading(number);
        }
        Turn::On
    }

    /// Lets it run, if nobody else in this network namespace runs any of it.
    fn take_up(&mut self, read: Read) -> Result<(), String> {
        read.log();
        let reason = read.reason();
        let Some((config, settings)) = read.plan else { return Err(reason) };
        self.presence.as_ref().map_or(Ok(()), |presence| presence.claim_anew(&config))?;
        if let Some(recording) = self.recording {
            recording.configuration(&read.sources);
        }
        tracing::info!("{} was read again", self.options.file.display());
        self.say_carrier(&config);
        self.relay.iter().for_each(|relay| relay.allow(&config, &settings.relay));
        self.fifos.loaded(&config, Vec::new());
        self.tell(&loaded(Arc::new(config)));
        Ok(())
    }

    fn verdict(&mut self, number: u32, verdict: Result<(), String>) {
        let refused = verdict.err();
        if let Some(why) = &refused {
            tracing::error!("the running configuration stays: {why}");
        }
        // An operator waits for it.
        let verdict = Report::Reloaded { number, refused };
        let reports = &mut self.supervisor.reports;
        for _ in 0..VERDICT_TRIES {
            if reports.report(verdict.clone()) {
                break;
            }
            reports.settle();
        }
    }

    /// Ends the machines without giving anything back, and gives their estates to the successor.
    async fn hand_over(&mut self, line: OwnedFd) -> io::Result<Turn> {
        self.tell(&ToBoth::HandOver);
        if let Err(error) = self.give(Giving::new(line, self.place.boot())).await {
            tracing::error!("can't hand over: {error}");
        }
        self.supervisor.reports.report(Report::HandedOver);
        let order = loop {
            match self.supervisor.next().await {
                Told::Order(order @ (Order::TakeBack | Order::Retire), _) => break Some(order),
                Told::Order(_, _) => {}
                Told::Gone => break None,
            }
        };
        if order == Some(Order::Retire) {
            self.decide(AfterGiving::Ends);
            self.relay.iter().for_each(|relay| relay.retire());
            return Ok(Turn::Retired);
        }
        self.decide(AfterGiving::GoesOn);
        self.relay.iter().for_each(|relay| relay.take_back());
        self.fifos.take_back();
        self.shelf.open()?;
        // Without a supervisor the successor ends as well.
        Ok(if order.is_some() { Turn::On } else { Turn::Stop })
    }

    /// What becomes of the machines after that.
    fn decide(&self, decision: AfterGiving) {
        self.election.decide(decision);
        self.balancer.decide(decision);
    }

    async fn give(&mut self, giving: Giving) -> io::Result<()> {
        // The Election's first: peers wait for its adverts.
        if let Some(estate) = self.election.estate().await {
            giving.estate(estate.into())?;
        }
        let estate = self.balancer.estate().await;
        // From now on the copies of the state file are the successor's.
        self.shelf.close();
        if let Some(relay) = &self.relay {
            let (table, listeners) = relay.hand_over();
            let listeners: Vec<Listener> = listeners.into_iter().map(|(key, socket)| Listener(key, socket)).collect();
            giving.relay(&table, &listeners)?;
        }
        if let Some(estate) = estate {
            giving.estate(estate.into())?;
        }
        // Last: nobody waits for them.
        for fifo in self.fifos.give().await {
            giving.fifo(&fifo)?;
        }
        giving.end()
    }

    async fn stop(mut self) -> Exit {
        tracing::info!("stopping");
        self.tell(&ToBoth::Stop);
        let both = async {
            tokio::join!(self.election.done(), self.balancer.done());
            tokio::join!(self.post.end(LAST_MAILS), self.fifos.end());
        };
        match tokio::time::timeout(STOP, both).await {
            Ok(()) => {
                self.shelf.clear();
                Exit::Fine
            }
            Err(_) => {
                tracing::error!("could not stop in order within {} s", STOP.as_secs());
                Exit::Failed
            }
        }
    }

    /// Another process acts. What was begun here ends here: connections and notify scripts. The supervisor limits it.
    async fn carry(mut self) -> Exit {
        tracing::info!("retired: the connections that are here go on to their end");
        self.presence.iter().for_each(|presence| presence.claim(Claims::new()));
        let Self { supervisor, election, balancer, relay, post, .. } = &mut self;
        let rest = async {
            tokio::join!(election.done(), balancer.done());
            post.end(RETIRED_MAILS).await;
            if let Some(relay) = relay {
                relay.carried().await;
            }
        };
        tokio::pin!(rest);
        loop {
            tokio::select! {
                biased;
                told = supervisor.next() => match told {
                    Told::Order(Order::Stop, _) | Told::Gone => return Exit::Fine,
                    Told::Order(_, _) => {}
                },
                () = &mut rest => return Exit::Fine,
            }
        }
    }
}

fn loaded(config: Arc<Config>) -> ToBoth {
    ToBoth::ConfigLoaded { config, seed: seed() }
}

/// Lets a machine begin with what was left to it.
fn begin<M: Machine>(thread: &Thread<M>, estate: Option<M::Estate>, loaded: &ToBoth) {
    // One that has ended is noticed elsewhere.
    if let Some(estate) = estate {
        let _ = thread.inputs.send(Input::Inherited(estate));
    }
    let _ = thread.inputs.send(loaded.clone().input());
}

/// What is being read, when it is there. Never, if nothing is.
async fn read_by(reading: &mut Option<(u32, Reading)>) -> (u32, Result<Read, String>) {
    match reading {
        Some((number, reading)) => (*number, reading.done().await),
        None => std::future::pending().await,
    }
}

fn ended(machine: &str) -> Exit {
    tracing::error!("the {machine} ended by itself");
    Exit::Failed
}
