//! What an old worker gives to its successor, over a line between the two: estates and a relay's table as JSON in memory files,
//! for they can have many megabytes, and the relay's listening sockets. Packets say which is which.

use crate::host::scripts::fifos::Left;
use crate::system::passing;
use crate::system::passing::MOST_DESCRIPTORS;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::MsgFlags;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use vipward_core::command::Command;
use vipward_core::estate::{Document, Estate};
use vipward_core::ipvs::{ServiceKey, Table};

/// No packet is longer: it names at most [`MOST_DESCRIPTORS`] services.
const LONGEST: usize = 64 << 10;

/// One packet. What it speaks of comes with it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Packet {
    /// A memory file with a [`Document`].
    Estate,
    /// A memory file with the relay's [`Table`].
    Table,
    /// Listening sockets of these services, in this order.
    Listeners(Vec<ServiceKey>),
    /// A notify FIFO that is open, and the line to the script that reads it, if there is one.
    Fifo { path: Arc<str>, made: bool, waiting: Vec<String>, reader: Option<Command> },
    /// That was all.
    End,
}

/// One thing that was left.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Estate(Estate),
    /// Comes before the Balancer's estate.
    Relay {
        table: Table,
        listeners: Vec<Listener>,
    },
    Fifo(Fifo),
}

/// A notify FIFO.
#[derive(Debug)]
pub struct Fifo(pub Left);

impl PartialEq for Fifo {
    fn eq(&self, other: &Self) -> bool {
        let of = |Self(it): &Self| {
            (it.path.clone(), it.made, it.waiting.clone(), it.reader.as_ref().map(|(command, _)| command.clone()))
        };
        of(self) == of(other)
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener(pub ServiceKey, pub OwnedFd);

impl PartialEq for Listener {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// The old worker's end.
pub struct Giving {
    line: OwnedFd,
    boot: String,
}

impl Giving {
    pub fn new(line: OwnedFd, boot: &str) -> Self {
        Self { line, boot: boot.to_owned() }
    }

    pub fn estate(&self, estate: Estate) -> io::Result<()> {
        let json = Document::new(&self.boot, estate).to_json().map_err(io::Error::other)?;
        self.send(&Packet::Estate, &[memory(&json)?.as_fd()])
    }

    pub fn relay(&self, table: &Table, listeners: &[Listener]) -> io::Result<()> {
        for some in listeners.chunks(MOST_DESCRIPTORS) {
            let keys = some.iter().map(|Listener(key, _)| *key).collect();
            let sockets: Vec<BorrowedFd<'_>> = some.iter().map(|Listener(_, socket)| socket.as_fd()).collect();
            self.send(&Packet::Listeners(keys), &sockets)?;
        }
        self.send(&Packet::Table, &[memory(&serde_json::to_vec(table)?)?.as_fd()])
    }

    pub fn fifo(&self, left: &Left) -> io::Result<()> {
        let Left { path, made, waiting, pipe, reader } = left;
        let with: Vec<BorrowedFd<'_>> =
            [Some(pipe), reader.as_ref().map(|(_, line)| line)].into_iter().flatten().map(AsFd::as_fd).collect();
        let reader = reader.as_ref().map(|(command, _)| command.clone());
        let mut packet = Packet::Fifo { path: path.clone(), made: *made, waiting: waiting.clone(), reader };
        // Lines that do not fit into a packet are too many.
        if serde_json::to_vec(&packet)?.len() > LONGEST
            && let Packet::Fifo { waiting, .. } = &mut packet
        {
            tracing::warn!("notify FIFO {path}: {} lines are dropped by the upgrade", waiting.len());
            waiting.clear();
        }
        if serde_json::to_vec(&packet)?.len() > LONGEST {
            // The command alone: the successor opens the FIFO itself, and starts another reader.
            return Ok(());
        }
        self.send(&packet, &with)
    }

    pub fn end(&self) -> io::Result<()> {
        self.send(&Packet::End, &[])
    }

    fn send(&self, packet: &Packet, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        Ok(passing::send(&self.line, &serde_json::to_vec(packet)?, descriptors, MsgFlags::empty())?)
    }
}

/// The successor's end. Waits for everything, so it is for a thread of its own; `take` gets each piece as it comes.
pub fn receive(line: &OwnedFd, boot: &str, mut take: impl FnMut(Piece)) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    let mut listeners = Vec::new();
    loop {
        let (packet, descriptors) = passing::receive(line, &mut buffer, MsgFlags::empty())?
            .ok_or_else(|| io::Error::other("the old worker went before it had given all"))?;
        match (serde_json::from_slice(packet)?, descriptors) {
            (Packet::Estate, descriptors) => {
                let document = Document::from_json(&content(descriptors)?, boot).map_err(io::Error::other)?;
                take(Piece::Estate(document.estate));
            }
            (Packet::Table, descriptors) => {
                let table = serde_json::from_slice(&content(descriptors)?)?;
                take(Piece::Relay { table, listeners: std::mem::take(&mut listeners) });
            }
            (Packet::Listeners(keys), sockets) => {
                listeners.extend(keys.into_iter().zip(sockets).map(|(key, socket)| Listener(key, socket)));
            }
            (Packet::Fifo { path, made, waiting, reader }, with) => {
                let mut with = with.into_iter();
                let pipe = with.next().ok_or_else(|| io::Error::other("a packet came without its FIFO"))?;
                let reader = reader.and_then(|command| Some((command, with.next()?)));
                take(Piece::Fifo(Fifo(Left { path, made, waiting, pipe, reader })));
            }
            (Packet::End, _) => return Ok(()),
        }
    }
}

fn memory(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"vipward estate", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn content(mut descriptors: Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    let file = descriptors.pop().ok_or_else(|| io::Error::other("a packet came without its file"))?;
    let mut content = Vec::new();
    File::from(file).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use vipward_core::estate::{BalancerEstate, ElectionEstate, VirtualServerEstate};
    use vipward_core::ipvs::{Protocol, VirtualServerId};

    fn service(n: u16) -> ServiceKey {
        ServiceKey::Address { protocol: Protocol::Tcp, address: ([10, 0, 0, 1], n).into() }
    }

    /// More sockets than go into one packet, and more estate than into a thousand.
    #[test]
    fn all_of_it_arrives_in_its_order() {
        let (ours, theirs) = passing::pair().unwrap();
        let services = (0..60_000).map(|n| VirtualServerEstate {
            service: VirtualServerId::of_entry(service(n)),
            keys: Vec::new(),
            quorum: true,
            servers: Vec::new(),
        });
        let balancer =
            Estate::Balancer(BalancerEstate { attempts: 7, services: services.collect(), ..Default::default() });
        let election = Estate::Election(ElectionEstate { handed_over: true, ..Default::default() });
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = |n| Listener(service(n), socket.as_fd().try_clone_to_owned().unwrap());
        let expected = [
            Piece::Estate(election.clone()),
            Piece::Relay { table: Table::default(), listeners: (0..450).map(listener).collect() },
            Piece::Estate(balancer.clone()),
        ];
        let giving = Giving::new(ours, "b");
        let reader = std::thread::spawn(move || {
            let mut pieces = Vec::new();
            receive(&theirs, "b", |piece| pieces.push(piece)).map(|()| pieces)
        });
        giving.estate(election).unwrap();
        giving.relay(&Table::default(), &(0..450).map(listener).collect::<Vec<_>>()).unwrap();
        giving.estate(balancer).unwrap();
        giving.end().unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), expected);
    }

    #[test]
    fn an_old_worker_that_goes_in_the_middle_has_given_nothing() {
        let (ours, theirs) = passing::pair().unwrap();
        let giving = Giving::new(ours, "b");
        giving.estate(Estate::Election(ElectionEstate::default())).unwrap();
        drop(giving);
        assert!(receive(&theirs, "b", |_| {}).is_err());
    }
}
