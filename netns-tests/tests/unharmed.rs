//! What must not take the VIP away: another director on the same host, a machine that does not schedule, a flood of cheap
//! packets.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::forge::{advert_v2, flood};
use vipward_netns_tests::stall::starve;
use vipward_netns_tests::{Need, Pair, Router, VIP, in_lab};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(30);

const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 101));

/// The other director's file: another VRID, another VIP.
fn other() -> String {
    Router::master().text().replace("virtual_router_id 51", "virtual_router_id 52").replace(".100/24", ".101/24")
}

/// One more director on lb1 with this text, with files and a control socket of its own.
fn second(pair: &Pair, name: &str, text: &str) -> Process {
    let file = pair.file(&format!("{name}.conf"), text).unwrap();
    let mut command = Command::new(vipward_netns_tests::vipward());
    command.arg("run").arg("--control").arg(pair.folder.path().join(format!("{name}.sock")));
    command.arg("--state").arg(pair.folder.path().join("state"));
    command.args(["--dataplane", "relay", "-f"]).arg(file);
    pair.lb1.spawn(command).unwrap()
}

fn has(node: &Node, address: IpAddr) {
    wait_for(SOON, || node.has(address).then_some(())).unwrap_or_else(|| panic!("{address} does not come"));
}

/// How often one of these addresses went while this was done. A renewal is told as if it came.
fn moves(node: &Node, meanwhile: impl FnOnce()) -> usize {
    let watch = Watch::start(node).unwrap();
    meanwhile();
    let moved = |what: &What| matches!(what, What::Address { address, present: false } if [VIP, OTHER].contains(&address.address));
    watch.seen().iter().filter(|seen| moved(&seen.what)).count()
}

#[test]
fn two_directors_of_one_host_live_side_by_side() {
    in_lab("two_directors_of_one_host_live_side_by_side", &[], || {
        let pair = Pair::build().unwrap();
        let first = pair.vipward_with(&pair.lb1, &Router::master().text()).unwrap();
        has(&pair.lb1, VIP);
        let neighbour = second(&pair, "other", &other());
        has(&pair.lb1, OTHER);
        let moved = moves(&pair.lb1, || std::thread::sleep(Duration::from_secs(5)));
        assert_eq!(moved, 0, "{}\n{}", first.output(), neighbour.output());
        // One is killed whole and starts again: it takes off what it left itself, and nothing of the other's.
        first.signal(Signal::SIGSTOP);
        first.children().unwrap().into_iter().for_each(|child| vipward_lab::signal(child, Signal::SIGKILL));
        first.kill();
        let watch = Watch::start(&pair.lb1).unwrap();
        let again = pair.vipward_with(&pair.lb1, &Router::master().text()).unwrap();
        wait_for(SOON, || again.output().contains(" MASTER").then_some(())).expect("it is MASTER again");
        has(&pair.lb1, VIP);
        let touched = watch
            .seen()
            .into_iter()
            .find(|seen| matches!(&seen.what, What::Address { address, present: false } if address.address == OTHER));
        assert!(touched.is_none() && pair.lb1.has(OTHER), "{}\n{}", again.output(), neighbour.output());
    });
}

#[test]
fn what_another_director_of_the_host_runs_is_refused() {
    in_lab("what_another_director_of_the_host_runs_is_refused", &[], || {
        let pair = Pair::build().unwrap();
        let mut first = pair.vipward_with(&pair.lb1, &Router::master().text()).unwrap();
        has(&pair.lb1, VIP);
        let moved = moves(&pair.lb1, || {
            // The same virtual router, by hand, beside the service.
            let ended = second(&pair, "again", &Router::master().text()).wait(SOON).unwrap();
            assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
            let why = "is run here already by process";
            assert!(ended.output.contains(why), "{}", ended.output);
            // The same control socket.
            let ended = pair.vipward_with(&pair.lb1, &other()).unwrap().wait(SOON).unwrap();
            assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
            assert!(ended.output.contains("another director answers at"), "{}", ended.output);
            // And by a reload of one that lives beside it.
            let mut neighbour = second(&pair, "other", &other());
            has(&pair.lb1, OTHER);
            let both =
                Router::master().text() + &other().replace("VI_1", "VI_2").replace("global_defs", "ignored_defs");
            let both = both.split("ignored_defs").next().unwrap().to_owned()
                + both.split("vrrp_version 2\n}\n").last().unwrap();
            pair.file("other.conf", &both).unwrap();
            neighbour.signal(Signal::SIGHUP);
            neighbour.wait_for_line("the running configuration stays", SOON).unwrap();
            assert!(neighbour.output().contains(why), "{}", neighbour.output());
            assert!(pair.lb1.has(VIP) && pair.lb1.has(OTHER));
            drop(neighbour);
        });
        // The other's VIP went with it.
        assert!(moved <= 1, "{moved}: {}", first.output());
        assert!(first.running() && pair.lb1.has(VIP));
    });
}

/// A real-time task keeps the worker from its processor, as a paused host would; the worker is runnable.
#[test]
fn a_worker_without_a_processor_keeps_its_roles() {
    in_lab("a_worker_without_a_processor_keeps_its_roles", &[Need::RealTime], || {
        let pair = Pair::build().unwrap();
        let mut master = pair.vipward_with(&pair.lb1, &Router::master().text()).unwrap();
        has(&pair.lb1, VIP);
        let mut backup = pair.vipward_with(&pair.lb2, &Router::backup().text()).unwrap();
        backup.wait_for_line("-> BACKUP", SOON).unwrap();
        let [worker] = master.children().unwrap()[..] else { panic!("one worker") };
        for (processor, pid) in [("0", master.pid()), ("1", worker)] {
            let pinned = Command::new("taskset").args(["-apc", processor, &pid.to_string()]).output().unwrap();
            assert!(pinned.status.success(), "{pinned:?}");
        }
        // The supervisor may sleep through it itself on a busy machine: then it was no trial of what it sees.
        let seen = (0..5).any(|_| {
            let before = master.lines(0).len();
            starve(Duration::from_millis(1600)).unwrap();
            std::thread::sleep(Duration::from_secs(3));
            master.lines(before).iter().any(|line| line.text.contains("it gets no processor"))
        });
        let said = master.output();
        assert!(seen, "nobody saw that it had no processor: {said}");
        assert_eq!(master.children().unwrap(), [worker], "the same worker: {said}");
        assert!(master.running() && !said.contains("killed") && !said.contains("MASTER -> "), "{said}");
        assert!(pair.lb1.has(VIP) && !pair.lb2.has(VIP), "{said}");
    });
}

/// A thousand adverts a second of a lower priority, with a hundred addresses: each of them is answered by a MASTER.
#[test]
fn a_flood_of_adverts_takes_no_address_away() {
    in_lab("a_flood_of_adverts_takes_no_address_away", &[], || {
        let pair = Pair::build().unwrap();
        let mut list = String::new();
        for host in 100..200 {
            let _ = writeln!(list, "        192.0.2.{host}/32");
        }
        let text = Router::master().text().replace("        192.0.2.100/24\n", &list);
        let mut master = pair.vipward_with(&pair.lb1, &text).unwrap();
        master.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(IpAddr::from([192, 0, 2, 199])).then_some(())).expect("all addresses come");
        let watch = Watch::start(&pair.lb1).unwrap();
        let list: Vec<[u8; 4]> = (100..200).map(|host| [192, 0, 2, host]).collect();
        let sent = flood(&pair.client, advert_v2(51, 50, 1, &list), 6_000, Duration::from_millis(1)).unwrap();
        let seen = watch.seen();
        let lost = seen.iter().filter(|seen| matches!(seen.what, What::Address { present: false, .. })).count();
        let arps = seen.iter().filter(|seen| matches!(seen.what, What::Arp { sent: true, .. })).count();
        let answers = seen.iter().filter(|seen| matches!(seen.what, What::Advert { sent: true, .. })).count();
        println!("{sent} adverts, {answers} of its own, {lost} addresses lost, {arps} announcements");
        // It was a flood, it was heard, and it was answered.
        assert!(sent > 3_000, "{sent} adverts left");
        assert!(master.output().contains("192.0.2.200 is MASTER too"), "{}", master.output());
        assert!(arps > 500 && answers < 200, "{arps} announcements, {answers} adverts");
        assert_eq!(lost, 0, "{}", master.output());
        // Five for each address at two bursts a second, and four bursts at once.
        assert!(arps < 40 * 500, "{arps} announcements");
        assert!(!master.output().contains("MASTER -> "), "{}", master.output());
    });
}

/// Thousands of decisions, and as many lines of the log as somebody can read.
#[test]
fn a_link_that_flaps_without_end_fills_no_log() {
    in_lab("a_link_that_flaps_without_end_fills_no_log", &[], || {
        let pair = Pair::build().unwrap();
        let mut director = pair.vipward_with(&pair.lb1, &Router::master().text()).unwrap();
        has(&pair.lb1, VIP);
        let mut flaps = Command::new("sh");
        flaps.arg("-c").arg("for i in $(seq 300); do ip link set eth0 down; ip link set eth0 up; done");
        assert!(pair.lb1.output(flaps).unwrap().status.success());
        has(&pair.lb1, VIP);
        let told = director.lines(0).len();
        println!("300 times down and up: {told} lines of log");
        assert!(told < 150, "{}", director.output());
        director.wait_for_line("more like this in the last", Duration::from_secs(120)).unwrap();
        assert!(director.running() && pair.lb1.has(VIP));
    });
}

/// The host's own address, which came after the VIP: to the kernel it is the VIP's secondary, and by default goes with it.
#[test]
fn the_hosts_own_address_outlives_the_vip() {
    in_lab("the_hosts_own_address_outlives_the_vip", &[], || {
        let pair = Pair::build().unwrap();
        for name in ["all", "default", "eth0"] {
            pair.lb1.sysctl(&format!("net/ipv4/conf/{name}/promote_secondaries"), "0").unwrap();
        }
        let own = IpAddr::from([192, 0, 2, 77]);
        let ip = |arguments: &str| {
            let mut command = Command::new("ip");
            command.args(arguments.split(' '));
            String::from_utf8(pair.lb1.output(command).unwrap().stdout).unwrap()
        };
        let text = Router { more: "mcast_src_ip 198.51.100.1", ..Router::master() }.text();
        // Only the VIP is in this subnet, until the host gets an address of its own there.
        ip("addr flush dev eth0");
        ip("addr add 198.51.100.1/24 dev eth0");
        let mut ended = 0;
        let mut goes = |how: &str, end: &dyn Fn(Process)| {
            let director = pair.vipward_with(&pair.lb1, &text).unwrap();
            has(&pair.lb1, VIP);
            ip("addr add 192.0.2.77/24 dev eth0");
            assert!(ip("addr show dev eth0").contains("192.0.2.77/24 scope global secondary"), "{}", ip("addr"));
            end(director);
            wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).unwrap_or_else(|| panic!("{how}: the VIP stays"));
            assert!(pair.lb1.has(own), "{how}: {}", ip("addr show dev eth0"));
            ip("addr del 192.0.2.77/24 dev eth0");
            ended += 1;
        };
        goes("SIGTERM", &|director| {
            director.signal(Signal::SIGTERM);
            assert!(director.wait(SOON).unwrap().status.success());
        });
        goes("the worker is killed, its supervisor speaks", &|director| {
            director.children().unwrap().into_iter().for_each(|child| vipward_lab::signal(child, Signal::SIGKILL));
            wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("it is taken off");
            assert!(pair.lb1.has(own), "{}", director.output());
            director.signal(Signal::SIGTERM);
            assert!(director.wait(SOON).unwrap().status.success());
        });
        goes("all is killed, the lifetime ends", &|director| {
            director.signal(Signal::SIGSTOP);
            director.children().unwrap().into_iter().for_each(|child| vipward_lab::signal(child, Signal::SIGKILL));
            director.kill();
        });
        assert_eq!(ended, 3);
    });
}
