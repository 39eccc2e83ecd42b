//! The mistakes of real files: one cause, one message, at its place. `gallery` shows how they read.

use crate::helpers::{instance, load, said, service};
use crate::mistakes_of_checks::of_checks;
use crate::server_groups::of_groups;

const CHECK: &str = "TCP_CHECK {\n}";

/// Text, and all that must be said about it.
fn single() -> Vec<(&'static str, String, &'static str)> {
    let vi = instance;
    vec![
        // Words.
        ("misspelt", vi("").replace("priority", "prioritty"), "E unknown-word 4:5"),
        ("another separator", service("", CHECK).replace("lb_kind", "lb-kind"), "E unknown-word 3:5"),
        ("spaces within a word", vi("mcast src ip 192.0.2.11"), "E unknown-word 8:1"),
        (
            "a misspelt block",
            "vvrp_script chk {\n script /bin/true\n user nobody\n}\n".to_owned() + &vi("track_script {\nchk\n}"),
            "E unknown-word 1:1",
        ),
        ("no space", service("", CHECK).replace("virtual_server ", "virtual_server"), "E missing-space 1:1"),
        ("no space before an address", service("sorry_server<ip>", CHECK), "E missing-space 5:1 E bad-value 5:13"),
        ("in another block", "global_defs {\n advert_int 1\n}".to_owned(), "W misplaced-word 2:2"),
        (
            "pasted text",
            "Sep 3 lb1 Keepalived[7]: Starting\nSep 3 lb1 Keepalived[7]: Opened\nSep 3 lb1 done\n".to_owned() + &vi(""),
            "W unknown-word 1:1",
        ),
        ("a stray block", vi("hello {\n x y\n}"), "W unknown-word 8:1"),
        ("a block in another block", vi("TCP_CHECK {\n connect_port 80\n}"), "E misplaced-word 8:1"),
        (
            "words in another block",
            "advert_int 1\nnopreempt\n".to_owned() + &vi("delay_loop 6"),
            "W misplaced-word 1:1 W misplaced-word 10:1",
        ),
        ("the opening line missing", vi("").replace("vrrp_instance VI_1 {\n", "# none\n"), "E unopened-block 2:5"),
        (
            "an inner opening line missing",
            vi(" auth_type PASS\n auth_pass x7Kf\n}\n advert_int 2"),
            "E unopened-block 8:2",
        ),
        ("an inner opening line missing at the end", vi(" auth_type PASS\n auth_pass x7Kf\n}"), "E unopened-block 8:2"),
        ("two on a line", vi("authentication { auth_type PASS auth_pass x7Kf\n}"), "E extra-words 8:33"),
        ("nat_mask", service("nat_mask 255.255.255.0", CHECK), "W dead-word 5:1"),
        ("lvs_id", "global_defs {\n lvs_id LVS_DEVEL\n}".to_owned(), "W dead-word 2:2"),
        ("nb_get_retry", service("", "TCP_CHECK {\n nb_get_retry 3\n}"), "W old-word 8:2"),
        ("the historical misspelling", vi("lvs_sync_daemon_inteface eth0"), "W old-word 8:1"),
        ("known, not yet", vi("use_vmac"), "W not-yet 8:1"),
        ("an unknown member", vi("") + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}", "E unknown-member 13:2"),
        (
            "mail of a server",
            "global_defs {\n notification_email {\n a@example.org\n }\n}\n".to_owned() + &service("", CHECK),
            "W no-mail 2:2",
        ),
        ("mail of nobody", vi("smtp_alert"), "I no-mail 8:1"),
        ("an old sync daemon", vi("lvs_sync_daemon_interface eth0"), "W old-word 8:1"),
        (
            "a sync daemon of nobody",
            "global_defs {\nlvs_sync_daemon eth0 VI_2 id 5\n}\n".to_owned() + &vi(""),
            "W unknown-instance 2:1",
        ),
        (
            "a sync daemon without a value",
            "global_defs {\nlvs_sync_daemon eth0 VI_1 id\n}\n".to_owned() + &vi(""),
            "E missing-value 2:29",
        ),
        (
            "a sync daemon with more",
            "global_defs {\nlvs_sync_daemon eth0 VI_1 vrid 5\n}\n".to_owned() + &vi(""),
            "E bad-value 2:27",
        ),
        (
            "a sync daemon that sends to one",
            "global_defs {\nlvs_sync_daemon eth0 group 192.0.2.1\n}\n".to_owned() + &vi(""),
            "E bad-value 2:28",
        ),
        (
            "a sync daemon and two families",
            "global_defs {\nlvs_sync_daemon eth0\n}\n".to_owned()
                + &service("", CHECK).replace("NAT", "TUN").replace("198.51.100.21", "2001:db8::21"),
            "E mixed-families 9:5",
        ),
        ("timeouts of what", "global_defs {\nlvs_timeouts tcp 5 sctp 7\n}\n".to_owned() + &vi(""), "E bad-value 2:20"),
        (
            "a timeout without seconds",
            "global_defs {\nlvs_timeouts tcp 5 udp\n}\n".to_owned() + &vi(""),
            "E missing-value 2:23",
        ),
        (
            "a timeout of months",
            "global_defs {\nlvs_timeouts tcp 9999999\n}\n".to_owned() + &vi(""),
            "E bad-value 2:18",
        ),
        ("adverts checked once", vi("skip_check_adv_addr"), "I not-yet 8:1"),
        ("no_accept", vi("no_accept"), "E not-yet 8:1"),
        (
            "weights of an owner",
            "vrrp_script chk {\n script /bin/true\n user nobody\n weight -5\n}\n".to_owned()
                + &vi("track_script {\n chk\n}").replace("priority 100", "priority 255"),
            "W address-owner 9:5 W owner-weight 13:1",
        ),
        (
            "members without a group",
            vi("") + "vrrp_sync_group G {\n VI_1 VI_2\n}",
            "W empty-group 10:1 W unknown-word 11:2",
        ),
        ("a sync group of one", vi("") + "vrrp_sync_group G {\n group {\n VI_1\n }\n}", "I lone-group 10:1"),
        (
            "a weight within a sync group",
            "vrrp_script chk {\n script /bin/true\n user nobody\n weight -20\n}\n".to_owned()
                + &vi("track_script {\n chk\n}")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            "W group-weight 13:1",
        ),
        (
            "a weight that its sync group lets count",
            "vrrp_script chk {\n script /bin/true\n user nobody\n weight -20\n}\n".to_owned()
                + &vi("track_script {\n chk\n}")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n sync_group_tracking_weight\n}",
            "",
        ),
        (
            "a sync group",
            vi("")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            "",
        ),
        (
            "two sync groups of one",
            vi("")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}\nvrrp_sync_group H {\n group {\n VI_2\n }\n notify /x root\n}",
            "W two-groups 27:2",
        ),
        (
            "garp_groups that say nothing, or the same twice",
            vi("")
                + "garp_group {\n garp_interval 0.1\n interfaces {\n eth0\n eth1\n }\n}\n\
                   garp_group {\n gna_interval 0.1\n interface eth1\n interfaces {\n eth2\n }\n}\n\
                   garp_group {\n interface eth3\n}\ngarp_group {\n garp_interval 1\n}",
            "W two-garp-groups 19:2 W garp-group-empty 24:1 W garp-group-empty 27:1",
        ),
        (
            "priorities within a sync group",
            vi("")
                + &vi("")
                    .replace("priority 100", "priority 90")
                    .replace("VI_1", "VI_2")
                    .replace("router_id 51", "router_id 52")
                    .replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            "W group-priority 4:5",
        ),
        (
            "nopreempt within a sync group",
            vi("nopreempt")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            "W group-nopreempt 8:1",
        ),
        (
            "intervals within a sync group",
            vi("advert_int 3")
                + &vi("").replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101")
                + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            "I group-interval 8:1",
        ),
        (
            "mail",
            "global_defs {\n notification_email {\n a@example.org\n }\n smtp_server 127.0.0.1\n}".to_owned(),
            "I no-mail 2:2",
        ),
        ("twice", vi("priority 90"), "W duplicate-word 8:1"),
        ("three notify_master", vi("notify_master /x root\nnotify_master /y root\n"), "E duplicate-word 9:1"),
        ("// comments", vi("// one\n// two\nnopreempt // three"), "E slash-comment 8:1"),
        ("; comments", "; one\n;two\n".to_owned() + &vi(""), "E semicolon-comment 1:1"),
        ("semicolons", vi("advert_int 1;\nnopreempt;"), "E semicolon 8:13"),
        ("no-break spaces", vi("\u{a0}nopreempt\n\u{a0}advert_int\u{a0}1"), "W odd-space 8:1"),
        ("typographic quotes", "global_defs {\n router_id \u{201c}lb one\u{201d}\n}".to_owned(), "E odd-quote 2:12"),
        ("an open quote", "global_defs {\n router_id \"lb\n}".to_owned(), "E open-quote 2:12"),
        (
            "a comment in a word",
            vi("authentication {\n auth_type PASS\n auth_pass x7#Kf\n}"),
            "W comment-in-word 10:12",
        ),
        ("a space before =", "$A = 3\n".to_owned() + &vi(""), "E bad-definition 1:1"),
        ("an unknown name", "global_defs {\n router_id ${WHO}\n}".to_owned(), "W undefined-name 2:12"),
        // Braces.
        ("the last brace missing", vi("").trim_end_matches("}\n").to_owned(), "W unclosed-block 1:1"),
        (
            "an inner brace missing",
            vi("authentication {\n auth_type PASS\n auth_pass x7Kf\nnopreempt\nadvert_int 1"),
            "E unclosed-block 8:1",
        ),
        (
            "an inner brace missing before a block",
            vi("authentication {\n auth_type PASS\n auth_pass x7Kf\ntrack_interface {\n eth0 weight 3\n}"),
            "E unclosed-block 8:1 W own-interface 12:2",
        ),
        ("a list left open", vi("").replace("/24\n    }", "/24\n    nopreempt"), "E unclosed-block 5:5"),
        (
            "a block left open before the next",
            vi("").replace("/24\n    }\n", "/24\n    }").trim_end_matches("}\n").to_owned()
                + &vi("").replace("VI_1", "VI_2").replace("51", "52").replace("100/24", "101/24"),
            "E unclosed-block 1:1",
        ),
        ("a brace too many at the end", vi("") + "}\n", "E stray-brace 10:1"),
        ("a brace too many within", vi("").replace("    priority", "    }\n    priority"), "E stray-brace 4:5"),
        ("a brace too many in a server", service("", "weight 3\n}\n TCP_CHECK {\n }"), "E stray-brace 8:1"),
        ("no opening brace", vi("").replace("VI_1 {", "VI_1"), "E missing-brace 1:19"),
        ("a block where none is", vi("priority 90 {\n}").replace("    priority 100\n", ""), "E unexpected-block 7:1"),
        ("a brace alone", "{\n}".to_owned(), "E nameless-block 1:1"),
        ("nothing but a closing brace", "}".to_owned(), "E stray-brace 1:1"),
        // Virtual routers.
        ("state in small letters", vi("state backup"), "W bad-value 8:7"),
        ("state SLAVE", vi("state SLAVE"), "W bad-value 8:7"),
        ("VRID 0", vi("").replace("51", "0"), "E bad-value 3:23"),
        ("VRID 256", vi("").replace("51", "256"), "E bad-value 3:23"),
        ("no VRID", vi("").replace("    virtual_router_id 51\n", ""), "E missing-word 1:1"),
        ("no interface", vi("").replace("    interface eth0\n", ""), "E missing-word 1:1"),
        ("no priority", vi("").replace("    priority 100\n", ""), "I default-priority 1:1"),
        ("priority 256", vi("").replace("100\n    virtual_ip", "256\n    virtual_ip"), "E bad-value 4:14"),
        ("priority 0", vi("").replace("100\n    virtual_ip", "0\n    virtual_ip"), "E bad-value 4:14"),
        ("no interval in version 2", vi("advert_int 0"), "E bad-value 8:12"),
        ("256 seconds in version 2", vi("advert_int 256"), "E bad-value 8:12"),
        ("half a centisecond", vi("version 3\nadvert_int 0.005"), "E bad-value 9:12"),
        ("4096 centiseconds", vi("version 3\nadvert_int 40.96"), "E bad-value 9:12"),
        ("address owner", vi("").replace("priority 100", "priority 255"), "W address-owner 4:5"),
        ("nopreempt on a MASTER", vi("state MASTER\nnopreempt"), "W nopreempt-master 9:1"),
        ("tenths of a second in version 2", vi("advert_int 0.5"), "E bad-value 8:12"),
        ("a minute in version 3", vi("version 3\nadvert_int 60"), "E bad-value 9:12"),
        ("a tracked file that is not there", vi("track_file {\n F\n}"), "E unknown-file 9:2"),
        (
            "a tracked file without a path",
            vi("track_file {\n F\n}") + "track_file F {\n weight 2\n}\n",
            "E missing-word 12:1",
        ),
        (
            "a weight that no file can have",
            vi("track_file {\n F weight 255\n}") + "track_file F {\n file /f\n}\n",
            "E bad-value 9:11",
        ),
        ("a tracked process that is not there", vi("track_process {\n P\n}"), "E unknown-process 9:2"),
        (
            "a tracked process without a name",
            vi("track_process {\n P\n}") + "vrrp_track_process P {\n quorum 2\n}\n",
            "E missing-word 12:1",
        ),
        (
            "a tracked process that is a path",
            vi("track_process {\n P\n}") + "vrrp_track_process P {\n process /usr/sbin/nginx\n}\n",
            "W process-path 13:2",
        ),
        (
            "processes of which no number is right",
            vi("track_process {\n P\n}") + "vrrp_track_process P {\n process p\n quorum 3\n quorum_max 2\n}\n",
            "W process-quorum 15:2",
        ),
        (
            "a password that everybody knows, for AH",
            vi("authentication {\n auth_type AH\n auth_pass 1111\n}"),
            "W public-password 10:12",
        ),
        (
            "the manual's password",
            vi("authentication {\n auth_type PASS\n auth_pass 1111\n}"),
            "W public-password 10:12",
        ),
        ("a long password", vi("authentication {\n auth_type PASS\n auth_pass x7Kf-9qLm\n}"), "W long-password 10:12"),
        (
            "a password in version 3",
            vi("version 3\nauthentication {\n auth_type PASS\n auth_pass x7Kf\n}"),
            "W no-authentication 9:1",
        ),
        (
            "a password in strict mode",
            "global_defs {\n vrrp_strict\n}\n".to_owned()
                + &vi("authentication {\n auth_type PASS\n auth_pass x7Kf\n}"),
            "W no-authentication 11:1",
        ),
        ("half an address", vi("").replace("192.0.2.100/24", "192.0.2"), "E bad-address 6:9"),
        ("a letter behind an address", vi("").replace("192.0.2.100/24", "192.0.2.100/24x"), "E bad-address 6:9"),
        ("a netmask", vi("").replace("/24", "/255.255.255.0"), "E bad-address 6:9"),
        ("two addresses on a line", vi("").replace("/24", "/24 192.0.2.101/24"), "E unknown-word 6:24"),
        ("an address twice", vi("").replace("/24\n", "/24\n192.0.2.100/24\n"), "W duplicate-address 7:1"),
        ("an address twice, not alike", vi("").replace("/24\n", "/24\n192.0.2.100\n"), "E duplicate-address 7:1"),
        ("an IPv6 address", vi("").replace("192.0.2.100/24", "2001:db8::1/64"), "I not-link-local 6:9"),
        (
            "addresses of two families",
            vi("").replace("192.0.2.100/24", "fe80::1/64\n192.0.2.100/24"),
            "E other-family 7:1",
        ),
        ("native_ipv6 and IPv4", vi("native_ipv6"), "E other-family 8:1"),
        ("a source of another family", vi("mcast_src_ip 2001:db8::11"), "E other-family 8:1"),
        (
            "a peer of another family",
            vi("unicast_src_ip 192.0.2.11\nunicast_peer {\n192.0.2.12\n2001:db8::12\n}"),
            "E other-family 11:1",
        ),
        ("a group of another family", vi("mcast_dst_ip ff02::12"), "E other-family 8:1"),
        (
            "an IPv6 group that leaves the segment",
            "global_defs {\n vrrp_mcast_group6 ff05::12\n}".to_owned(),
            "E bad-value 2:20",
        ),
        ("an IPv4 group for IPv6", "global_defs {\n vrrp_mcast_group6 224.0.0.18\n}".to_owned(), "E bad-value 2:20"),
        ("version 2 with IPv6", vi("version 2").replace("192.0.2.100/24", "fe80::1/64"), "W version-2-ipv6 8:1"),
        (
            "a password over IPv6",
            vi("authentication {\n auth_type PASS\n auth_pass x7Kf\n}").replace("192.0.2.100/24", "fe80::1/64"),
            "W no-authentication 8:1",
        ),
        (
            "a password over IPv6 in version 2",
            vi("version 2\nauthentication {\n auth_type PASS\n auth_pass x7Kf\n}")
                .replace("192.0.2.100/24", "fe80::1/64"),
            "W version-2-ipv6 8:1 E no-authentication 9:1",
        ),
        ("an IPv6 broadcast", vi("").replace("192.0.2.100/24", "fe80::1/64 brd +"), "E bad-value 6:20"),
        ("an IPv6 label", vi("").replace("192.0.2.100/24", "fe80::1/64 label eth0:1"), "W ipv4-only 6:20"),
        ("no address at all", vi("").replace("        192.0.2.100/24\n", ""), "W no-addresses 1:1"),
        ("an address elsewhere", vi("").replace("/24", "/24 dev ens33"), "W other-interface 6:9"),
        (
            "an address elsewhere, where adverts have a link of their own",
            vi("unicast_src_ip 192.0.2.11\nunicast_peer {\n 192.0.2.12\n}").replace("100/24", "100/24 dev ens33"),
            "I other-interface 6:9",
        ),
        (
            "an address elsewhere, which is tracked",
            vi("track_interface {\n ens33\n}").replace("/24", "/24 dev ens33"),
            "I other-interface 6:9",
        ),
        ("unicast without a source", vi("unicast_peer {\n 192.0.2.12\n}"), "W no-unicast-source 8:1"),
        ("a source without unicast", vi("unicast_src_ip 192.0.2.11"), "W no-peers 8:1"),
        ("no peers", vi("unicast_src_ip 192.0.2.11\nunicast_peer {\n}"), "E no-peers 9:1"),
        ("its own peer", vi("unicast_src_ip 192.0.2.11\nunicast_peer {\n 192.0.2.11\n}"), "E own-peer 10:2"),
        (
            "prefixes of peers",
            vi("unicast_src_ip 192.0.2.11/24\nunicast_peer {\n 192.0.2.12/24\n}"),
            "W prefix-ignored 8:16 W prefix-ignored 10:2",
        ),
        (
            "a peer twice",
            vi("unicast_src_ip 192.0.2.11\nunicast_peer {\n 192.0.2.12\n 192.0.2.12\n}"),
            "W duplicate-peer 11:2",
        ),
        ("state with =", vi("state = MASTER"), "W bad-value 8:7"),
        ("a number behind =", vi("advert_int = 2"), "E bad-value 8:12"),
        ("a list of values behind =", vi("garp_master_delay = 2"), "E bad-value 8:19"),
        ("a value behind =", vi("mcast_src_ip=192.0.2.1"), "E missing-space 8:1"),
        ("its own interface tracked", vi("track_interface {\n eth0\n}"), "I own-interface 9:2"),
        ("its own interface with a weight", vi("track_interface {\n eth0 weight 5\n}"), "W own-interface 9:2"),
        ("another interface tracked", vi("track_interface {\n eth1\n}"), ""),
        ("another option of a tracked interface", vi("track_interface {\n eth1 wieght 5\n}"), "E unknown-word 9:7"),
        ("two of one name", vi("") + &vi("").replace("51", "52").replace("2.100", "2.101"), "E duplicate-name 10:1"),
        ("one VRID twice", vi("") + &vi("").replace("VI_1", "VI_2").replace("2.100", "2.101"), "E duplicate-vrid 12:5"),
        (
            "one address in two",
            vi("") + &vi("").replace("VI_1", "VI_2").replace("51", "52"),
            "E duplicate-address 15:9",
        ),
        // Scripts.
        ("a script that is not there", vi("track_script {\n chk\n}"), "E unknown-script 9:2"),
        (
            "a script misspelt",
            "vrrp_script chk_http {\n script /bin/true\n user nobody\n}\n".to_owned()
                + &vi("track_script {\n chk_htpp\n}"),
            "E unknown-script 13:2",
        ),
        (
            "a script defined later",
            vi("track_script {\n chk\n}") + "vrrp_script chk {\n script /bin/true\n user nobody\n}\n",
            "I late-script 9:2",
        ),
        (
            "a script that nobody tracks",
            "vrrp_script chk {\n script /bin/true\n user nobody\n}\n".to_owned(),
            "W unused-script 1:1",
        ),
        ("no command", "vrrp_script chk {\n}\n".to_owned() + &vi("track_script {\n chk\n}"), "E missing-word 1:1"),
        (
            "shell syntax",
            "vrrp_script chk {\n script \"pidof nginx > /dev/null\"\n user nobody\n}\n".to_owned()
                + &vi("track_script {\n chk\n}"),
            "W shell-syntax 2:9",
        ),
        (
            "a file as a script",
            "vrrp_script chk {\n script \"</run/lb/flag\"\n user nobody\n}\n".to_owned()
                + &vi("track_script {\n chk\n}"),
            "W shell-syntax 2:9",
        ),
        ("scripts of root", vi("notify_master /etc/up.sh"), "W root-scripts 8:15"),
        ("an argument as user", vi("notify_master /etc/up.sh MASTER"), "W argument-as-user 8:26"),
        // Virtual servers.
        ("persistence 0", service("persistence_timeout 0", CHECK), "W bad-value 5:21"),
        ("quorum 0", service("quorum 0", CHECK), "W bad-value 5:8"),
        (
            "all clients one",
            service("persistence_timeout 5\npersistence_granularity 0.0.0.0", CHECK),
            "W one-client 6:25",
        ),
        (
            "a granularity of IPv6",
            service("persistence_timeout 5\npersistence_granularity 64", CHECK),
            "E bad-granularity 6:1",
        ),
        (
            "a netmask for IPv6",
            service("persistence_timeout 5\npersistence_granularity 255.255.255.0", CHECK)
                .replace("192.0.2.100", "2001:db8::1")
                .replace("198.51.100.21", "2001:db8::21"),
            "E bad-granularity 6:1",
        ),
        (
            "a granularity of nothing",
            service("persistence_granularity 129", CHECK),
            "W persistent 5:1 E bad-value 5:25",
        ),
        ("an engine without persistence", service("persistence_engine sip", CHECK), "W no-persistence 5:1"),
        (
            "an engine over TCP",
            service("persistence_timeout 5\npersistence_engine sip", CHECK),
            "W engine-of-another 6:1",
        ),
        (
            "an engine that is none",
            service("persistence_timeout 5\npersistence_engine spi", CHECK),
            "W engine-of-another 6:1 E bad-value 6:20",
        ),
        ("a tunnel without its type", service("", CHECK).replace("NAT", "TUN gue port 9"), "E bad-value 3:17"),
        ("a type without its name", service("", CHECK).replace("NAT", "TUN type"), "E missing-value 3:21"),
        ("a type that is none", service("", CHECK).replace("NAT", "TUN type vxlan"), "E bad-value 3:22"),
        ("a type for NAT", service("", CHECK).replace("NAT", "NAT type gue port 9"), "W no-tunnel 3:17"),
        ("GUE without a port", service("", CHECK).replace("NAT", "TUN type gue csum"), "E bad-tunnel 3:5"),
        ("GUE with two", service("", CHECK).replace("NAT", "TUN type gue type gre"), "E bad-tunnel 3:26"),
        ("GUE with port 0", service("", CHECK).replace("NAT", "TUN type gue port 0"), "E bad-value 3:31"),
        ("GRE with a port", service("", CHECK).replace("NAT", "TUN port 9 type gre"), "E bad-tunnel 3:17"),
        ("IPIP with a checksum", service("", CHECK).replace("NAT", "TUN csum"), "E bad-tunnel 3:17"),
        ("GRE with remcsum", service("", CHECK).replace("NAT", "TUN type gre remcsum"), "E bad-tunnel 3:26"),
        ("a flag of another scheduler", service("sh-port\nops", CHECK), "W flag-of-another 5:1 W flag-of-another 6:1"),
        ("an unknown scheduler", service("", CHECK).replace("lb_algo rr", "lb_algo rrr"), "E bad-value 2:13"),
        ("a kind in small letters", service("", CHECK).replace("NAT", "nat"), "E bad-value 3:13"),
        ("a fork's kind", service("", CHECK).replace("NAT", "FNAT"), "E bad-value 3:13"),
        ("no kind", service("", CHECK).replace("    lb_kind NAT\n", ""), "W missing-word 1:1"),
        ("no scheduler", service("", CHECK).replace("    lb_algo rr\n", ""), "W missing-word 1:1"),
        ("no protocol", service("", CHECK).replace("    protocol TCP\n", ""), "E missing-word 1:1"),
        ("no port", service("", CHECK).replace("100 80", "100"), "E missing-value 1:27"),
        ("a port glued on", service("", CHECK).replace("21 80", "21:80"), "E bad-value 6:17"),
        ("no checker", service("", ""), "W no-checker 6:5"),
        ("only another checker", service("", "BFD_CHECK {\n name b\n}"), "W not-yet 7:1"),
        ("no url", service("", "HTTP_GET {\n}"), "E missing-word 7:1"),
        ("a url with a host", service("", "HTTP_GET {\n url {\n path http://x/\n}\n}"), "E bad-value 9:7"),
        ("a status that is none", service("", "HTTP_GET {\n url {\n status_code OK\n}\n}"), "E bad-value 9:14"),
        ("a short digest", service("", "HTTP_GET {\n url {\n digest 9b3a\n}\n}"), "E bad-value 9:9"),
        (
            "another port under DR",
            service("", CHECK).replace("NAT", "DR").replace("198.51.100.21 80", "192.0.2.21 8080"),
            "I dr-arp 3:5 E dr-port 6:28",
        ),
        (
            "a real server twice",
            service("real_server 198.51.100.21 80 {\nTCP_CHECK {\n}\n}", CHECK),
            "E duplicate-server 9:5",
        ),
        ("a service twice", service("", CHECK) + &service("", CHECK), "E duplicate-service 11:1"),
        (
            "nobody behind it",
            "virtual_server 192.0.2.100 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n}".to_owned(),
            "W no-real-servers 1:1",
        ),
        (
            "an address that nobody holds",
            vi("") + &service("", CHECK).replace("2.100", "2.99"),
            "I foreign-address 10:1",
        ),
        ("a quorum too high", service("quorum 3", CHECK), "W quorum-out-of-reach 5:1"),
        ("a hysteresis too large", service("quorum 3\nhysteresis 3\nweight 9", CHECK), "E bad-hysteresis 6:1"),
        (
            "thresholds the wrong way round",
            service("", "uthreshold 3\nlthreshold 4\nTCP_CHECK {\n}"),
            "E bad-threshold 8:1",
        ),
        ("IPv6 behind IPv4", service("", CHECK).replace("198.51.100.21", "2001:db8::21"), "E mixed-families 6:5"),
        ("a value missing", service("delay_loop", CHECK), "E missing-value 5:11"),
        ("a word that is no number", service("delay_loop soon", CHECK), "E bad-value 5:12"),
        ("a value too many", service("delay_loop 6 7", CHECK), "W extra-words 5:14"),
        ("a switch that is neither", service("alpha maybe", CHECK), "E bad-value 5:7"),
    ]
}

#[test]
fn one_cause_is_one_message_at_its_place() {
    let mut wrong = String::new();
    for (name, text, want) in single().into_iter().chain(of_checks()).chain(of_groups()) {
        let said = said(&text).join(" ");
        if said != want {
            wrong += &format!("{name}\n  want {want}\n  said {said}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn gallery() {
    let mut shown = String::new();
    for (name, text, _) in single().into_iter().chain(of_checks()).chain(of_groups()) {
        let (sources, loaded) = load(&text);
        shown += &format!("~~~ {name}\n{}", vipward_core::text::render(&sources, &loaded.diagnostics, false));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_good_blocks_of_these_tests_are_good() {
    assert_eq!(said(&instance("")), [""; 0]);
    assert_eq!(said(&service("", CHECK)), [""; 0]);
}

#[test]
fn repeated_words_are_counted_not_repeated() {
    let server = "TCP_CHECK {\n nb_get_retry 3\n}\n";
    let text = service(&format!("real_server 198.51.100.1 80 {{\n{server}}}\n").repeat(1), server)
        + &(2..40).map(|n| service("", server).replace("2.100", &format!("2.{n}"))).collect::<String>();
    let (sources, loaded) = load(&text);
    let [one] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
    assert_eq!(sources.location(one.span().unwrap()).to_string(), "lb.conf:7:2");
    assert_eq!(one.notes, ["the same again in 39 more places, the next in lines 13, 25, 37, 49, 61, 73"]);
}

#[test]
fn a_file_of_garbage_does_not_fill_the_screen() {
    let text: String = (0..5000).map(|n| format!("zzzz{n} {{\n}}\n")).collect();
    let (_, loaded) = load(&text);
    assert_eq!(loaded.diagnostics.len(), 501);
    assert_eq!(loaded.diagnostics.last().unwrap().message, "4500 more mistakes are not shown");
}

#[test]
fn a_huge_pasted_text_is_one_message() {
    let (_, loaded) = load(&"Sep 13 lb1 kernel: something happened again\n".repeat(100_000));
    let [one] = loaded.diagnostics.as_slice() else { panic!("{}", loaded.diagnostics.len()) };
    assert_eq!(one.notes, ["the next 99999 lines are unknown as well"]);
}

/// The mended pair's file with one brace too many, or too few, at every place in turn.
#[test]
fn one_wrong_brace_anywhere_is_one_error() {
    let lines: Vec<&str> = include_str!("../../../scenarios/two-directors/lb1.conf").lines().collect();
    let mut wrong = String::new();
    for at in 0..=lines.len() {
        let mut broken = lines.clone();
        let indent = lines.get(at).or(lines.last()).map_or(0, |line| line.len() - line.trim_start().len());
        let brace = format!("{}}}", " ".repeat(indent));
        broken.insert(at, &brace);
        let errors: Vec<_> = said(&broken.join("\n")).into_iter().filter(|said| said.starts_with('E')).collect();
        if errors.len() != 1 {
            wrong += &format!("one more in line {}: {errors:?}\n", at + 1);
        }
        if lines.get(at).is_some_and(|line| line.trim() == "}") {
            let mut broken = lines.clone();
            broken.remove(at);
            let errors: Vec<_> = said(&broken.join("\n")).into_iter().filter(|said| !said.starts_with('I')).collect();
            let opening = opening(&lines, at);
            // Where only the end of the file is missing, nothing is lost.
            let severity = if at + 1 == lines.len() { 'W' } else { 'E' };
            if errors.len() != 1 || !errors[0].starts_with(&format!("{severity} unclosed-block {opening}:")) {
                wrong += &format!("one less in line {}: {errors:?}\n", at + 1);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The line, from 1, that opens the block which ends at index `close`.
fn opening(lines: &[&str], close: usize) -> usize {
    let mut depth = 0;
    for (index, line) in lines.iter().enumerate().take(close + 1).rev() {
        depth += i32::from(line.trim() == "}") - i32::from(line.ends_with('{'));
        if depth == 0 {
            return index + 1;
        }
    }
    0
}
