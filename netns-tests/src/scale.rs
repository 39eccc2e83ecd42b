//! Directors with hundreds of virtual routers: two of them on several segments, and what is counted from outside.

use crate::{Daemon, program};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use socket2::{SockFilter, SockRef};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use vipward_lab::{Network, Node, Process, Segment};

/// How many virtual routers, on how many interfaces, with how many addresses each.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub interfaces: u8,
    /// On each interface, at most 255.
    pub routers: u8,
    /// Of each virtual router.
    pub addresses: u8,
    pub advert_millis: u32,
}

impl Size {
    pub fn routers(&self) -> usize {
        usize::from(self.interfaces) * usize::from(self.routers)
    }

    pub fn addresses(&self) -> usize {
        self.routers() * usize::from(self.addresses)
    }

    /// A file that both daemons read. The first address is advertised, the others are `virtual_ipaddress_excluded`.
    pub fn text(&self, priority: u8) -> String {
        let mut text = String::new();
        for interface in 0..self.interfaces {
            for vrid in 1..=self.routers {
                let _ = write!(
                    text,
                    "vrrp_instance VI_{interface}_{vrid} {{\n    state BACKUP\n    interface eth{interface}\n    version 3\n    \
                     virtual_router_id {vrid}\n    priority {priority}\n    advert_int {}\n    \
                     virtual_ipaddress {{\n        10.{}.0.{vrid}/32\n    }}\n",
                    f64::from(self.advert_millis) / 1000.0,
                    100 + interface
                );
                if self.addresses > 1 {
                    text.push_str("    virtual_ipaddress_excluded {\n");
                    for n in 1..self.addresses {
                        let _ = writeln!(text, "        10.{}.{n}.{vrid}/32", 100 + interface);
                    }
                    text.push_str("    }\n");
                }
                text.push_str("}\n");
            }
        }
        text
    }

    /// Master_Down_Interval of a BACKUP of this priority (RFC 9568 6.1).
    pub fn master_down(&self, priority: u8) -> Duration {
        crate::measure::master_down(3, priority, self.advert_millis)
    }
}

/// Two directors with as many interfaces as asked for, each on a segment of its own, and a folder for files.
pub struct Wide {
    pub lb1: Node,
    pub lb2: Node,
    folder: tempfile::TempDir,
    _segments: Vec<Segment>,
    _network: Network,
}

impl Wide {
    pub fn build(interfaces: u8) -> io::Result<Self> {
        let network = Network::new();
        let (lb1, lb2) = (network.node("lb1")?, network.node("lb2")?);
        let mut segments = Vec::new();
        for number in 0..interfaces {
            let segment = network.segment(&format!("s{number}"))?;
            for (node, host) in [(&lb1, 11), (&lb2, 12)] {
                let address = IpAddr::V4(Ipv4Addr::new(10, number, 0, host));
                segment.attach(node, &format!("eth{number}"), address, 24)?;
            }
            segments.push(segment);
        }
        Ok(Self { lb1, lb2, folder: tempfile::tempdir()?, _segments: segments, _network: network })
    }

    /// Starts a daemon on a director.
    pub fn start(&self, daemon: Daemon, node: &Node, text: &str) -> io::Result<Process> {
        let path = |suffix: &str| self.folder.path().join(format!("{}-{daemon}{suffix}", node.name()));
        let file = path(".conf");
        std::fs::write(&file, text)?;
        let mut command = match daemon {
            Daemon::Vipward => {
                let mut command = Command::new(crate::vipward());
                command.arg("run").arg("--control").arg(path(".sock"));
                command.arg("--state").arg(path("-state")).args(["--dataplane", "relay"]);
                command
            }
            Daemon::Keepalived => {
                let found = program("keepalived").ok_or_else(|| io::Error::other("there is no keepalived"))?;
                let mut command = Command::new(found);
                command.args(["--dont-fork", "--log-console", "--vrrp"]);
                for (flag, suffix) in [("-p", ".pid"), ("-r", ".vrrp.pid")] {
                    let _ = std::fs::remove_file(path(suffix));
                    command.arg(flag).arg(path(suffix));
                }
                command
            }
        };
        command.arg("-f").arg(file);
        node.spawn(command)
    }

    /// Forgets what the last daemons kept on the disk.
    pub fn clean(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }
}

/// How many virtual addresses (all are `/32`) a node has.
pub fn held(node: &Node) -> usize {
    node.addresses().map_or(0, |all| all.iter().filter(|one| one.prefix_len == 32).count())
}

/// Takes every virtual address off, as nobody does it for a keepalived that was killed.
pub fn strip(node: &Node) -> io::Result<()> {
    for address in node.addresses()?.into_iter().filter(|one| one.prefix_len == 32) {
        node.remove_address(&address.interface, address.address)?;
    }
    Ok(())
}

/// A daemon's processes: the first one and its children.
pub fn processes(process: &Process) -> io::Result<Vec<u32>> {
    Ok(process.children()?.into_iter().chain([process.pid()]).collect())
}

/// Time that all threads of a daemon's processes have run.
pub fn ran(process: &Process) -> io::Result<Duration> {
    let mut sum = 0;
    for pid in processes(process)? {
        for thread in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(sum))
}

/// Memory of a daemon's processes in kB, what they share counted once (`Pss`).
pub fn memory(process: &Process) -> io::Result<u64> {
    let mut sum = 0;
    for pid in processes(process)? {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        sum += line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// One advert as a node saw it, by the kernel's clock.
#[derive(Clone, Copy, Debug)]
pub struct Advert {
    pub at: SystemTime,
    pub interface: usize,
    pub vrid: u8,
    pub priority: u8,
    /// By the node itself.
    pub sent: bool,
}

/// Sees all adverts on a node, and nothing else, until it is dropped.
pub struct Adverts {
    seen: Arc<Mutex<Vec<Advert>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Adverts {
    pub fn watch(node: &Node) -> io::Result<Self> {
        let (seen, over): (Arc<Mutex<Vec<Advert>>>, Arc<AtomicBool>) = Default::default();
        let socket = node.run(open)?;
        let (to, end) = (seen.clone(), over.clone());
        let thread = node.thread("adverts", move || {
            while !end.load(Ordering::Relaxed) {
                if let Some(advert) = receive(&socket) {
                    to.lock().unwrap_or_else(PoisonError::into_inner).push(advert);
                }
            }
        })?;
        Ok(Self { seen, over, thread: Some(thread) })
    }

    /// All so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Advert> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much later than `interval` the latest advert of any virtual router came, among those of one sender between
    /// two instants; the adverts of priority 0 aside.
    pub fn latest(&self, interval: Duration, sent: bool, from: SystemTime, to: SystemTime) -> Duration {
        let mut last: BTreeMap<(usize, u8), SystemTime> = BTreeMap::new();
        let mut latest = Duration::ZERO;
        for advert in self.seen() {
            if advert.sent != sent || advert.priority == 0 || advert.at < from || advert.at > to {
                continue;
            }
            let before = last.insert((advert.interface, advert.vrid), advert.at);
            let gap = before.and_then(|before| advert.at.duration_since(before).ok()).unwrap_or_default();
            latest = latest.max(gap.saturating_sub(interval));
        }
        latest
    }
}

impl Drop for Adverts {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet socket that hears only IPv4 of protocol 112.
fn open() -> io::Result<OwnedFd> {
    let opened = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let only_adverts = [
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(IF_EQUAL, 0, 3, 0x45),
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(IF_EQUAL, 0, 1, 112),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    SockRef::from(&opened).attach_filter(&only_adverts)?;
    SockRef::from(&opened).set_recv_buffer_size(4 << 20)?;
    setsockopt(&opened, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&opened, sockopt::ReceiveTimeout, &TimeVal::milliseconds(100))?;
    Ok(opened)
}

fn receive(socket: &OwnedFd) -> Option<Advert> {
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut buffer = [0; 128];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).ok()?;
    let address = message.address?;
    let at = message.cmsgs().ok()?.find_map(|one| match one {
        ControlMessageOwned::ScmTimestampns(at) => {
            let nanos = u32::try_from(at.tv_nsec()).unwrap_or(0);
            Some(SystemTime::UNIX_EPOCH + Duration::new(at.tv_sec().unsigned_abs(), nanos))
        }
        _ => None, // nothing else was asked for
    })?;
    Some(Advert {
        at,
        interface: address.ifindex(),
        vrid: *buffer.get(21)?,
        priority: *buffer.get(22)?,
        sent: address.pkttype() == libc::PACKET_OUTGOING,
    })
}
