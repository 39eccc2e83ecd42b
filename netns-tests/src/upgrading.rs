//! Upgrades under load: a MASTER, a BACKUP, two web servers behind the relay, and a client that asks all the time.

use crate::pair::{Pair, VIP, service};
use crate::router::{Router, virtual_server};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::client::{Client, Sample};
use vipward_lab::watch::{Watch, What};
use vipward_lab::web::Server;
use vipward_lab::{Process, wait_for};

/// A loaded machine may be this late, and nobody minds.
const SOON: Duration = Duration::from_secs(30);

/// A cluster at work.
pub struct Working {
    pub pair: Pair,
    pub master: Process,
    pub backup: Process,
    /// What the BACKUP hears.
    pub heard: Watch,
    pub client: Client,
    _webs: [Server; 2],
}

/// What was seen between two moments.
#[derive(Clone, Debug)]
pub struct Seen {
    pub asked: usize,
    /// Requests without an answer, with the reason.
    pub failed: Vec<String>,
    /// The MASTER's adverts.
    pub adverts: usize,
    /// The longest time between two of them.
    pub longest_gap: Duration,
    /// Adverts of priority 0, and those of anybody else.
    pub strange_adverts: usize,
}

impl Working {
    /// Starts all of it and waits until the client is served. `advert_int` as written.
    ///
    /// # Errors
    /// What did not come, in words.
    pub fn start(advert_int: &'static str, every: Duration) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let pair = Pair::build().map_err(text)?;
        let any: SocketAddr = ([0, 0, 0, 0], 80).into();
        let webs = [Server::start(&pair.web1, any).map_err(text)?, Server::start(&pair.web2, any).map_err(text)?];
        let router = |router: Router| Router { version: 3, advert_int, blocks: virtual_server(), ..router }.text();
        let mut master = pair.vipward_with(&pair.lb1, &router(Router::master())).map_err(text)?;
        master.wait_for_line("-> MASTER", SOON)?;
        let mut backup = pair.vipward_with(&pair.lb2, &router(Router::backup())).map_err(text)?;
        backup.wait_for_line("-> BACKUP", SOON)?;
        let heard = Watch::start(&pair.lb2).map_err(text)?;
        let client = Client::start(&pair.client, service(), every, Duration::from_secs(10)).map_err(text)?;
        let working = Self { pair, master, backup, heard, client, _webs: webs };
        wait_for(SOON, || working.client.samples().iter().any(|one| one.answer.is_ok()).then_some(()))
            .ok_or("nobody answers on the VIP")?;
        Ok(working)
    }

    /// `vipward upgrade` of the MASTER: what it printed, and whether it was content.
    ///
    /// # Errors
    /// It can't be run.
    pub fn upgrade(&self) -> std::io::Result<(bool, String)> {
        let mut command = Command::new(crate::vipward());
        command.arg("upgrade").arg("--control").arg(self.pair.control(&self.pair.lb1));
        let output = self.pair.lb1.output(command)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// All that clients and the BACKUP saw since then. Requests that were begun are waited for.
    pub fn seen_since(&self, since: (Instant, SystemTime)) -> Seen {
        let until = Instant::now();
        // The requests begin in order; when one that began later is over, or has timed out, so have those before.
        wait_for(SOON, || self.client.samples_since(until).iter().any(|one| one.answer.is_ok()).then_some(()));
        let samples: Vec<Sample> =
            self.client.samples_since(since.0).into_iter().filter(|one| one.asked <= until).collect();
        let adverts: Vec<(SystemTime, bool)> = self
            .heard
            .seen()
            .into_iter()
            .filter_map(|one| match one.what {
                What::Advert { priority, sent, .. } => Some((one.at, !sent && priority == 150)),
                What::Arp { .. } | What::Address { .. } => None,
            })
            .filter(|(at, _)| *at >= since.1)
            .collect();
        let ours: Vec<SystemTime> = adverts.iter().filter(|(_, masters)| *masters).map(|(at, _)| *at).collect();
        let count = ours.len();
        let gaps = ours.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).ok());
        Seen {
            asked: samples.len(),
            failed: samples.iter().filter_map(|one| one.answer.clone().err()).collect(),
            adverts: count,
            longest_gap: gaps.max().unwrap_or_default(),
            strange_adverts: adverts.iter().filter(|(_, masters)| !masters).count(),
        }
    }

    /// The MASTER has the VIP and the BACKUP has not.
    pub fn in_place(&self) -> bool {
        self.pair.lb1.has(VIP) && !self.pair.lb2.has(VIP)
    }
}
