//! Elections by the quorum service alone (`elect`), and virtual routers that are spread.

use super::*;

#[test]
fn elect_needs_no_vrrp_and_honours_priorities() {
    in_lab("elect::elect_needs_no_vrrp_and_honours_priorities", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let second = lab.start(&lab.pair.lb2, ELECT);
        lab.has_it(&lab.pair.lb2);
        let mut first = lab.start(&lab.pair.lb1, ELECT);
        first.wait_for_line("-> MASTER", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
        let since = SystemTime::now();
        first.kill();
        lab.has_it(&lab.pair.lb2);
        lab.print_window("elect, SIGKILL", since);
        drop(second);
        for watch in [&lab.watch1, &lab.watch2] {
            let adverts = watch.seen().into_iter().filter(|one| matches!(one.what, What::Advert { .. })).count();
            assert_eq!(adverts, 0, "no VRRP packet on the wire");
        }
    });
}

/// By elect nothing but the ensemble tells a director that it is its turn.
#[test]
fn what_others_do_is_heard_after_a_reconnect() {
    in_lab("elect::what_others_do_is_heard_after_a_reconnect", &[Need::Zookeeper], || {
        let mut lab = Quorate::build(3);
        let (first, second) = lab.both(ELECT);
        let address = "/198.51.100.12:";
        let connected = |lab: &Quorate| {
            let servers = lab.ensemble.servers.iter();
            servers.map(|server| server.ask("cons").unwrap_or_default()).position(|cons| cons.contains(address))
        };
        let server = wait_for(SOON, || connected(&lab)).expect("lb2 is connected");
        lab.ensemble.servers[server].kill();
        wait_for(SOON, || connected(&lab).filter(|other| *other != server)).expect("lb2 has found another server");
        lab.has_it(&lab.pair.lb1);
        let since = SystemTime::now();
        first.signal(Signal::SIGTERM);
        lab.has_it(&lab.pair.lb2);
        // Within half a session: it was told, and did not ask after a while.
        let got = stretches(&lab.watch2, VIP).last().unwrap().from.duration_since(since).unwrap();
        assert!(got < Duration::from_secs(SESSION) / 2, "{got:?}: {}{}", lab.story(), second.output());
    });
}

#[test]
fn elect_leaves_a_holder_in_peace_with_nopreempt() {
    in_lab("elect::elect_leaves_a_holder_in_peace_with_nopreempt", &[Need::Zookeeper], || {
        let lab = Quorate::build(1);
        let second = lab.start(&lab.pair.lb2, ELECT);
        lab.has_it(&lab.pair.lb2);
        let better = Router { more: "nopreempt", ..router(&lab.pair.lb1) };
        let settings = lab.settings(&lab.pair.lb1, ELECT);
        let mut first = lab.pair.vipward_beside(&lab.pair.lb1, &better.text(), &settings).unwrap();
        first.wait_for_line("-> BACKUP", SOON).unwrap();
        // It has made its claim, and lb2 has heard of it.
        wait_for(SOON, || {
            (lab.ensemble.servers[0].ask("dump").ok()?.matches("/candidates/VI_1/c-").count() == 2).then_some(())
        })
        .expect("two candidates");
        lab.has_it(&lab.pair.lb2);
        second.kill();
        lab.has_it(&lab.pair.lb1);
        assert_eq!(stretches(&lab.watch2, VIP).len(), 1, "{}", lab.story());
        lab.never_both();
    });
}

/// Six virtual routers over three directors.
#[test]
fn spread_shares_routers_and_one_death_moves_only_its_share() {
    in_lab("elect::spread_shares_routers_and_one_death_moves_only_its_share", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let ensemble = pair.zookeeper(1, Timing::QUICK, SOON).unwrap();
        let third = pair.machine("lb3", &pair.front, vipward_netns_tests::FRONT, 13).unwrap();
        pair.back.attach(&third, "eth1", "198.51.100.13".parse().unwrap(), 24).unwrap();
        let nodes = [pair.lb1.clone(), pair.lb2.clone(), third];
        let names: Vec<String> = (1..=6).map(|n| format!("VI_{n}")).collect();
        let text: String = (1..=6)
            .map(|n| {
                format!(
                    "vrrp_instance VI_{n} {{\n    state BACKUP\n    interface eth0\n    virtual_router_id {n}\n    \
                     priority 100\n    virtual_ipaddress {{\n        192.0.2.{}/24\n    }}\n}}\n",
                    100 + n
                )
            })
            .collect();
        let more = format!("{ELECT}\n[coordination.spread.all]\nrouters = {names:?}\nlimit = 3");
        let watches: Vec<Watch> = nodes.iter().map(|node| Watch::start(node).unwrap()).collect();
        let mut directors: Vec<Process> = nodes
            .iter()
            .map(|node| pair.vipward_beside(node, &text, &settings(&ensemble, node.name(), SESSION, &more)).unwrap())
            .collect();
        let vip = |n: u8| IpAddr::from([192, 0, 2, 100 + n]);
        let owner = |n: u8| {
            let owners: Vec<usize> = (0..3).filter(|at| nodes[*at].has(vip(n))).collect();
            if let [owner] = owners[..] { Some(owner) } else { None }
        };
        let owners = || (1..=6).map(owner).collect::<Option<Vec<usize>>>();
        // Directors come one after the other, so shares move until all three are there.
        let settled = |gone: Option<usize>| {
            wait_for(SOON, || {
                let now = owners()?;
                let all = (0..3).all(|at| now.contains(&at) == (Some(at) != gone));
                let fair = (0..3).all(|at| now.iter().filter(|owner| **owner == at).count() <= 3);
                std::thread::sleep(Duration::from_secs(1));
                (all && fair && owners().as_ref() == Some(&now)).then_some(now)
            })
        };
        let before = settled(None).expect("every director carries some, none more than three");
        let dead = before[0];
        let moved_before: Vec<Vec<usize>> = watches.iter().map(|watch| counts(watch, vip)).collect();
        directors.remove(dead).kill();
        let after = settled(Some(dead)).expect("the living carry all");
        for n in 1..=6_u8 {
            let at = usize::from(n) - 1;
            if before[at] == dead {
                assert_ne!(after[at], dead, "VI_{n} moves");
            } else {
                assert_eq!(after[at], before[at], "VI_{n} stays where it is");
                let changes = |counts: &[Vec<usize>]| counts[before[at]][at];
                let moved_after: Vec<Vec<usize>> = watches.iter().map(|watch| counts(watch, vip)).collect();
                assert_eq!(changes(&moved_before), changes(&moved_after), "VI_{n} is not touched");
            }
        }
    });
}

/// How many stretches each of the six has on a node.
fn counts(watch: &Watch, vip: impl Fn(u8) -> IpAddr) -> Vec<usize> {
    (1..=6).map(|n| stretches(watch, vip(n)).len()).collect()
}
