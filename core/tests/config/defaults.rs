//! What stands in no file: each default of keepalived, and who hands what down to whom.

use crate::helpers::{good, instance, service};
use std::net::Ipv4Addr;
use vipward_core::check::udp::Masked;
use vipward_core::check::{Binding, dns, http, tcp};
use vipward_core::command::ScriptUser;
use vipward_core::config::*;
use vipward_core::interface::{InterfaceName, Scope};
use vipward_core::ipvs::{Forwarding, Protocol, TunnelChecksum};
use vipward_core::quantity::{Priority, Version};
use vipward_core::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn global_defs() {
    let global = good("").global;
    assert_eq!(global, GlobalDefs::default());
    assert_eq!(global.smtp_connect_timeout, secs(30));
    let global = good("global_defs {\n smtp_server mail.example.org\n}").global;
    assert_eq!(global.smtp_server, Some(("mail.example.org".to_owned(), 25)));
}

#[test]
fn vrrp_instance() {
    let config = good(&instance(""));
    let router = &config.routers[0];
    assert_eq!(router.initial_state, InitialState::Backup);
    assert_eq!(router.version, Version::V2);
    assert_eq!(router.adverts.interval.duration(), secs(1));
    assert!(router.preemption.on);
    assert_eq!(router.preemption.delay, Duration::ZERO);
    assert_eq!(router.transport, Transport::Multicast { group: [224, 0, 0, 18].into() });
    assert_eq!((router.source, router.unicast_ttl, router.password), (None, 255, None));
    assert_eq!(router.adverts.down_timer, 3);
    assert_eq!(router.interfaces, Interfaces::all(InterfaceName::new("eth0")));
    assert!(
        router.adverts.v3_checksum_as_v2.is_none()
            && !router.adverts.check_unicast_src
            && !router.adverts.skip_check_adv_addr
    );
    assert!(!router.adverts.lower_prio_no_advert);
    assert_eq!(router.announcements, Garp::default());
    assert_eq!(router.announcements.repeat, 5);
    assert_eq!(
        (router.announcements.delay, router.announcements.refresh, router.announcements.refresh_repeat),
        (secs(5), Duration::ZERO, 1)
    );
    assert_eq!(router.notify, NotifyScripts::default());
    assert!(router.excluded.is_empty() && router.tracking.list.is_empty());
}

#[test]
fn priority_is_100_when_nothing_is_said() {
    let text = instance("").replace("    priority 100\n", "");
    assert_eq!(good(&text).routers[0].priority, Priority::DEFAULT);
}

#[test]
fn an_address_goes_to_the_instances_interface_as_a_host_address() {
    let text = instance("").replace("192.0.2.100/24", "192.0.2.100");
    let address = good(&text).routers[0].addresses[0].clone();
    assert_eq!((address.interface, address.prefix_len), (InterfaceName::new("eth0"), 32));
    assert_eq!((address.broadcast, address.label, address.scope), (None, None, Scope::Global));
    assert!(!address.no_prefix_route);
}

#[test]
fn global_defs_flow_into_instances_wherever_they_stand() {
    let text = instance("")
        + "global_defs {\n vrrp_version 3\n vrrp_mcast_group4 224.0.0.81\n vrrp_down_timer_adverts 4\n \
           vrrp_garp_master_delay 2\n vrrp_garp_master_repeat 1\n vrrp_garp_master_refresh 60\n \
           vrrp_garp_master_refresh_repeat 2\n vrrp_garp_lower_prio_delay 7\n vrrp_lower_prio_no_advert\n \
           vrrp_higher_prio_send_advert\n vrrp_check_unicast_src\n vrrp_skip_check_adv_addr\n v3_checksum_as_v2\n}";
    let config = good(&text);
    let router = &config.routers[0];
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.transport, Transport::Multicast { group: [224, 0, 0, 81].into() });
    assert_eq!(router.adverts.down_timer, 4);
    assert!(router.adverts.lower_prio_no_advert && router.adverts.check_unicast_src);
    assert!(router.adverts.skip_check_adv_addr && router.adverts.v3_checksum_as_v2 == Some(true));
    let garp = Garp {
        repeat: 1,
        delay: secs(2),
        refresh: secs(60),
        refresh_repeat: 2,
        // Not said: as in the burst of a new MASTER.
        lower_prio_repeat: 1,
        lower_prio_delay: secs(7),
    };
    assert_eq!(router.announcements, garp);
}

#[test]
fn an_instance_overrides_global_defs() {
    let text = "global_defs {\n vrrp_version 3\n vrrp_garp_master_repeat 1\n vrrp_skip_check_adv_addr\n}\n".to_owned()
        + &instance(" version 2\n garp_master_repeat 9\n skip_check_adv_addr off\n mcast_dst_ip 224.0.0.99");
    let router = good(&text).routers[0].clone();
    assert_eq!(
        (router.version, router.announcements.repeat, router.announcements.lower_prio_repeat),
        (Version::V2, 9, 1)
    );
    assert!(!router.adverts.skip_check_adv_addr);
    assert_eq!(router.transport, Transport::Multicast { group: [224, 0, 0, 99].into() });
}

#[test]
fn vrrp_min_garp_is_one_announcement() {
    let garp = good(&("global_defs {\n vrrp_min_garp\n}\n".to_owned() + &instance(""))).routers[0].announcements;
    assert_eq!((garp.repeat, garp.delay), (1, Duration::ZERO));
    assert_eq!((garp.lower_prio_repeat, garp.lower_prio_delay), (1, Duration::ZERO));
}

#[test]
fn vrrp_script() {
    let text = "global_defs {\n script_user nobody\n enable_script_security\n}\n\
                vrrp_script chk {\n script \"/usr/bin/pgrep -x nginx\"\n interval 2\n}\n"
        .to_owned()
        + &instance("track_script {\n chk\n}");
    let config = good(&text);
    let script = &config.scripts["chk"];
    assert_eq!(script.command.argv, ["/usr/bin/pgrep", "-x", "nginx"]);
    assert_eq!(script.command.user, Some(ScriptUser { user: "nobody".to_owned(), group: None }));
    assert_eq!((script.interval, script.timeout), (secs(2), secs(2)));
    assert_eq!((script.weight, script.rise, script.fall), (TrackWeight::default(), 1, 1));
    assert!(!script.init_fail);
    assert_eq!(config.routers[0].tracking.list[0].weight, script.weight);
}

#[test]
fn a_tracked_script_may_have_a_weight_of_its_own() {
    let text = "vrrp_script chk {\n script /bin/true\n user nobody\n weight -2 reverse\n}\n".to_owned()
        + &instance("track_script {\n chk weight 5\n}");
    assert_eq!(good(&text).routers[0].tracking.list[0].weight, TrackWeight { weight: 5, reverse: true });
}

#[test]
fn virtual_server() {
    let config = good(&service("", "TCP_CHECK {\n}"));
    let service = &config.services[0];
    assert_eq!((service.entries.protocol(), service.scheduler.to_string()), (Some(Protocol::Tcp), "rr".to_owned()));
    assert_eq!((service.persistence_timeout, service.persistence_granularity), (None, Ipv4Addr::BROADCAST));
    assert_eq!((service.quorum, service.hysteresis, &service.sorry_server), (1, 0, &None));
    let server = &service.real_servers[0];
    assert_eq!((server.weight, server.forwarding, server.inhibit_on_failure), (1, Forwarding::Nat, false));
    assert_eq!((server.upper_threshold, server.lower_threshold), (0, 0));
}

#[test]
fn what_a_virtual_server_takes_when_it_says_nothing() {
    let text = "virtual_server 192.0.2.100 80 {\n protocol TCP\n real_server 198.51.100.21 {\n TCP_CHECK {\n}\n}\n}";
    let config = good(text);
    let service = &config.services[0];
    assert_eq!((&*service.scheduler.0, service.real_servers[0].forwarding), ("wlc", Forwarding::Nat));
    assert_eq!(service.real_servers[0].address.port(), 80);
}

#[test]
fn persistence_timeout_without_a_number_is_six_minutes() {
    let text = service("persistence_timeout\npersistence_granularity 24\n", "TCP_CHECK {\n}");
    let service = good(&text).services[0].clone();
    assert_eq!(service.persistence_timeout, Some(360));
    assert_eq!((service.persistence_granularity, service.persistence_prefix), (Ipv4Addr::new(255, 255, 255, 0), 24));
}

#[test]
fn checkers() {
    let text = service("", "TCP_CHECK {\n}\nHTTP_GET {\n url {\n}\n}");
    let checkers = good(&text).services[0].real_servers[0].checkers.clone();
    let [tcp, http] = checkers.as_slice() else { panic!("{checkers:?}") };
    assert_eq!(tcp.kind, CheckerKind::Tcp(tcp::Settings));
    for checker in [tcp, http] {
        assert_eq!(checker.target.to_string(), "198.51.100.21:80");
        assert_eq!((checker.connect_timeout, checker.retry), (secs(5), 1));
        assert_eq!((checker.delay_loop, checker.warmup, checker.alpha), (secs(60), secs(60), false));
    }
    assert_eq!((tcp.delay_before_retry, http.delay_before_retry), (secs(1), secs(3)));
    let url =
        UrlCheck { path: "/".to_owned(), status: vec![(200, 299)], digest: None, virtualhost: None, pattern: None };
    let kind =
        CheckerKind::Http(http::Settings { urls: vec![url], http_version: HttpVersion::Http10, fast_recovery: false });
    assert_eq!(http.kind, kind);
}

#[test]
fn the_pace_is_inherited_from_virtual_server_and_real_server() {
    let text = service(
        "delay_loop 6\nretry 2\nconnect_timeout 4\nalpha\nvirtualhost vs.example\n",
        "retry 3\ndelay_before_retry 2\nHTTP_GET {\n connect_timeout 1\n url {\n}\n url {\n virtualhost url.example\n}\n}",
    );
    let checker = good(&text).services[0].real_servers[0].checkers[0].clone();
    assert_eq!((checker.delay_loop, checker.warmup), (secs(6), secs(6)));
    assert_eq!((checker.retry, checker.delay_before_retry, checker.connect_timeout), (3, secs(2), secs(1)));
    assert!(checker.alpha);
    let CheckerKind::Http(http::Settings { urls, .. }) = checker.kind else { panic!() };
    let hosts: Vec<_> = urls.iter().map(|url| url.virtualhost.as_deref()).collect();
    assert_eq!(hosts, [Some("vs.example"), Some("url.example")]);
}

#[test]
fn everything_of_a_checker_that_can_be_written() {
    let text = service(
        "",
        "HTTP_GET {\n connect_ip 198.51.100.99\n connect_port 8080\n warmup 0\n http_protocol 1.1\n fast_recovery\n \
         url {\n path /status?x=1\n status_code 200 300-399\n digest 9b3a0c85a887a256d6939da88aabd8cd\n}\n}",
    );
    let checker = good(&text).services[0].real_servers[0].checkers[0].clone();
    assert_eq!((checker.target.to_string().as_str(), checker.warmup), ("198.51.100.99:8080", Duration::ZERO));
    let CheckerKind::Http(http::Settings { urls, http_version, fast_recovery }) = checker.kind else { panic!() };
    assert_eq!((http_version, fast_recovery), (HttpVersion::Http11, true));
    assert_eq!((urls[0].path.as_str(), &*urls[0].status), ("/status?x=1", &[(200, 200), (300, 399)][..]));
    assert_eq!(urls[0].digest.unwrap()[0], 0x9b);
}

#[test]
fn a_password_is_filled_with_zeros_or_cut() {
    for (written, bytes) in [("s3cr3t", b"s3cr3t\0\0"), ("much-too-long", b"much-too")] {
        let text = instance(&format!("authentication {{\n auth_type PASS\n auth_pass {written}\n}}"));
        assert_eq!(good(&text).routers[0].password.as_ref(), Some(bytes));
        assert!(!good(&text).routers[0].ah);
    }
}

#[test]
fn a_tracked_file() {
    let blocks = "track_file F {\n file \"/run/a b\"\n}\nvrrp_track_file G {\n file /g\n weight -3 reverse\n \
                  init_file -7 overwrite\n}\n";
    let config = good(&(instance("track_file {\n F weight 0\n G\n}") + blocks));
    let [f, g] = ["F", "G"].map(|name| config.files[name].clone());
    assert_eq!((&*f.path, f.weight, f.init), ("/run/a b", TrackWeight { weight: 1, reverse: false }, None));
    let reversed = TrackWeight { weight: -3, reverse: true };
    assert_eq!((&*g.path, g.weight, g.init), ("/g", reversed, Some(InitFile { number: -7, overwrite: true })));
    let tracked = |name: &str, weight| Tracked { what: TrackerId::File(name.into()), weight };
    assert_eq!(config.routers[0].tracking.list, [tracked("F", TrackWeight::default()), tracked("G", reversed)]);
}

#[test]
fn a_tracked_process() {
    let blocks = "vrrp_track_process P {\n process nginx\n}\nvrrp_track_process Q {\n process \"/a b\" -c \"x y\"\n \
                  param_match initial\n quorum 2\n quorum_max 3\n delay 5\n fork_delay 0.5\n weight 7 reverse\n}\n\
                  vrrp_track_process R {\n process r\n full_command\n quorum_max 0\n}\n";
    let config = good(&(instance("track_process {\n P weight -20\n Q\n}") + blocks));
    let [p, q, r] = ["P", "Q", "R"].map(|name| config.processes[name].clone());
    assert_eq!((&*p.pattern.command, p.pattern.by, p.weight), ("nginx", KnownBy::Name, TrackWeight::default()));
    assert_eq!((p.quorum, p.quorum_max, p.fork_delay, p.terminate_delay), (1, None, Duration::ZERO, Duration::ZERO));
    let arguments: Vec<&str> = q.pattern.arguments.iter().map(|it| &**it).collect();
    assert_eq!((&*q.pattern.command, arguments, q.pattern.by), ("/a b", vec!["-c", "x y"], KnownBy::Beginning));
    assert_eq!((q.quorum, q.quorum_max), (2, Some(3)));
    assert_eq!((q.fork_delay, q.terminate_delay), (Duration::from_millis(500), Duration::from_secs(5)));
    assert_eq!((r.pattern.by, r.enough()), (KnownBy::Command, Some(0)));
    let tracked = |name: &str, weight, reverse| Tracked {
        what: TrackerId::Process(name.into()),
        weight: TrackWeight { weight, reverse },
    };
    assert_eq!(config.routers[0].tracking.list, [tracked("P", -20, false), tracked("Q", 7, true)]);
}

/// `state MASTER` is taken back, as by keepalived: it must hear first where the others are in the sequence.
#[test]
fn ah_takes_the_password_for_its_key() {
    let router =
        good(&instance("state MASTER\nauthentication {\n auth_type AH\n auth_pass s3cr3t\n}")).routers[0].clone();
    assert_eq!((router.ah, router.password, router.initial_state), (true, Some(*b"s3cr3t\0\0"), InitialState::Backup));
}

#[test]
fn unicast() {
    let text = instance("unicast_src_ip 192.0.2.11\nunicast_peer {\n 192.0.2.12\n 192.0.2.13\n}\nunicast_ttl 64");
    let router = good(&text).routers[0].clone();
    let peers = vec!["192.0.2.12".parse().unwrap(), "192.0.2.13".parse().unwrap()];
    assert_eq!(router.transport, Transport::Unicast { peers });
    assert_eq!((router.source, router.unicast_ttl), (Some("192.0.2.11".parse().unwrap()), 64));
}

#[test]
fn an_address_line_with_everything() {
    let line = "192.0.2.100/24 brd + dev eth1 scope link label eth1:vip noprefixroute";
    let address = good(&instance("").replace("192.0.2.100/24", line)).routers[0].addresses[0].clone();
    assert_eq!(address.broadcast, Some(Ipv4Addr::new(192, 0, 2, 255)));
    assert_eq!((address.interface.as_str(), address.label.as_deref()), ("eth1", Some("eth1:vip")));
    assert_eq!((address.scope, address.no_prefix_route), (Scope::Link, true));
}

#[test]
fn tenths_of_a_second_need_version_3() {
    let router = good(&instance("version 3\nadvert_int 0.1")).routers[0].clone();
    assert_eq!(router.adverts.interval.centis(), 10);
}

#[test]
fn a_sorry_server_takes_port_and_forwarding_of_its_service() {
    let sorry = |more| good(&service(more, "TCP_CHECK {\n}")).services[0].sorry_server.clone().unwrap();
    let first = sorry("sorry_server 198.51.100.9");
    assert_eq!((first.address.to_string().as_str(), first.forwarding), ("198.51.100.9:80", Forwarding::Nat));
    let second = sorry("sorry_server 198.51.100.9 8080\nsorry_server_lvs_method TUN");
    assert_eq!((second.address.port(), second.forwarding), (8080, Forwarding::Tun));
}

/// Each of the three words says a tunnel of its own; the types as in ipvsadm(8).
#[test]
fn tunnels_of_three_types() {
    let text = service(
        "sorry_server 198.51.100.9\nsorry_server_lvs_method TUN csum type gre",
        "TCP_CHECK {\n}\nlvs_method TUN",
    )
    .replace("lb_kind NAT", "lb_kind TUN type gue port 6080 remcsum\nreal_server 198.51.100.8 80 {\nTCP_CHECK {\n}\n}");
    let service = good(&text).services[0].clone();
    let gue = Forwarding::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    let methods: Vec<_> = service.real_servers.iter().map(|real| real.forwarding).collect();
    assert_eq!(methods, [gue, Forwarding::Tun]);
    assert_eq!(service.sorry_server.unwrap().forwarding, Forwarding::Gre { checksum: true });
    let kind = |words: &str| {
        let text = self::service("", "TCP_CHECK {\n}").replace("NAT", words);
        good(&text).services[0].real_servers[0].forwarding.to_string()
    };
    for (words, shown) in [
        ("TUN type ipip", "TUN"),
        ("TUN type ipip nocsum", "TUN"),
        ("TUN nocsum", "TUN"),
        ("TUN type gre nocsum", "TUN type gre"),
        ("TUN type gre csum", "TUN type gre csum"),
        ("TUN type gue port 65535", "TUN type gue port 65535"),
        ("TUN type gue nocsum port 1", "TUN type gue port 1"),
        ("TUN csum port 7 type gue", "TUN type gue port 7 csum"),
    ] {
        assert_eq!(kind(words), shown, "{words}");
    }
}

/// RFC 9568 5.2, RFC 3768 5.3.
#[test]
fn the_ends_of_every_range_are_taken() {
    for (vrid, priority) in [(1, 1), (255, 254)] {
        let text = instance("").replace("51", &vrid.to_string()).replace("100\n", &format!("{priority}\n"));
        let router = &good(&text).routers[0];
        assert_eq!((router.vrid.get(), router.priority.get()), (vrid, priority));
    }
    for (more, centis) in [
        ("advert_int 1", 100),
        ("advert_int 255", 25_500),
        ("version 3\nadvert_int 0.01", 1),
        ("version 3\nadvert_int 40.95", 4095),
    ] {
        assert_eq!(good(&instance(more)).routers[0].adverts.interval.centis(), centis, "{more}");
    }
}

/// keepalived 2.2.7: a `host` is one more checker of its own, and the block is one if it has none or says where to connect.
#[test]
fn smtp_check() {
    let checkers = |block: &str| {
        let text = service("", &format!("retry 3\nSMTP_CHECK {{\n{block}\n}}"));
        let checkers = good(&text).services[0].real_servers[0].checkers.clone();
        let shown = |checker: &vipward_core::config::CheckerConfig| {
            let CheckerKind::Smtp(smtp) = &checker.kind else { panic!("{checker:?}") };
            assert_eq!((checker.retry, checker.delay_before_retry), (3, secs(1)));
            format!("{} {} {}", checker.target, smtp.helo_name, checker.connect_timeout.as_secs())
        };
        checkers.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(checkers(""), ["198.51.100.21:80 smtpchecker.keepalived.org 5"]);
    assert_eq!(checkers("helo_name lb.example\nconnect_port 25"), ["198.51.100.21:25 lb.example 5"]);
    assert_eq!(checkers("host {\n connect_ip 192.0.2.5\n}"), ["192.0.2.5:80 smtpchecker.keepalived.org 5"]);
    assert_eq!(
        checkers(
            "host {\n connect_port 26\n}\nhost {\n connect_timeout 2\n}\nconnect_port 25\nconnect_timeout 7\nhelo_name x"
        ),
        ["198.51.100.21:25 x 7", "198.51.100.21:26 x 7", "198.51.100.21:80 x 2"]
    );
}

/// keepalived.conf(5): one failure is enough, unless `retry` says otherwise, wherever it stands.
#[test]
fn misc_check() {
    let checker = |around: &str, block: &str| {
        let text = service(&format!("delay_loop 7\n{around}"), &format!("MISC_CHECK {{\n{block}\n}}"));
        let text = format!("global_defs {{\nscript_user nobody\nenable_script_security\n}}\n{text}");
        let checker = good(&text).services[0].real_servers[0].checkers[0].clone();
        let CheckerKind::Misc(misc) = &checker.kind else { panic!("{checker:?}") };
        let user = misc.command.user.as_ref().map(|user| user.user.clone()).unwrap_or_default();
        let (retry, pause, longest) = (checker.retry, checker.delay_before_retry, checker.connect_timeout.as_secs());
        format!("{:?} {user} {retry} {} {longest} {}", misc.command.argv, pause.as_secs(), misc.dynamic)
    };
    assert_eq!(checker("", "misc_path /bin/x"), r#"["/bin/x"] nobody 0 1 7 false"#);
    assert_eq!(checker("retry 2", "misc_path \"/bin/x 'a b' c\""), r#"["/bin/x", "a b", "c"] nobody 2 1 7 false"#);
    assert_eq!(
        checker("connect_timeout 3", "misc_path /bin/x 'a b'\ndelay_loop 9\nretry 1\nmisc_dynamic\nuser daemon"),
        r#"["/bin/x", "a b"] daemon 1 1 9 true"#
    );
    assert_eq!(
        checker("", "misc_path /bin/x\nmisc_timeout 2.5\ndelay_before_retry 4"),
        r#"["/bin/x"] nobody 0 4 2 false"#
    );
}

/// keepalived.conf(5): digits two by two, and an odd one at the end of a word is a byte of its own.
#[test]
fn udp_check() {
    let udp = |block: &str| {
        let checker =
            good(&service("", &format!("UDP_CHECK {{\n{block}\n}}"))).services[0].real_servers[0].checkers[0].clone();
        let CheckerKind::Udp(udp) = &checker.kind else { panic!("{checker:?}") };
        assert_eq!((checker.retry, checker.delay_before_retry, checker.connect_timeout), (1, secs(1), secs(5)));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let payload = udp.payload.as_ref().map_or("default".to_owned(), |payload| hex(payload));
        let reply = udp.reply.as_ref().map_or("none".to_owned(), |reply| {
            let [bytes, masks] = [|it: &Masked| it.byte, |it: &Masked| it.mask]
                .map(|of| hex(&reply.pattern.iter().map(of).collect::<Vec<_>>()));
            format!("{bytes}/{masks} {}..{}", reply.min, reply.max)
        });
        format!("{payload} {reply}")
    };
    assert_eq!(udp(""), "default none");
    assert_eq!(udp("payload Ab12f 3 456 546443123"), "ab120f0345065464431203 none");
    assert_eq!(udp("payload \"Ab 12\"\nrequire_reply"), "ab12 / 0..65535");
    assert_eq!(
        udp("require_reply 0x1X xx A\nmin_reply_length 3\nmax_reply_length 500"),
        "default 0010000a/f0f000ff 3..500"
    );
}

/// keepalived.conf(5): retry 3, `delay_before_retry` as `delay_loop`, SOA of the root.
#[test]
fn dns_check() {
    let dns = |around: &str, block: &str| {
        let text = service(&format!("delay_loop 7\n{around}"), &format!("DNS_CHECK {{\n{block}\n}}"));
        let checker = good(&text).services[0].real_servers[0].checkers[0].clone();
        let CheckerKind::Dns(dns) = &checker.kind else { panic!("{checker:?}") };
        let asked = dns::Query { record: dns.record, name: dns.name.clone() }.message(0);
        let question = asked[12..].escape_ascii().to_string();
        format!("{} {question} {} {}", checker.target.port(), checker.retry, checker.delay_before_retry.as_secs())
    };
    assert_eq!(dns("", ""), r"80 \x00\x00\x06\x00\x01 3 7");
    assert_eq!(
        dns("", "type AAAA\nname www.example.org.\nconnect_port 53\nretry 1\ndelay_before_retry 2"),
        r"53 \x03www\x07example\x03org\x00\x00\x1c\x00\x01 1 2"
    );
    assert_eq!(dns("retry 5\ndelay_before_retry 1", "delay_loop 9\ntype ANY"), r"80 \x00\x00\xff\x00\x01 5 1");
    assert_eq!(dns("", "delay_loop 9"), r"80 \x00\x00\x06\x00\x01 3 9");
}

/// keepalived.conf(5): the weight of the `track_file`, unless the block has its own, wherever the former stands.
#[test]
fn file_check() {
    let files = |words: &str| {
        let file = "track_file F {\nfile /f\nweight 3 reverse\n}";
        let text = service("", &format!("FILE_CHECK {{\ntrack_file F\n{words}\n}}"));
        let config = good(&format!("{text}\n{file}"));
        assert_eq!(config.watched_files().len(), 1, "nobody else tracks it");
        let check = &config.services[0].real_servers[0].files[0];
        (check.file.to_string(), check.weight.weight, check.weight.reverse)
    };
    assert_eq!(files(""), ("F".to_owned(), 3, true));
    assert_eq!(files("weight 0"), ("F".to_owned(), 0, false));
    assert_eq!(files("weight -2147483647 reverse"), ("F".to_owned(), -2_147_483_647, true));
}

/// What keepalived 2.2.7 was seen to do to a real server of weight 10.
#[test]
fn what_a_number_does_to_a_real_server() {
    let weigh = |weight, reverse| [5, -5, 0, 300].map(|number| FileWeight { weight, reverse }.weigh(number));
    assert_eq!(weigh(1, false), [Some(5), Some(-5), Some(0), Some(300)]);
    assert_eq!(weigh(2, false), [Some(10), Some(-10), Some(0), Some(600)]);
    assert_eq!(weigh(1, true), [Some(-5), Some(5), Some(0), Some(-300)]);
    assert_eq!(weigh(0, false), [None, None, Some(0), None]);
    assert_eq!(weigh(0, true), [Some(0), Some(0), None, Some(0)]);
    let huge = FileWeight { weight: i32::MAX, reverse: false };
    assert_eq!([huge.weigh(-1), huge.weigh(-2), huge.weigh(i64::MIN)], [Some(-2_147_483_647), None, None]);
    assert_eq!(huge.weigh(i64::MAX), Some(i64::MAX));
}

#[test]
fn where_checks_come_from() {
    let words = "bindto 192.0.2.11\nbind_port 3333\nbind_if eth1\nfwmark 4294967295";
    let blocks = [
        "TCP_CHECK {\n%\n}",
        "HTTP_GET {\n%\nurl {\n}\n}",
        "PING_CHECK {\n%\n}",
        "SMTP_CHECK {\nhost {\n%\n}\n}",
        "UDP_CHECK {\n%\n}",
        "DNS_CHECK {\n%\n}",
    ];
    for block in blocks {
        let from = |words: &str| {
            good(&service("", &block.replace('%', words))).services[0].real_servers[0].checkers[0].from.clone()
        };
        assert_eq!(from(""), Binding::default());
        let bound = from(words);
        assert_eq!(bound.address, Some([192, 0, 2, 11].into()));
        assert_eq!((bound.port, bound.interface.unwrap().as_str(), bound.mark), (3333, "eth1", u32::MAX));
    }
}

/// keepalived takes a switch without a value for on, and says nothing.
#[test]
fn a_switch_without_a_value_is_on() {
    let alerts = |word: &str| {
        let file = "global_defs {\n notification_email {\n a@example.org\n }\n smtp_server 192.0.2.25\n WORD\n}\n";
        let config = good(&file.replace("WORD", word));
        (config.global.role_mails(None) == RoleMails::All, config.global.checker_mails(None, false))
    };
    assert_eq!(alerts(""), (false, false));
    assert_eq!(alerts("smtp_alert"), (true, true));
    assert_eq!(alerts("smtp_alert_vrrp"), (true, false));
    assert_eq!(alerts("smtp_alert_checker"), (false, true));
    assert_eq!(alerts("smtp_alert off"), (false, false));
}

#[test]
fn files_of_dumps() {
    let dumps = |words: &str| good(&(format!("global_defs {{\n{words}}}\n") + &instance(""))).global.dumps;
    let usual = dumps("");
    assert_eq!((usual.state.as_str(), usual.stats.as_str()), ("/tmp/keepalived.data", "/tmp/keepalived.stats"));
    assert_eq!((usual.json.as_str(), usual.json_version_2), ("/tmp/keepalived.json", false));
    let said = dumps(" state_dump_file /run/a\n stats_dump_file /run/b\n json_dump_file /run/c\n json_version 2\n");
    assert_eq!((said.state.as_str(), said.stats.as_str()), ("/run/a", "/run/b"));
    assert_eq!((said.json.as_str(), said.json_version_2), ("/run/c", true));
    assert!(!dumps(" json_version 2\n json_version 1\n").json_version_2);
}
