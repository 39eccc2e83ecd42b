//! IPv6 virtual routers of the real daemons: alone, beside keepalived, and beside IPv4 ones.
//!
//! Duplicate address detection is on everywhere, as the kernel has it: link-local addresses are tentative for a second or two
//! after the cables are plugged in, and the directors wait for them.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vipward_lab::client::{Client, outages};
use vipward_lab::web::Server;
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::{Daemon, Need, Pair, VIP, in_lab};

const SOON: Duration = Duration::from_secs(40);
/// What adverts list.
const VIPS: [&str; 2] = ["fe80::100", "2001:db8::100"];

/// One more address of each director and of the client.
fn build() -> Pair {
    let pair = Pair::build().unwrap();
    for (node, address) in [(&pair.lb1, "2001:db8::11"), (&pair.lb2, "2001:db8::12"), (&pair.client, "2001:db8::200")] {
        node.add_address("eth0", address.parse().unwrap(), 64).unwrap();
    }
    pair
}

/// keepalived stays in FAULT for ever when its source is tentative at the start; vipward waits for it.
fn usable(pair: &Pair) {
    for (node, address) in [(&pair.lb1, "2001:db8::11"), (&pair.lb2, "2001:db8::12")] {
        let usable = || shown(node, address).is_some_and(|line| !line.contains("tentative"));
        wait_for(SOON, || usable().then_some(())).expect("duplicate address detection ends");
    }
}

fn text(priority: u8, more: &str) -> String {
    format!(
        "vrrp_instance VI_6 {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         advert_int 1\n{more}    virtual_ipaddress {{\n        fe80::100/64\n        2001:db8::100/64\n    }}\n}}\n"
    )
}

fn unicast(own: u8, peer: u8) -> String {
    format!("    unicast_src_ip 2001:db8::{own}\n    unicast_peer {{\n        2001:db8::{peer}\n    }}\n")
}

/// The lines of `ip` about this address.
fn shown(node: &Node, address: &str) -> Option<String> {
    let mut command = Command::new("ip");
    command.args(["-6", "-o", "address", "show", "dev", "eth0"]);
    let output = String::from_utf8(node.output(command).unwrap().stdout).unwrap();
    let line = output.lines().find(|line| line.contains(&format!("inet6 {address}/")));
    line.map(str::to_owned)
}

/// In the solicited-node group of both addresses (RFC 4291 2.7.1).
fn solicited(node: &Node) -> bool {
    let mut command = Command::new("ip");
    command.args(["-6", "maddress", "show", "dev", "eth0"]);
    String::from_utf8(node.output(command).unwrap().stdout).unwrap().contains("ff02::1:ff00:100")
}

fn holds(node: &Node) -> bool {
    VIPS.iter().all(|vip| shown(node, vip).is_some_and(|line| !line.contains("tentative")))
}

fn free(node: &Node) -> bool {
    VIPS.iter().all(|vip| shown(node, vip).is_none())
}

/// Waits until `holder` alone has both addresses.
#[track_caller]
fn only(pair: &Pair, holder: &Node, daemons: &[&Process]) {
    let right = |node: &Node| if node.name() == holder.name() { holds(node) } else { free(node) };
    let settled = wait_for(SOON, || (right(&pair.lb1) && right(&pair.lb2)).then_some(()));
    let said: String = daemons.iter().map(|daemon| format!("--- {}\n{}", daemon.name(), daemon.output())).collect();
    assert!(settled.is_some(), "{} alone should hold the addresses\n{said}", holder.name());
}

/// A client that asks over IPv6 sees each takeover as one outage, and finds the address where it is.
#[test]
fn the_address_moves_by_preemption_by_stop_and_by_death_and_clients_find_it() {
    in_lab("the_address_moves_by_preemption_by_stop_and_by_death_and_clients_find_it", &[], || {
        let pair = build();
        let port: SocketAddr = "[::]:8080".parse().unwrap();
        let _servers = [Server::start(&pair.lb1, port).unwrap(), Server::start(&pair.lb2, port).unwrap()];
        let backup = Daemon::Vipward.start(&pair, &pair.lb2, &text(100, "")).unwrap();
        only(&pair, &pair.lb2, &[&backup]);
        let service = "[2001:db8::100]:8080".parse().unwrap();
        let client =
            Client::start(&pair.client, service, Duration::from_millis(20), Duration::from_millis(400)).unwrap();
        let answered = |name: &str, since: Instant| {
            let answered = wait_for(SOON, || {
                let samples = client.samples_since(since);
                samples.iter().any(|sample| sample.answer.as_deref() == Ok(name)).then_some(())
            });
            assert!(answered.is_some(), "{name} does not answer\n{}", backup.output());
            let longest = outages(&client.samples_since(since)).iter().map(|outage| outage.length()).max();
            println!("{name} answers; the longest outage was {longest:?}");
        };
        answered("lb2", Instant::now());
        // Solicitations for 2001:db8::100 and fe80::100 go there.
        assert!(solicited(&pair.lb2) && !solicited(&pair.lb1));

        let began = Instant::now();
        let master = Daemon::Vipward.start(&pair, &pair.lb1, &text(150, "")).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
        answered("lb1", began);

        let began = Instant::now();
        master.signal(Signal::SIGTERM);
        only(&pair, &pair.lb2, &[&master, &backup]);
        answered("lb2", began);
        assert!(master.wait(SOON).unwrap().status.success());

        let master = Daemon::Vipward.start(&pair, &pair.lb1, &text(150, "")).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
        answered("lb1", Instant::now());
        // Supervisor and worker at once: nobody is left who could take the addresses off, but the kernel.
        let began = Instant::now();
        master.signal_all(Signal::SIGKILL);
        only(&pair, &pair.lb2, &[&backup]);
        answered("lb2", began);
        assert!(!backup.output().contains("panic"), "{}", backup.output());
    });
}

/// The supervisor says goodbye for its worker, over IPv6 as over IPv4.
#[test]
fn a_dead_worker_is_said_goodbye_for() {
    in_lab("a_dead_worker_is_said_goodbye_for", &[], || {
        let pair = build();
        let master = Daemon::Vipward.start(&pair, &pair.lb1, &text(150, "")).unwrap();
        only(&pair, &pair.lb1, &[&master]);
        let mut backup = Daemon::Vipward.start(&pair, &pair.lb2, &text(100, "")).unwrap();
        backup.wait_for_line("BACKUP", SOON).unwrap();
        let heard = Frames::start(&pair.client);
        let worker = master.children().unwrap().first().copied().expect("a worker");
        vipward_lab::signal(worker, Signal::SIGKILL);
        let goodbye =
            wait_for(SOON, || heard.of(112).iter().any(|frame| frame.get(14 + 40 + 2) == Some(&0)).then_some(()));
        assert!(goodbye.is_some(), "an advert of priority 0\n{}", master.output());
        only(&pair, &pair.lb1, &[&master, &backup]);
    });
}

/// `better` on lb1 and `other` on lb2: the better one takes the addresses, gives them up in order, takes them back, dies.
fn live_together(better: Daemon, other: Daemon, more: [&str; 2]) {
    let pair = build();
    usable(&pair);
    let (on_lb1, on_lb2) = (text(150, more[0]), text(100, more[1]));
    let backup = other.start(&pair, &pair.lb2, &on_lb2).unwrap();
    only(&pair, &pair.lb2, &[&backup]);
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    master.signal(Signal::SIGTERM);
    only(&pair, &pair.lb2, &[&master, &backup]);
    assert!(master.wait(SOON).unwrap().status.success());
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    better.kill(master).unwrap();
    wait_for(SOON, || holds(&pair.lb2).then_some(())).expect("the other one takes over");
    // What a killed daemon left behind does not confuse the next one.
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    assert!(!backup.output().contains("panic"), "{}", backup.output());
}

#[test]
fn vipward_leads_keepalived_by_multicast() {
    in_lab("vipward_leads_keepalived_by_multicast", &[Need::Keepalived], || {
        live_together(Daemon::Vipward, Daemon::Keepalived, ["", ""]);
    });
}

#[test]
fn keepalived_leads_vipward_by_multicast() {
    in_lab("keepalived_leads_vipward_by_multicast", &[Need::Keepalived], || {
        live_together(Daemon::Keepalived, Daemon::Vipward, ["", ""]);
    });
}

#[test]
fn vipward_leads_keepalived_by_unicast() {
    in_lab("vipward_leads_keepalived_by_unicast", &[Need::Keepalived], || {
        live_together(Daemon::Vipward, Daemon::Keepalived, [&unicast(11, 12), &unicast(12, 11)]);
    });
}

#[test]
fn keepalived_leads_vipward_by_unicast() {
    in_lab("keepalived_leads_vipward_by_unicast", &[Need::Keepalived], || {
        live_together(Daemon::Keepalived, Daemon::Vipward, [&unicast(11, 12), &unicast(12, 11)]);
    });
}

/// `version 2` makes keepalived send a form that is in no RFC.
#[test]
fn vipward_and_keepalived_understand_each_other_in_keepalived_s_version_2() {
    let name = "vipward_and_keepalived_understand_each_other_in_keepalived_s_version_2";
    in_lab(name, &[Need::Keepalived], || {
        live_together(Daemon::Vipward, Daemon::Keepalived, ["    version 2\n"; 2]);
    });
}

/// One VRID on one interface, and two virtual routers: each is MASTER where its own priority is the greater.
fn two_of_one_vrid(other: Daemon) {
    let pair = build();
    let both = |v4: u8, v6: u8| {
        format!(
            "{}vrrp_instance VI_4 {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    priority {v4}\n    \
             virtual_ipaddress {{\n        {VIP}/24\n    }}\n    virtual_ipaddress_excluded {{\n        \
             2001:db8::104/64\n    }}\n}}\n",
            text(v6, "")
        )
    };
    let one = Daemon::Vipward.start(&pair, &pair.lb1, &both(150, 100)).unwrap();
    let two = other.start(&pair, &pair.lb2, &both(100, 150)).unwrap();
    only(&pair, &pair.lb2, &[&one, &two]);
    let excluded = |node: &Node| shown(node, "2001:db8::104").is_some();
    let settled = wait_for(SOON, || {
        let here = pair.lb1.has(VIP) && excluded(&pair.lb1);
        (here && !pair.lb2.has(VIP) && !excluded(&pair.lb2)).then_some(())
    });
    assert!(settled.is_some(), "lb1 holds the IPv4 one beside {other}\n{}\n{}", one.output(), two.output());
}

#[test]
fn ipv4_and_ipv6_routers_of_one_vrid_are_two() {
    in_lab("ipv4_and_ipv6_routers_of_one_vrid_are_two", &[], || two_of_one_vrid(Daemon::Vipward));
}

#[test]
fn ipv4_and_ipv6_routers_of_one_vrid_are_two_beside_keepalived() {
    let name = "ipv4_and_ipv6_routers_of_one_vrid_are_two_beside_keepalived";
    in_lab(name, &[Need::Keepalived], || two_of_one_vrid(Daemon::Keepalived));
}

/// Without a link-local address it waits in FAULT, also while the address is tentative, and goes on when there is one.
#[test]
fn it_waits_for_its_link_local_address() {
    in_lab("it_waits_for_its_link_local_address", &[], || {
        let pair = build();
        pair.lb1.sysctl("net/ipv6/conf/eth0/addr_gen_mode", "1").unwrap();
        let ip = |words: &str| {
            let mut command = Command::new("ip");
            command.args(words.split(' '));
            assert!(pair.lb1.output(command).unwrap().status.success(), "ip {words}");
        };
        ip("-6 address flush dev eth0 scope link");
        let mut daemon = Daemon::Vipward.start(&pair, &pair.lb1, &text(100, "")).unwrap();
        daemon.wait_for_line("INIT -> FAULT", SOON).unwrap();
        daemon.wait_for_line("no link-local IPv6 address", SOON).unwrap();
        // With duplicate address detection.
        ip("address add fe80::11/64 dev eth0");
        daemon.wait_for_line("FAULT -> BACKUP", SOON).unwrap();
        let usable = shown(&pair.lb1, "fe80::11").unwrap();
        assert!(!usable.contains("tentative"), "{usable}");
        only(&pair, &pair.lb1, &[&daemon]);
        ip("address del fe80::11/64 dev eth0");
        daemon.wait_for_line("MASTER -> FAULT", SOON).unwrap();
        wait_for(SOON, || free(&pair.lb1).then_some(())).expect("the addresses are given up");
    });
}

/// Neighbour advertisements byte by byte, of a host that forwards: there keepalived sets the router flag too.
#[test]
fn neighbour_advertisements_are_those_of_keepalived() {
    in_lab("neighbour_advertisements_are_those_of_keepalived", &[Need::Keepalived], || {
        let pair = build();
        pair.lb1.sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
        let mut seen = Vec::new();
        for who in [Daemon::Keepalived, Daemon::Vipward] {
            let heard = Frames::start(&pair.client);
            let daemon = who.start(&pair, &pair.lb1, &text(100, "")).unwrap();
            only(&pair, &pair.lb1, &[&daemon]);
            // Five for each address; the host's own come in as well, from other sources.
            let unsolicited = |heard: &Frames| {
                let mut of_vips: Vec<Vec<u8>> = heard.of(58);
                of_vips.retain(|frame| {
                    frame.get(54) == Some(&136) && VIPS.iter().any(|vip| source(frame) == vip.parse().ok())
                });
                of_vips
            };
            let frames = wait_for(SOON, || Some(unsolicited(&heard)).filter(|frames| frames.len() >= 10));
            let mut frames = frames.unwrap_or_else(|| panic!("{who}: {:?}\n{}", unsolicited(&heard), daemon.output()));
            frames.sort();
            frames.dedup();
            println!("{who}: {} kinds of frames, the first {}", frames.len(), hex(&frames[0]));
            seen.push(frames);
            daemon.signal(Signal::SIGTERM);
            assert!(daemon.wait(SOON).unwrap().status.success());
        }
        let [keepalived, vipward] = &seen[..] else { unreachable!("two daemons") };
        // A byte that the kernel chooses for packets of its own sockets: the flow label stays out of it.
        let without_flow_label = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let mut frames = frames.to_vec();
            frames.iter_mut().for_each(|frame| frame[15..18].fill(0));
            frames
        };
        assert_eq!(without_flow_label(keepalived), without_flow_label(vipward));
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn source(frame: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(22..38)?).ok()?))
}

/// The IPv6 frames that come to a node's eth0.
struct Frames {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    over: Arc<AtomicBool>,
}

impl Frames {
    fn start(node: &Node) -> Self {
        const ETH_P_IPV6: u16 = 0x86dd;
        let socket = node.run(|| {
            let kind = socket2::Protocol::from(i32::from(ETH_P_IPV6.to_be()));
            let socket = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, Some(kind))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            Ok(socket)
        });
        let mut socket = socket.unwrap();
        let frames = Self { seen: Arc::default(), over: Arc::default() };
        let (seen, over) = (frames.seen.clone(), frames.over.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok(length) = socket.read(&mut buffer) {
                    seen.lock().unwrap().push(buffer[..length].to_vec());
                }
            }
        });
        frames
    }

    /// Those of one protocol.
    fn of(&self, protocol: u8) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|frame| frame.get(20) == Some(&protocol)).cloned().collect()
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
