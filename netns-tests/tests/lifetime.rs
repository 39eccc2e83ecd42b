//! `[vip] lifetime`: the kernel lets go of an address when its director ends or hangs, however that comes, and at no other
//! time.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Node, Process, Signal, signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(30);
/// Several lifetimes of two seconds.
const LONG: Duration = Duration::from_secs(7);

fn master(pair: &Pair, router: &Router) -> Process {
    let mut master = pair.vipward_with(&pair.lb1, &router.text()).unwrap();
    // Becomes it, or goes on as it after a crash.
    master.wait_for_line(" MASTER", SOON).unwrap();
    wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("the VIP is there");
    master
}

/// All processes of a daemon, the first one first: it must not see the others go.
fn to_all(process: &Process, what: Signal) {
    process.signal(Signal::SIGSTOP);
    let children = process.children().unwrap();
    children.into_iter().for_each(|child| signal(child, what));
    process.signal(what);
}

/// Goes through `time` and asks without a pause.
fn holds_for(node: &Node, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if !node.has(VIP) {
            return false;
        }
    }
    true
}

#[test]
fn a_master_at_rest_keeps_its_address_over_many_lifetimes() {
    in_lab("a_master_at_rest_keeps_its_address_over_many_lifetimes", &[], || {
        let pair = Pair::build().unwrap();
        let master = master(&pair, &Router::master());
        assert!(holds_for(&pair.lb1, LONG), "{}", master.output());
        assert!(!master.output().contains("put back"), "{}", master.output());
    });
}

#[test]
fn the_kernel_lets_go_of_the_address_of_a_daemon_that_was_killed_or_stopped() {
    in_lab("the_kernel_lets_go_of_the_address_of_a_daemon_that_was_killed_or_stopped", &[], || {
        let pair = Pair::build().unwrap();
        for what in [Signal::SIGKILL, Signal::SIGSTOP] {
            let master = master(&pair, &Router::master());
            let since = Instant::now();
            to_all(&master, what);
            wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).unwrap_or_else(|| panic!("{what}: it stays"));
            println!("{what}: gone after {} ms", since.elapsed().as_millis());
            to_all(&master, Signal::SIGKILL);
        }
    });
}

#[test]
fn without_the_lease_it_stays() {
    in_lab("without_the_lease_it_stays", &[], || {
        let pair = Pair::build().unwrap();
        pair.file("vipward.toml", "[vip]\nlifetime = false\n").unwrap();
        let master = master(&pair, &Router::master());
        to_all(&master, Signal::SIGKILL);
        assert!(holds_for(&pair.lb1, LONG), "as keepalived leaves it");
    });
}

#[test]
fn a_reload_that_turns_the_lifetime_off_or_on_counts_at_once() {
    in_lab("a_reload_that_turns_the_lifetime_off_or_on_counts_at_once", &[], || {
        let pair = Pair::build().unwrap();
        let master = master(&pair, &Router::master());
        let forever = || {
            let mut command = Command::new("ip");
            command.args(["-4", "-o", "addr", "show", "dev", "eth0"]);
            let shown = pair.lb1.output(command).unwrap();
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            shown.lines().any(|line| line.contains(&VIP.to_string()) && line.contains("valid_lft forever"))
        };
        assert!(!forever());
        for lifetime in [false, true, false] {
            pair.file("vipward.toml", &format!("[vip]\nlifetime = {lifetime}\n")).unwrap();
            master.signal(Signal::SIGHUP);
            wait_for(SOON, || (forever() != lifetime).then_some(())).unwrap_or_else(|| panic!("lifetime = {lifetime}"));
        }
        // A mistake changes nothing.
        pair.file("vipward.toml", "[vip]\nlifetime = maybe\n").unwrap();
        let said = master.lines(0).len();
        master.signal(Signal::SIGHUP);
        let mut master = master;
        master.wait_for_line_after(said, "the running configuration stays", SOON).unwrap();
        assert!(forever());
    });
}

/// It did not run for longer than the lifetime and for less than the others wait. Its supervisor, which would take it for
/// hung, stands still meanwhile.
#[test]
fn what_the_kernel_took_from_a_dozing_master_comes_back_and_is_announced() {
    in_lab("what_the_kernel_took_from_a_dozing_master_comes_back_and_is_announced", &[], || {
        let pair = Pair::build().unwrap();
        let mut master = master(&pair, &Router { advert_int: "5", more: "garp_master_delay 0", ..Router::master() });
        let on_client = Watch::start(&pair.client).unwrap();
        to_all(&master, Signal::SIGSTOP);
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("the VIP goes");
        let gratuitous =
            |what: &What| matches!(what, What::Arp { sender, target, .. } if sender == target && VIP == *sender);
        let announced = || on_client.seen().into_iter().filter(|one| gratuitous(&one.what)).count();
        let before = announced();
        master.children().unwrap().into_iter().for_each(|worker| signal(worker, Signal::SIGCONT));
        master.wait_for_line("put back", SOON).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) && announced() > before).then_some(())).expect("back, and announced");
        master.signal(Signal::SIGCONT);
        assert!(holds_for(&pair.lb1, LONG), "{}", master.output());
        assert!(!master.output().contains("MASTER ->"), "{}", master.output());
    });
}

/// Without `promote_secondaries` the kernel takes the secondary addresses of a subnet along with the primary one. It is set
/// where virtual addresses are held; and when somebody unsets it, all of them come back.
#[test]
fn a_primary_address_that_goes_comes_back_with_its_secondaries() {
    in_lab("a_primary_address_that_goes_comes_back_with_its_secondaries", &[], || {
        let pair = Pair::build().unwrap();
        let unset = || {
            pair.lb1.sysctl("net/ipv4/conf/all/promote_secondaries", "0").unwrap();
            pair.lb1.sysctl("net/ipv4/conf/eth0/promote_secondaries", "0").unwrap();
        };
        unset();
        let vips: Vec<IpAddr> = (1..=5).map(|host| IpAddr::from([203, 0, 113, host])).collect();
        let more: String =
            vips.iter().fold("virtual_ipaddress_excluded {\n".to_owned(), |text, vip| format!("{text}{vip}/24\n"));
        let more: &'static str = (more + "}\n").leak();
        let mut master = master(&pair, &Router { more, ..Router::master() });
        let all = || wait_for(SOON, || vips.iter().all(|vip| pair.lb1.has(*vip)).then_some(()));
        all().expect("all are there");
        pair.lb1.remove_address("eth0", vips[0]).unwrap();
        master.wait_for_line(&format!("{}/24 on eth0 was taken off", vips[0]), SOON).unwrap();
        all().expect("it is there again");
        assert_eq!(master.output().matches("was taken off").count(), 1, "{}", master.output());
        unset();
        let said = master.lines(0).len();
        // The first of them now.
        pair.lb1.remove_address("eth0", vips[1]).unwrap();
        for vip in &vips {
            master.wait_for_line_after(said, &format!("{vip}/24 on eth0 was taken off"), SOON).unwrap();
        }
        all().expect("all are there again");
    });
}

#[test]
fn five_thousand_addresses_are_held_without_one_missing() {
    in_lab("five_thousand_addresses_are_held_without_one_missing", &[], || {
        let pair = Pair::build().unwrap();
        let mut more = "virtual_ipaddress_excluded {\n".to_owned();
        for n in 0..5_000_u32 {
            let _ = writeln!(more, "10.66.{}.{}/32", n / 250, n % 250 + 1);
        }
        more.push_str("}\n");
        let mut master = master(&pair, &Router { more: more.leak(), ..Router::master() });
        let count =
            || pair.lb1.addresses().unwrap().iter().filter(|it| it.address.to_string().starts_with("10.66.")).count();
        wait_for(SOON * 2, || (count() == 5_000).then_some(())).expect("all are there");
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            assert_eq!(count(), 5_000, "{}", master.output());
        }
        assert!(!master.output().contains("put back") && master.running(), "{}", master.output());
    });
}
