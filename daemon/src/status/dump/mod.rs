//! What a running director is, in the formats of keepalived's own dumps, for the programs that read those.
//!
//! Only of virtual routers, and only what those programs can know of both: texts of scripts are left out, and so is
//! `auth_pass`, which keepalived writes.

mod json;
mod text;

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vipward_core::status::{AddressStatus, ElectionStatus, RouterStatus, Status};

/// Nobody but root reads keepalived's either.
const MODE: u32 = 0o600;

/// One of keepalived's dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `keepalived.data`: what SIGUSR1 asks for.
    Data,
    /// `keepalived.stats`: what SIGUSR2 asks for.
    Stats,
    /// `keepalived.json`: what the signal asks for that `keepalived --signum=JSON` names.
    Json,
}

impl Dump {
    /// The whole text, as of now.
    ///
    /// # Errors
    /// The Election gave no answer.
    pub fn of(self, status: &Status, now: SystemTime) -> Result<String, String> {
        let Some(election) = &status.election else {
            return Err("the election does not answer: no role is known".to_owned());
        };
        let clock = Clock { now, up: Duration::from_millis(status.up_ms) };
        match self {
            Self::Data => Ok(text::data(election, clock)),
            Self::Stats => Ok(text::stats(election)),
            Self::Json => json::json(election, clock).map_err(|error| error.to_string()),
        }
    }

    /// Where the configuration wants it.
    pub fn file(self, election: &ElectionStatus) -> PathBuf {
        let dumps = &election.dumps;
        PathBuf::from(match self {
            Self::Data => &dumps.state,
            Self::Stats => &dumps.stats,
            Self::Json => &dumps.json,
        })
    }
}

/// Writes a file whole or not at all. What lies in its place is replaced and not written through: a link in `/tmp` is
/// anybody's.
///
/// # Errors
/// The disk's.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".vipward-").permissions(Permissions::from_mode(MODE)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// Turns ages into times of day.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: SystemTime,
    up: Duration,
}

impl Clock {
    /// When this router's role began, after 1970; of one that never changed, when the worker began.
    fn last_transition(self, router: &RouterStatus) -> Duration {
        let age = router.since_ms.map_or(self.up, Duration::from_millis);
        self.now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age)
    }
}

/// `192.0.2.100/24 dev eth0 scope global set`.
fn address(address: &AddressStatus) -> String {
    format!("{}{}", address.words, if address.there { " set" } else { "" })
}

/// What keepalived counts of a virtual router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Counters {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    /// An authentication that nobody knows: that is one that differs here.
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

impl Counters {
    fn of(election: &ElectionStatus, router: &RouterStatus) -> Self {
        let of = |reasons: &[&str]| {
            let mine = election.ignored.iter().filter(|it| it.router.as_deref() == Some(router.name.as_str()));
            mine.filter(|it| reasons.contains(&it.reason.as_str())).map(|it| it.packets).sum::<u64>()
        };
        let mine = election.ignored.iter().filter(|it| it.router.as_deref() == Some(router.name.as_str()));
        let ignored: u64 = mine.map(|it| it.packets).sum();
        Self {
            advert_rcvd: router.packets.heard.saturating_sub(ignored),
            advert_sent: router.packets.sent,
            become_master: router.roles.became_master,
            release_master: router.roles.left_master,
            packet_len_err: of(&["truncated"]),
            advert_interval_err: of(&["zero_interval"]),
            ip_ttl_err: of(&["wrong_ttl"]),
            invalid_type_rcvd: of(&["unknown_type"]),
            addr_list_err: of(&["address_list_differs", "no_addresses"]),
            invalid_authtype: 0,
            authtype_mismatch: of(&["auth_type_differs"]),
            auth_failure: of(&["password_differs", "authentication_failed", "replayed"]),
            pri_zero_rcvd: router.packets.zero_heard,
            pri_zero_sent: router.packets.zero_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_written_in_place_of_a_link_and_not_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let path = folder.path().join("keepalived.json");
        symlink(&precious, &path).unwrap();
        write(&path, "[]").unwrap();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[]");
        let meta = std::fs::symlink_metadata(&path).unwrap();
        assert!(meta.is_file());
        assert_eq!(meta.permissions().mode() & 0o777, MODE);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn an_election_that_does_not_answer_is_no_empty_list() {
        let status = Status {
            format: 1,
            director: "lb1".to_owned(),
            version: String::new(),
            pid: 1,
            up_ms: 0,
            file: String::new(),
            election: None,
            balancer: None,
            mail: None,
            waited_ms: 1_000,
        };
        for dump in [Dump::Data, Dump::Stats, Dump::Json] {
            assert!(dump.of(&status, SystemTime::now()).is_err());
        }
    }
}
