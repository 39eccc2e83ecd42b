//! One machine of a lab: a thread in a network namespace of its own. What that thread starts, threads and processes,
//! lives in the same namespace.

use crate::netlink;
use crate::process::Process;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// A machine with a network of its own. Clones are the same machine.
#[derive(Clone)]
pub struct Node {
    name: Arc<str>,
    jobs: Sender<Job>,
    namespace: Arc<File>,
}

/// An address on one of a node's interfaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub interface: String,
    pub address: IpAddr,
    pub prefix_len: u8,
    pub label: Option<String>,
    /// Who put it there (`ip -d address` shows it as `proto`); 0: an administrator.
    pub protocol: u8,
}

impl Node {
    /// A new machine with nothing but its loopback.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (ready, namespace) = channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ = ready.send(separate());
            work(todo);
        })?;
        let namespace = namespace.recv().map_err(io::Error::other)??;
        let node = Self { name: Arc::from(name), jobs, namespace: Arc::new(namespace) };
        node.run(|| netlink::set_up("lo", true))?;
        Ok(node)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &File {
        &self.namespace
    }

    /// Does something on this machine and waits for it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let (answer, result) = channel();
        let job: Job = Box::new(move || {
            let _ = answer.send(job());
        });
        self.jobs.send(job).map_err(|_| io::Error::other("the node is gone"))?;
        result.recv().map_err(|_| io::Error::other("the node's thread is gone"))?
    }

    /// Starts a thread of its own on this machine.
    pub fn thread<T: Send + 'static>(
        &self,
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<std::thread::JoinHandle<T>> {
        let builder = std::thread::Builder::new().name(format!("{}: {name}", self.name));
        self.run(move || builder.spawn(body))
    }

    /// Starts a program on this machine; its output is captured line by line.
    pub fn spawn(&self, mut command: Command) -> io::Result<Process> {
        let name = self.name.clone();
        self.run(move || Process::start(&name, &mut command))
    }

    /// Runs a program on this machine to its end.
    pub fn output(&self, mut command: Command) -> io::Result<std::process::Output> {
        self.run(move || command.output())
    }

    /// Every address of every interface but the loopback's own.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        self.run(netlink::addresses)
    }

    /// True while one of this machine's interfaces carries `address`.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().is_ok_and(|all| all.iter().any(|one| one.address == address))
    }

    /// Puts an address on an interface, as an administrator would.
    pub fn add_address(&self, interface: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let interface = interface.to_owned();
        self.run(move || netlink::add_address(&interface, address, prefix_len))
    }

    /// Takes an address off an interface, as an administrator would.
    pub fn remove_address(&self, interface: &str, address: IpAddr) -> io::Result<()> {
        let interface = interface.to_owned();
        self.run(move || netlink::remove_address(&interface, address))
    }

    /// Sets an interface up or down.
    pub fn set_up(&self, interface: &str, up: bool) -> io::Result<()> {
        let interface = interface.to_owned();
        self.run(move || netlink::set_up(&interface, up))
    }

    /// Sends everything that has no better route to `gateway`.
    pub fn default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        self.run(move || netlink::default_route(gateway))
    }

    /// Writes one of this machine's kernel settings: `sysctl("net/ipv4/ip_forward", "1")`.
    pub fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        let (file, value) = (format!("/proc/sys/{name}"), value.to_owned());
        self.run(move || std::fs::write(file, value))
    }
}

fn separate() -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    File::open("/proc/thread-self/ns/net")
}

fn work(todo: Receiver<Job>) {
    for job in todo {
        job();
    }
}
