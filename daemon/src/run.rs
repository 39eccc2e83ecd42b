//! `vipward run`: a director in the foreground, and what its operator tells it by signals.

use crate::cli::Run;
use crate::configuration::{self, Disk, host_name, load, seed};
use crate::exit::Exit;
use crate::log;
use crate::record::{Recording, Ring};
use crate::summary;
use crate::thread::{Machine, NotStarted};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vipward_core::config::{Config, Diagnostic, Sources, render};
use vipward_core::event::Event;
use vipward_core::settings::{self, Settings};
use vipward_core::time::Duration;

/// How long an orderly stop may take altogether.
const STOP: Duration = Duration::from_secs(10);

/// Runs until a signal ends it.
pub fn run(options: &Run) -> Exit {
    log::start(options.log_level);
    let Some((settings, beside)) = settings(options) else { return Exit::Diagnostics };
    let mut sources = Sources::default();
    let Some(mut config) = first_configuration(options, &mut sources) else { return Exit::Diagnostics };
    let said = settings.complete(&mut config, &config_id(options));
    if said.iter().any(Diagnostic::is_error) {
        eprint!("{}", render(&beside, &said, io::stderr().is_terminal()));
        return Exit::Diagnostics;
    }
    configuration::log(&beside, &said);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return io_failed(error),
    };
    let recording = match Ring::of(settings.record.clone()) {
        Some(ring) => match Recording::start(ring, config_id(options), seed(), &sources) {
            Ok(recording) => Some(recording),
            Err(error) => return io_failed(error),
        },
        None => None,
    };
    let ended = runtime.block_on(supervise(options, config, recording.as_ref()));
    if let Some(recording) = recording {
        recording.finish();
    }
    ended.unwrap_or_else(io_failed)
}

/// `vipward.toml`, its text, and what the command line puts in its place; messages as for a configuration.
fn settings(options: &Run) -> Option<(Settings, Sources)> {
    let mut sources = Sources::default();
    let (settings, diagnostics) = settings::load(&mut sources, &Disk, &options.file, options.settings.as_deref());
    if settings.is_none() {
        eprint!("{}", render(&sources, &diagnostics, io::stderr().is_terminal()));
    }
    let mut settings = settings?;
    if let Some(file) = &options.record {
        settings.record.file = Some(file.clone());
    }
    Some((settings, sources))
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

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// keepalived's requests for files under /tmp; unheard they would kill the process.
    user: [Signal; 2],
}

enum Told {
    Stop,
    Reload,
    Unknown(&'static str),
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    async fn next(&mut self) -> Told {
        let [user1, user2] = &mut self.user;
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
            _ = user1.recv() => Told::Unknown("SIGUSR1"),
            _ = user2.recv() => Told::Unknown("SIGUSR2"),
        }
    }
}

async fn supervise(options: &Run, config: Config, recording: Option<&Recording>) -> io::Result<Exit> {
    let mut signals = Signals::listen()?;
    let mut election = Machine::election(recording.map(Recording::tap))?;
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
    tell(&loaded(config));
    loop {
        tokio::select! {
            biased;
            told = signals.next() => match told {
                Told::Stop => break,
                Told::Reload => if let Some(config) = reload(options, recording) {
                    tell(&loaded(config));
                },
                Told::Unknown(name) => tracing::info!("{name} has no meaning here"),
            },
            () = election.done() => return Ok(ended("election")),
            () = balancer.done() => return Ok(ended("balancer")),
        }
    }
    tracing::info!("stopping");
    tell(&Event::Stop);
    let both = async { tokio::join!(election.done(), balancer.done()) };
    let deadline = tokio::time::sleep(STOP);
    tokio::pin!(both, deadline);
    loop {
        tokio::select! {
            biased;
            _ = &mut both => return Ok(Exit::Fine),
            told = signals.next() => match told {
                Told::Stop => {
                    tracing::error!("stopped at once, on the second signal");
                    return Ok(Exit::Failed);
                }
                Told::Reload | Told::Unknown(_) => {}
            },
            () = &mut deadline => {
                tracing::error!("could not stop in order within {} s", STOP.as_secs());
                return Ok(Exit::Failed);
            }
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
    let completed = loaded.config.zip(settings).and_then(|(mut config, settings)| {
        let said = settings.complete(&mut config, &config_id(options));
        configuration::log(&beside, &said);
        (!said.iter().any(Diagnostic::is_error)).then_some(config)
    });
    if completed.is_none() {
        tracing::error!("{} or its settings have errors: the running configuration stays", options.file.display());
        return None;
    }
    if let Some(recording) = recording {
        recording.configuration(&sources);
    }
    tracing::info!("{} was read again", options.file.display());
    completed
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
