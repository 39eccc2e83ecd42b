//! What the protocol's own arithmetic allows, computed from the two files that the directors run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use vipward_core::config::{CheckerConfig, Config, Options, VirtualRouterConfig, load};
use vipward_core::text::Sources;
use vipward_core::time::Duration;
use vipward_core::vrrp::intervals::{master_down_interval, skew_time};

/// The sums of this pair of directors.
pub struct Arithmetic {
    /// The MASTER's advertisement interval.
    pub advert_interval: Duration,
    /// Skew_Time of the backup (RFC 9568 6.1, RFC 3768 6.1).
    pub skew: Duration,
    /// Master_Down_Interval of the backup: how long it hears nothing before it takes over.
    pub master_down: Duration,
    /// How long a checker may take at most until it gives a server up.
    pub server_down: Duration,
}

impl Arithmetic {
    /// Reads both files as a director would.
    pub fn of(master: &str, backup: &str) -> io::Result<Self> {
        let (master, backup) = (read("lb1.conf", master)?, read("lb2.conf", backup)?);
        let (Some(ours), Some(theirs)) = (master.routers.first(), backup.routers.first()) else {
            return Err(io::Error::other("the demo's files have no vrrp_instance"));
        };
        let checkers = backup.services.iter().flat_map(|service| &service.real_servers).flat_map(|real| &real.checkers);
        Ok(Self {
            advert_interval: ours.adverts.interval.duration(),
            skew: skew_time(theirs.version, theirs.priority, ours.adverts.interval),
            master_down: down(theirs, ours),
            server_down: checkers.map(until_down).max().unwrap_or_default(),
        })
    }
}

fn down(backup: &VirtualRouterConfig, master: &VirtualRouterConfig) -> Duration {
    master_down_interval(backup.version, backup.priority, master.adverts.interval, backup.adverts.down_timer)
}

/// The server dies right after a probe; every further probe uses its whole time.
fn until_down(checker: &CheckerConfig) -> Duration {
    checker.delay_loop + checker.connect_timeout * (checker.retry + 1) + checker.delay_before_retry * checker.retry
}

fn read(name: &str, text: &str) -> io::Result<Config> {
    let files = BTreeMap::from([(PathBuf::from(name), text.as_bytes().to_vec())]);
    let loaded = load(&mut Sources::default(), &files, Path::new(name), &Options::default());
    loaded.config.ok_or_else(|| io::Error::other(format!("the demo's {name} has errors: see vipward check")))
}
