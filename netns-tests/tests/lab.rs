//! The lab itself: what the other tests stand on.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::client::{Client, ask, outages};
use vipward_lab::wait_for;
use vipward_lab::watch::{Watch, What};
use vipward_lab::web::Server;
use vipward_netns_tests::{Need, Pair, VIP, in_lab};

const SOON: Duration = Duration::from_secs(10);

fn front_of(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 80))
}

#[test]
fn nodes_on_one_segment_talk_and_others_do_not() {
    in_lab("nodes_on_one_segment_talk_and_others_do_not", &[], || {
        let pair = Pair::build().unwrap();
        let _web = Server::start(&pair.lb1, "0.0.0.0:80".parse().unwrap()).unwrap();
        assert_eq!(ask(&pair.client, front_of(11), SOON), Ok("lb1".to_owned()));
        assert!(ask(&pair.web1, front_of(11), SOON).is_err(), "no route from the back to the front");
        assert!(!pair.lb2.has(VIP));
    });
}

#[test]
fn isolated_nodes_reach_everybody_but_each_other() {
    in_lab("isolated_nodes_reach_everybody_but_each_other", &[], || {
        let pair = Pair::build().unwrap();
        let _web = Server::start(&pair.lb1, "0.0.0.0:80".parse().unwrap()).unwrap();
        let short = Duration::from_millis(300);
        assert!(ask(&pair.lb2, front_of(11), SOON).is_ok());
        pair.front.isolate(&pair.lb1, "eth0", true).unwrap();
        pair.front.isolate(&pair.lb2, "eth0", true).unwrap();
        assert!(ask(&pair.lb2, front_of(11), short).is_err());
        assert!(ask(&pair.client, front_of(11), SOON).is_ok());
        pair.front.isolate(&pair.lb1, "eth0", false).unwrap();
        assert!(ask(&pair.lb2, front_of(11), SOON).is_ok());
    });
}

#[test]
fn a_watch_sees_addresses_come_and_go() {
    in_lab("a_watch_sees_addresses_come_and_go", &[], || {
        let pair = Pair::build().unwrap();
        let watch = Watch::start(&pair.lb1).unwrap();
        let since = SystemTime::now();
        pair.lb1.add_address("eth0", VIP, 24).unwrap();
        assert!(pair.lb1.has(VIP));
        pair.lb1.remove_address("eth0", VIP).unwrap();
        assert!(!pair.lb1.has(VIP));
        let both = wait_for(SOON, || {
            let changes = watch.seen().into_iter().filter_map(|one| match one.what {
                What::Address { address, present } => Some((address.interface, address.address, present)),
                What::Advert { .. } | What::Arp { .. } => None,
            });
            let changes: Vec<_> = changes.collect();
            (changes.len() >= 2).then_some(changes)
        });
        assert_eq!(both.unwrap(), [("eth0".to_owned(), VIP, true), ("eth0".to_owned(), VIP, false)]);
        assert!(watch.appeared(VIP, since).is_some());
    });
}

#[test]
fn a_client_sees_a_server_die_and_return() {
    in_lab("a_client_sees_a_server_die_and_return", &[], || {
        let pair = Pair::build().unwrap();
        let any = "0.0.0.0:80".parse().unwrap();
        let web = Server::start(&pair.lb1, any).unwrap();
        let client =
            Client::start(&pair.client, front_of(11), Duration::from_millis(10), Duration::from_millis(500)).unwrap();
        let answered = |since: Instant| {
            wait_for(SOON, || client.samples_since(since).iter().any(|one| one.answer.is_ok()).then_some(()))
        };
        answered(Instant::now()).unwrap();
        drop(web);
        let died = Instant::now();
        wait_for(SOON, || client.samples_since(died).iter().any(|one| one.answer.is_err()).then_some(())).unwrap();
        let _web = Server::start(&pair.lb1, any).unwrap();
        answered(Instant::now()).unwrap();
        assert_eq!(outages(&client.samples()).len(), 1);
    });
}

#[test]
fn processes_run_in_their_node_and_their_words_are_kept() {
    in_lab("processes_run_in_their_node_and_their_words_are_kept", &[], || {
        let pair = Pair::build().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "grep -c eth /proc/net/dev; echo to stderr >&2; exit 3"]);
        let mut process = pair.lb1.spawn(command).unwrap();
        process.wait_for_line("to stderr", SOON).unwrap();
        let ended = process.wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert!(ended.output.contains('2'), "lb1 has eth0 and eth1: {}", ended.output);
    });
}

#[test]
fn nothing_outlives_a_lab_that_is_killed() {
    // Outside a lab: the command itself, killed with SIGKILL while a program sleeps in it.
    if !vipward_netns_tests::met("nothing_outlives_a_lab_that_is_killed", Need::Netns) {
        return;
    }
    let mark = format!("31{}.25", std::process::id());
    let mut lab = Command::new(env!("CARGO_BIN_EXE_in-lab")).args(["sleep", &mark]).spawn().unwrap();
    let sleeping = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        let wanted = format!("sleep\0{mark}\0").into_bytes();
        lines.filter(|line| *line == wanted).count()
    };
    wait_for(SOON, || (sleeping() == 1).then_some(())).expect("the program starts");
    lab.kill().unwrap();
    lab.wait().unwrap();
    wait_for(SOON, || (sleeping() == 0).then_some(())).expect("the program ends with its lab");
}
