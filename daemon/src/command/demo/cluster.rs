//! The demo's network: two directors, two web servers, a client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use vipward_lab::client::Client;
use vipward_lab::web::Server;
use vipward_lab::{Line, Network, Node, Process};

/// The files that the directors run: the same that the scenarios rehearse.
pub const FILES: [&str; 2] = [
    include_str!("../../../../scenarios/two-directors/lb1.conf"),
    include_str!("../../../../scenarios/two-directors/lb2.conf"),
];

/// The virtual server in those files.
pub const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)), 80);

/// How often the client asks.
pub const EVERY: Duration = Duration::from_millis(10);
/// How long it waits for an answer.
pub const LIMIT: Duration = Duration::from_millis(250);

pub struct Cluster {
    pub directors: [Director; 2],
    pub webs: [Web; 2],
    pub client: Client,
    _network: Network,
}

/// A machine that runs vipward, or ran it.
pub struct Director {
    pub name: &'static str,
    node: Node,
    file: PathBuf,
    process: Option<Process>,
    /// How many lines of the process have been taken.
    taken: usize,
}

/// A machine with a web server, or without.
pub struct Web {
    pub address: SocketAddr,
    node: Node,
    server: Option<Server>,
}

impl Cluster {
    /// Builds the network, starts the web servers and the client. The directors are still off.
    pub fn build() -> io::Result<Self> {
        let network = Network::new();
        let (front, back) = (network.segment("front")?, network.segment("back")?);
        let [first, second] = FILES;
        let director = |name: &'static str, host: u8, text: &str| -> io::Result<Director> {
            let node = network.node(name)?;
            front.attach(&node, "eth0", front_address(host), 24)?;
            back.attach(&node, "eth1", back_address(host), 24)?;
            // Inside the lab /run is a file system of its own.
            let file = PathBuf::from(format!("/run/{name}.conf"));
            std::fs::write(&file, text)?;
            Ok(Director { name, node, file, process: None, taken: 0 })
        };
        let web = |name: &str, host: u8| -> io::Result<Web> {
            let node = network.node(name)?;
            back.attach(&node, "eth0", back_address(host), 24)?;
            let mut web = Web { address: SocketAddr::new(back_address(host), 80), node, server: None };
            web.start()?;
            Ok(web)
        };
        let asking = network.node("client")?;
        front.attach(&asking, "eth0", front_address(200), 24)?;
        Ok(Self {
            directors: [director("lb1", 11, first)?, director("lb2", 12, second)?],
            webs: [web("web1", 21)?, web("web2", 22)?],
            client: Client::start(&asking, VIP, EVERY, LIMIT)?,
            _network: network,
        })
    }
}

impl Director {
    /// Starts the daemon, this very program. The relay carries the traffic on every machine alike: the demo's web
    /// servers have no route back through a director, which the kernel's IPVS would need for NAT.
    pub fn start(&mut self) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        // What would be one for all on a machine of one director.
        let own = |extension: &str| self.file.with_extension(extension);
        command.arg("run").arg("--control").arg(own("sock")).arg("--state").arg(own("state"));
        command.args(["--dataplane", "relay", "-f"]).arg(&self.file);
        self.taken = 0;
        self.process = Some(self.node.spawn(command)?);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM; the process ends in its own time.
    pub fn stop(&mut self) {
        if let Some(process) = &self.process {
            process.signal(vipward_lab::Signal::SIGTERM);
        }
    }

    /// True when it has ended in order; an error when it has ended in another way.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        let Some(process) = self.process.as_mut() else { return Ok(true) };
        match process.ended()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(io::Error::other(format!("vipward on {} ended with {status}", self.name))),
        }
    }

    pub fn has_vip(&self) -> bool {
        self.node.has(VIP.ip())
    }

    /// What it has said since the last call.
    pub fn news(&mut self) -> Vec<Line> {
        let news = self.process.as_ref().map(|process| process.lines(self.taken)).unwrap_or_default();
        self.taken += news.len();
        news
    }
}

impl Web {
    pub fn start(&mut self) -> io::Result<()> {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.address.port());
        self.server = Some(Server::start(&self.node, any)?);
        Ok(())
    }

    pub fn kill(&mut self) {
        self.server = None;
    }
}

fn front_address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn back_address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, host))
}
