//! Addresses with a lifetime in the kernel: whoever is MASTER and runs renews them, and nobody else ever does.

use crate::timeline::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use vipward_core::config::LIFETIME;
use vipward_core::config::{Adverts, Config, VirtualRouterConfig};
use vipward_core::interface::InterfaceAddress;
use vipward_core::machine::{Machine, Reason};
use vipward_core::quantity::{AdvertInterval, Role, Vrid};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::lifetime::{BATCH, RENEW};
use vipward_core::vrrp::{Effect, Election, Input};

fn renewing(routers: Vec<VirtualRouterConfig>) -> Timeline {
    Timeline::with(with_lifetimes(config(routers, vec![])))
}

fn renewals(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains("renew")).collect()
}

fn waits_to_renew(t: &Timeline) -> bool {
    let mut election = t.election.clone();
    let end = t.now() + Duration::from_secs(2);
    while let Some((at, reason)) = election.next_wakeup().filter(|(at, _)| *at <= end) {
        if reason == Reason::Renew {
            return true;
        }
        election.handle(Input::Wakeup, at);
    }
    false
}

#[test]
fn a_master_renews_its_addresses_every_half_second_and_a_backup_none() {
    let mut t = renewing(vec![VirtualRouterConfig { excluded: vec![vip(101)], ..router() }]);
    assert_eq!(renewals(t.until("3.6")), [""; 0]);
    // MASTER at 3.609375.
    assert_eq!(
        renewals(t.until("5.2")),
        ["4.109 renew 10.0.0.100 10.0.0.101", "4.609 renew 10.0.0.100 10.0.0.101", "5.109 renew 10.0.0.100 10.0.0.101"]
    );
    t.hears(peer(2, 200)).is(Role::Backup);
    assert!(!waits_to_renew(&t));
    assert_eq!(renewals(t.until("8")), [""; 0]);
}

#[test]
fn without_a_lease_nothing_is_renewed() {
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    assert!(!waits_to_renew(&t));
}

#[test]
fn in_fault_and_after_a_stop_nothing_is_renewed() {
    let mut t = renewing(vec![router()]);
    t.becomes_master();
    assert!(waits_to_renew(&t));
    t.at("4").link(false).is(Role::Fault);
    assert!(!waits_to_renew(&t));
    t.at("5").link(true).becomes_master();
    assert!(waits_to_renew(&t));
    t.stops();
    assert_eq!(t.election.next_wakeup(), None);
    t.at("20").wakes().nothing();
}

/// The renewal is overdue as well, but the MASTER gives everything up before it does anything else.
#[test]
fn a_director_that_overslept_renews_nothing() {
    let mut t = renewing(vec![router()]);
    t.becomes_master();
    t.at("20").wakes().is(Role::Backup).gives(&[
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: did not run for 16.390 s, others wait only 3.609 s: one of them may be MASTER now",
    ]);
    assert!(!waits_to_renew(&t));
}

/// It slept for less than the others wait, but for longer than the lifetime: what the kernel took off comes back, and
/// whoever gave it up hears of it.
#[test]
fn what_the_kernel_took_off_comes_back_with_an_announcement() {
    let mut t = renewing(vec![router()]);
    t.becomes_master();
    let back = "10.0.0.100/24 on eth0 was taken off, and not by this process: put back";
    // The renewal that is overdue comes before anything that is heard: nobody knows yet that it comes too late.
    let renew = "renew 10.0.0.100";
    t.at("6.9").somebody(100, false).is(Role::Master).gives(&[renew, "add 10.0.0.100/24", "garp 10.0.0.100", back]);
    assert!(waits_to_renew(&t));
}

/// Linux takes an interface's secondary addresses along with the primary one of their subnet, unless `promote_secondaries`
/// is on. It tells of each, or, if that is lost, the next reading shows it.
#[test]
fn a_primary_that_takes_its_secondaries_along_comes_back_with_them() {
    let mut t = renewing(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101), vip(102)], ..router() }]);
    t.becomes_master();
    for last in [100, 101, 102] {
        t.at("6").somebody(last, false).gives_of("add", &[&format!("add 10.0.0.{last}/24")]);
    }
    for last in [100, 101, 102] {
        t.forgets(last);
    }
    t.at("7").reads_addresses().gives_of("add", &["add 10.0.0.100/24", "add 10.0.0.101/24", "add 10.0.0.102/24"]);
}

#[test]
fn a_reload_that_turns_the_lease_on_or_off_tells_the_kernel_at_once() {
    let plain = config(vec![router()], vec![]);
    let mut t = Timeline::with(plain.clone());
    t.becomes_master();
    t.at("4").loads(with_lifetimes(plain.clone())).gives(&["renew 10.0.0.100"]);
    assert!(waits_to_renew(&t));
    t.at("4.2").loads(with_lifetimes(plain.clone())).nothing();
    t.at("4.3").loads(plain).gives(&["renew 10.0.0.100"]);
    assert!(!waits_to_renew(&t));
}

/// A flood of packets that are answered keeps no address from being renewed: the driver hears thousands before a timer.
#[test]
fn renewals_come_before_whatever_is_heard() {
    let mut t = renewing(vec![router()]);
    t.becomes_master();
    t.at("4").hears(peer(2, 50)).gives_of("renew", &[]);
    t.at("4.109375").hears(peer(2, 50)).gives_of("renew", &["renew 10.0.0.100"]);
    t.at("4.2").hears(peer(2, 50)).gives_of("renew", &[]);
    t.at("4.609375").hears(peer(2, 50)).gives_of("renew", &["renew 10.0.0.100"]);
}

#[test]
fn a_renewal_that_fails_is_told_and_the_addresses_are_read() {
    let mut t = renewing(vec![router()]);
    t.becomes_master();
    let addresses: Arc<[InterfaceAddress]> = [vip(100)].into();
    t.at("4.2").wakes().gives(&["renew 10.0.0.100"]);
    t.at("4.2")
        .fails(Effect::RenewAddresses { addresses })
        .gives(&["renewing addresses failed: no; next try in 0.500 s"]);
    t.until("5.199");
    assert_eq!(t.election.next_wakeup(), Some((instant("5.2"), Reason::Reread)));
    // Gone without a word.
    t.forgets(100);
    t.at("5.2").reads_addresses().gives_of("add", &["add 10.0.0.100/24"]);
}

#[test]
fn an_address_of_somebody_else_or_one_that_could_not_be_added_is_not_renewed() {
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(101, false)]);
    t.tells_links(&[(0, true)]);
    t.reads_addresses();
    t.loads(with_lifetimes(config(
        vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101), vip(102)], ..router() }],
        vec![],
    )));
    t.becomes_master().fails(Effect::AddAddress(vip(102)));
    assert_eq!(renewals(t.until("4.2")), ["4.109 renew 10.0.0.100"]);
}

/// Wakes whenever it is asked to, `late` after it; when each address was renewed.
fn renewed(vips: u32, late: Duration) -> BTreeMap<InterfaceAddress, Vec<Instant>> {
    let many: Vec<InterfaceAddress> = (0..vips)
        .map(|n| InterfaceAddress { address: Ipv4Addr::from(0x0a01_0000 + n).into(), prefix_len: 32, ..vip(0) })
        .collect();
    let config = with_lifetimes(config(vec![VirtualRouterConfig { addresses: many, ..router() }], vec![]));
    start_and_renew(config, late)
}

fn start_and_renew(config: Config, late: Duration) -> BTreeMap<InterfaceAddress, Vec<Instant>> {
    let mut t = Timeline::with(config);
    let mut renewed: BTreeMap<InterfaceAddress, Vec<Instant>> = BTreeMap::new();
    let mut election: Election = t.becomes_master().election.clone();
    let end = t.now() + Duration::from_secs(5);
    while let Some((at, _)) = election.next_wakeup().filter(|(at, _)| *at <= end) {
        let now = at + late;
        for effect in election.handle(Input::Wakeup, now).into_effects() {
            if let Effect::RenewAddresses { addresses } = effect {
                assert!(addresses.len() <= BATCH, "{}", addresses.len());
                addresses.iter().for_each(|vip| renewed.entry(vip.clone()).or_default().push(now));
            }
        }
    }
    renewed
}

/// One router after the other becomes MASTER, each with an address behind those that are held already: these keep their turn.
#[test]
fn addresses_that_come_later_keep_nobody_from_his_turn() {
    let router = |n: u8| VirtualRouterConfig {
        name: Arc::from(format!("V{n}")),
        vrid: Vrid::new(51 + n).unwrap(),
        adverts: Adverts::every(AdvertInterval::from_centis(100 + 13 * u16::from(n)).unwrap()),
        addresses: vec![vip(100 + n)],
        ..router()
    };
    // Master_Down_Intervals that are 0.39 s apart: for three seconds somebody takes over between any two renewals.
    let renewed = start_and_renew(with_lifetimes(config((0..8).map(router).collect(), vec![])), Duration::ZERO);
    assert_eq!(renewed.len(), 8);
    for (vip, times) in renewed {
        let gap = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
        assert!(gap <= RENEW, "{vip} waits for {gap:?}");
    }
}

#[test]
fn thousands_are_renewed_in_turns_and_none_is_forgotten() {
    for vips in [1, 255, 256, 257, 5_000] {
        let renewed = renewed(vips, Duration::from_millis(2));
        assert_eq!(renewed.len(), vips as usize);
        let batches = vips.div_ceil(BATCH as u32);
        let latest = RENEW + Duration::from_millis(2) * batches;
        for (vip, times) in renewed {
            assert!(times.len() >= 8, "{vip}: {times:?}");
            let gap = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
            assert!(gap <= latest && gap < LIFETIME, "{vip}: {gap:?}");
        }
    }
}
