//! The two pairs of the repository: the tutorial's, mistakes and all, and the mended one.

use crate::helpers::list;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vipward_core::config::{self, Options, cluster};
use vipward_core::text::Sources;

const TUTORIAL: [(&str, &str); 2] = [
    ("master.conf", include_str!("../../../scenarios/tutorial/master.conf")),
    ("backup.conf", include_str!("../../../scenarios/tutorial/backup.conf")),
];

const MENDED: [(&str, &str); 2] = [
    ("lb1.conf", include_str!("../../../scenarios/two-directors/lb1.conf")),
    ("lb2.conf", include_str!("../../../scenarios/two-directors/lb2.conf")),
];

/// What `vipward check` says about the pair: each file's mistakes, then those between the files.
fn check(pair: [(&str, &str); 2]) -> (Sources, Vec<vipward_core::text::Diagnostic>) {
    let files: BTreeMap<PathBuf, Vec<u8>> =
        pair.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect();
    let mut sources = Sources::default();
    let loaded = pair.map(|(name, _)| (name, config::load(&mut sources, &files, Path::new(name), &Options::default())));
    let nodes: Vec<_> = loaded
        .iter()
        .map(|(name, loaded)| cluster::Node { name: name.trim_end_matches(".conf"), config: loaded.best_effort() })
        .collect();
    let between = cluster::check(&nodes);
    let mut all: Vec<_> = loaded.into_iter().flat_map(|(_, loaded)| loaded.diagnostics).collect();
    all.extend(between);
    (sources, all)
}

#[test]
fn the_tutorials_mistakes_are_all_named_once() {
    let (sources, diagnostics) = check(TUTORIAL);
    insta::assert_snapshot!("tutorial", vipward_core::text::render(&sources, &diagnostics, false));
}

#[test]
fn the_tutorials_pair_gives_no_other_messages_than_these() {
    let (sources, diagnostics) = check(TUTORIAL);
    let both = [
        "W odd-space 3:1",
        "W public-password 33:21",
        "E slash-comment 44:1",
        "W unclosed-block 45:1",
        "I dr-arp 48:5",
        "W dead-word 49:5",
        "W bad-value 50:25",
        "W dr-segment 53:5",
        "W old-word 61:13",
    ];
    let mut want: Vec<&str> = both.to_vec();
    want.insert(2, "W other-interface 39:11");
    want.extend(both);
    want.extend(["I same-router-id 13:4", "E vrid-differs 23:6", "W address-differs 39:11"]);
    assert_eq!(list(&sources, &diagnostics), want);
}

/// It tracks eth1: when that is down on both, nobody holds the address, and nobody could serve it.
#[test]
fn the_mended_pair_has_no_mistake_and_one_thing_to_know() {
    let (sources, diagnostics) = check(MENDED);
    assert_eq!(list(&sources, &diagnostics), ["I nobody-left 17:9"]);
}

#[test]
fn the_mended_pair_means_what_it_says() {
    let files: BTreeMap<PathBuf, Vec<u8>> =
        MENDED.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect();
    let [lb1, lb2] = MENDED.map(|(name, _)| {
        config::load(&mut Sources::default(), &files, Path::new(name), &Options::default()).config.unwrap()
    });
    assert_eq!(lb1.services, lb2.services);
    let [router1, router2] = [&lb1.routers[0], &lb2.routers[0]];
    assert_eq!((router1.vrid, &router1.addresses), (router2.vrid, &router2.addresses));
    assert_eq!((router1.priority.get(), router2.priority.get()), (100, 50));
    assert_ne!(lb1.global.router_id, lb2.global.router_id);
    assert_eq!(lb1.services[0].real_servers.len(), 2);
}

#[test]
fn a_configuration_survives_json() {
    for (name, text) in MENDED {
        let config = crate::helpers::good(text);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<config::Config>(&json).unwrap(), config, "{name}");
    }
}

/// Two directors that are each other's real servers, by direct routing.
fn two_box(source: &str, kind: &str, weights: [u32; 2]) -> String {
    let server = |last: usize, weight: u32| {
        format!(" real_server 192.0.2.1{last} 80 {{\n  weight {weight}\n  TCP_CHECK {{\n  }}\n }}\n")
    };
    let [one, two] = weights;
    format!(
        "vrrp_instance A {{\n interface eth0\n virtual_router_id 51\n priority {}\n {source}\n virtual_ipaddress {{\n  \
         192.0.2.100/24\n }}\n}}\nvirtual_server 192.0.2.100 80 {{\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n{}{}}}\n",
        if source.ends_with('1') { 150 } else { 100 },
        server(1, one),
        server(2, two)
    )
}

#[test]
fn directors_that_are_real_servers_of_each_other_lose_what_goes_in_a_circle() {
    let of =
        |source: &str, kind: &str, weights| two_box(&source.replace("OWN", "mcast_src_ip 192.0.2.1"), kind, weights);
    let told = |kind: &str, weights: [u32; 2]| {
        let (one, two) = (of("OWN1", kind, weights), of("OWN2", kind, weights));
        let (sources, found) = check([("lb1.conf", &one), ("lb2.conf", &two)]);
        let loops: Vec<_> = found.into_iter().filter(|finding| finding.code == "director-loop").collect();
        vipward_core::text::render(&sources, &loops, false)
    };
    let text = told("DR", [1, 1]);
    let message =
        "lb1 and lb2 are real servers of each other: about 25 % of the connections to 192.0.2.100:80 are lost";
    assert!(text.contains(message), "{text}");
    assert!(
        text.contains("lb1: this is lb2, and gets 50 %") && text.contains("sends 50 % of those back to lb1"),
        "{text}"
    );
    assert!(told("DR", [3, 1]).contains("about 18 %"), "{}", told("DR", [3, 1]));
    assert_eq!(told("NAT", [1, 1]), "", "the packet has the director's own address then");
    assert_eq!(told("DR", [1, 0]), "", "one of them gets nothing");
    // A file that does not say its own address is no ground to say so.
    let (one, two) = (two_box("", "DR", [1, 1]), two_box("", "DR", [1, 1]));
    let (_, found) = check([("lb1.conf", &one), ("lb2.conf", &two)]);
    assert!(found.iter().all(|finding| finding.code != "director-loop"));
}
