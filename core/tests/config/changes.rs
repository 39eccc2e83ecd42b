//! Each word that is acted on changes the configuration, each value of its range is taken and the next one is not, and
//! each default is what its row says.

use crate::helpers::load;
use vipward_core::config::Config;
use vipward_core::config::words::{Block, Default, Keyword, Standing, Value, all, find};

/// Acted on, but not to be seen in the configuration, and why.
const INVISIBLE: [(&str, &str); 2] =
    [("native_ipv6", "the address is IPv4"), ("no_virtual_ipaddress", "silences a warning")];

/// Values of words that take any text, or whose range the row does not say: two that differ.
fn samples(keyword: &Keyword) -> Option<[&'static str; 2]> {
    Some(match keyword.word {
        "router_id" | "virtualhost" | "helo_name" | "sni_name" => ["a.example", "b.example"],
        "notification_email_from" => ["a@example.com", "<b@example.com>"],
        "smtp_server" => ["mail.example.com", "192.0.2.1 2525"],
        "smtp_helo_name" => ["a.example", "b.example"],
        "script_user" | "user" => ["nobody", "daemon"],
        "script"
        | "misc_path"
        | "notify_up"
        | "notify_down"
        | "quorum_up"
        | "quorum_down"
        | "notify"
        | "notify_master"
        | "notify_backup"
        | "notify_fault"
        | "notify_stop"
        | "notify_deleted"
        | "notify_master_rx_lower_pri" => ["/bin/true", "/bin/x"],
        "notify_fifo" | "vrrp_notify_fifo" | "lvs_notify_fifo" => ["/run/a", "/run/b nobody daemon"],
        "notify_fifo_script" | "vrrp_notify_fifo_script" | "lvs_notify_fifo_script" => ["/bin/true", "/bin/x"],
        "auth_pass" => ["x7Kf", "y8Lg"],
        "path" | "file" => ["/a", "/b"],
        "process" => ["a", "a b"],
        "init_file" => ["3", "3 overwrite"],
        "certificate" | "key" => ["/etc/a.pem", "/etc/b.pem"],
        "status_code" => ["200", "300-399"],
        "digest" => ["9b3a0c85a887a256d6939da88aabd8cd", "0b3a0c85a887a256d6939da88aabd8cd"],
        "regex" => ["ok", "well"],
        "regex_options" => ["caseless", "dotall extended"],
        "persistence_granularity" => ["255.255.255.0", "16"],
        "lvs_timeouts" => ["tcp 100", "tcpfin 5 udp 7"],
        "lvs_sync_daemon" => ["eth0", "eth0 inst VI_1 id 9 port 5"],
        "sorry_server" => ["198.51.100.8", "198.51.100.9 81"],
        "vrrp_mcast_group4" | "mcast_dst_ip" => ["224.0.0.81", "224.0.0.82"],
        "vrrp_mcast_group6" => ["ff02::81", "ff12::82"],
        "state_dump_file" | "stats_dump_file" | "json_dump_file" => ["/run/a", "/run/b"],
        "advert_int" => ["2", "3"],
        "track_file" if keyword.block == Block::FileCheck => ["F", "G"],
        "name" => ["a.example", "b.example."],
        "payload" | "require_reply" => ["00", "ab c"],
        _ => return None,
    })
}

/// Two values that the row takes.
fn values(keyword: &Keyword) -> [String; 2] {
    if let Some(samples) = samples(keyword) {
        return samples.map(str::to_owned);
    }
    match keyword.takes.value {
        Value::None => [String::new(), String::new()],
        Value::Number { from, to } => [from.to_string(), to.to_string()],
        Value::Seconds { from, to } => [decimal(from), decimal(to)],
        Value::Choice([first, .., last]) => [(*first).to_owned(), (*last).to_owned()],
        Value::Choice(names) => [names.concat(), names.concat()],
        Value::Switch => ["off".to_owned(), "on".to_owned()],
        Value::Ip => ["192.0.2.11".to_owned(), "192.0.2.12".to_owned()],
        Value::Ipv4 | Value::Interface => ["eth1".to_owned(), "eth2".to_owned()],
        Value::Text(_) => panic!("{keyword:?} needs samples"),
    }
}

/// Milliseconds as decimal seconds.
fn decimal(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// What must be there for a word to count at all.
fn beside(keyword: &Keyword) -> &'static str {
    match keyword.word {
        "auth_pass" => "auth_type PASS\n",
        "auth_type" => "auth_pass x7Kf\n",
        "unicast_src_ip" | "unicast_ttl" => "unicast_peer {\n 192.0.2.99\n}\n",
        "sorry_server_lvs_method" | "sorry_server_inhibit" => "sorry_server 198.51.100.9\n",
        "regex_no_match" | "regex_options" | "regex_min_offset" | "regex_max_offset" => "regex ok\n",
        "param_match" => "process p x\n",
        "sni_name" => "enable_sni\n",
        "min_reply_length" | "max_reply_length" => "require_reply\n",
        "hysteresis" => "quorum 2147483647\n",
        "notify_fifo_script" => "notify_fifo /run/f\n",
        "vrrp_notify_fifo_script" => "vrrp_notify_fifo /run/f\n",
        "lvs_notify_fifo_script" => "lvs_notify_fifo /run/f\n",
        "persistence_granularity" | "persistence_engine" => "persistence_timeout 50\n",
        _ => "",
    }
}

/// A whole file with `lines` in that block, without what they replace.
fn file(block: Block, keyword: &Keyword, lines: &str) -> String {
    let inside = |of: Block| if of == block { lines } else { "" };
    let own = |of: Block, line: &str| {
        let word = line.split([' ', '\n']).next().unwrap_or_default();
        if of == block && word == keyword.canonical() { String::new() } else { format!("{line}\n") }
    };
    // `default_interface` counts where an instance names none.
    let interface =
        if keyword.word == "default_interface" { String::new() } else { own(Block::VrrpInstance, "interface eth0") };
    let script = own(Block::VrrpScript, "script /bin/sh");
    let misc = own(Block::MiscCheck, "misc_path /bin/sh");
    let tracked = own(Block::VrrpInstance, "track_script { chk }");
    let auth = if block == Block::Authentication { format!("authentication {{\n{lines}\n}}\n") } else { String::new() };
    // It counts where mail can be sent.
    let mail = if keyword.word == "smtp_alert" && block != Block::GlobalDefs {
        "notification_email {\n a@example.com\n}\nsmtp_server mail.example.com\n"
    } else {
        ""
    };
    let ipv6 = if keyword.word == "vrrp_mcast_group6" {
        "vrrp_instance VI_6 {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n fe80::1/64\n}\n}\n"
    } else {
        ""
    };
    let target = if keyword.word == "ip_family" { "fwmark 3" } else { "192.0.2.100 80" };
    let tracks = own(Block::FileCheck, "track_file F");
    let files = own(Block::VrrpInstance, "track_file {\n F\n}");
    let processes = own(Block::VrrpInstance, "track_process {\n P\n}");
    let group = if block == Block::SyncGroup {
        let members = own(Block::SyncGroup, "group {\n VI_1\n VI_2\n}");
        format!(
            "vrrp_instance VI_2 {{\ninterface eth2\nvirtual_router_id 52\ntrack_script {{\nchk weight 7\n}}\n}}\n\
             vrrp_sync_group G {{\n{members}{lines}\n}}\n"
        )
    } else {
        String::new()
    };
    let track_group = if block == Block::TrackGroup {
        format!("track_group T {{\n{lines}\n}}\nstatic_ipaddress {{\n 192.0.2.9/24 track_group T\n}}\n")
    } else {
        String::new()
    };
    let garp_group = if block == Block::GarpGroup {
        let (pause, interface) = (own(Block::GarpGroup, "garp_interval 1"), own(Block::GarpGroup, "interface eth0"));
        format!("garp_group {{\n{pause}{interface}{lines}\n}}\n")
    } else {
        String::new()
    };
    format!(
        "global_defs {{\n{mail}{}\n}}\nvrrp_script chk {{\n{script}{}\n}}\ntrack_file F {{\n{}{}\n}}\n\
         vrrp_track_process P {{\n{}{}\n}}\n\
         vrrp_instance VI_1 {{\n{interface}{}virtual_ipaddress {{\n 192.0.2.100\n}}\n{tracked}{files}{processes}{auth}{}\n}}\n\
         virtual_server {target} {{\n{}{}\nreal_server 198.51.100.21 80 {{\n{}\nTCP_CHECK {{\n{}\n}}\n\
         HTTP_GET {{\n{}\nurl {{\n{}\n}}\n}}\nPING_CHECK {{\n{}\n}}\n\
         SMTP_CHECK {{\n{}\nhost {{\n{}\n}}\n}}\nMISC_CHECK {{\n{misc}{}\n}}\n\
         SSL_GET {{\n{}\nurl {{\n{}\n}}\n}}\nUDP_CHECK {{\n{}\n}}\nDNS_CHECK {{\n{}\n}}\nFILE_CHECK {{\n{tracks}{}\n}}\n}}\n}}\nSSL {{\n{}\n}}\n{group}{garp_group}{track_group}{ipv6}",
        inside(Block::GlobalDefs),
        inside(Block::VrrpScript),
        own(Block::TrackFile, "file /f"),
        inside(Block::TrackFile),
        own(Block::TrackProcess, "process p"),
        inside(Block::TrackProcess),
        own(Block::VrrpInstance, "virtual_router_id 51"),
        inside(Block::VrrpInstance),
        own(Block::VirtualServer, "protocol TCP"),
        inside(Block::VirtualServer),
        inside(Block::RealServer),
        inside(Block::TcpCheck),
        inside(Block::HttpGet),
        inside(Block::Url),
        inside(Block::PingCheck),
        inside(Block::SmtpCheck),
        inside(Block::SmtpHost),
        inside(Block::MiscCheck),
        inside(Block::SslGet),
        inside(Block::SslUrl),
        inside(Block::UdpCheck),
        inside(Block::DnsCheck),
        inside(Block::FileCheck),
        inside(Block::Ssl),
    )
}

/// What that file means. Mistakes of other kinds than a bad value do not matter: only what the word changes does.
fn meaning(block: Block, keyword: &Keyword, lines: &str) -> Config {
    let (_, loaded) = load(&file(block, keyword, lines));
    let bad = loaded.diagnostics.iter().find(|it| matches!(it.code, "bad-value" | "missing-value" | "unknown-word"));
    assert!(bad.is_none(), "{lines}: {bad:?}");
    loaded.best_effort().clone()
}

/// Two texts that say different things with the word.
fn lines(keyword: &Keyword) -> [String; 2] {
    let beside = beside(keyword);
    let line = |value: &str| format!("{beside}{} {value}", keyword.word);
    match (keyword.word, keyword.takes.block, keyword.takes.max) {
        ("virtual_ipaddress" | "virtual_ipaddress_excluded", ..) => {
            [format!("{} {{\n 192.0.2.7\n}}", keyword.word), format!("{} {{\n 192.0.2.8\n}}", keyword.word)]
        }
        ("persistence_engine", ..) => [beside.to_owned(), format!("{beside}persistence_engine sip")],
        ("notification_email", ..) => [String::new(), "notification_email {\n a@example.com\n}".to_owned()],
        ("group", ..) if keyword.block == Block::TrackGroup => {
            ["group {\n}".to_owned(), "group {\n VI_1\n}".to_owned()]
        }
        ("group", ..) => ["group {\n VI_1\n}".to_owned(), "group {\n VI_2\n VI_1\n}".to_owned()],
        ("interfaces", ..) => ["interfaces {\n eth1\n}".to_owned(), "interfaces {\n eth2\n eth1\n}".to_owned()],
        ("virtual_routes", ..) => [String::new(), "virtual_routes {\n 203.0.113.0/24 dev eth0\n}".to_owned()],
        ("virtual_rules", ..) => {
            [String::new(), "virtual_rules {\n from 192.0.2.0/24 table 100 priority 5\n}".to_owned()]
        }
        ("unicast_peer", ..) => [String::new(), "unicast_peer {\n 192.0.2.99\n}".to_owned()],
        ("track_interface", ..) => [String::new(), "track_interface {\n eth1 weight 5\n}".to_owned()],
        ("track_file", Some(Block::Tracked), _) => {
            ["track_file {\n}".to_owned(), "track_file {\n F weight 5\n}".to_owned()]
        }
        ("track_process", ..) => ["track_process {\n}".to_owned(), "track_process {\n P weight 5\n}".to_owned()],
        ("track_script", ..) => ["track_script {\n}".to_owned(), "track_script {\n chk weight 5\n}".to_owned()],
        ("authentication", ..) => [String::new(), "authentication {\n auth_type PASS\n auth_pass x7Kf\n}".to_owned()],
        (_, Some(_), _) | (_, None, 0) => [beside.to_owned(), format!("{beside}{}{}", keyword.word, open(keyword))],
        _ => values(keyword).map(|value| line(&value)),
    }
}

fn open(keyword: &Keyword) -> &'static str {
    match (keyword.word, keyword.takes.block) {
        ("global_defs", _) => " {\n router_id x\n}",
        ("track_file" | "vrrp_track_file", Some(Block::TrackFile)) => " more {\n file /more\n}",
        ("vrrp_track_process", _) => " more {\n process more\n}",
        ("vrrp_script", _) => " more {\n script /bin/true\n}",
        ("vrrp_instance", _) => " VI_2 {\n interface eth0\n virtual_router_id 52\n}",
        ("vrrp_sync_group", _) => " G {\n group {\n VI_1\n }\n}",
        ("track_group", _) => " G {\n group {\n VI_1\n }\n}\nstatic_ipaddress {\n 192.0.2.9/24 track_group G\n}",
        ("garp_group", _) => " {\n interface eth1\n gna_interval 1\n}",
        ("virtual_server_group", _) => " g {\n 192.0.2.5 80\n}\nvirtual_server group g {\n protocol TCP\n}",
        ("virtual_server", _) => " 192.0.2.101 80 {\n protocol TCP\n}",
        ("real_server", _) => " 198.51.100.22 80 {\n}",
        ("FILE_CHECK", _) => " {\n track_file F\n}",
        ("static_ipaddress", _) => " {\n 192.0.2.7/24\n}",
        ("static_routes", _) => " {\n 203.0.113.0/24 dev eth0\n}",
        ("static_rules", _) => " {\n from 192.0.2.0/24 table 100 priority 5\n}",
        ("SSL", _) => " {\n certificate /etc/c.pem\n key /etc/c.pem\n}",
        (_, Some(_)) => " {\n}",
        (_, None) => "",
    }
}

/// Words that are acted on, old and second names too.
fn acted() -> impl Iterator<Item = &'static Keyword> {
    all().filter(|keyword| {
        let target = find(keyword.block, keyword.canonical());
        target.is_some_and(|target| target.standing == Standing::Acted)
    })
}

#[test]
fn each_word_that_is_acted_on_changes_the_configuration() {
    let mut invisible: Vec<&str> = Vec::new();
    for keyword in acted() {
        let block = keyword.block;
        let [a, b] = lines(keyword);
        let same = if block == Block::Root {
            let base = file(Block::Root, keyword, "");
            load(&base).1.best_effort() == load(&(base.clone() + &b)).1.best_effort()
        } else {
            meaning(block, keyword, &a) == meaning(block, keyword, &b)
        };
        if same {
            invisible.push(keyword.word);
        }
    }
    assert_eq!(invisible, INVISIBLE.map(|(word, _)| word), "these change nothing");
}

#[test]
fn each_value_of_a_range_is_taken_and_the_next_is_not() {
    for keyword in acted().filter(|keyword| keyword.block != Block::Root && samples(keyword).is_none()) {
        let outside = match keyword.takes.value {
            Value::Number { from, to } => vec![(from - 1).to_string(), (to + 1).to_string(), "x".to_owned()],
            Value::Seconds { from, to } => {
                let below = if from == 0 { "-1".to_owned() } else { decimal(from - 1) };
                vec![below, decimal(to + 1), "x".to_owned()]
            }
            Value::Choice(names) => {
                for name in names {
                    meaning(keyword.block, keyword, &format!("{} {name}", keyword.word));
                }
                vec!["x".to_owned()]
            }
            Value::Switch | Value::Ip | Value::Ipv4 => vec!["x".to_owned()],
            Value::Interface => vec!["a/b".to_owned()],
            Value::None | Value::Text(_) => continue,
        };
        for value in outside {
            let text = file(keyword.block, keyword, &format!("{} {value}", keyword.word));
            let codes: Vec<_> = load(&text).1.diagnostics.iter().map(|it| it.code).collect();
            assert!(codes.contains(&"bad-value"), "{} {value} in {:?}: {codes:?}", keyword.word, keyword.block);
        }
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    for keyword in acted().filter(|keyword| keyword.block != Block::Root) {
        let beside = beside(keyword);
        let absent = meaning(keyword.block, keyword, beside);
        if let Default::Is(value) = keyword.default {
            let written = meaning(keyword.block, keyword, &format!("{beside}{} {value}", keyword.word));
            assert_eq!(written, absent, "{} {value} in {:?}", keyword.word, keyword.block);
        }
    }
}

/// The same value in the block that hands it down and in this one is the same as in the former alone.
#[test]
fn what_is_inherited_comes_from_the_word_that_the_row_names() {
    for keyword in acted() {
        let (of, word) = match keyword.default {
            Default::Of(of, word) => (of, word),
            Default::Like(word) => (keyword.block, word),
            Default::Nothing | Default::Is(_) | Default::Told(_) => continue,
        };
        let outer = find(of, word).unwrap();
        if outer.standing != Standing::Acted || outer.canonical() == keyword.canonical() && of == keyword.block {
            continue;
        }
        let [a, b] = values(outer);
        let value = if keyword.takes.value == Value::None {
            b
        } else if matches!(outer.takes.value, Value::Seconds { .. }) {
            "7".to_owned()
        } else {
            a.clone().max(b)
        };
        let handed = format!("{word} {value}");
        let own = format!("{} {value}", keyword.word);
        let text = |own: &str| {
            let with_own = file(
                keyword.block,
                keyword,
                &if of == keyword.block {
                    format!("{}{handed}\n{own}", beside(keyword))
                } else {
                    format!("{}{own}", beside(keyword))
                },
            );
            if of == keyword.block {
                with_own
            } else {
                with_own.replacen(&opening(of), &format!("{}{handed}\n", opening(of)), 1)
            }
        };
        let (alone, both) = (load(&text("")), load(&text(&own)));
        assert_eq!(alone.1.best_effort(), both.1.best_effort(), "{} in {:?}: {handed}", keyword.word, keyword.block);
        let nothing = load(&file(keyword.block, keyword, beside(keyword)));
        assert_ne!(alone.1.best_effort(), nothing.1.best_effort(), "{} in {:?}: {handed}", keyword.word, keyword.block);
    }
}

/// The line that opens a block in [`file`].
fn opening(block: Block) -> String {
    match block {
        Block::GlobalDefs => "global_defs {\n",
        Block::VirtualServer => "virtual_server 192.0.2.100 80 {\n",
        Block::RealServer => "real_server 198.51.100.21 80 {\n",
        Block::HttpGet => "HTTP_GET {\n",
        Block::SmtpCheck => "SMTP_CHECK {\n",
        Block::MiscCheck => "MISC_CHECK {\n",
        Block::SslGet => "SSL_GET {\n",
        Block::TrackFile => "track_file F {\n",
        other => panic!("{other:?} hands nothing down"),
    }
    .to_owned()
}

#[test]
fn the_reference_chapter_is_up_to_date() {
    let written = include_str!("../../../docs/words.md");
    assert!(
        written == vipward_core::config::words::markdown(),
        "docs/words.md is out of date: `cargo run -p vipward -- config words --format markdown > docs/words.md`"
    );
}
