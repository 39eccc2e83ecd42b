//! `static_ipaddress`, `static_routes`, `static_rules`: what each line means, and what is said about them.

use crate::helpers::{good, instance, load, said};

const ALL: &str = "global_defs {\n default_interface eth7\n}\n\
    static_ipaddress {\n 192.0.2.7/24 dev eth0\n 2001:db8::7/64\n}\n\
    static_routes {\n 203.0.113.0/24 via 192.0.2.1 dev eth0\n}\n\
    static_rules {\n from 192.0.2.0/24 table 100 priority 5\n}\n";

#[test]
fn they_are_read_without_any_virtual_router() {
    let statics = good(ALL).statics;
    let addresses: Vec<String> = statics.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.7/24 on eth0", "2001:db8::7/64 on eth7"]);
    assert!(statics.addresses.iter().all(|address| address.permanent));
    assert_eq!(statics.routes[0].to_string(), "203.0.113.0/24 via 192.0.2.1 dev eth0");
    assert_eq!(statics.rules[0].to_string(), "5: from 192.0.2.0/24 lookup 100");
    assert_eq!(said(ALL), [""; 0]);
    assert!(good(&instance("")).statics.is_empty());
}

/// keepalived 2.2.7 numbers them together with those of virtual routers.
#[test]
fn rules_without_a_priority_stand_before_those_of_virtual_routers() {
    let text = "static_rules {\n from 192.0.2.0/24 table 100\n}\n".to_owned()
        + &instance("virtual_rules {\n from 198.18.0.0/16 table 100\n}");
    let config = good(&text);
    assert_eq!(config.statics.rules[0].rule.priority, 16384);
    assert_eq!(config.routers[0].rules[0].rule.priority, 16383);
}

#[test]
fn what_is_said_of_them() {
    for (lines, begins) in [
        ("static_ipaddress {\n 192.0.2.7/24\n 192.0.2.7/24\n}", "W duplicate-address 3:2"),
        ("static_ipaddress {\n 192.0.2.7/24\n 192.0.2.7/24 label eth0:1\n}", "E duplicate-address 3:2"),
        ("static_ipaddress {\n fe80::1/64 dev eth0\n fe80::1/64 dev eth1\n}", ""),
        ("static_ipaddress {\n 192.0.2.100/32\n}", "E static-and-virtual 2:2"),
        ("static_ipaddress {\n 192.0.2/24\n}", "E bad-address 2:2"),
        ("static_ipaddress {\n 192.0.2.7/24 no_track\n}", "W not-yet 2:15"),
        ("static_ipaddress {\n 192.0.2.7/24 track_group G\n}", "W unknown-group 2:27"),
        ("track_group G {\n group {\n VI_2\n }\n}", "W unknown-instance 3:2"),
        ("track_group G {\n}\ntrack_group G {\n}", "E duplicate-name 3:1"),
        ("static_routes {\n 203.0.113.0/24\n}", "E missing-value 2:2"),
        ("static_rules {\n from 192.0.2.0/24 table 5\n}", "W rule-priority 2:2"),
    ] {
        let said = said(&format!("{lines}\n{}", instance("")));
        assert_eq!(said.first().map_or("", |first| first), begins, "{lines}: {said:?}");
    }
    // Of both kinds the static one counts, and it is no mistake to have it.
    let both =
        "static_routes {\n 203.0.113.0/24 dev eth0\n}\nstatic_rules {\n from 192.0.2.0/24 table 5 priority 5\n}\n";
    let twice = both.replace("static", "virtual");
    assert_eq!(
        said(&(both.to_owned() + &instance(&twice))),
        ["W static-and-virtual 15:2", "W static-and-virtual 18:2"]
    );
    // RFC 9568 1.7: an owner's virtual addresses are its own.
    let owner = instance("").replace("priority 100", "priority 255\n    state MASTER");
    let (_, loaded) = load(&format!("static_ipaddress {{\n 192.0.2.100/24\n}}\n{owner}"));
    assert!(loaded.config.is_some());
}

#[test]
fn a_track_group_says_who_cannot_do_without_them() {
    let text = "static_ipaddress {\n 192.0.2.7/24 track_group G\n 192.0.2.8/24\n}\n\
        static_routes {\n 203.0.113.0/24 dev eth0 track_group G\n}\n\
        static_rules {\n from 192.0.2.0/24 table 100 priority 5 track_group H\n}\n\
        track_group G {\n group {\n VI_1\n }\n}\ntrack_group H {\n group {\n }\n}\n"
        .to_owned()
        + &instance("");
    let tracked = good(&text).statics.tracked;
    let of = |it: &vipward_core::config::TrackedStatic| format!("{} by {:?}", it.what, it.routers);
    assert_eq!(
        tracked.iter().map(of).collect::<Vec<_>>(),
        [
            r#"address 192.0.2.7/24 on eth0 by ["VI_1"]"#,
            r#"route 203.0.113.0/24 by ["VI_1"]"#,
            "rule 5: from 192.0.2.0/24 lookup 100 by []"
        ]
    );
    let virtual_one = instance("virtual_routes {\n 203.0.113.0/24 dev eth0 track_group G\n}");
    assert_eq!(said(&virtual_one), ["W no-effect 9:26"]);
}
