//! The script that reads a FIFO. It is started when the FIFO is there, and not again if it ends by itself.

use super::super::Shop;
use super::super::running::Running;
use nix::sys::signal::Signal;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vipward_core::command::Command;
use vipward_core::time::Duration;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// How long a successor waits for its line.
const SOON: Duration = Duration::from_millis(200);

pub struct Reader {
    command: Command,
    says: UnboundedSender<Say>,
    life: JoinHandle<()>,
}

enum Say {
    /// Gives its line to a successor, and looks at nothing until it is taken back.
    Give(oneshot::Sender<OwnedFd>),
    TakeBack,
    End,
}

impl Reader {
    /// Starts the command when the one before has ended.
    pub fn start(shop: Rc<Shop>, path: &Arc<str>, command: Command, before: Option<JoinHandle<()>>) -> Self {
        let (says, hears) = mpsc::unbounded_channel();
        let (path, argv) = (path.clone(), command.clone());
        let life = tokio::task::spawn_local(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            let owner = format!("notify FIFO {path}").into();
            match shop.start(&owner, &argv, true).await {
                Ok(running) => lives(&shop, &path, running, hears).await,
                Err(why) => tracing::error!("{owner}: its script is not started: {why}"),
            }
        });
        Self { command, says, life }
    }

    /// One that a predecessor started.
    pub fn go_on(shop: Rc<Shop>, path: &Arc<str>, command: Command, line: OwnedFd) -> Self {
        let (says, hears) = mpsc::unbounded_channel();
        let path = path.clone();
        let life = tokio::task::spawn_local(async move {
            match Running::goes_on(line) {
                Ok(running) => lives(&shop, &path, running, hears).await,
                Err(error) => tracing::error!("notify FIFO {path}: lost sight of its script: {error}"),
            }
        });
        Self { command, says, life }
    }

    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Its line, for a successor; none: it has ended.
    pub fn give(&self) -> impl Future<Output = Option<OwnedFd>> + use<> {
        let (answer, line) = oneshot::channel();
        let _ = self.says.send(Say::Give(answer));
        // One that is just being started may wait for the file system.
        async { timeout(SOON, line).await.ok()?.ok() }
    }

    pub fn take_back(&self) {
        let _ = self.says.send(Say::TakeBack);
    }

    /// Ends it; wait for the end.
    pub fn end(self) -> JoinHandle<()> {
        let _ = self.says.send(Say::End);
        self.life
    }
}

async fn lives(shop: &Shop, path: &str, mut running: Running, mut hears: UnboundedReceiver<Say>) {
    let speaker = shop.complaints.of(&format!("notify FIFO {path}"));
    let mut given = false;
    loop {
        let said = tokio::select! {
            biased;
            said = hears.recv() => said,
            ended = running.ends(&speaker), if !given => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                return tracing::warn!("notify FIFO {path}: its script ended ({how}), and is not started again before a reload");
            }
        };
        match said {
            Some(Say::Give(answer)) => {
                given = true;
                if let Ok(line) = running.line() {
                    let _ = answer.send(line);
                }
            }
            Some(Say::TakeBack) => given = false,
            Some(Say::End) => break,
            None => return,
        }
    }
    running.signal(Signal::SIGTERM);
    if timeout(GRACE, running.ends(&speaker)).await.is_err() {
        running.kill();
        let _ = timeout(GRACE, running.ends(&speaker)).await;
    }
}
