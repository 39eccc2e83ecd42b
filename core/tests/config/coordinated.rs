//! Directors of one virtual router that don't take its lease from one place.

use crate::helpers::{disk, instance};
use std::path::Path;
use vipward_core::config::{self, Config, Options, cluster};
use vipward_core::settings;
use vipward_core::text::{Diagnostic, Sources};

/// `[coordination]` with these lines; none: no `vipward.toml`.
fn pair(lb1: Option<&str>, lb2: Option<&str>, second: &str) -> (Sources, Vec<Diagnostic>) {
    pair_of(&instance("state MASTER"), lb1, lb2, second)
}

fn pair_of(first: &str, lb1: Option<&str>, lb2: Option<&str>, second: &str) -> (Sources, Vec<Diagnostic>) {
    let toml = |lines: &str| format!("[coordination]\n{lines}\n");
    let (toml1, toml2) = (lb1.map(toml), lb2.map(toml));
    let mut files = vec![("lb1.conf", first), ("lb2.conf", second)];
    files.extend(toml1.as_deref().map(|text| ("lb1.toml", text)));
    files.extend(toml2.as_deref().map(|text| ("lb2.toml", text)));
    let disk = disk(&files);
    let mut sources = Sources::default();
    let configs: Vec<Config> = ["lb1", "lb2"]
        .into_iter()
        .map(|name| {
            let path = format!("{name}.conf");
            let loaded = config::load(&mut sources, &disk, Path::new(&path), &Options::default());
            let mut config = loaded.best_effort().clone();
            let beside = format!("{name}.toml");
            if files.iter().any(|(known, _)| *known == beside) {
                let given = Some(Path::new(&beside));
                let (settings, said) = settings::load(&mut sources, &disk, Path::new(&path), given);
                assert_eq!(said, []);
                assert_eq!(settings.unwrap().complete(&mut config, name), []);
            }
            config
        })
        .collect();
    let nodes: Vec<_> =
        configs.iter().zip(["lb1", "lb2"]).map(|(config, name)| cluster::Node { name, config }).collect();
    let found = cluster::check(&nodes);
    (sources, found)
}

fn backup() -> String {
    instance("state BACKUP").replace("priority 100", "priority 50")
}

const FENCE: &str = "hosts = [\"zk1:2181\", \"zk2:2181\", \"zk3:2181\"]\ndefault = \"fence\"";

fn codes(lb1: Option<&str>, lb2: Option<&str>, second: &str) -> Vec<&'static str> {
    pair(lb1, lb2, second).1.iter().map(|said| said.code).collect()
}

#[test]
fn what_lets_two_directors_have_the_addresses_is_an_error() {
    let elect = FENCE.replace("fence", "elect");
    let elsewhere = format!("{FENCE}\npath = \"/other\"");
    let renamed = backup().replace("VI_1", "VI_9");
    assert_eq!(codes(Some(FENCE), Some(FENCE), &backup()), [""; 0]);
    assert_eq!(codes(None, None, &backup()), [""; 0]);
    assert_eq!(codes(Some(FENCE), None, &backup()), ["lease-on-some"]);
    assert_eq!(codes(None, Some(&elect), &backup()), ["lease-on-some"]);
    let off = "hosts = [\"zk1:2181\"]\ndefault = \"off\"";
    assert_eq!(codes(Some(FENCE), Some(off), &backup()), ["lease-on-some"]);
    assert_eq!(codes(Some(FENCE), Some(&elsewhere), &backup()), ["lease-path-differs"]);
    assert_eq!(codes(Some(FENCE), Some(FENCE), &renamed), ["lease-name-differs"]);
}

#[test]
fn what_may_be_meant_is_a_warning() {
    let elect = FENCE.replace("fence", "elect");
    let strangers = "hosts = [\"zk4:2181\"]\ndefault = \"fence\"";
    let in_part = "hosts = [\"zk3:2181\"]\ndefault = \"fence\"";
    assert_eq!(codes(Some(FENCE), Some(&elect), &backup()), ["lease-mode-differs"]);
    assert_eq!(codes(Some(FENCE), Some(strangers), &backup()), ["lease-hosts-differ"]);
    assert_eq!(codes(Some(FENCE), Some(in_part), &backup()), [""; 0]);
}

#[test]
fn what_concerns_whole_nodes_is_told_once() {
    let same = format!("{FENCE}\ndirector = \"lb1\"");
    let spread = format!(
        "{}\ndirector = \"lb1\"\n[coordination.spread.WEB]\nrouters = [\"VI_1\"]",
        FENCE.replace("fence", "elect")
    );
    let sooner = format!("{FENCE}\nsession_timeout = 30");
    assert_eq!(codes(Some(FENCE), Some(&same), &backup()), ["lease-director-twice"]);
    let (_, found) = pair(Some(&spread), Some(&spread), &backup());
    assert_eq!(
        found.iter().map(|said| (said.code, said.is_error())).collect::<Vec<_>>(),
        [("lease-director-twice", true)]
    );
    assert_eq!(codes(Some(FENCE), Some(&sooner), &backup()), ["lease-session-differs"]);
    let elsewhere = format!("{FENCE}\npath = \"/other\"");
    let two = |text: &str| {
        let second = text.replace("VI_1", "VI_2").replace("virtual_router_id 51", "virtual_router_id 52");
        format!("{text}{}", second.replace("192.0.2.100", "192.0.2.101"))
    };
    let codes = pair_of(&two(&instance("state MASTER")), Some(FENCE), Some(&elsewhere), &two(&backup()));
    assert_eq!(codes.1.iter().map(|said| said.code).collect::<Vec<_>>(), ["lease-path-differs"]);
    let codes = pair_of(&two(&instance("state MASTER")), Some(FENCE), None, &two(&backup()));
    assert_eq!(codes.1.iter().map(|said| said.code).collect::<Vec<_>>(), ["lease-on-some"]);
}

/// How the messages read.
#[test]
fn gallery() {
    let elect = FENCE.replace("fence", "elect");
    let elsewhere = format!("{FENCE}\npath = \"/other\"");
    let strangers = "hosts = [\"zk4:2181\"]\ndefault = \"fence\"";
    let renamed = backup().replace("VI_1", "VI_9");
    let mut shown = String::new();
    for (lb1, lb2, second) in [
        (Some(FENCE), None, &backup()),
        (Some(elect.as_str()), None, &backup()),
        (Some(FENCE), Some(FENCE), &renamed),
        (Some(FENCE), Some(elsewhere.as_str()), &backup()),
        (Some(FENCE), Some(strangers), &backup()),
        (Some(FENCE), Some(elect.as_str()), &backup()),
        (Some(FENCE), Some(&format!("{FENCE}\ndirector = \"lb1\"")), &backup()),
        (Some(FENCE), Some(&format!("{FENCE}\nsession_timeout = 30")), &backup()),
    ] {
        let (sources, found) = pair(lb1, lb2, second);
        shown += &vipward_core::text::render(&sources, &found, false);
    }
    insta::assert_snapshot!(shown);
}
