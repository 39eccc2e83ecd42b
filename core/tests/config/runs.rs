//! What keepalived runs as it was meant, vipward runs as well, and says what to write.

use crate::helpers::{good, instance, list, load, service};
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::config::{Config, InitialState, Transport};

const CHECK: &str = "TCP_CHECK {\n}";

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// What runs in the end; all that is said are warnings.
#[track_caller]
fn warned(text: &str) -> Config {
    let (sources, loaded) = load(text);
    let said = list(&sources, &loaded.diagnostics);
    assert!(said.iter().any(|said| said.starts_with('W')), "{said:?}");
    good(text)
}

#[test]
fn another_state_is_backup() {
    for word in ["SLAVE", "master", "EQUAL", "= MASTER"] {
        let config = warned(&instance(&format!("state {word}")));
        assert_eq!(config.routers[0].initial_state, InitialState::Backup, "{word}");
    }
}

#[test]
fn zeros() {
    let config = warned(&service("persistence_timeout 0", CHECK));
    assert_eq!(config.services[0].persistence_timeout, None);
    assert_eq!(warned(&service("quorum 0", CHECK)).services[0].quorum, 1);
    let config = warned(&service("persistence_timeout 9\npersistence_granularity 0.0.0.0", CHECK));
    assert_eq!(config.services[0].persistence_granularity, Ipv4Addr::UNSPECIFIED);
}

#[test]
fn strict_mode_takes_authentication_away() {
    let auth = instance("authentication {\n auth_type PASS\n auth_pass x7Kf\n}");
    let config = warned(&format!("vrrp_version 2\nglobal_defs {{\n vrrp_strict\n}}\n{auth}"));
    assert_eq!(config.routers[0].password, None);
    assert_eq!(warned(&auth.replace("authentication", "strict_mode on\nauthentication")).routers[0].password, None);
}

#[test]
fn stray_text_changes_nothing() {
    let plain = good(&instance(""));
    for text in [
        "some text\n".to_owned() + &instance(""),
        instance("hello {\n x y\n}"),
        instance("delay_loop 6"),
        "enable_script_security\n".to_owned() + &instance(""),
        "global_defs {\n garp_master_delay 3\n}\n".to_owned() + &instance(""),
        instance("").trim_end_matches("}\n").to_owned(),
    ] {
        assert_eq!(warned(&text).routers, plain.routers, "{text}");
    }
}

#[test]
fn prefixes_and_repetitions_count_once() {
    let config = warned(&instance("unicast_src_ip 192.0.2.1/24\nunicast_peer {\n 192.0.2.2/24\n 192.0.2.2\n}"));
    let router = &config.routers[0];
    assert_eq!((router.source, &router.transport), (Some(ip(1)), &Transport::Unicast { peers: vec![ip(2)] }));
    let config = warned(&instance("").replace("/24\n", "/24\n192.0.2.100/24\n"));
    assert_eq!(config.routers[0].addresses.len(), 1);
}

#[test]
fn what_only_a_shell_would_understand() {
    let script = |command: &str| {
        let config = warned(&format!(
            "vrrp_script chk {{\n script \"{command}\"\n user nobody\n}}\n{}",
            instance("track_script {\n chk\n}")
        ));
        config.scripts["chk"].command.argv.clone()
    };
    assert_eq!(script("/bin/true > /dev/null"), ["/bin/true", ">", "/dev/null"]);
    // keepalived lets a shell read what is no program.
    assert_eq!(script("</run/lb/flag"), ["/bin/sh", "-c", "</run/lb/flag"]);
}

/// What would run otherwise than written is refused all the same.
#[test]
fn what_changes_the_meaning_is_refused() {
    for text in [
        instance("prioritty 90"),
        service("TCP_CHECK {\n}", ""),
        instance("").replace("vrrp_instance VI_1 {\n", ""),
        instance("hello {\n x y").trim_end_matches("}\n").to_owned(),
    ] {
        assert!(load(&text).1.has_errors(), "{text}");
    }
}
