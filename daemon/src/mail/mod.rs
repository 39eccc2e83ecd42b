//! The thread that sends mail. Machines put theirs into its queue and go on; what waits for a name, a connection or a mail server is
//! this thread alone. What is sent when, and what is given up, core decides ([`vipward_core::mail`]).

mod carry;
#[cfg(test)]
mod tests;

use carry::deliver;
use futures::future::{BoxFuture, OptionFuture};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::Instant as Clock;
use vipward_core::config::Config;
use vipward_core::mail::queue::Report;
use vipward_core::mail::{Mail, MailStatus, Queue, Said, Settings};
use vipward_core::time::{Duration, Instant};

use crate::system::quiet;

/// The way to the thread.
#[derive(Clone)]
pub struct Post {
    told: UnboundedSender<Told>,
    status: Arc<Mutex<MailStatus>>,
    host: Arc<str>,
}

enum Told {
    Loaded(Option<Settings>),
    Mail(Mail, u64),
    /// The director ends: what waits is tried at once. Answered when nothing waits any more.
    End(oneshot::Sender<()>),
}

impl Post {
    /// Starts the thread.
    ///
    /// # Errors
    /// None can be had.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (told, hears) = mpsc::unbounded_channel();
        let status: Arc<Mutex<MailStatus>> = Arc::default();
        let shown = status.clone();
        std::thread::Builder::new().name("mail".to_owned()).spawn(move || {
            runtime.block_on(serve(hears, &shown));
            // A look-up of a name that has no end must not be waited for.
            runtime.shutdown_background();
        })?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().into();
        Ok(Self { told, status, host })
    }

    /// A configuration is in force.
    pub fn loaded(&self, config: &Config) {
        self.tell(Told::Loaded(Settings::of(&config.global, &self.host)));
    }

    /// Puts a mail into the queue; never waits.
    pub fn put(&self, mail: &Mail) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.tell(Told::Mail(mail.clone(), wall));
    }

    pub fn status(&self) -> MailStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The director ends: waits until nothing waits any more, at most so long.
    pub async fn end(&self, at_most: Duration) {
        let (answer, nothing_waits) = oneshot::channel();
        self.tell(Told::End(answer));
        let _ = tokio::time::timeout(at_most, nothing_waits).await;
        let MailStatus { waiting, last_error, .. } = self.status();
        if waiting > 0 {
            let why = last_error.map(|why| format!(": {why}")).unwrap_or_default();
            tracing::warn!("mail: {waiting} not sent before the end{why}");
        }
    }

    fn tell(&self, told: Told) {
        // The thread ends after this.
        let _ = self.told.send(told);
    }
}

async fn serve(mut told: UnboundedReceiver<Told>, status: &Mutex<MailStatus>) {
    let began = Clock::now();
    let now = || Instant::ZERO + began.elapsed();
    let mut queue = Queue::default();
    let mut under_way: Option<BoxFuture<'static, Report>> = None;
    let mut ends: Vec<oneshot::Sender<()>> = Vec::new();
    loop {
        // While one is under way this gathers at most.
        let (batch, said) = queue.begin(now());
        say(said);
        if let Some(batch) = batch {
            under_way = Some(Box::pin(deliver(batch)));
        }
        let shown = queue.status();
        let nothing_waits = shown.waiting == 0;
        // First this: whoever is answered looks at it.
        *status.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        if nothing_waits {
            ends.drain(..).for_each(|end| {
                let _ = end.send(());
            });
        }
        let wakeup = queue.next_wakeup().map(|at| tokio::time::sleep_until(began + at.since(Instant::ZERO)));
        tokio::select! {
            biased;
            next = told.recv() => match next {
                Some(Told::Loaded(settings)) => say(queue.configure(settings)),
                Some(Told::Mail(mail, wall)) => say(queue.put(mail, now(), wall)),
                Some(Told::End(end)) => {
                    queue.hurry(now());
                    ends.push(end);
                }
                None => return,
            },
            Some(report) = OptionFuture::from(under_way.as_mut()) => {
                under_way = None;
                say(queue.ended(report, now()));
            }
            Some(()) = OptionFuture::from(wakeup) => {}
        }
    }
}

fn say(said: impl IntoIterator<Item = Said>) {
    said.into_iter().for_each(|said| quiet::say(said.level, &said.text));
}
