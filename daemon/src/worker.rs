//! `vipward worker`: the process in which a director's two machines run. Its supervisor ([`crate::supervise`]) started it
//! and tells it what the operator wants.

use crate::cli::Run;
use crate::configuration::{self, Disk, host_name, load, seed};
use crate::exit::Exit;
use crate::log;
use crate::record::{Recording, Ring};
use crate::summary;
use crate::supervise::wire::{self, Line};
use crate::thread::{Machine, NotStarted};
use nix::sys::signal::SigSet;
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::unistd::dup2_stdin;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};
use vipward_core::config::{Config, Sources, render};
use vipward_core::event::Event;
use vipward_core::settings::{self, Settings};
use vipward_core::supervisor::{Order, Report, Superior};
use vipward_core::time::Duration;

/// How long an orderly stop may take altogether.
const STOP: Duration = Duration::from_secs(10);

/// Runs until its supervisor ends it, or is gone.
pub fn run(options: &Run) -> Exit {
    log::start(options.log_level);
    let socket = match Supervisor::find() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Usage;
        }
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
    let Some(settings) = settings(options) else { return Exit::Diagnostics };
    let mut sources = Sources::default();
    let Some(config) = first_configuration(options, &mut sources) else { return Exit::Diagnostics };
    let config = Config { vip: settings.vip, ..config };
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
    let ended = runtime.block_on(work(options, config, recording.as_ref(), supervisor));
    if let Some(recording) = recording {
        recording.finish();
    }
    ended.unwrap_or_else(io_failed)
}

/// `vipward.toml` and what the command line puts in its place; messages as for a configuration.
fn settings(options: &Run) -> Option<Settings> {
    let mut sources = Sources::default();
    let (settings, diagnostics) = settings::load(&mut sources, &Disk, &options.file, options.settings.as_deref());
    if settings.is_none() {
        eprint!("{}", render(&sources, &diagnostics, io::stderr().is_terminal()));
    }
    let mut settings = settings?;
    if let Some(file) = &options.record {
        settings.record.file = Some(file.clone());
    }
    Some(settings)
}

fn io_failed(error: io::Error) -> Exit {
    tracing::error!("{error}");
    Exit::Failed
}

/// Reads the file; its messages go to standard error as `vipward check` shows them if it can't be run, else into the
/// log.
fn first_configuration(options: &Run, sources: &mut Sources) -> Option<Config> {
    let loaded = load(sources, &options.file, &config_id(options));
    if let Some(config) = loaded.config {
        configuration::log(sources, &loaded.diagnostics);
        return Some(config);
    }
    eprint!("{}", render(sources, &loaded.diagnostics, io::stderr().is_terminal()));
    None
}

fn config_id(options: &Run) -> String {
    options.config_id.clone().unwrap_or_else(host_name)
}

/// The line to the supervisor.
struct Supervisor {
    /// tokio knows no sockets of packets; its UDP socket waits for any descriptor, and the system call is ours.
    orders: UdpSocket,
    reports: Line,
}

/// What it may say, and that it is gone.
enum Told {
    Order(Order),
    Gone,
}

impl Supervisor {
    /// Takes it from standard input, where a script of a user must not find it.
    fn find() -> io::Result<OwnedFd> {
        let stdin = io::stdin();
        if !matches!(getsockopt(&stdin, sockopt::SockType), Ok(SockType::SeqPacket)) {
            return Err(io::Error::other("this is started by `vipward run` and by nobody else"));
        }
        let socket = stdin.as_fd().try_clone_to_owned()?;
        dup2_stdin(File::open("/dev/null")?)?;
        Ok(socket)
    }

    fn listen(socket: OwnedFd) -> io::Result<Self> {
        let orders = std::net::UdpSocket::from(socket.try_clone()?);
        orders.set_nonblocking(true)?;
        Ok(Self { orders: UdpSocket::from_std(orders)?, reports: Line::new(Arc::new(socket)) })
    }

    async fn next(&mut self) -> Told {
        let mut buffer = Box::new([0; wire::LONGEST]);
        loop {
            let receive = || Ok(wire::receive_packet(&self.orders, &mut buffer)?.map(wire::decode::<Order>));
            match self.orders.async_io(Interest::READABLE, receive).await {
                Ok(Some(Ok(order))) => return Told::Order(order),
                Ok(Some(Err(unreadable))) => tracing::error!("an order that makes no sense: {unreadable:?}"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(None) | Err(_) => return Told::Gone,
            }
        }
    }
}

/// Signals are the supervisor's. Those that a terminal or a service manager sends to a whole group of processes arrive
/// here as well, and must not end a worker that has to stop in order. They are heard and not ignored, as scripts would
/// inherit that. Until now they were blocked.
fn leave_signals_to_the_supervisor() -> io::Result<()> {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    for kind in kinds {
        // A handler stays for good.
        drop(signal(kind)?);
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

async fn work(
    options: &Run,
    config: Config,
    recording: Option<&Recording>,
    mut supervisor: Supervisor,
) -> io::Result<Exit> {
    let mut election = Machine::election(recording.map(Recording::tap), supervisor.reports.clone())?;
    let mut balancer = Machine::balancer(options.dataplane, recording.map(Recording::tap))?;
    for machine in [&mut election, &mut balancer] {
        match machine.ready().await {
            Ok(uses) => tracing::info!("{uses}"),
            Err(why) => return Ok(not_started(&why)),
        }
    }
    for line in summary::of(&options.file, &config) {
        tracing::info!("{line}");
    }
    // Only now, when both worlds are there: a director that lacks something touches nothing.
    let machines = [&election, &balancer].map(|machine| machine.events.clone());
    let tell = |event: &Event| {
        for events in &machines {
            // One that has ended is noticed below.
            let _ = events.send(event.clone());
        }
    };
    // First this: from the first thing that the machines do on, silence means something.
    supervisor.reports.report(Report::Ready);
    tell(&loaded(config));
    loop {
        tokio::select! {
            biased;
            told = supervisor.next() => match told {
                Told::Order(Order::Stop) => break,
                Told::Order(Order::Reload) => {
                    if let Some(config) = reload(options, recording) {
                        tell(&loaded(config));
                    }
                    supervisor.reports.report(Report::Reloaded);
                }
                Told::Gone => {
                    tracing::error!("the supervisor is dead: stopping in order");
                    break;
                }
            },
            () = election.done() => return Ok(ended("election")),
            () = balancer.done() => return Ok(ended("balancer")),
        }
    }
    tracing::info!("stopping");
    tell(&Event::Stop);
    let both = async { tokio::join!(election.done(), balancer.done()) };
    match tokio::time::timeout(STOP, both).await {
        Ok(_) => Ok(Exit::Fine),
        Err(_) => {
            tracing::error!("could not stop in order within {} s", STOP.as_secs());
            Ok(Exit::Failed)
        }
    }
}

fn loaded(config: Config) -> Event {
    Event::ConfigLoaded { config: Arc::new(config), seed: seed() }
}

/// SIGHUP: the new configuration, or the reasons in the log.
fn reload(options: &Run, recording: Option<&Recording>) -> Option<Config> {
    let mut sources = Sources::default();
    let loaded = load(&mut sources, &options.file, &config_id(options));
    let mut beside = Sources::default();
    let (settings, said) = settings::load(&mut beside, &Disk, &options.file, options.settings.as_deref());
    configuration::log(&sources, &loaded.diagnostics);
    configuration::log(&beside, &said);
    let Some((config, settings)) = loaded.config.zip(settings) else {
        tracing::error!("{} or its settings have errors: the running configuration stays", options.file.display());
        return None;
    };
    if let Some(recording) = recording {
        recording.configuration(&sources);
    }
    tracing::info!("{} was read again", options.file.display());
    Some(Config { vip: settings.vip, ..config })
}

fn not_started(why: &NotStarted) -> Exit {
    match why {
        NotStarted::Missing(capability) => {
            tracing::error!("not started: missing {capability}");
            Exit::Privilege
        }
        NotStarted::Dataplane(why) => {
            tracing::error!("not started: {why}");
            Exit::Dataplane
        }
        NotStarted::Failed(why) => {
            tracing::error!("not started: {why}");
            Exit::Failed
        }
    }
}

fn ended(machine: &str) -> Exit {
    tracing::error!("the {machine} ended by itself");
    Exit::Failed
}
