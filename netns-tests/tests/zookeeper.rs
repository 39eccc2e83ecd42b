//! Directors that keep their word through a real quorum: three ZooKeeper servers, cuts, deaths, bad input.

use std::time::Duration;
use vipward_netns_tests::zookeeper::{Role, Server};
use vipward_netns_tests::{Need, Pair, in_lab};

/// Java starts slowly beside other work.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn an_ensemble_has_one_leader_and_another_one_when_that_dies() {
    in_lab("an_ensemble_has_one_leader_and_another_one_when_that_dies", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let mut ensemble = pair.zookeeper(3, SOON).unwrap();
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
