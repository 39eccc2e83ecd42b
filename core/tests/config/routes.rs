//! `virtual_routes` and `virtual_rules`: what each line means. What keepalived 2.2.7 does is what it did in runs.

use crate::helpers::{good, instance, load_bytes, said};
use vipward_core::config::{Options, table_names};
use vipward_core::route::{Metric, OURS, Placed, Preference};

fn routes(lines: &str) -> String {
    instance(&format!("virtual_routes {{\n    {lines}\n}}"))
}

fn rules(lines: &str) -> String {
    instance(&format!("virtual_rules {{\n    {lines}\n}}"))
}

#[test]
fn routes_in_the_words_of_ip_route() {
    for (line, meant) in [
        (
            "src 192.0.2.100 to 203.0.113.0/24 via 192.0.2.200 dev eth0",
            "203.0.113.0/24 via 192.0.2.200 dev eth0 src 192.0.2.100",
        ),
        ("203.0.113.0/24 gw 192.0.2.1", "203.0.113.0/24 via 192.0.2.1"),
        ("default via 192.0.2.1 table 100", "0.0.0.0/0 table 100 via 192.0.2.1"),
        ("default via 2001:db8::1 dev eth0", "::/0 via 2001:db8::1 dev eth0"),
        ("default via inet6 fe80::1 dev eth0", "::/0 via fe80::1 dev eth0"),
        ("203.0.113.0/24 via inet6 fe80::1 dev eth0", "203.0.113.0/24 via fe80::1 dev eth0"),
        ("inet6 default dev eth0", "::/0 dev eth0"),
        ("203.0.113.7 oif eth1 metric 7 tos 0x10", "203.0.113.7/32 tos 0x10 metric 7 dev eth1"),
        ("blackhole 198.18.0.0/15", "blackhole 198.18.0.0/15"),
        ("to unreachable 198.18.0.0/15", "unreachable 198.18.0.0/15"),
        ("2001:db8:5::/64 dev eth0 metric 1024", "2001:db8:5::/64 dev eth0"),
        (
            "203.0.113.0/24 via 192.0.2.1 or 192.0.2.2 dev eth0",
            "203.0.113.0/24 nexthop via 192.0.2.1 dev eth0 weight 1 nexthop via 192.0.2.2 dev eth0 weight 1",
        ),
        (
            "203.0.113.0/24 nexthop via 192.0.2.1 dev eth0 weight 1 nexthop via 192.0.2.2 dev eth1 weight 2",
            "203.0.113.0/24 nexthop via 192.0.2.1 dev eth0 weight 1 nexthop via 192.0.2.2 dev eth1 weight 2",
        ),
    ] {
        assert_eq!(good(&routes(line)).routers[0].routes[0].to_string(), meant, "{line}");
    }
}

#[test]
fn what_a_route_says_besides() {
    let text = routes(
        "203.0.113.0/24 dev eth0 scope link protocol bird no_track mtu lock 1400 features ecn quickack 1 onlink append\n\
         2001:db8:5::/64 dev eth0 pref high add",
    );
    let config = good(&text);
    let [first, second] = config.routers[0].routes.as_slice() else { panic!("{config:?}") };
    assert_eq!((first.scope, first.key.protocol, first.no_track), (Some(253), 12, true));
    assert_eq!((first.placed, second.placed), (Placed::Last, Placed::Alone));
    let metrics = [(Metric::Mtu, 1400), (Metric::Features, 1), (Metric::Quickack, 1)];
    assert_eq!((first.metrics.as_slice(), first.locked.as_slice()), (metrics.as_slice(), [Metric::Mtu].as_slice()));
    assert!(first.hops[0].onlink);
    assert_eq!((second.preference, second.key.protocol), (Some(Preference::High), OURS));
}

#[test]
fn what_is_said_of_routes_and_how_many_are_set() {
    for (line, begins, set) in [
        ("203.0.113.0/24", "E missing-value", 0),
        ("via 192.0.2.1", "E missing-value", 0),
        ("blackhole 203.0.113.0/24 dev eth0", "E extra-words", 0),
        ("203.0.113.0/24 via", "E missing-value", 0),
        ("203.0.113.0/24 via 192.0.2", "E bad-value", 0),
        ("203.0.113.0/255.255.255.0 dev eth0", "E bad-address", 0),
        ("2001:db8:5::/64 via 192.0.2.1", "E family-mixed", 0),
        ("203.0.113.0/24 dev eth0 src 2001:db8::1", "E family-mixed", 0),
        ("203.0.113.0/24 dev eth0 metrik 5", "E unknown-word", 0),
        ("203.0.113.0/24 dev eth0 hoplimit 256", "E bad-value", 0),
        ("203.0.113.0/24 dev eth0 encap mpls 100", "W not-yet", 0),
        ("203.0.113.0/24 dev eth0 table blue", "W unknown-table", 0),
        ("203.0.113.0/24 dev eth0 rtt 100", "W not-yet", 1),
        ("203.0.113.0/24 dev eth0 protocol bird", "W route-protocol", 1),
        ("203.0.113.7/24 dev eth0", "W host-bits", 1),
        ("203.0.113.0/24 dev eth0\n203.0.113.0/24 dev eth1", "W duplicate-route", 1),
    ] {
        let text = routes(line);
        assert!(said(&text).join(", ").starts_with(begins), "{line}: {:?}", said(&text));
        let (_, loaded) = load_bytes(text.as_bytes(), &Options::default());
        assert_eq!(loaded.best_effort().routers[0].routes.len(), set, "{line}");
    }
}

#[test]
fn tables_have_the_names_that_the_host_gives_them() {
    let names = table_names("# comment\n255\tlocal\n100 blue # the other one\n0x65 red\nnonsense\n");
    let listed: Vec<(&str, u32)> = names.iter().map(|(name, table)| (&**name, *table)).collect();
    assert_eq!(listed, [("blue", 100), ("local", 255), ("red", 101)]);
    let options = Options { tables: names, ..Options::default() };
    let (_, loaded) = load_bytes(routes("203.0.113.0/24 dev eth0 table red").as_bytes(), &options);
    assert_eq!(loaded.config.unwrap().routers[0].routes[0].key.table, 101);
}

#[test]
fn rules_in_the_words_of_ip_rule() {
    for (line, meant) in [
        ("from 192.0.2.0/24 table 100 priority 5", "5: from 192.0.2.0/24 lookup 100"),
        ("to 203.0.113.0/24 lookup main preference 500", "500: from all to 203.0.113.0/24 lookup main"),
        ("fwmark 24/12 iif eth0 table 100 priority 600", "600: from all fwmark 0x18/0xc iif eth0 lookup 100"),
        ("from 2001:db8::/64 table 100 priority 5", "5: from 2001:db8::/64 lookup 100"),
        ("inet6 oif eth1 table 100 priority 5", "5: from all (IPv6) oif eth1 lookup 100"),
        ("from 198.18.0.0/16 tos 0x10 blackhole priority 5", "5: from 198.18.0.0/16 tos 0x10 blackhole"),
        (
            "ipproto tcp sport 10-20 dport 80 table 100 priority 7",
            "7: from all ipproto 6 sport 10-20 dport 80 lookup 100",
        ),
        ("suppress_prefixlength 0 table main priority 7", "7: from all lookup main suppress_prefixlength 0"),
        ("not from 10.0.0.0/8 table 100 priority 7", "7: not from 10.0.0.0/8 lookup 100"),
        ("priority 703 goto 704", "703: from all goto 704"),
        ("uidrange 1000-1999 prohibit priority 7", "7: from all uidrange 1000-1999 prohibit"),
        ("from all l3mdev priority 7", "7: from all lookup [l3mdev-table]"),
    ] {
        assert_eq!(good(&rules(line)).routers[0].rules[0].to_string(), meant, "{line}");
    }
}

/// As keepalived numbers them, each family for itself.
#[test]
fn rules_without_a_priority_stand_before_each_other() {
    let text = rules("from 192.0.2.0/24 table 100\nfrom 198.18.0.0/16 table 100\nfrom 2001:db8::/64 table 100");
    let priorities: Vec<u32> = good(&text).routers[0].rules.iter().map(|it| it.rule.priority).collect();
    assert_eq!(priorities, [16384, 16383, 16384]);
    assert_eq!(said(&text).len(), 3, "{:?}", said(&text));
}

#[test]
fn what_is_said_of_rules_and_how_many_are_set() {
    for (line, begins, set) in [
        ("from 192.0.2.0/24 to 2001:db8::/64 table 5 priority 5", "E family-mixed", 0),
        ("from 192.0.2.0/24 table 5 priority", "E missing-value", 0),
        ("from 192.0.2.0/24 tabel 5 priority 5", "E unknown-word", 0),
        ("fwmark x table 5 priority 5", "E bad-value", 0),
        ("sport 20-10 table 5 priority 5", "E bad-value", 0),
        ("tunnel-id 5 table 5 priority 5", "W not-yet", 0),
        ("from 192.0.2.0/24 table 5 priority 5 realms 7", "W not-yet", 1),
        ("from 192.0.2.0/24 table 5 priority 5\nfrom 192.0.2.0/24 table 5 priority 5", "W duplicate-rule", 1),
        ("from 192.0.2.0/24 table blue priority 5", "W unknown-table", 0),
    ] {
        let text = rules(line);
        assert!(said(&text).join(", ").starts_with(begins), "{line}: {:?}", said(&text));
        let (_, loaded) = load_bytes(text.as_bytes(), &Options::default());
        assert_eq!(loaded.best_effort().routers[0].rules.len(), set, "{line}");
    }
}
