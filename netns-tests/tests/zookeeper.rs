//! Directors that take their leases from a real quorum: three ZooKeeper servers, cuts, deaths.
//!
//! Who has the VIP is what the kernels of the directors' machines tell, with the instant. Windows without an owner are
//! printed; what they amount to is in docs/measurements.md.

#[path = "zookeeper/elect.rs"]
mod elect;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::owners::{both, stretches, unserved_and_shared};
use vipward_netns_tests::quorate::{ELECT, FENCE, Quorate, SESSION, SOON, router, settings};
use vipward_netns_tests::zookeeper::{Ensemble, Role, Server, Timing};
use vipward_netns_tests::{Need, Pair, Router, VIP, in_lab};

#[test]
fn an_ensemble_has_one_leader_and_another_one_when_that_dies() {
    in_lab("an_ensemble_has_one_leader_and_another_one_when_that_dies", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let mut ensemble = pair.zookeeper(3, Timing::QUICK, SOON).unwrap();
        let first = ensemble.leader(SOON).unwrap();
        ensemble.servers[first].kill();
        let second = ensemble.leader(SOON).unwrap();
        assert_ne!(first, second);
        ensemble.servers[first].start().unwrap();
        ensemble.serves(SOON).unwrap();
        let leads = |server: &&Server| server.role() == Some(Role::Leader);
        assert_eq!(ensemble.servers.iter().filter(leads).count(), 1);
    });
}

/// A cut between the directors; each keeps the ensemble or loses it too.
fn split(lb1_keeps: bool, lb2_keeps: bool) {
    let lab = Quorate::build(3);
    let (mut first, mut second) = lab.both(FENCE);
    let since = SystemTime::now();
    lab.cut_from_ensemble(&lab.pair.lb1, !lb1_keeps);
    lab.cut_from_ensemble(&lab.pair.lb2, !lb2_keeps);
    lab.cut_directors(true);
    match (lb1_keeps, lb2_keeps) {
        (true, true) => {
            second.wait_for_line("MASTER without addresses: lb1 has the lease", SOON).unwrap();
            assert!(lab.pair.lb1.has(VIP) && !lab.pair.lb2.has(VIP), "{}", lab.story());
        }
        (true, false) => {
            second.wait_for_line("-> FAULT", SOON).unwrap();
            assert!(lab.pair.lb1.has(VIP) && !lab.pair.lb2.has(VIP), "{}", lab.story());
        }
        (false, true) => {
            first.wait_for_line("-> FAULT", SOON).unwrap();
            lab.has_it(&lab.pair.lb2);
            lab.print_window("cut, and lb1 from the ensemble too", since);
        }
        (false, false) => {
            first.wait_for_line("-> FAULT", SOON).unwrap();
            second.wait_for_line("-> FAULT", SOON).unwrap();
            lab.nobody_has_it();
        }
    }
    lab.never_both();
    lab.cut_from_ensemble(&lab.pair.lb1, false);
    lab.cut_from_ensemble(&lab.pair.lb2, false);
    lab.cut_directors(false);
    // lb1 has the higher priority and preempts.
    lab.has_it(&lab.pair.lb1);
    assert!(first.running() && second.running());
    if (lb1_keeps, lb2_keeps) == (false, true) {
        // It went back in order, from one living director to the other: what is stamped by two watchers is not to the
        // microsecond.
        let together = both(&stretches(&lab.watch1, VIP), &stretches(&lab.watch2, VIP));
        assert!(together < Duration::from_millis(50), "{}", lab.story());
    } else {
        lab.never_both();
    }
}

#[test]
fn split_brain_when_both_keep_the_ensemble() {
    in_lab("split_brain_when_both_keep_the_ensemble", &[Need::Zookeeper], || split(true, true));
}

#[test]
fn split_brain_when_the_holder_keeps_the_ensemble() {
    in_lab("split_brain_when_the_holder_keeps_the_ensemble", &[Need::Zookeeper], || split(true, false));
}

#[test]
fn split_brain_when_the_holder_loses_the_ensemble() {
    in_lab("split_brain_when_the_holder_loses_the_ensemble", &[Need::Zookeeper], || split(false, true));
}

#[test]
fn split_brain_when_both_lose_the_ensemble() {
    in_lab("split_brain_when_both_lose_the_ensemble", &[Need::Zookeeper], || split(false, false));
}

/// The same cut without fence: what the tests above would see if the lease did nothing.
#[test]
fn split_brain_without_fence_has_two_owners() {
    in_lab("split_brain_without_fence_has_two_owners", &[Need::Zookeeper], || {
        let lab = Quorate::build(1);
        let first = lab.start(&lab.pair.lb1, "default = \"off\"");
        lab.has_it(&lab.pair.lb1);
        let second = lab.start(&lab.pair.lb2, "default = \"off\"");
        lab.cut_directors(true);
        wait_for(SOON, || (lab.pair.lb1.has(VIP) && lab.pair.lb2.has(VIP)).then_some(())).expect("both have it");
        drop((first, second));
        assert!(both(&stretches(&lab.watch1, VIP), &stretches(&lab.watch2, VIP)) > Duration::ZERO, "{}", lab.story());
    });
}

#[test]
fn a_holder_that_is_killed_is_followed_when_its_session_is_over() {
    in_lab("a_holder_that_is_killed_is_followed_when_its_session_is_over", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let (first, _second) = lab.both(FENCE);
        let since = SystemTime::now();
        first.kill();
        lab.has_it(&lab.pair.lb2);
        lab.never_both();
        lab.print_window("SIGKILL", since);
    });
}

/// To the supervisor and its worker.
fn all_of(director: &Process, signal: Signal) {
    director.signal(signal);
    for worker in director.children().unwrap() {
        vipward_lab::signal(worker, signal);
    }
}

/// The supervisor withdraws the VIP at once and starts another worker, which gives back or keeps what the dead one's session
/// has: on the same machine nobody need wait for the end of that.
#[test]
fn a_worker_that_is_killed_is_followed_with_one_owner_at_most() {
    in_lab("a_worker_that_is_killed_is_followed_with_one_owner_at_most", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let (first, mut second) = lab.both(FENCE);
        let since = SystemTime::now();
        for worker in first.children().unwrap() {
            vipward_lab::signal(worker, Signal::SIGKILL);
        }
        second.wait_for_line("-> MASTER", SOON).unwrap();
        let somebody = || lab.pair.lb1.has(VIP) || lab.pair.lb2.has(VIP);
        wait_for(SOON, || (!somebody()).then_some(())).expect("the VIP is withdrawn");
        wait_for(SOON, || somebody().then_some(())).expect("and comes back");
        lab.never_both();
        let got = [&lab.watch1, &lab.watch2].map(|watch| stretches(watch, VIP));
        let got = got.iter().flatten().map(|stretch| stretch.from).filter(|from| *from > since).min().unwrap();
        println!(
            "the worker alone, SIGKILL: somebody has the VIP again after {:?}",
            got.duration_since(since).unwrap()
        );
    });
}

#[test]
fn a_holder_that_froze_has_nothing_when_it_thaws() {
    in_lab("a_holder_that_froze_has_nothing_when_it_thaws", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let (mut first, _second) = lab.both(FENCE);
        let since = SystemTime::now();
        all_of(&first, Signal::SIGSTOP);
        lab.has_it(&lab.pair.lb2);
        lab.never_both();
        lab.print_window("SIGSTOP", since);
        let before = first.lines(0).len();
        // Cut off, so that it can't hear that lb2 is MASTER now: only its lease can tell it.
        lab.cut_directors(true);
        all_of(&first, Signal::SIGCONT);
        first.wait_for_line_after(before, "MASTER without addresses: lb2 has the lease", SOON).unwrap();
        lab.never_both();
    });
}

#[test]
fn a_holder_that_stops_in_order_is_followed_at_once() {
    in_lab("a_holder_that_stops_in_order_is_followed_at_once", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let (first, mut second) = lab.both(FENCE);
        let since = SystemTime::now();
        first.signal(Signal::SIGTERM);
        second.wait_for_line("the lease is granted", SOON).unwrap();
        lab.has_it(&lab.pair.lb2);
        let ended = first.wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        assert!(!ended.output.contains("could not be closed"), "{}", ended.output);
        lab.print_window("SIGTERM", since);
        // Within half a session: nobody waited for one to end.
        let got = stretches(&lab.watch2, VIP).first().unwrap().from.duration_since(since).unwrap();
        assert!(got < Duration::from_secs(SESSION) / 2, "{got:?}: {}", lab.story());
    });
}

#[test]
fn the_vip_stays_when_the_leader_of_the_ensemble_dies() {
    in_lab("the_vip_stays_when_the_leader_of_the_ensemble_dies", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let mut ensemble = pair.zookeeper(3, Timing::QUICK, SOON).unwrap();
        let watch = Watch::start(&pair.lb1).unwrap();
        // Long enough for an election of the ensemble's on a busy machine.
        let settings = settings(&ensemble, "lb1", 40, FENCE);
        let mut director = pair.vipward_beside(&pair.lb1, &router(&pair.lb1).text(), &settings).unwrap();
        director.wait_for_line("the lease is granted", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("the VIP comes");
        let leader = ensemble.leader(SOON).unwrap();
        ensemble.servers[leader].kill();
        assert_ne!(ensemble.leader(SOON).unwrap(), leader);
        // Proofs of life arrive at the new one: the versions of the session's node go on.
        let survivor = ensemble.leader(SOON).unwrap();
        let zxid = || ensemble.servers[survivor].zxid().unwrap_or(0);
        let before = zxid();
        wait_for(SOON, || (zxid() > before + 3).then_some(())).expect("writes go on");
        assert_eq!(stretches(&watch, VIP).len(), 1, "{}", director.output());
        assert!(stretches(&watch, VIP)[0].to.is_none(), "{}", director.output());
    });
}

/// Both directors, whichever server each is connected to; the `zoo.cfg` of docs/zookeeper.md.
#[test]
fn the_vip_stays_when_the_leader_of_the_ensemble_freezes() {
    in_lab("the_vip_stays_when_the_leader_of_the_ensemble_freezes", &[Need::Zookeeper], || {
        let lab = Quorate::bare(3, Timing::DOCUMENTED);
        lab.grow_tree();
        let start = |node: &Node| {
            let settings = lab.settings_by_default(node, FENCE);
            lab.pair.vipward_beside(node, &router(node).text(), &settings).unwrap()
        };
        let mut first = start(&lab.pair.lb1);
        first.wait_for_line("the lease is granted", SOON).unwrap();
        let mut second = start(&lab.pair.lb2);
        second.wait_for_line("-> BACKUP", SOON).unwrap();
        let leader = lab.ensemble.leader(SOON).unwrap();
        lab.ensemble.servers[leader].freeze(true);
        let survivor = wait_for(SOON, || lab.ensemble.leader_but(leader)).expect("another leader");
        let zxid = || lab.ensemble.servers[survivor].zxid().unwrap_or(0);
        let before = zxid();
        wait_for(SOON, || (zxid() > before + 10).then_some(())).expect("proofs of life go on");
        lab.ensemble.servers[leader].freeze(false);
        lab.ensemble.serves(SOON).unwrap();
        let held = stretches(&lab.watch1, VIP);
        let said = [first.output(), second.output()].join("\n");
        assert!(held.len() == 1 && held[0].to.is_none(), "{held:?}\n{said}");
        assert_eq!(stretches(&lab.watch2, VIP), [], "{said}");
    });
}

/// `server.N` lines that were forgotten: each server has a tree of its own.
#[test]
fn servers_that_are_no_ensemble_are_not_relied_on() {
    in_lab("servers_that_are_no_ensemble_are_not_relied_on", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let ensemble = Ensemble::strangers(pair.machines_for_zookeeper(3).unwrap(), Timing::QUICK).unwrap();
        ensemble.serves(SOON).unwrap();
        let start = |node: &Node| {
            let settings = settings(&ensemble, node.name(), SESSION, ELECT);
            pair.vipward_beside(node, &router(node).text(), &settings).unwrap()
        };
        let (mut first, mut second) = (start(&pair.lb1), start(&pair.lb2));
        for director in [&mut first, &mut second] {
            director.wait_for_line("runs alone, and is no member of an ensemble", SOON).unwrap();
            director.wait_for_line("-> FAULT", SOON).unwrap();
        }
        assert!(!pair.lb1.has(VIP) && !pair.lb2.has(VIP));
    });
}

/// `hosts` names servers of different ensembles: a lease of one says nothing about the other's.
#[test]
fn servers_of_two_ensembles_are_not_relied_on() {
    in_lab("servers_of_two_ensembles_are_not_relied_on", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let ensembles = Ensemble::apart(pair.machines_for_zookeeper(2).unwrap(), Timing::QUICK).unwrap();
        ensembles.serves(SOON).unwrap();
        let start = |node: &Node| {
            let settings = settings(&ensembles, node.name(), SESSION, FENCE);
            pair.vipward_beside(node, &router(node).text(), &settings).unwrap()
        };
        let (mut first, mut second) = (start(&pair.lb1), start(&pair.lb2));
        for director in [&mut first, &mut second] {
            director.wait_for_line("has another tree than the other servers of", SOON).unwrap();
            director.wait_for_line("-> FAULT", SOON).unwrap();
        }
        assert!(!pair.lb1.has(VIP) && !pair.lb2.has(VIP));
    });
}

/// The steps of docs/coordination.md on a running pair, in a tree that nobody had used before.
#[test]
fn from_vrrp_to_elect_and_back_the_address_has_one_owner() {
    in_lab("from_vrrp_to_elect_and_back_the_address_has_one_owner", &[Need::Zookeeper], || {
        // `fence` with another session timeout: another session.
        const LONGER: &str = "default = \"fence\" # 12 s";
        let lab = Quorate::bare(1, Timing::QUICK);
        let (lb1, lb2) = (&lab.pair.lb1, &lab.pair.lb2);
        let start = |node: &Node| lab.pair.vipward_beside(node, &router(node).text(), "").unwrap();
        let (mut first, mut second) = (start(lb1), start(lb2));
        lab.has_it(lb1);
        second.wait_for_line("-> BACKUP", SOON).unwrap();
        let step = |node: &Node, director: &mut Process, more: &str| {
            let applied = || director.output().matches("was read again").count();
            let before = applied();
            let settings = if more.is_empty() { String::new() } else { lab.settings(node, more) };
            let session = if more == LONGER { "session_timeout = 12" } else { "session_timeout = 10" };
            let settings = settings.replace("session_timeout = 10", session);
            lab.pair.file(&format!("{}.toml", node.name()), &settings).unwrap();
            director.signal(Signal::SIGHUP);
            wait_for(SOON, || (applied() > before).then_some(()))
                .unwrap_or_else(|| panic!("no reload: {}", director.output()));
        };
        let longest = |since: SystemTime| {
            let (one, other) = (stretches(&lab.watch1, VIP), stretches(&lab.watch2, VIP));
            unserved_and_shared(&one, &other, since, SystemTime::now()).0
        };
        for (node, mode) in [
            (lb2, FENCE),
            (lb1, FENCE),
            (lb1, LONGER),
            (lb2, ELECT),
            (lb1, ELECT),
            (lb1, FENCE),
            (lb2, FENCE),
            (lb1, ""),
            (lb2, ""),
        ] {
            let since = SystemTime::now();
            let director = if node.name() == "lb1" { &mut first } else { &mut second };
            step(node, director, mode);
            // In a tree that is new nobody takes a lease: the steps go on when that is over.
            if !mode.is_empty() {
                let stands = |path: &'static str| {
                    let looked = lab.ensemble.servers[0]
                        .client(None, move |client| async move { client.check_stat(path).await });
                    looked.ok().map(|stat| stat.is_some())
                };
                let old = || stands("/vipward/owners") == Some(true) && stands("/vipward/new") == Some(false);
                wait_for(SOON, || old().then_some(())).expect("the tree is new for ever");
            }
            lab.has_it(lb1);
            // More than a Master_Down_Interval.
            std::thread::sleep(Duration::from_secs(5));
            lab.has_it(lb1);
            println!("{} to `{mode}`: nobody had the VIP for {:?}", node.name(), longest(since));
            // By VRRP alone the one that preempts has it for a moment before the other hears that.
            if !mode.is_empty() {
                lab.never_both();
            }
        }
    });
}

/// Two of three servers die, and come back.
fn without_quorum(on_loss: &str) {
    let mut lab = Quorate::build(3);
    let more = format!("{FENCE}\n[coordination.routers.VI_1]\non_loss = \"{on_loss}\"");
    let mut director = lab.start(&lab.pair.lb1, &more);
    lab.has_it(&lab.pair.lb1);
    lab.ensemble.servers[0].kill();
    lab.ensemble.servers[1].kill();
    let kept = on_loss == "keep";
    if kept {
        director.wait_for_line("has its addresses without the quorum service", SOON).unwrap();
    } else {
        director.wait_for_line("-> FAULT", SOON).unwrap();
        lab.nobody_has_it();
    }
    let before = director.lines(0).len();
    lab.ensemble.servers[0].start().unwrap();
    lab.ensemble.servers[1].start().unwrap();
    lab.ensemble.serves(SOON).unwrap();
    if !kept {
        director.wait_for_line_after(before, "the lease is granted", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
    }
    // And the ensemble counts again: another director does not get it.
    let mut second = lab.start(&lab.pair.lb2, FENCE);
    second.wait_for_line("-> BACKUP", SOON).unwrap();
    lab.cut_directors(true);
    second.wait_for_line("MASTER without addresses: lb1 has the lease", SOON).unwrap();
    if kept {
        assert_eq!(stretches(&lab.watch1, VIP).len(), 1, "{}", director.output());
    }
    lab.never_both();
}

#[test]
fn an_ensemble_without_quorum_releases_and_comes_back() {
    in_lab("an_ensemble_without_quorum_releases_and_comes_back", &[Need::Zookeeper], || without_quorum("release"));
}

#[test]
fn an_ensemble_without_quorum_keeps_where_that_was_asked_for() {
    in_lab("an_ensemble_without_quorum_keeps_where_that_was_asked_for", &[Need::Zookeeper], || without_quorum("keep"));
}
