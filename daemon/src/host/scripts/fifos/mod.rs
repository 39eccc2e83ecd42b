//! Notify FIFOs: `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`, and the scripts that read them.
//!
//! Machines put lines into a bounded queue and go on. A thread of its own writes them, without waiting for a reader: what does
//! not fit any more is counted and told. The process for scripts makes each FIFO and opens it ([`super::pipe`]), and starts its reader.
//!
//! A successor gets the open FIFO, what waits for it and the line to its reader, so neither notices an upgrade. A reader is
//! ended with its worker, at the end and at a reload, which starts it anew, as keepalived does.

mod pipe;
mod reader;
#[cfg(test)]
mod tests;

use super::{Means, Shop, accounts};
use pipe::Pipe;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vipward_core::command::Command;
use vipward_core::config::{Config, Fifo};
use vipward_core::time::Duration;

/// Lines on their way to the thread, and before it knows which FIFOs there are.
const MOST: usize = 4096;

/// How long a successor waits for what the thread gives away.
const GIVING: Duration = Duration::from_millis(300);

/// The way to the thread.
#[derive(Clone)]
pub struct Fifos {
    lines: mpsc::Sender<Line>,
    orders: UnboundedSender<Order>,
    lost: Arc<AtomicU64>,
}

struct Line {
    path: Arc<str>,
    text: String,
}

enum Order {
    Loaded { fifos: Vec<Fifo>, secure: bool, left: Vec<Left> },
    Give(oneshot::Sender<Vec<Left>>),
    TakeBack,
    End(oneshot::Sender<()>),
}

/// What a worker leaves of one FIFO.
#[derive(Debug)]
pub struct Left {
    pub path: Arc<str>,
    /// The director made it, and removes it at its end.
    pub made: bool,
    /// What was not written yet.
    pub waiting: Vec<String>,
    pub pipe: OwnedFd,
    /// The script that reads it, and the line to that.
    pub reader: Option<(Command, OwnedFd)>,
}

impl Fifos {
    /// Starts the thread.
    ///
    /// # Errors
    /// None can be had.
    pub fn start(means: Means) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (lines, takes) = mpsc::channel(MOST);
        let (orders, hears) = mpsc::unbounded_channel();
        let lost: Arc<AtomicU64> = Arc::default();
        let counted = lost.clone();
        std::thread::Builder::new().name("fifos".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, serve(takes, hears, means, &counted));
            // A look-up that has no end must not be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { lines, orders, lost })
    }

    /// A configuration is in force from now on. `left`: by a predecessor.
    pub fn loaded(&self, config: &Config, left: Vec<Left>) {
        let fifos = config.global.fifos.iter().cloned().collect();
        self.order(Order::Loaded { fifos, secure: config.global.script_security, left });
    }

    /// Puts a line into a FIFO's queue; never waits.
    pub fn put(&self, path: &str, line: &str) {
        if self.lines.try_send(Line { path: path.into(), text: line.to_owned() }).is_err() {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// All that there is, for a successor. Nothing is written from now on.
    pub async fn give(&self) -> Vec<Left> {
        let (answer, all) = oneshot::channel();
        self.order(Order::Give(answer));
        tokio::time::timeout(GIVING, all).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Nobody took it.
    pub fn take_back(&self) {
        self.order(Order::TakeBack);
    }

    /// The director ends: lets readers have what was written, ends those that it started, and removes what it made.
    pub async fn end(&self) {
        let (answer, done) = oneshot::channel();
        self.order(Order::End(answer));
        let _ = done.await;
    }

    fn order(&self, order: Order) {
        // The thread ends after this.
        let _ = self.orders.send(order);
    }
}

/// The thread's side.
struct Desk {
    shop: Rc<Shop>,
    pipes: BTreeMap<Arc<str>, Rc<Pipe>>,
    /// Lines that came before the first configuration: a successor's machines begin before it has all that was left.
    early: Option<VecDeque<Line>>,
}

async fn serve(mut lines: Receiver<Line>, mut orders: UnboundedReceiver<Order>, means: Means, lost: &AtomicU64) {
    let shop = Shop::new(means, accounts::look_up);
    let mut desk = Desk { shop, pipes: BTreeMap::new(), early: Some(VecDeque::new()) };
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => order,
                None => return,
            },
            Some(line) = lines.recv() => {
                desk.put(line);
                say_lost(lost);
                continue;
            }
        };
        match order {
            Order::Loaded { fifos, secure, left } => desk.load(fifos, secure, left).await,
            Order::Give(answer) => {
                desk.put_all(&mut lines);
                let _ = answer.send(desk.give().await);
            }
            Order::TakeBack => desk.pipes.values().for_each(|pipe| pipe.take_back()),
            Order::End(done) => {
                desk.put_all(&mut lines);
                futures::future::join_all(desk.pipes.values().map(|pipe| pipe.close())).await;
                desk.pipes.clear();
                let _ = done.send(());
            }
        }
    }
}

fn say_lost(lost: &AtomicU64) {
    let count = lost.swap(0, Ordering::AcqRel);
    if count > 0 {
        tracing::warn!(
            "{count} lines for notify FIFOs were dropped: they came faster than this machine could take them"
        );
    }
}

impl Desk {
    fn put(&mut self, line: Line) {
        match (&mut self.early, self.pipes.get(&line.path)) {
            (Some(early), _) if early.len() < MOST => early.push_back(line),
            (None, Some(pipe)) => pipe.put(line.text),
            // A configuration that is over by now wanted it.
            (Some(_) | None, _) => {}
        }
    }

    /// What the machines have said before they ended.
    fn put_all(&mut self, lines: &mut Receiver<Line>) {
        while let Ok(line) = lines.try_recv() {
            self.put(line);
        }
    }

    async fn load(&mut self, fifos: Vec<Fifo>, secure: bool, left: Vec<Left>) {
        self.shop.secure.set(secure);
        for it in left {
            self.pipes.insert(it.path.clone(), Pipe::go_on(self.shop.clone(), it));
        }
        let first = self.early.is_some();
        let wanted = |path: &Arc<str>| fifos.iter().any(|fifo| fifo.path == *path);
        let gone: Vec<Rc<Pipe>> = self.pipes.extract_if(.., |path, _| !wanted(path)).map(|(_, pipe)| pipe).collect();
        for pipe in gone {
            tokio::task::spawn_local(async move { pipe.close().await });
        }
        for fifo in fifos {
            match self.pipes.get(&fifo.path) {
                Some(pipe) => pipe.reload(fifo, first),
                None => {
                    self.pipes.insert(fifo.path.clone(), Pipe::begin(self.shop.clone(), fifo));
                }
            }
        }
        for line in self.early.take().into_iter().flatten() {
            self.put(line);
        }
    }

    async fn give(&self) -> Vec<Left> {
        futures::future::join_all(self.pipes.values().map(|pipe| pipe.give())).await.into_iter().flatten().collect()
    }
}
