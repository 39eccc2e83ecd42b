//! `static_ipaddress`, `static_routes`, `static_rules`: there as long as the director runs, before all that moves, and longer.

use crate::timeline::*;
use vipward_core::config::{Config, StaticItem, Statics, TrackedStatic, VirtualRouterConfig};
use vipward_core::decision::Decision;
use vipward_core::interface::{Family, InterfaceAddress, Link};
use vipward_core::machine::{LeavesWill, Machine, Output};
use vipward_core::quantity::{Priority, Role};
use vipward_core::route::{Hop, Route, RouteKey, RouteKind, Rule, RuleAction, VirtualRule};
use vipward_core::vrrp::{Effect, Event, Input};

fn fixed(last: u8) -> InterfaceAddress {
    InterfaceAddress { permanent: true, ..vip(last) }
}

fn route() -> Route {
    let hop = Hop { via: Some(ip(77).into()), interface: Some(eth(0)), weight: 1, onlink: false };
    Route::new(RouteKey::to([203, 0, 113, 0].into(), 24), RouteKind::Unicast, vec![hop])
}

fn rule() -> VirtualRule {
    let rule = Rule { from: Some((ip(0).into(), 24)), ..Rule::new(Family::V4, 500, RuleAction::Lookup(100)) };
    VirtualRule { rule, no_track: false }
}

/// 10.0.0.7 is static, with a route and a rule.
fn statics() -> Statics {
    Statics { addresses: vec![fixed(7)], routes: vec![route()], rules: vec![rule()], ..Statics::default() }
}

fn with(routers: Vec<VirtualRouterConfig>, statics: Statics) -> Config {
    Config { statics, ..config(routers, vec![]) }
}

/// What is asked of the kernel.
fn kernel(t: &Timeline) -> Vec<String> {
    let kinds = ["add", "remove", "route", "no route", "rule", "no rule", "renew"];
    t.said().into_iter().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
}

const ROUTE: &str = "route 203.0.113.0/24 via 10.0.0.77 dev eth0";
const RULE: &str = "rule 500: from 10.0.0.0/24 lookup 100";
const ALL: [&str; 3] = ["add 10.0.0.7/24", ROUTE, RULE];

#[test]
fn they_are_there_from_the_first_moment_without_any_virtual_router() {
    let mut t = Timeline::with(with(vec![], statics()));
    assert_eq!(kernel(&t), ALL);
    assert_eq!(t.until("9.9").iter().filter(|line| !line.contains("read")).count(), 0);
    t.at("10").stops();
    assert_eq!(
        kernel(&t),
        ["no rule 500: from 10.0.0.0/24 lookup 100", "no route 203.0.113.0/24", "remove 10.0.0.7/24"]
    );
}

#[test]
fn they_come_before_what_moves_and_go_behind_it() {
    let mut t = Timeline::with(with(vec![VirtualRouterConfig { rules: vec![], ..router() }], statics()));
    assert_eq!(kernel(&t), ALL);
    t.becomes_master();
    assert_eq!(kernel(&t), ["add 10.0.0.100/24"]);
    t.at("5").stops();
    assert_eq!(
        kernel(&t),
        [
            "remove 10.0.0.100/24",
            "no rule 500: from 10.0.0.0/24 lookup 100",
            "no route 203.0.113.0/24",
            "remove 10.0.0.7/24"
        ]
    );
}

#[test]
fn no_role_moves_them_and_no_last_will_names_them() {
    let mut t = Timeline::with(with(vec![router()], statics()));
    t.becomes_master();
    let wills = t.election.changed_shares();
    let [(1, will)] = wills.as_slice() else { panic!("{wills:?}") };
    assert_eq!((will.addresses.as_slice(), will.routes.len(), will.rules.len()), ([vip(100).key()].as_slice(), 0, 0));
    t.at("5").hears(peer(2, 200)).is(Role::Backup);
    assert_eq!(kernel(&t), ["remove 10.0.0.100/24"]);
}

/// What a dead director's kernel drops after two seconds is what moves.
#[test]
fn they_have_no_lifetime_to_be_renewed() {
    let mut t = Timeline::with(with_lifetimes(with(vec![router()], statics())));
    assert_eq!(t.until("3").iter().filter(|line| line.contains("renew")).count(), 0);
    t.becomes_master();
    let renewals = t.until("5");
    let renewals: Vec<&String> = renewals.iter().filter(|line| line.contains("renew")).collect();
    assert!(!renewals.is_empty() && renewals.iter().all(|line| line.ends_with("renew 10.0.0.100")), "{renewals:?}");
    // A VIP that becomes static loses its lifetime.
    t.at("5").loads(with_lifetimes(with(vec![], Statics { addresses: vec![fixed(100)], ..Statics::default() })));
    t.gives_of("remove", &["remove 10.0.0.7/24", "remove 10.0.0.100/24"]).gives_of("add", &["add 10.0.0.100/24"]);
    assert_eq!(t.until("9").iter().filter(|line| line.contains("renew")).count(), 0);
}

#[test]
fn what_somebody_takes_off_is_back_at_once_and_then_more_slowly() {
    let mut t = Timeline::with(with(vec![router()], statics()));
    t.becomes_master();
    let back = "10.0.0.7/24 on eth0 was taken off, and not by this process: put back";
    t.at("5").somebody(7, false).gives(&["add 10.0.0.7/24", "garp 10.0.0.7", back]).is(Role::Master);
    t.at("5.01").somebody(7, false).nothing();
    let added = |lines: Vec<String>| lines.into_iter().filter(|line| line.contains("add 10.0.0.7")).count();
    assert_eq!(added(t.until("5.099")), 0);
    assert_eq!(added(t.until("5.1")), 1);
    t.at("6").loses_route(&route().key, true).gives_of("route", &[ROUTE]);
    // keepalived 2.2.7 does not look after rules.
    t.at("7").loses_rule(&rule().rule).gives_of("rule", &[RULE]);
    // Every ten seconds they are read anew.
    t.at("8").forgets(7);
    t.reads_addresses().gives_of("add", &["add 10.0.0.7/24"]).is(Role::Master);
}

#[test]
fn what_was_there_before_stays_what_it_is() {
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(7, false)]);
    t.tells_links(&[(0, true)]).reads_addresses();
    t.loads(with(vec![router()], Statics { addresses: vec![fixed(7)], ..Statics::default() }));
    assert_eq!(kernel(&t), [""; 0]);
    let news = t.last().iter().any(|it| matches!(it, Output::Decide(Decision::AddressNotOurs { .. })));
    assert!(!news, "it is where it should be");
    // keepalived 2.2.7 takes it off, and the administrator's own address is gone.
    t.at("5").stops();
    assert_eq!(kernel(&t), [""; 0]);
    assert!(t.has(7));
}

#[test]
fn what_a_killed_director_left_is_taken_up_or_taken_off() {
    let marked = || {
        let mut t = Timeline::unstarted(&[observed(ME, false), observed(7, true), observed(8, true)]);
        t.tells_links(&[(0, true)]).reads_addresses();
        t
    };
    let mut t = marked();
    t.loads(with(vec![router()], Statics { addresses: vec![fixed(7)], ..Statics::default() }));
    assert_eq!(kernel(&t), ["remove 10.0.0.8/24"]);
    t.at("5").stops();
    assert_eq!(kernel(&t), ["remove 10.0.0.7/24"], "ours again");
    t.gives_of("10.0.0.7", &[]);
    // With another director on this host what is configured is ours, and the rest is the other one's.
    let mut t = marked();
    t.handles(Event::NeighboursLive);
    t.loads(with(vec![router()], Statics { addresses: vec![fixed(7)], ..Statics::default() }));
    assert_eq!(kernel(&t), [""; 0]);
    t.at("5").stops();
    assert_eq!(kernel(&t), ["remove 10.0.0.7/24"]);
}

#[test]
fn an_upgrade_and_a_worker_s_death_touch_none() {
    for handed_over in [true, false] {
        let mut t = Timeline::with(with(vec![router()], Statics { addresses: vec![fixed(7)], ..Statics::default() }));
        t.becomes_master();
        let mut next = t.successor(handed_over);
        next.loads(with(vec![router()], Statics { addresses: vec![fixed(7)], ..Statics::default() }));
        next.gives_of("add", &[]).gives_of("remove", &[]);
        next.at("5").stops().gives_of("remove", &["remove 10.0.0.100/24", "remove 10.0.0.7/24"]);
    }
    let mut t = Timeline::with(with(vec![], statics()));
    let mut next = t.successor(true);
    next.loads(with(vec![], statics()));
    assert_eq!(kernel(&next), [""; 0]);
    next.at("1").stops();
    assert_eq!(kernel(&next).len(), 3);
}

#[test]
fn a_reload_changes_what_differs_and_says_so() {
    let mut t = Timeline::with(with(vec![], statics()));
    let less = Statics { addresses: vec![fixed(8)], rules: vec![rule()], ..Statics::default() };
    t.at("5").loads(with(vec![], less));
    assert_eq!(kernel(&t), ["no route 203.0.113.0/24", "remove 10.0.0.7/24", "add 10.0.0.8/24"]);
    t.gives_of("configuration", &["configuration applied; removed static_routes; changed static_ipaddress"]);
}

#[test]
fn an_interface_that_is_not_there_is_waited_for() {
    let away = InterfaceAddress { interface: eth(3), ..fixed(9) };
    let behind = Route { hops: vec![Hop { interface: Some(eth(3)), ..route().hops[0].clone() }], ..route() };
    let statics = Statics { addresses: vec![away], routes: vec![behind], ..Statics::default() };
    let mut t = Timeline::with(with(vec![router()], statics));
    assert_eq!(kernel(&t), [""; 0]);
    assert_eq!(t.until("3").iter().filter(|line| line.contains("10.0.0.9")).count(), 0, "nobody tries in vain");
    t.at("3").handles(Event::LinkChanged(Link { name: eth(3), running: false }));
    assert_eq!(kernel(&t), ["add 10.0.0.9/24", "route 203.0.113.0/24 via 10.0.0.77 dev eth3"]);
}

/// A source that is static: nobody is in FAULT for want of it, neither at the start nor when somebody takes it off.
#[test]
fn adverts_leave_from_a_static_address() {
    let from = |last: u8| VirtualRouterConfig { source: Some(ip(last).into()), ..router() };
    let only = || Statics { addresses: vec![fixed(7)], ..Statics::default() };
    let mut t = Timeline::with(with(vec![from(7)], only()));
    t.is(Role::Backup);
    t.becomes_master();
    assert_eq!(t.sent()[0].source, ip(7));
    t.at("5").somebody(7, false).is(Role::Master);
    // Insisted on: gone for 100 ms.
    t.at("5.01").somebody(7, false).is(Role::Fault);
    t.until("5.2");
    t.is(Role::Backup);
    t.at("6").fails(Effect::AddAddress(fixed(7))).is(Role::Fault);
    t.until("7.1");
    t.is(Role::Backup);
    // No other address than a static one: it is the primary one.
    let mut t = Timeline::unstarted(&[]);
    t.tells_links(&[(0, true)]).reads_addresses().loads(with(vec![router()], only())).is(Role::Backup);
    t.becomes_master();
    assert_eq!(t.sent()[0].source, ip(7));
    t.at("5").loads(with(vec![router()], Statics::default())).is(Role::Fault);
}

/// RFC 9568 1.7: an owner's virtual addresses are its own.
#[test]
fn an_address_owner_s_may_be_static() {
    let owner = VirtualRouterConfig { priority: Priority::OWNER, ..router() };
    let own = Statics { addresses: vec![fixed(100)], ..Statics::default() };
    let mut t = Timeline::with(with(vec![owner], own));
    t.becomes_master().gives_of("add", &[]);
    assert!(t.election.changed_shares().iter().all(|(_, will)| will.addresses.is_empty()), "not another's to give up");
    t.at("5").handles(Input::Stop).gives_of("remove", &["remove 10.0.0.100/24"]);
    assert_eq!(t.election.next_wakeup(), None);
}

#[test]
fn with_no_track_it_stays_away() {
    let statics = Statics { routes: vec![Route { no_track: true, ..route() }], ..Statics::default() };
    let mut t = Timeline::with(with(vec![], statics));
    t.gives_of("route", &[ROUTE]);
    t.at("5").loses_route(&route().key, true).nothing();
    assert_eq!(t.until("30").iter().filter(|line| line.contains("203.0")).count(), 0);
}

/// V can't do without the route, and W does not care.
#[test]
fn who_tracks_a_static_route_is_in_fault_while_it_can_not_be_there() {
    let what = StaticItem::Route(route().key);
    let tracked = vec![TrackedStatic { what, routers: vec!["V".into()] }];
    let mut t = Timeline::with(with(vec![router()], Statics { tracked, ..statics() }));
    t.is(Role::Backup);
    t.becomes_master();
    // Put back at once: nobody notices.
    t.at("5").loses_route(&route().key, true).is(Role::Master);
    t.at("6")
        .fails(Effect::AddRoute(route()))
        .gives_of("V:", &["V: MASTER -> FAULT: the static route 203.0.113.0/24, which it tracks, is not there"]);
    // Tried again a second later: a try alone changes nothing.
    t.at("7").wakes();
    t.fails(Effect::AddRoute(route())).gives_of("V:", &[]).is(Role::Fault);
    t.until("8.5");
    t.is(Role::Backup);
    // Nobody tracks the rule and the address.
    t.at("8.6").fails(Effect::AddRule(rule().rule)).is(Role::Backup);
    // From the beginning on.
    let what = StaticItem::Address(fixed(7).key());
    let tracked = vec![TrackedStatic { what, routers: vec!["V".into()] }];
    let mut t = Timeline::with(with(vec![router()], Statics { tracked, ..statics() }));
    t.becomes_master();
    t.at("5").fails(Effect::AddAddress(fixed(7))).is(Role::Fault);
    t.at("5.5").loads(with(vec![router()], statics())).is(Role::Backup);
}
