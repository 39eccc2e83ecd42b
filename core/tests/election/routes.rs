//! `virtual_routes` and `virtual_rules`: they are there while the virtual router is MASTER, behind its addresses.

use crate::timeline::*;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::interface::{Family, Link};
use vipward_core::machine::LeavesWill;
use vipward_core::quantity::Role;
use vipward_core::route::{Hop, Route, RouteKey, RouteKind, Rule, RuleAction, VirtualRule};
use vipward_core::vrrp::{Effect, Event, Input};

/// 203.0.113.0/24 by 10.0.0.77, from the virtual address.
fn route() -> Route {
    let hop = Hop { via: Some(ip(77).into()), interface: Some(eth(0)), weight: 1, onlink: false };
    let key = RouteKey::to([203, 0, 113, 0].into(), 24);
    Route { source: Some(ip(100).into()), ..Route::new(key, RouteKind::Unicast, vec![hop]) }
}

fn other() -> Route {
    Route::new(RouteKey::to([198, 18, 0, 0].into(), 15), RouteKind::Blackhole, Vec::new())
}

fn with(routes: &[Route]) -> VirtualRouterConfig {
    VirtualRouterConfig { routes: routes.to_vec(), ..router() }
}

fn master() -> Timeline {
    let mut t = Timeline::of(vec![with(&[route(), other()])]);
    t.becomes_master();
    t
}

const ADDED: &str = "route 203.0.113.0/24 via 10.0.0.77 dev eth0 src 10.0.0.100";
const BACK: &str =
    "the route 203.0.113.0/24 via 10.0.0.77 dev eth0 src 10.0.0.100 was taken out, and not by this process: put back";

#[test]
fn routes_come_after_the_addresses_and_go_before_them() {
    let mut t = Timeline::of(vec![with(&[route(), other()])]);
    t.gives_of("read", &["read routes"]);
    t.becomes_master();
    let kernel = |t: &Timeline| -> Vec<String> {
        let said = t.said().into_iter();
        said.filter(|line| ["add", "remove", "route", "no route"].iter().any(|kind| line.starts_with(kind))).collect()
    };
    assert_eq!(kernel(&t), ["add 10.0.0.100/24", ADDED, "route blackhole 198.18.0.0/15"]);
    t.at("6").hears(peer(2, 200));
    assert_eq!(kernel(&t), ["no route 198.18.0.0/15", "no route 203.0.113.0/24", "remove 10.0.0.100/24"]);
    assert_eq!(t.routes(), []);
}

#[test]
fn a_stop_and_the_last_will_take_them_out() {
    let mut t = master();
    let will = t.election.changed_shares();
    let [(1, will)] = will.as_slice() else { panic!("{will:?}") };
    assert_eq!(will.routes, [route().key, other().key]);
    t.at("5").stops().gives_of("no route", &["no route 198.18.0.0/15", "no route 203.0.113.0/24"]);
}

/// keepalived 2.2.7 goes to BACKUP with priority 0 for it, and to MASTER again.
#[test]
fn a_route_that_somebody_takes_out_is_put_back_at_once_and_then_more_slowly() {
    let mut t = master();
    t.at("5").loses_route(&route().key, true).is(Role::Master).gives(&[ADDED, BACK]);
    t.at("5.01").loses_route(&route().key, true).nothing();
    assert_eq!(routes(t.until("5.099")), [""; 0]);
    assert_eq!(routes(t.until("5.1")), [format!("5.100 {ADDED}"), format!("5.100 {BACK}")]);
    t.at("5.15").loses_route(&route().key, true).nothing();
    assert_eq!(routes(t.until("5.299")), [""; 0], "200 ms the second time");
    assert_eq!(routes(t.until("5.3")), [format!("5.300 {ADDED}"), format!("5.300 {BACK}")]);
    t.until("60");
    t.at("60").loses_route(&route().key, true).gives(&[ADDED, BACK]);
}

#[test]
fn with_no_track_it_stays_away_until_the_router_is_master_again() {
    let mut t = Timeline::of(vec![with(&[Route { no_track: true, ..route() }])]);
    t.becomes_master().gives_of("route", &[ADDED]);
    t.at("5").loses_route(&route().key, true).nothing();
    assert!(t.until("20").iter().all(|line| !line.contains("route 203")));
    t.at("20").hears(peer(2, 200)).gives_of("no route", &[]);
    t.becomes_master().gives_of("route", &[ADDED]);
}

/// What is not about adverts.
fn routes(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains("route")).collect()
}

/// Linux takes a route out with its interface, and of IPv4 it does not tell.
#[test]
fn what_went_without_a_word_is_missed_soon_after_a_link_or_an_address_changed() {
    let mut t = master();
    t.at("5").loses_route(&route().key, false);
    t.handles(Event::LinkChanged(Link { name: eth(1), running: false })).nothing();
    assert_eq!(
        routes(t.until("5.02")),
        ["5.020 read routes".to_owned(), format!("5.020 {ADDED}"), format!("5.020 {BACK}")]
    );
    t.at("15.5").loses_route(&route().key, false);
    let said = t.until("26");
    assert_eq!(said.iter().filter(|line| line.ends_with(ADDED)).count(), 1, "every ten seconds anyhow: {said:?}");
}

#[test]
fn a_killed_predecessor_s_routes_go_and_what_is_wanted_is_made_anew() {
    let stray = RouteKey { table: 100, ..RouteKey::to([0, 0, 0, 0].into(), 0) };
    let mut t = Timeline::unstarted(&[observed(ME, false)]);
    t.has_route(stray.clone()).has_route(route().key);
    t.tells_links(&[(0, true)]).reads_addresses().loads(config(vec![with(&[route()])], vec![]));
    let taken_out = "the route 0.0.0.0/0 table 100 was left behind by an earlier run: taken out";
    t.gives_of("the route 0", &[taken_out]);
    t.gives_of("no route", &["no route 0.0.0.0/0 table 100", "no route 203.0.113.0/24"]);
    // What comes later with the mark is another one's.
    t.until("2");
    t.handles(Event::RouteChanged { route: stray, present: true }).nothing();
    t.becomes_master().gives_of("route", &[ADDED]);
}

#[test]
fn without_routes_the_kernel_is_never_asked() {
    let mut t = Timeline::of(vec![router()]);
    t.gives_of("read", &[]);
    assert!(t.until("30").iter().all(|line| !line.contains("route")));
    t.at("30").link(false);
    assert!(t.until("40").iter().all(|line| !line.contains("route")));
}

#[test]
fn other_directors_of_the_host_keep_theirs() {
    let mut t = Timeline::unstarted(&[observed(ME, false)]);
    t.has_route(other().key);
    t.tells_links(&[(0, true)]).reads_addresses().handles(Event::NeighboursLive);
    t.loads(config(vec![with(&[route()])], vec![])).gives_of("no route", &[]);
    t.becomes_master();
    t.at("5").stops().gives_of("no route", &["no route 203.0.113.0/24"]);
}

#[test]
fn a_reload_changes_what_differs() {
    let mut t = master();
    let nearer = Route { hops: vec![Hop { via: Some(ip(78).into()), ..route().hops[0].clone() }], ..route() };
    t.at("5").loads(config(vec![with(&[nearer])], vec![]));
    t.gives_of("no route", &["no route 198.18.0.0/15", "no route 203.0.113.0/24"]);
    t.gives_of("route", &["route 203.0.113.0/24 via 10.0.0.78 dev eth0 src 10.0.0.100"]);
    t.at("6").loads(config(vec![router()], vec![])).gives_of("no route", &["no route 203.0.113.0/24"]);
}

#[test]
fn the_first_routes_of_a_reload_come_with_it() {
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    t.at("5").loads(config(vec![with(&[route()])], vec![])).gives_of("route", &[ADDED]);
}

#[test]
fn what_the_kernel_refuses_is_tried_again_every_second_and_when_something_changes() {
    let mut t = master();
    let refused =
        "putting in the route 203.0.113.0/24 via 10.0.0.77 dev eth0 src 10.0.0.100 failed: no; next try in 1.000 s";
    t.fails(Effect::AddRoute(route())).gives(&[refused]);
    assert_eq!(t.until("4.609374").iter().filter(|line| line.ends_with(ADDED)).count(), 0);
    assert_eq!(t.until("4.609375").iter().filter(|line| line.ends_with(ADDED)).count(), 1);
    t.fails(Effect::AddRoute(route())).nothing();
    t.at("4.7").handles(Event::LinkChanged(Link { name: eth(1), running: true })).gives(&[ADDED]);
}

/// The answer of a moment before says nothing of what came since.
#[test]
fn an_answer_that_is_older_than_a_change_is_not_believed() {
    let mut t = Timeline::of(vec![with(&[route()])]);
    t.becomes_master();
    t.handles(Event::RoutesRead { routes: Vec::new(), rules: Vec::new() }).nothing();
    assert_eq!(t.until("3.63"), ["3.629 read routes"]);
    t.at("3.7").handles(Event::RoutesRead { routes: Vec::new(), rules: Vec::new() }).gives(&[ADDED, BACK]);
}

#[test]
fn an_upgrade_touches_none_and_a_crash_makes_them_anew() {
    let routes = || config(vec![with(&[route()])], vec![]);
    let mut t = Timeline::with(routes());
    t.becomes_master();
    let mut next = t.successor(true);
    next.loads(routes()).is(Role::Master).gives_of("route", &[]).gives_of("no route", &[]);
    next.at("5").loses_route(&route().key, true).gives(&[ADDED, BACK]);
    next.at("6").handles(Input::Stop).gives_of("no route", &["no route 203.0.113.0/24"]);

    let mut t = Timeline::with(routes());
    t.becomes_master();
    let mut next = t.successor(false);
    next.loads(routes()).is(Role::Master).gives_of("no route", &["no route 203.0.113.0/24"]);
    next.gives_of("route", &[ADDED]);
    // Not configured any more: what the estate names is looked for all the same.
    let mut t = Timeline::with(routes());
    t.becomes_master();
    let mut next = t.successor(false);
    next.loads(config(vec![router()], vec![])).gives_of("no route", &["no route 203.0.113.0/24"]);
}

fn rule() -> VirtualRule {
    let rule = Rule { from: Some((ip(0).into(), 24)), ..Rule::new(Family::V4, 500, RuleAction::Lookup(100)) };
    VirtualRule { rule, no_track: false }
}

const RULE: &str = "rule 500: from 10.0.0.0/24 lookup 100";
const NO_RULE: &str = "no rule 500: from 10.0.0.0/24 lookup 100";

#[test]
fn rules_come_last_and_go_first() {
    let mut t = Timeline::of(vec![VirtualRouterConfig { rules: vec![rule()], ..with(&[route()]) }]);
    t.becomes_master();
    let kernel = |t: &Timeline| -> Vec<String> {
        let kinds = ["add", "remove", "route", "no route", "rule", "no rule"];
        t.said().into_iter().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
    };
    assert_eq!(kernel(&t), ["add 10.0.0.100/24", ADDED, RULE]);
    let will = t.election.changed_shares();
    assert_eq!(will[0].1.rules, [rule().rule]);
    t.at("6").hears(peer(2, 200));
    assert_eq!(kernel(&t), [NO_RULE, "no route 203.0.113.0/24", "remove 10.0.0.100/24"]);
}

#[test]
fn a_rule_that_somebody_takes_out_is_put_back_and_a_stray_one_goes() {
    let stray = Rule::new(Family::V6, 700, RuleAction::Blackhole);
    let mut t = Timeline::unstarted(&[observed(ME, false)]);
    t.has_rule(stray).tells_links(&[(0, true)]).reads_addresses();
    t.loads(config(vec![VirtualRouterConfig { rules: vec![rule()], ..router() }], vec![]));
    t.gives_of("no rule", &["no rule 700: from all (IPv6) blackhole"]);
    t.becomes_master().gives_of("rule", &[RULE]);
    let back = "the rule `500: from 10.0.0.0/24 lookup 100` was taken out, and not by this process: put back";
    t.at("5").loses_rule(&rule().rule).gives(&[RULE, back]);
    let refused = "putting in the rule `500: from 10.0.0.0/24 lookup 100` failed: no; next try in 1.000 s";
    t.fails(Effect::AddRule(rule().rule)).gives_of("putting", &[refused]);
    assert_eq!(t.until("6.1").iter().filter(|line| line.ends_with(RULE)).count(), 1);
}

#[test]
fn an_upgrade_leaves_rules_as_they_are() {
    let rules = || config(vec![VirtualRouterConfig { rules: vec![rule()], ..router() }], vec![]);
    let mut t = Timeline::with(rules());
    t.becomes_master();
    let mut next = t.successor(true);
    next.loads(rules()).is(Role::Master).gives_of("rule", &[]).gives_of("no rule", &[]);
    next.at("6").stops().gives_of("no rule", &[NO_RULE]);
}
