//! What latency between directors and ensemble a lease bears:
//! `cargo run --release -p vipward-netns-tests --example quorum_latency [MILLISECONDS]...`, each a round trip; 0, 200, 600,
//! 1000, 2000 and 4000 if nothing is said. Everything that a director and a real ensemble of three tell each other takes half of
//! it. `fence`, with the default session and the `zoo.cfg` of docs/zookeeper.md. Prints; asserts nothing.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, SystemTime};
use vipward_lab::wait_for;
use vipward_netns_tests::owners::{stretches, unserved_and_shared};
use vipward_netns_tests::quorate::{FENCE, Quorate, SOON, router};
use vipward_netns_tests::slow::slow_way;
use vipward_netns_tests::zookeeper::Timing;
use vipward_netns_tests::{Need, VIP, example, met};

/// How long nothing happens.
const CALM: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example("quorum_latency", measure)
}

fn measure() -> Result<(), Box<dyn Error>> {
    let mut trips: Vec<u64> = std::env::args().skip(1).map(|it| it.parse()).collect::<Result<_, _>>()?;
    if trips.is_empty() {
        trips = vec![0, 200, 600, 1_000, 2_000, 4_000];
    }
    if !met("quorum_latency", Need::Zookeeper) {
        return Ok(());
    }
    let lab = Quorate::bare(3, Timing::DOCUMENTED);
    lab.grow_tree();
    println!(
        "{:<12}{:>16}{:>24}{:>30}{:>14}",
        "round trip", "VIP after", "nobody in 30 s calm", "nobody when a leader freezes", "both"
    );
    for (port, trip) in (3_000..).zip(trips) {
        let delay = Duration::from_millis(trip) / 2;
        let mut hosts = Vec::new();
        for server in &lab.ensemble.servers {
            let near = SocketAddr::new(server.at().ip(), port);
            slow_way(server.node(), near, server.at(), delay)?;
            hosts.push(format!("\"{near}\""));
        }
        let hosts = hosts.join(", ");
        let start = |node: &vipward_lab::Node| {
            let settings = format!("[coordination]\nhosts = [{hosts}]\ndirector = \"{}\"\n{FENCE}\n", node.name());
            lab.pair.vipward_beside(node, &router(node).text(), &settings)
        };
        let begin = SystemTime::now();
        let directors = (start(&lab.pair.lb1)?, start(&lab.pair.lb2)?);
        let owned = || lab.pair.lb1.has(VIP) || lab.pair.lb2.has(VIP);
        let round = format!("{trip} ms");
        if wait_for(SOON, || owned().then_some(())).is_none() {
            println!("{round:<12}{:>16}", "never");
            continue;
        }
        let got = begin.elapsed()?;
        sleep(Duration::from_secs(5));
        let calm = SystemTime::now();
        sleep(CALM);
        let frozen = SystemTime::now();
        let leader = lab.ensemble.leader(SOON)?;
        lab.ensemble.servers[leader].freeze(true);
        wait_for(SOON, || lab.ensemble.leader_but(leader)).ok_or("no other leader")?;
        sleep(Duration::from_secs(3));
        lab.ensemble.servers[leader].freeze(false);
        lab.ensemble.serves(SOON)?;
        sleep(Duration::from_secs(5));
        let end = SystemTime::now();
        let (one, other) = (stretches(&lab.watch1, VIP), stretches(&lab.watch2, VIP));
        let (quiet, _) = unserved_and_shared(&one, &other, calm, frozen);
        let (struck, _) = unserved_and_shared(&one, &other, frozen, end);
        let (_, both) = unserved_and_shared(&one, &other, begin, end);
        println!("{round:<12}{:>16}{:>24}{:>30}{:>14}", shown(got), shown(quiet), shown(struck), shown(both));
        drop(directors);
        lab.nobody_has_it();
    }
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
