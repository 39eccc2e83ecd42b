//! The configuration and the settings beside it, read on a thread of its own: a file server that does not answer holds up
//! neither the supervisor's orders nor the machines.

use crate::options::cli::Run;
use crate::options::configuration::{self, config_id, load};
use crate::process::orders::{Supervisor, Told};
use crate::system::disk::{Disk, LooksAt};
use crate::system::exit::Exit;
use crate::system::log;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use vipward_core::config::Config;
use vipward_core::settings::{self, Settings};
use vipward_core::supervisor::Order;
use vipward_core::text::{Diagnostic, Sources, render};

/// How long it may take. The largest known configuration takes 0.3 s; a supervisor waits 30 s for a worker that starts.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Threads that read, most of which wait for files that do not answer. Then nothing new is begun.
const MOST_THREADS: usize = 4;

/// The longest reason that is told, in characters.
const LONGEST_REASON: usize = 1000;

/// How many there are.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// One of them, until it ends, however it does.
struct Counted;

impl Counted {
    fn one() -> Self {
        THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was read, and what is to be said about it.
pub struct Read {
    /// Both, if both can be run.
    pub plan: Option<(Config, Settings)>,
    /// The text of the configuration.
    pub sources: Sources,
    pub diagnostics: Vec<Diagnostic>,
    /// The text of the settings.
    pub beside: Sources,
    pub said: Vec<Diagnostic>,
}

/// What the command line puts in the place of the settings comes into them as well.
fn read(options: &Run, looks_at: LooksAt) -> Read {
    let disk = Disk::new(looks_at);
    let (mut sources, mut beside) = (Sources::default(), Sources::default());
    let (settings, mut said) = settings::load(&mut beside, &disk, &options.file, options.settings.as_deref());
    let loaded = load(&mut sources, &disk, &options.file, &config_id(options));
    let mut plan = loaded.config.zip(settings);
    if let Some((config, settings)) = &mut plan {
        if let Some(file) = &options.record {
            settings.record.file = Some(file.clone());
        }
        if let Some(folder) = &options.state {
            settings.state.dir = folder.clone();
        }
        said.extend(settings.complete(config, &config_id(options)));
        said.extend(settings.nothing_to_run(config));
    }
    plan = plan.filter(|_| !said.iter().any(Diagnostic::is_error));
    Read { plan, sources, diagnostics: loaded.diagnostics, beside, said }
}

impl Read {
    /// Into the log, a line each.
    pub fn log(&self) {
        configuration::log(&self.sources, &self.diagnostics);
        configuration::log(&self.beside, &self.said);
    }

    /// As `vipward check` shows it.
    pub fn render(&self) -> String {
        let color = io::stderr().is_terminal();
        render(&self.sources, &self.diagnostics, color) + &render(&self.beside, &self.said, color)
    }

    /// The first error, where it is, and how many there are.
    pub fn reason(&self) -> String {
        let of = |sources: &Sources, found: &[Diagnostic]| -> Vec<String> {
            let errors = found.iter().filter(|found| found.is_error());
            errors.map(|error| configuration::line(sources, error)).collect()
        };
        let mut errors = of(&self.sources, &self.diagnostics);
        errors.extend(of(&self.beside, &self.said));
        let first: String = errors.first().map_or("", String::as_str).chars().take(LONGEST_REASON).collect();
        match errors.len() {
            0 | 1 => first,
            2 => format!("{first}; and another error, which the log shows"),
            more => format!("{first}; and {} more errors, which the log shows", more - 1),
        }
    }
}

/// Something that is being read.
pub struct Reading<T = Read> {
    result: oneshot::Receiver<T>,
    until: tokio::time::Instant,
    limit: Duration,
    looks_at: LooksAt,
}

impl Reading {
    /// # Errors
    /// No thread, or too many that still wait.
    pub fn begin(options: &Run) -> io::Result<Self> {
        let options = options.clone();
        Reading::of(LIMIT, move |looks_at| read(&options, looks_at))
    }
}

impl<T: Send + 'static> Reading<T> {
    fn of(limit: Duration, read: impl FnOnce(LooksAt) -> T + Send + 'static) -> io::Result<Self> {
        if THREADS.load(Ordering::Relaxed) >= MOST_THREADS {
            return Err(io::Error::other(format!("{MOST_THREADS} threads still wait for files that do not answer")));
        }
        let looks_at = LooksAt::default();
        let (tell, result) = oneshot::channel();
        let (seen, counted) = (looks_at.clone(), Counted::one());
        std::thread::Builder::new().name("reading".into()).spawn(move || {
            let _counted = counted;
            let _ = tell.send(read(seen));
        })?;
        Ok(Self { result, until: tokio::time::Instant::now() + limit, limit, looks_at })
    }

    /// Waits for it. It may be dropped and asked for again.
    ///
    /// # Errors
    /// It takes too long, and which file it is that does not answer.
    pub async fn done(&mut self) -> Result<T, String> {
        match tokio::time::timeout_at(self.until, &mut self.result).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(_)) => Err("the thread that reads it has ended".to_owned()),
            Err(_) => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> String {
        let path = self.looks_at.path();
        let path = if path == Path::new("") { "it".to_owned() } else { path.display().to_string() };
        format!("{path} could not be read within {} s", self.limit.as_secs())
    }
}

/// Reads the files; what is wrong goes to standard error as `vipward check` shows it if they can't be run, else into the
/// log. An operator's stop counts meanwhile; the number of a reload that was asked for comes along, since the files may have
/// changed since this began.
pub async fn first_configuration(options: &Run, supervisor: &mut Supervisor) -> Result<(Read, Option<u32>), Exit> {
    let mut reading = Reading::begin(options).map_err(|error| {
        tracing::error!("{error}");
        Exit::Failed
    })?;
    let mut wanted = None;
    let read = loop {
        tokio::select! {
            biased;
            told = supervisor.next() => match told {
                Told::Order(Order::Stop, _) | Told::Gone => return Err(Exit::Fine),
                Told::Order(Order::Reload { number }, _) => wanted = Some(number),
                // Nothing to do with one that does not act yet.
                Told::Order(_, _) => {}
            },
            read = reading.done() => break read,
        }
    };
    let read = read.map_err(|why| {
        tracing::error!("not started: {why}");
        Exit::Failed
    })?;
    match &read.plan {
        Some(_) => read.log(),
        None => log::print(&read.render()),
    }
    Ok((read, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use vipward_core::text::Files;

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_named_and_not_waited_for() {
        let (release, blocked) = mpsc::channel::<()>();
        let mut reading = Reading::of(Duration::from_secs(1), move |looks_at| {
            let _ = Disk::new(looks_at).read(Path::new("/mnt/dead/included.conf"));
            let _ = blocked.recv();
        })
        .unwrap();
        let why = reading.done().await.unwrap_err();
        assert_eq!(why, "/mnt/dead/included.conf could not be read within 1 s");
        drop(release);
    }
}
