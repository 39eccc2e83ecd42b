//! Two directors on the [`Pair`]'s network that take their leases from a real ensemble.

use crate::owners::{both, nobody, stretches};
use crate::pair::{Pair, VIP};
use crate::router::Router;
use crate::zookeeper::{Ensemble, Timing};
use std::time::{Duration, SystemTime};
use vipward_lab::watch::Watch;
use vipward_lab::{Node, Process, wait_for};
use zookeeper_client::{Acls, CreateMode};

/// Java starts slowly beside other work, and a session lasts ten seconds.
pub const SOON: Duration = Duration::from_secs(90);

/// The session timeout that these directors ask for, in seconds.
pub const SESSION: u64 = 10;

/// Two directors, lb1 with the higher priority, an ensemble, and who watches them.
pub struct Quorate {
    pub pair: Pair,
    pub ensemble: Ensemble,
    pub watch1: Watch,
    pub watch2: Watch,
}

impl Quorate {
    /// With a tree that has stood there for long: nobody waits before he takes a lease.
    pub fn build(servers: u8) -> Self {
        let lab = Self::bare(servers, Timing::QUICK);
        lab.grow_tree();
        lab
    }

    /// The folder of leases, whose absence would tell that the tree is new.
    pub fn grow_tree(&self) {
        let made = self.ensemble.servers[0].client(None, async |client| {
            let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
            client.create("/vipward", b"", &options).await?;
            client.create("/vipward/owners", b"", &options).await.map(drop)
        });
        made.unwrap();
    }

    /// With nothing in the tree.
    pub fn bare(servers: u8, timing: Timing) -> Self {
        let pair = Pair::build().unwrap();
        let ensemble = pair.zookeeper(servers, timing, SOON).unwrap();
        let (watch1, watch2) = (Watch::start(&pair.lb1).unwrap(), Watch::start(&pair.lb2).unwrap());
        Self { pair, ensemble, watch1, watch2 }
    }

    /// `vipward.toml` of this director with these words more.
    pub fn settings(&self, node: &Node, more: &str) -> String {
        settings(&self.ensemble, node.name(), SESSION, more)
    }

    /// The same with the session timeout that is asked for by default.
    pub fn settings_by_default(&self, node: &Node, more: &str) -> String {
        format!("[coordination]\nhosts = {}\ndirector = \"{}\"\n{more}\n", self.ensemble.hosts(), node.name())
    }

    pub fn start(&self, node: &Node, more: &str) -> Process {
        self.pair.vipward_beside(node, &router(node).text(), &self.settings(node, more)).unwrap()
    }

    /// Both, and lb1 has the VIP.
    pub fn both(&self, more: &str) -> (Process, Process) {
        let first = self.start(&self.pair.lb1, more);
        self.has_it(&self.pair.lb1);
        let mut second = self.start(&self.pair.lb2, more);
        second.wait_for_line("opened a session", SOON).unwrap();
        second.wait_for_line("-> BACKUP", SOON).unwrap();
        (first, second)
    }

    /// Waits until it has the VIP and the other one has not.
    pub fn has_it(&self, node: &Node) {
        let other = if node.name() == "lb1" { &self.pair.lb2 } else { &self.pair.lb1 };
        wait_for(SOON, || (node.has(VIP) && !other.has(VIP)).then_some(()))
            .unwrap_or_else(|| panic!("{} does not get the VIP: {}", node.name(), self.story()));
    }

    /// Waits until nobody has it.
    pub fn nobody_has_it(&self) {
        wait_for(SOON, || (!self.pair.lb1.has(VIP) && !self.pair.lb2.has(VIP)).then_some(()))
            .unwrap_or_else(|| panic!("somebody keeps the VIP: {}", self.story()));
    }

    /// At no instant so far did both have it.
    pub fn never_both(&self) {
        let together = both(&stretches(&self.watch1, VIP), &stretches(&self.watch2, VIP));
        assert_eq!(together, Duration::ZERO, "both had the VIP: {}", self.story());
    }

    pub fn story(&self) -> String {
        format!("lb1 {:#?}\nlb2 {:#?}", stretches(&self.watch1, VIP), stretches(&self.watch2, VIP))
    }

    /// Prints how long nobody had it when it went from lb1 to lb2, and how long the whole took.
    pub fn print_window(&self, what: &str, since: SystemTime) {
        let (one, other) = (stretches(&self.watch1, VIP), stretches(&self.watch2, VIP));
        let window = nobody(&one, &other, since).unwrap_or_default();
        let got = other.iter().find(|it| it.from >= since).and_then(|it| it.from.duration_since(since).ok());
        println!("{what}: lb2 has the VIP after {:?}, nobody had it for {window:?}", got.unwrap_or_default());
    }

    /// The front segment drops everything between the directors; each still reaches the client.
    pub fn cut_directors(&self, cut: bool) {
        self.pair.front.isolate(&self.pair.lb1, "eth0", cut).unwrap();
        self.pair.front.isolate(&self.pair.lb2, "eth0", cut).unwrap();
    }

    /// The back segment drops everything to and from a director, in silence: it loses the ensemble.
    pub fn cut_from_ensemble(&self, node: &Node, cut: bool) {
        self.pair.back.mute(node, "eth1", cut).unwrap();
    }
}

pub fn settings(ensemble: &Ensemble, director: &str, session: u64, more: &str) -> String {
    format!(
        "[coordination]\nhosts = {}\nsession_timeout = {session}\ndirector = \"{director}\"\n{more}\n",
        ensemble.hosts()
    )
}

pub const FENCE: &str = "default = \"fence\"";
pub const ELECT: &str = "default = \"elect\"";

/// Its configuration. Adverts are a second apart: a busy machine must not keep a director from one for three times that.
pub fn router(node: &Node) -> Router {
    let router = if node.name() == "lb1" { Router::master() } else { Router::backup() };
    Router { version: 3, ..router }
}
