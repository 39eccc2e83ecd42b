//! `virtual_server_group` and marks: the entries that they make, and their mistakes.

use crate::helpers::{good, said};
use vipward_core::config::Entries;
use vipward_core::ipvs::Protocol;

/// A virtual server of `target` with these words, and one real server.
fn of(target: &str, words: &str, real: &str) -> String {
    format!(
        "virtual_server {target} {{\nlb_algo rr\n{words}\nreal_server {real} {{\nMISC_CHECK {{\nmisc_path /bin/true\nuser nobody\n}}\n}}\n}}\n"
    )
}

fn tcp(target: &str) -> String {
    of(target, "lb_kind NAT\nprotocol TCP", "198.51.100.21 80")
}

fn group(lines: &str) -> String {
    format!("virtual_server_group web {{\n{lines}\n}}\n")
}

/// The entries of the only virtual server, as the table has them.
#[track_caller]
fn entries(text: &str) -> Vec<String> {
    good(text).services[0].keys().iter().map(ToString::to_string).collect()
}

#[test]
fn a_group_is_one_virtual_server_with_an_entry_for_each_member() {
    let text = group("192.0.2.10 80\n192.0.2.20-22 81\n192.0.2.40/30 82\nfwmark 7") + &tcp("group web");
    let config = good(&text);
    let [service] = config.services.as_slice() else { panic!("{:?}", config.services) };
    assert_eq!(service.id().to_string(), "TCP group web");
    let expected = [
        "TCP 192.0.2.10:80",
        "TCP 192.0.2.20:81",
        "TCP 192.0.2.21:81",
        "TCP 192.0.2.22:81",
        "TCP 192.0.2.40:82",
        "TCP 192.0.2.41:82",
        "TCP 192.0.2.42:82",
        "TCP 192.0.2.43:82",
        "fwmark 7",
    ];
    assert_eq!(service.keys().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    let ends: Vec<String> = service.entries.ends().iter().map(ToString::to_string).collect();
    assert_eq!(ends, ["192.0.2.10:80", "192.0.2.20:81", "192.0.2.22:81", "192.0.2.40:82", "192.0.2.43:82"]);
    assert_eq!(
        service.entries.to_string(),
        "TCP group web (192.0.2.10:80, 192.0.2.20-192.0.2.22 81, 192.0.2.40-192.0.2.43 82, fwmark 7)"
    );
}

/// Wherever it is written, and for one virtual server of each protocol.
#[test]
fn a_group_may_stand_behind_those_that_use_it() {
    let udp = tcp("group web").replace("TCP", "UDP");
    let config =
        good(&(tcp("192.0.2.9 80") + &tcp("group web") + &udp + &tcp("192.0.2.8 80") + &group("192.0.2.10 80")));
    let ids: Vec<String> = config.services.iter().map(|service| service.id().to_string()).collect();
    assert_eq!(
        ids,
        ["TCP 192.0.2.9:80", "TCP group web", "UDP group web", "TCP 192.0.2.8:80"],
        "in the order of the file"
    );
}

#[test]
fn a_real_server_of_a_group_has_no_port_but_its_own() {
    let config = good(&(group("192.0.2.10 80") + &of("group web", "lb_kind NAT\nprotocol TCP", "198.51.100.21")));
    assert_eq!(config.services[0].real_servers[0].address.to_string(), "198.51.100.21:0");
    assert_eq!(config.services[0].persistence_timeout, None);
    let config = good(&(group("192.0.2.10") + &of("group web", "lb_kind NAT\nprotocol TCP", "198.51.100.21")));
    assert_eq!(config.services[0].persistence_timeout, Some(360), "every port");
}

/// `ip_family`; else what NAT and DR can only be; else what the granularity is; else what all tunnels are; of a group what its addresses are.
#[test]
fn the_family_of_a_mark() {
    let mark = |words: &str, real: &str| entries(&of("fwmark 3", words, real));
    assert_eq!(mark("lb_kind NAT", "198.51.100.21 80"), ["fwmark 3"]);
    assert_eq!(mark("lb_kind NAT", "2001:db8::21 80"), ["fwmark 3 inet6"]);
    assert_eq!(mark("lb_kind TUN", "2001:db8::21"), ["fwmark 3 inet6"]);
    assert_eq!(mark("lb_kind TUN\nip_family inet6", "198.51.100.21"), ["fwmark 3 inet6"]);
    assert_eq!(mark("lb_kind TUN\nip_family inet", "2001:db8::21"), ["fwmark 3"]);
    let granular =
        |words: &str| mark(&format!("persistence_timeout 9\npersistence_granularity {words}"), "198.51.100.21");
    assert_eq!(granular("255.255.0.0\nlb_kind TUN"), ["fwmark 3"]);
    assert_eq!(granular("24\nlb_kind TUN"), ["fwmark 3 inet6"], "a number is of IPv6, if nothing else says it");
    assert_eq!(granular("24\nlb_kind TUN\nip_family inet"), ["fwmark 3"]);
    assert_eq!(granular("24\nlb_kind DR"), ["fwmark 3"]);
    let tunnel = of("group web", "lb_kind TUN\nprotocol UDP", "2001:db8::21");
    assert_eq!(entries(&(group("192.0.2.10 80\nfwmark 3") + &tunnel)), ["UDP 192.0.2.10:80", "fwmark 3"]);
    let both = group("192.0.2.10 80\n2001:db8::10 80\nfwmark 3 inet\nfwmark 3 inet6") + &tunnel;
    assert_eq!(entries(&both), ["UDP 192.0.2.10:80", "UDP [2001:db8::10]:80", "fwmark 3", "fwmark 3 inet6"]);
}

#[test]
fn marks_need_no_protocol() {
    let config = good(&of("fwmark 3", "lb_kind NAT", "198.51.100.21 80"));
    assert_eq!(config.services[0].entries.protocol(), None);
    let config = good(&(group("fwmark 3\nfwmark 4") + &of("group web", "lb_kind NAT", "198.51.100.21 80")));
    assert_eq!(config.services[0].id().to_string(), "group web");
    assert_eq!(config.services[0].entries.marks().collect::<Vec<_>>(), [3, 4]);
    let config = good(&(group("192.0.2.10 80\nfwmark 4") + &tcp("group web")));
    assert_eq!(config.services[0].entries.protocol(), Some(Protocol::Tcp));
}

/// Recordings and estates hold what stands here: it is read as it was written, in the format of both.
#[test]
fn entries_are_read_as_they_were_written() {
    let texts = [
        tcp("192.0.2.10 80"),
        of("fwmark 3", "lb_kind NAT", "2001:db8::21 80"),
        group("192.0.2.10-12 80\n192.0.2.14 80\nfwmark 3") + &tcp("group web"),
    ];
    for text in texts {
        let entries = good(&text).services[0].entries.clone();
        let json = serde_json::to_string(&entries).unwrap();
        assert_eq!(serde_json::from_str::<Entries>(&json).unwrap(), entries, "{json}");
        let mut bytes = Vec::new();
        ciborium::into_writer(&entries, &mut bytes).unwrap();
        assert_eq!(ciborium::from_reader::<Entries, _>(&bytes[..]).unwrap(), entries, "{json}");
    }
    let first_version = r#"{"protocol":"Tcp","address":"192.0.2.10:80"}"#;
    assert_eq!(serde_json::to_string(&good(&tcp("192.0.2.10 80")).services[0].entries).unwrap(), first_version);
}

/// Text, and all that must be said about it: [`crate::mistakes`] looks at them.
pub fn of_groups() -> Vec<(&'static str, String, &'static str)> {
    let used = |lines: &str| group(lines) + &tcp("group web");
    vec![
        ("every port", of("192.0.2.10 0", "lb_kind NAT\nprotocol TCP", "198.51.100.21 80"), "W persistent 1:1"),
        (
            "a granularity alone",
            of("192.0.2.10 80", "lb_kind NAT\nprotocol TCP\npersistence_granularity 24", "198.51.100.21 80"),
            "W persistent 5:1",
        ),
        (
            "no group of that name",
            group("192.0.2.10 80") + &tcp("group wbe"),
            "W unused-group 1:1 E unknown-group 4:22",
        ),
        ("a group that nobody uses", group("192.0.2.10 80"), "W unused-group 1:1"),
        ("two groups of one name", group("192.0.2.9 80") + &used("192.0.2.10 80"), "E duplicate-name 4:1"),
        ("an empty group", "virtual_server_group web {\n}\n".to_owned() + &tcp("group web"), "E empty-group 1:1"),
        ("an endless name", used("192.0.2.10 80").replace("web", &"w".repeat(48)), "E bad-value 1:22"),
        ("no name", tcp("group"), "E missing-value 1:21"),
        ("no mark", tcp("fwmark"), "E missing-value 1:22"),
        ("mark 0", tcp("fwmark 0"), "E bad-value 1:23"),
        ("a member without its mark", used("192.0.2.10 80\nfwmark"), "E missing-value 3:7"),
        ("a member of another family", used("192.0.2.10 80\nfwmark 3 ipv6"), "E bad-value 3:10"),
        ("no address", used("192.0.2.10 80\nweb1 80"), "E bad-range 3:1"),
        ("a range that goes backwards", used("192.0.2.10-9 80"), "E bad-range 2:1"),
        ("a range over two networks", used("192.0.2.254-192.0.3.1 80"), "E bad-range 2:1"),
        ("a network that begins elsewhere", used("192.0.2.41/30 80"), "E bad-range 2:1"),
        ("a prefix of no length", used("192.0.2.0/0 80"), "E bad-range 2:1"),
        ("a port too high", used("192.0.2.10 65536"), "E bad-value 2:12"),
        ("two on one line", used("192.0.2.10 80 192.0.2.11 80"), "E extra-words 2:15"),
        ("a range too large", used("10.0.0.0/15 80"), "E too-many-entries 4:1"),
        (
            "ranges too large together",
            group("10.0.0.0/16 80") + &tcp("group web") + &tcp("group web").replace("TCP", "UDP"),
            "E too-many-entries 15:1",
        ),
        ("half of IPv6", used("8000::/1 80").replace("198.51.100.21", "2001:db8::21"), "E too-many-entries 4:1"),
        ("a group and one of its addresses", tcp("192.0.2.10 80") + &used("192.0.2.10 80"), "E duplicate-service 15:1"),
        ("a group twice", used("192.0.2.10-12 80") + &tcp("group web"), "E duplicate-service 15:1"),
        ("an address twice in a group", used("192.0.2.10 80\n192.0.2.9-11 80"), "W same-twice 3:1"),
        ("a group of two families under NAT", used("192.0.2.10 80\n2001:db8::1 80"), "E mixed-families 9:1"),
        (
            "a mark of both families",
            group("192.0.2.10 80\n2001:db8::1 80\nfwmark 3")
                + &of("group web", "lb_kind TUN\nprotocol TCP", "192.0.2.21"),
            "E mark-family 4:1",
        ),
        (
            "IPv6 behind an IPv4 mark",
            of("fwmark 3", "lb_kind NAT\nip_family inet", "2001:db8::21 80"),
            "E mixed-families 5:1",
        ),
        (
            "a family where there is an address",
            of("192.0.2.9 80", "lb_kind NAT\nprotocol TCP\nip_family inet", "192.0.2.21 80"),
            "W no-family 5:1",
        ),
        ("a protocol of a mark", tcp("fwmark 3"), "W no-protocol 4:1"),
        (
            "a group without protocol",
            group("192.0.2.10 80") + &of("group web", "lb_kind NAT", "192.0.2.21 80"),
            "E missing-word 4:1",
        ),
        (
            "suspended without an address",
            of("fwmark 3", "lb_kind NAT\nha_suspend", "192.0.2.21 80"),
            "W no-address 4:1",
        ),
        (
            "a port of no member under DR",
            group("192.0.2.10 80\n192.0.2.10 443") + &of("group web", "lb_kind DR\nprotocol TCP", "192.0.2.21 8080"),
            "I dr-arp 7:1 E dr-port 9:24",
        ),
        (
            "nothing to check",
            group("192.0.2.10 80")
                + &tcp("group web")
                    .replace("21 80", "21")
                    .replace("MISC_CHECK {\nmisc_path /bin/true\nuser nobody", "TCP_CHECK {"),
            "E no-check-port 9:1",
        ),
        (
            "addresses that nobody holds",
            crate::helpers::instance("") + &used("192.0.2.10-12 80"),
            "I foreign-address 13:1",
        ),
    ]
}

#[test]
fn a_group_of_ipv6() {
    let text = group("2001:db8::10-12 80\n2001:db8::20/127 81")
        + &of("group web", "lb_kind NAT\nprotocol TCP", "2001:db8::9 80");
    assert_eq!(
        entries(&text),
        [
            "TCP [2001:db8::10]:80",
            "TCP [2001:db8::11]:80",
            "TCP [2001:db8::12]:80",
            "TCP [2001:db8::20]:81",
            "TCP [2001:db8::21]:81"
        ]
    );
    assert_eq!(said(&text), [""; 0]);
}
