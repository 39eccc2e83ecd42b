//! The network that most tests run in: two directors between a front segment, where the client is, and a back segment
//! with two web servers. The same addresses as in `scenarios/two-directors/`.

use crate::zookeeper::{Ensemble, Timing};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_lab::{Network, Node, Process, Segment};

/// 192.0.2.0/24: directors .11 and .12, client .200.
pub const FRONT: [u8; 3] = [192, 0, 2];
/// 198.51.100.0/24: directors .11 and .12, web servers .21 and .22.
pub const BACK: [u8; 3] = [198, 51, 100];
/// The virtual IP address.
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));

/// The virtual server.
pub fn service() -> SocketAddr {
    SocketAddr::new(VIP, 80)
}

/// Two directors, two web servers' machines, a client, and a folder for files.
pub struct Pair {
    pub front: Segment,
    pub back: Segment,
    pub lb1: Node,
    pub lb2: Node,
    pub web1: Node,
    pub web2: Node,
    pub client: Node,
    pub folder: tempfile::TempDir,
    network: Network,
}

impl Pair {
    /// Builds the network; nothing runs on it yet.
    pub fn build() -> io::Result<Self> {
        let network = Network::new();
        let (front, back) = (network.segment("front")?, network.segment("back")?);
        let node = |name: &str, segment: &Segment, interface: &str, net: [u8; 3], host: u8| -> io::Result<Node> {
            let node = network.node(name)?;
            segment.attach(&node, interface, at(net, host), 24)?;
            Ok(node)
        };
        let lb1 = node("lb1", &front, "eth0", FRONT, 11)?;
        back.attach(&lb1, "eth1", at(BACK, 11), 24)?;
        let lb2 = node("lb2", &front, "eth0", FRONT, 12)?;
        back.attach(&lb2, "eth1", at(BACK, 12), 24)?;
        Ok(Self {
            lb1,
            lb2,
            web1: node("web1", &back, "eth0", BACK, 21)?,
            web2: node("web2", &back, "eth0", BACK, 22)?,
            client: node("client", &front, "eth0", FRONT, 200)?,
            front,
            back,
            folder: tempfile::tempdir()?,
            network,
        })
    }

    /// One more machine, on the front or the back segment.
    pub fn machine(&self, name: &str, segment: &Segment, net: [u8; 3], host: u8) -> io::Result<Node> {
        let node = self.network.node(name)?;
        segment.attach(&node, "eth0", at(net, host), 24)?;
        Ok(node)
    }

    /// ZooKeeper servers `zk1`, `zk2`, … on the back segment, so many, at .31, .32, … and waits until they serve.
    pub fn zookeeper(&self, servers: u8, timing: Timing, limit: Duration) -> io::Result<Ensemble> {
        let ensemble = Ensemble::start(self.machines_for_zookeeper(servers)?, timing)?;
        ensemble.serves(limit).map_err(io::Error::other)?;
        Ok(ensemble)
    }

    /// Machines on the back segment.
    pub fn machines_for_zookeeper(&self, servers: u8) -> io::Result<Vec<(Node, IpAddr)>> {
        let nodes = (1..=servers).map(|n| {
            let node = self.machine(&format!("zk{n}"), &self.back, BACK, 30 + n)?;
            Ok((node, at(BACK, 30 + n)))
        });
        nodes.collect()
    }

    /// Writes a file for this test and tells its path.
    pub fn file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// `vipward run` for a director, whose control socket and state are this test's.
    pub fn run(&self, node: &Node) -> Command {
        let mut command = Command::new(crate::vipward());
        command
            .arg("run")
            .arg("--control")
            .arg(self.control(node))
            .arg("--state")
            .arg(self.folder.path().join("state"));
        command
    }

    /// Where `vipward upgrade` finds it.
    pub fn control(&self, node: &Node) -> PathBuf {
        self.folder.path().join(format!("{}.sock", node.name()))
    }

    /// Starts `vipward run` on a director, with the relay as data plane.
    pub fn vipward(&self, node: &Node, file: &Path) -> io::Result<Process> {
        let mut command = self.run(node);
        command.args(["--dataplane", "relay", "-f"]).arg(file);
        node.spawn(command)
    }

    /// Starts `vipward run` on a director with this text as its file.
    pub fn vipward_with(&self, node: &Node, text: &str) -> io::Result<Process> {
        self.vipward(node, &self.file(&format!("{}.conf", node.name()), text)?)
    }

    /// The same with this `vipward.toml`.
    pub fn vipward_beside(&self, node: &Node, text: &str, settings: &str) -> io::Result<Process> {
        let file = self.file(&format!("{}.conf", node.name()), text)?;
        let settings = self.file(&format!("{}.toml", node.name()), settings)?;
        let mut command = self.run(node);
        command.args(["--dataplane", "relay", "-i", node.name(), "-f"]).arg(file).arg("--settings").arg(settings);
        node.spawn(command)
    }

    /// The same under record, into a file of this test that has the node's name.
    pub fn vipward_recorded(&self, node: &Node, text: &str) -> io::Result<(Process, PathBuf)> {
        let file = self.file(&format!("{}.conf", node.name()), text)?;
        let record = self.folder.path().join(format!("{}.pcapng", node.name()));
        let mut command = self.run(node);
        command.args(["--dataplane", "relay", "-i", node.name(), "-f"]).arg(file).arg("--record").arg(&record);
        Ok((node.spawn(command)?, record))
    }

    /// Starts keepalived on a director, VRRP only, in the foreground.
    pub fn keepalived(&self, node: &Node, file: &Path) -> io::Result<Process> {
        let program = crate::program("keepalived").ok_or_else(|| io::Error::other("there is no keepalived"))?;
        let run = self.folder.path().join(format!("keepalived-{}", node.name()));
        let files = [run.with_extension("pid"), run.with_extension("vrrp.pid")];
        for left_by_one_that_was_killed in &files {
            let _ = std::fs::remove_file(left_by_one_that_was_killed);
        }
        let [pid, vrrp_pid] = files;
        let mut command = Command::new(program);
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "-f"]).arg(file);
        command.arg("-p").arg(pid).arg("-r").arg(vrrp_pid);
        node.spawn(command)
    }
}

/// A host of one of the two segments.
fn at(net: [u8; 3], host: u8) -> IpAddr {
    let [a, b, c] = net;
    IpAddr::V4(Ipv4Addr::new(a, b, c, host))
}
