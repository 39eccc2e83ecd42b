//! Other directors in this network namespace: who they are, and what is theirs.
//!
//! The kernel marks an address with the program that put it there, and not with the process. So a director that starts must
//! know whether another one lives here, before it takes an address for what a dead predecessor left behind. And two that run
//! one virtual router, or one virtual server, would fight over its addresses.
//!
//! Each listens on an abstract UNIX socket of its own ([`PREFIX`] and a number), which belongs to the network namespace and
//! is gone when its process is, however that ends. Whoever connects is told what it runs. `/proc/net/unix` lists them.

use crate::system::clock;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, getppid};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vipward_core::config::Config;
use vipward_core::interface::Family;

/// How the names begin.
const PREFIX: &str = "vipward/";

/// The first line of what is told.
const GREETING: &str = "vipward 1";

/// How long another director may take to answer or to listen. One that hangs is killed by its supervisor.
const PATIENCE: Duration = Duration::from_secs(1);

/// More than 100,000 virtual routers and servers take.
const LONGEST: u64 = 16 << 20;

/// What nobody else in this network namespace may run as well, in the words of messages.
pub type Claims = BTreeSet<String>;

/// What a configuration claims.
pub fn claims(config: &Config) -> Claims {
    let routers = config.routers.iter().map(|router| {
        let family = match router.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let group = match &router.transport {
            vipward_core::config::Transport::Multicast { group } => format!(" in {group}"),
            vipward_core::config::Transport::Unicast { .. } => String::new(),
        };
        format!("virtual_router_id {} on {} ({family}){group}", router.vrid, router.interfaces.heard_on)
    });
    let servers = config.services.iter().map(|service| format!("virtual server {}", service.id()));
    let addresses = config.routers.iter().flat_map(|router| router.addresses.iter().chain(&router.excluded));
    let addresses = addresses.map(|vip| format!("virtual address {} on {}", vip.address, vip.interface));
    let statics = config.statics.addresses.iter();
    let statics = statics.map(|address| format!("static address {} on {}", address.address, address.interface));
    routers.chain(servers).chain(addresses).chain(statics).collect()
}

/// This director, as others see it.
pub struct Presence {
    name: String,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    since: u64,
    file: String,
    claims: Claims,
}

/// Makes this director seen, and looks for others: how many there are. An error says what of its own is theirs already.
/// Where it can't be done it is said, and this director begins as if it were alone.
pub fn begin(file: &Path, config: &Config) -> Result<(Option<Presence>, usize), String> {
    let presence = match Presence::open(file, claims(config)) {
        Ok(presence) => presence,
        Err(error) => {
            tracing::warn!("other directors of this host won't see this one: {error}");
            return Ok((None, 0));
        }
    };
    let neighbours = presence.neighbours();
    for Neighbour { supervisor, file, .. } in &neighbours {
        tracing::info!("another director lives here: process {supervisor} with {file}");
    }
    match presence.in_the_way(&neighbours) {
        Some(why) => Err(why),
        None => Ok((Some(presence), neighbours.len())),
    }
}

/// Another director that lives here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub pid: i32,
    /// The process of its supervisor.
    pub supervisor: i32,
    /// When it began, in nanoseconds since boot: of two that start at once the later one yields.
    since: u64,
    pub file: String,
    pub claims: Claims,
}

impl Presence {
    /// From now on others see it.
    pub fn open(file: &Path, claims: Claims) -> io::Result<Self> {
        let since = clock::now().as_nanos();
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
        let told = Arc::new(Mutex::new(Told { since, file, claims }));
        let name = format!("{PREFIX}{}-{since:x}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let own = told.clone();
        std::thread::Builder::new().name("presence".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                let text = own.lock().unwrap_or_else(PoisonError::into_inner).text();
                match stream {
                    // Whoever does not listen gets nothing, and the next one has its turn.
                    Ok(mut stream) => {
                        let _ =
                            stream.set_write_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(text.as_bytes()));
                    }
                    // No descriptors, as a rule.
                    Err(_) => std::thread::sleep(PATIENCE),
                }
            }
        })?;
        Ok(Self { name, told })
    }

    /// It runs this from now on, unless somebody else does: then it says why not, and all stays as it was.
    pub fn claim_anew(&self, config: &Config) -> Result<(), String> {
        let claims = claims(config);
        match self.neighbours().iter().find_map(|one| shared(&claims, one)) {
            Some(why) => Err(why),
            None => {
                self.claim(claims);
                Ok(())
            }
        }
    }

    /// It runs this from now on.
    pub fn claim(&self, claims: Claims) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).claims = claims;
    }

    /// The others. Those that this one's own supervisor started are none: they come and go with it.
    pub fn neighbours(&self) -> Vec<Neighbour> {
        let listed = match std::fs::read_to_string("/proc/thread-self/net/unix") {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!("can't see whether other directors run here: /proc/net/unix: {error}");
                return Vec::new();
            }
        };
        let own = getppid().as_raw();
        let names: BTreeSet<&str> = listed.lines().filter_map(name_of).filter(|name| *name != self.name).collect();
        names.into_iter().filter_map(ask).filter(|neighbour| neighbour.supervisor != own).collect()
    }

    /// Why this one must not begin beside them: something of its own is theirs already.
    pub fn in_the_way(&self, neighbours: &[Neighbour]) -> Option<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = (told.since, i32::try_from(std::process::id()).unwrap_or(i32::MAX));
        neighbours.iter().filter(|one| (one.since, one.pid) < ours).find_map(|one| shared(&told.claims, one))
    }
}

/// What of these claims a neighbour has, as a message.
pub fn shared(claims: &Claims, neighbour: &Neighbour) -> Option<String> {
    let mut common = claims.intersection(&neighbour.claims);
    let first = common.next()?;
    let more = match common.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let Neighbour { supervisor, file, .. } = neighbour;
    Some(format!(
        "{first}{more} is run here already by process {supervisor} with {file}: one network namespace has room for one of \
         them"
    ))
}

impl Told {
    fn text(&self) -> String {
        let mut text =
            format!("{GREETING}\nsupervisor {}\nsince {}\nfile {}\n", getppid(), self.since, self.file.escape_debug());
        for claim in &self.claims {
            let _ = writeln!(text, "runs {claim}");
        }
        text.push_str("end\n");
        text
    }
}

/// The name of a director's socket in a line of `/proc/net/unix`; `@` stands for its first byte, which is zero.
fn name_of(line: &str) -> Option<&str> {
    let (_, path) = line.rsplit_once(' ')?;
    let name = path.strip_prefix('@')?;
    name.starts_with(PREFIX).then_some(name)
}

/// Asks one. Anybody may listen under such a name: only root, or who this is as well, is believed.
fn ask(name: &str) -> Option<Neighbour> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
    let who = getsockopt(&stream, PeerCredentials).ok()?;
    let peer = Uid::from_raw(who.uid());
    if !peer.is_root() && peer != Uid::effective() {
        return None;
    }
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = String::new();
    let read = Read::by_ref(&mut stream).take(LONGEST).read_to_string(&mut text);
    let told = read.ok().and_then(|_| understand(who.pid(), &text));
    if told.is_none() {
        // It lives, whatever it is: its addresses are not to be taken for leftovers.
        tracing::debug!("another director, process {}, does not say what it runs", who.pid());
        return Some(Neighbour {
            pid: who.pid(),
            supervisor: 0,
            since: 0,
            file: "?".to_owned(),
            claims: Claims::new(),
        });
    }
    told
}

fn understand(pid: i32, text: &str) -> Option<Neighbour> {
    let mut lines = text.lines();
    (lines.next()? == GREETING).then_some(())?;
    let supervisor = lines.next()?.strip_prefix("supervisor ")?.parse().ok()?;
    let since = lines.next()?.strip_prefix("since ")?.parse().ok()?;
    let file = lines.next()?.strip_prefix("file ")?.to_owned();
    let rest: Vec<&str> = lines.collect();
    let (last, claims) = rest.split_last()?;
    (*last == "end").then_some(())?;
    let claims = claims.iter().map(|line| line.strip_prefix("runs ").map(str::to_owned)).collect::<Option<_>>()?;
    Some(Neighbour { pid, supervisor, since, file, claims })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_of(names: &[&str]) -> Claims {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_line_of_proc_names_a_director() {
        let line = "ffff8b1c: 00000002 00000000 00010000 0001 01 12345 @vipward/77-1f";
        assert_eq!(name_of(line), Some("vipward/77-1f"));
        for other in
            ["", "Num       RefCount Protocol Flags    Type St Inode Path", "a: 1 /run/vipward/x", "a: 1 @dbus"]
        {
            assert_eq!(name_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_told_is_understood() {
        let told = Told { since: 5, file: "/etc/a\nb.conf".to_owned(), claims: claims_of(&["x 1", "y 2"]) };
        let text = told.text();
        let understood = understand(7, &text).unwrap();
        assert_eq!((understood.pid, understood.since, understood.claims), (7, 5, claims_of(&["x 1", "y 2"])));
        assert_eq!(understood.file, "/etc/a\\nb.conf");
        for cut in 0..text.len() - 1 {
            assert_eq!(understand(7, &text[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn one_that_was_there_first_is_in_the_way_of_what_it_runs() {
        let first = Presence::open(Path::new("a.conf"), claims_of(&["r 1", "r 2"])).unwrap();
        let second = Presence::open(Path::new("b.conf"), claims_of(&["r 2", "r 3"])).unwrap();
        let asked = ask(&first.name).unwrap();
        let why = second.in_the_way(std::slice::from_ref(&asked)).unwrap();
        assert!(why.starts_with("r 2 is run here already by process "), "{why}");
        assert_eq!(first.in_the_way(&[ask(&second.name).unwrap()]), None, "of two the later one yields");
        second.claim(claims_of(&["r 3"]));
        assert_eq!(second.in_the_way(&[asked]), None);
        assert_eq!(ask(&second.name).unwrap().claims, claims_of(&["r 3"]));
        // Both belong to one supervisor: the one that started these tests.
        assert!(!first.neighbours().iter().any(|one| one.file.ends_with("b.conf")));
    }
}
