//! The thread of a worker that answers whoever asks how the director is.

use super::{Orders, Questions};
use crate::mail::Post;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::balancer::Balancer;
use vipward_core::machine::{InputOf, Machine};
use vipward_core::status::{BalancerStatus, ElectionStatus, FORMAT, Status};
use vipward_core::vrrp::Election;

/// How long a machine may take. The Election's own watchdog is no more patient.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a client may take to read.
const READS: Duration = Duration::from_secs(2);

/// Clients that wait for their turn. More are let go.
const MOST: usize = 16;

/// A machine, and where questions to it are put.
pub struct Of<M: Machine, S> {
    pub inputs: UnboundedSender<InputOf<M>>,
    pub questions: Questions<S>,
}

/// The worker's end of it.
pub struct Desk(SyncSender<OwnedFd>);

/// What does not change while a worker lives.
pub struct About {
    pub director: String,
    pub file: String,
}

struct Clerk {
    about: About,
    began: Instant,
    post: Post,
    election: Of<Election, ElectionStatus>,
    balancer: Of<Balancer, BalancerStatus>,
    orders: Orders,
}

impl Desk {
    /// # Errors
    /// No thread can be had.
    pub fn open(
        about: About,
        post: Post,
        election: Of<Election, ElectionStatus>,
        balancer: Of<Balancer, BalancerStatus>,
        orders: Orders,
    ) -> io::Result<Self> {
        let (clients, queue) = sync_channel(MOST);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let mut clerk = Clerk { about, began: Instant::now(), post, election, balancer, orders };
        std::thread::Builder::new().name("status".to_owned()).spawn(move || clerk.serve(&queue, &runtime))?;
        Ok(Self(clients))
    }

    /// Takes a client; it is let go when too many wait.
    pub fn serve(&self, client: OwnedFd) {
        if self.0.try_send(client).is_err() {
            tracing::debug!("too many ask for the status at once: one was let go");
        }
    }
}

impl Clerk {
    /// One after the other: what they ask for costs the machines something.
    fn serve(&mut self, clients: &Receiver<OwnedFd>, runtime: &tokio::runtime::Runtime) {
        for client in clients {
            let answer = match order(&client) {
                None => serde_json::to_vec(&runtime.block_on(self.status())).map_err(io::Error::from),
                Some(line) => Ok(match runtime.block_on(self.obey(&line)) {
                    Ok(()) => b"done".to_vec(),
                    Err(why) => format!("failed: {}", why.replace('\n', " ")).into_bytes(),
                }),
            };
            if let Err(error) = answer.and_then(|answer| write(client, answer)) {
                tracing::debug!("the answer did not reach who asked for it: {error}");
            }
        }
    }

    async fn obey(&mut self, line: &str) -> Result<(), String> {
        let given = self.orders.give(line.parse()?, &self.balancer.inputs);
        match tokio::time::timeout(PATIENCE, given).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err("this worker ends just now: ask again".to_owned()),
            Err(_) => Err(format!(
                "virtual servers did not answer within {} s: whether it is done `vipward status` will say",
                PATIENCE.as_secs()
            )),
        }
    }

    async fn status(&self) -> Status {
        let asked = Instant::now();
        let (election, balancer) = tokio::join!(answer(&self.election), answer(&self.balancer));
        let millis = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Status {
            format: FORMAT,
            director: self.about.director.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            up_ms: millis(self.began),
            file: self.about.file.clone(),
            election: election.map(|status| (*status).clone()),
            balancer: balancer.map(|status| (*status).clone()),
            mail: Some(self.post.status()),
            waited_ms: millis(asked),
        }
    }
}

/// `None`: it does not answer in time, or has ended.
async fn answer<M: Machine, S>(of: &Of<M, S>) -> Option<Arc<S>> {
    tokio::time::timeout(PATIENCE, of.questions.ask::<M>(&of.inputs)).await.ok().flatten()
}

/// The order that the supervisor has left there; none: it has read all that was said.
fn order(client: &OwnedFd) -> Option<String> {
    let mut line = [0; 256];
    let length = recv(client.as_raw_fd(), &mut line, MsgFlags::MSG_DONTWAIT).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(line.get(..length)?).into_owned())
}

fn write(client: OwnedFd, mut bytes: Vec<u8>) -> io::Result<()> {
    bytes.push(b'\n');
    let mut client = UnixStream::from(client);
    client.set_nonblocking(false)?;
    // For each call; a client that takes a little each time is stopped by the limit for all of it.
    client.set_write_timeout(Some(READS))?;
    let until = Instant::now() + READS;
    for part in bytes.chunks(64 << 10) {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.write_all(part)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::questions;
    use super::*;
    use std::io::Read;
    use vipward_core::machine::Input;
    use vipward_core::status::{Audience as _, DecisionStatus};

    /// A desk at which the Election answers like this, on a thread of its own, and the Balancer never does.
    fn desk(answer: ElectionStatus) -> (Desk, impl Sized) {
        let (election, mut audience) = questions();
        let (inputs, mut woken) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Some(Input::Wakeup) = woken.blocking_recv() {
                audience.tell(answer.clone());
            }
        });
        let (balancer, silent) = questions();
        let (unread, unwoken) = tokio::sync::mpsc::unbounded_channel();
        let about = About { director: "lb1".to_owned(), file: "a.conf".to_owned() };
        let desk = Desk::open(
            about,
            Post::start().unwrap(),
            Of { inputs, questions: election },
            Of { inputs: unread, questions: balancer },
            super::super::orders().0,
        );
        (desk.unwrap(), (silent, unwoken))
    }

    fn client(desk: &Desk) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        desk.serve(theirs.into());
        ours
    }

    fn heard(mut client: UnixStream) -> Status {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_machine_that_does_not_answer_is_not_known() {
        let (desk, _silent) = desk(ElectionStatus::default());
        let status = heard(client(&desk));
        assert_eq!((status.director.as_str(), status.format), ("lb1", FORMAT));
        assert_eq!((status.election, status.balancer), (Some(ElectionStatus::default()), None));
        assert!(status.waited_ms >= 1_000, "{}", status.waited_ms);
    }

    /// Whoever gives an order that makes no sense, or that nobody obeys, hears that.
    #[test]
    fn an_order_is_answered_whatever_comes_of_it() {
        let (desk, _silent) = desk(ElectionStatus::default());
        let answer = |line: &str| {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(line.as_bytes()).unwrap();
            desk.serve(theirs.into());
            let mut text = String::new();
            ours.read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(answer("drain web1\n"), "failed: `web1` is no real server: ADDRESS:PORT is wanted\n");
        let gone = "failed: this worker ends just now: ask again\n";
        let late = "failed: virtual servers did not answer within 1 s: whether it is done `vipward status` will say\n";
        let heard = answer("drain 10.0.0.1:80\n");
        assert!(heard == late || heard == gone, "{heard}");
        assert_eq!(heard_status(client(&desk)), FORMAT, "a question is one again");
    }

    fn heard_status(client: UnixStream) -> u32 {
        heard(client).format
    }

    /// More than the socket holds: whoever does not read is let go, and the next one has his turn.
    #[test]
    fn who_does_not_read_is_let_go_and_who_has_gone_is_not_missed() {
        let decision = DecisionStatus {
            ago_ms: 1,
            level: "info".to_owned(),
            code: "c".to_owned(),
            about: String::new(),
            text: "x".repeat(1_000),
        };
        let decisions = vec![decision; 2_000];
        let (desk, _silent) = desk(ElectionStatus { decisions, ..ElectionStatus::default() });
        let idle = client(&desk);
        drop(client(&desk));
        let status = heard(client(&desk));
        assert_eq!(status.election.map(|it| it.decisions.len()), Some(2_000));
        drop(idle);
    }

    #[test]
    fn of_too_many_the_last_are_let_go() {
        let (desk, _silent) = desk(ElectionStatus::default());
        let clients: Vec<UnixStream> = (0..MOST + 10).map(|_| client(&desk)).collect();
        let mut last = String::new();
        let read = clients.last().unwrap().try_clone().unwrap().read_to_string(&mut last);
        assert_eq!((read.ok(), last.as_str()), (Some(0), ""), "at once, and without an answer");
    }
}
