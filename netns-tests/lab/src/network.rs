//! Segments and the cables between them and the nodes.

use crate::netlink;
use crate::node::Node;
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

/// The whole network of a lab. It lives in the namespace that [`crate::enter`] or [`apart`] made.
#[derive(Debug, Default)]
pub struct Network {}

/// An Ethernet segment: a switch without a spanning tree.
#[derive(Clone, Debug)]
pub struct Segment {
    name: String,
}

/// Does something in a network namespace of its own, on a thread that ends with it: several networks with the same names
/// can be there at once.
pub fn apart<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("apart".to_owned()).spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(body())
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Network {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new segment. Names are short: interface names have 15 bytes, and `segment` and `node.eth0` become some.
    pub fn segment(&self, name: &str) -> io::Result<Segment> {
        netlink::add_bridge(name)?;
        Ok(Segment { name: name.to_owned() })
    }

    /// A new machine without cables.
    pub fn node(&self, name: &str) -> io::Result<Node> {
        Node::start(name)
    }
}

impl Segment {
    /// Plugs `node` in by a new interface with this name and address.
    pub fn attach(&self, node: &Node, interface: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let port = port(node, interface);
        netlink::add_cable(&self.name, &port, node.namespace().as_fd(), interface)?;
        node.set_up(interface, true)?;
        node.add_address(interface, address, prefix_len)
    }

    /// Pulls the cable (`false`) or plugs it in again, at the switch's end: the node sees its carrier go.
    pub fn plug(&self, node: &Node, interface: &str, plugged: bool) -> io::Result<()> {
        netlink::set_up(&port(node, interface), plugged)
    }

    /// Makes the switch drop everything between the nodes that are isolated, while each of them still reaches all others
    /// and keeps its carrier: a cut that only they can notice.
    pub fn isolate(&self, node: &Node, interface: &str, isolated: bool) -> io::Result<()> {
        netlink::isolate(&port(node, interface), isolated)
    }

    /// Makes the switch drop everything to and from this node, which keeps its carrier: a cut that nobody is told of.
    pub fn mute(&self, node: &Node, interface: &str, muted: bool) -> io::Result<()> {
        netlink::join(&port(node, interface), (!muted).then_some(&self.name))
    }

    /// Takes the cable and the node's interface away for good.
    pub fn detach(&self, node: &Node, interface: &str) -> io::Result<()> {
        netlink::remove_link(&port(node, interface))
    }
}

fn port(node: &Node, interface: &str) -> String {
    format!("{}.{interface}", node.name())
}
