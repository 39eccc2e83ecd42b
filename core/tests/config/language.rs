//! The language itself: blocks, quotes, definitions, loops, conditions, included files.

use crate::helpers::{disk, good, instance, list, load, load_bytes, said};
use std::path::Path;
use vipward_core::config::{self, Limits, Options};
use vipward_core::text::{Files, Sources};

fn router_ids(text: &str, options: &Options) -> Option<String> {
    load_bytes(text.as_bytes(), options).1.best_effort().global.router_id.clone()
}

#[test]
fn a_brace_may_stand_anywhere_it_makes_sense() {
    for text in [
        "global_defs {\n router_id a\n}",
        "global_defs\n{\n router_id a\n}",
        "global_defs{\n router_id a\n}",
        "global_defs { router_id a }",
        "global_defs {router_id a}",
        "global_defs\n\n# remark\n{ router_id a\n}",
        "\u{feff}global_defs {\r\n router_id a\r\n}\r\n",
        "! remark\nglobal_defs { # remark\n router_id a ! remark\n}",
    ] {
        assert_eq!(good(text).global.router_id.as_deref(), Some("a"), "{text:?}");
        assert_eq!(said(text), [""; 0], "{text:?}");
    }
}

#[test]
fn lists_in_one_line() {
    let text = instance("")
        .replace("virtual_ipaddress {\n        192.0.2.100/24\n    }", "virtual_ipaddress { 192.0.2.1/24 dev eth0 }");
    assert_eq!(good(&text).routers[0].addresses[0].to_string(), "192.0.2.1/24 on eth0");
}

#[test]
fn definitions() {
    for (text, want) in [
        ("$ID=one\nglobal_defs {\n router_id $ID\n}", "one"),
        ("$ID=one\nglobal_defs {\n router_id ${ID}two\n}", "onetwo"),
        ("$A=x\n$B=${A}y\nglobal_defs {\n router_id $B\n}", "xy"),
        // Late: what counts is the value at the place of use.
        ("$B=${A}y\n$A=1\nglobal_defs {\n router_id $B\n}", "1y"),
        ("$A=1\n$A=2\nglobal_defs {\n router_id $A\n}", "2"),
        ("$ALL= \\\nglobal_defs { \\\n router_id multi \\\n}\n$ALL", "multi"),
        ("$ALL=\nglobal_defs { \\\n router_id multi \\\n}\n$ALL", "multi"),
        ("$ALL=global_defs { \\\n $N=in \\\n router_id ${N}side \\\n}\n$ALL", "inside"),
        ("global_defs {\n router_id ${NOTHING}\n}", "${NOTHING}"),
        ("global_defs {\n router_id a${_HASH}b${_BANG}c # remark\n}", "a#b!c"),
        ("$Q=\"two words\"\nglobal_defs {\n router_id $Q\n}", "two words"),
        ("global_defs {\n router_id ${_INSTANCE}\n}", "lb1"),
        ("global_defs {\n router_id ${_ENV HOME}\n}", "/root"),
        ("global_defs {\n router_id x${_RANDOM 7 7}\n}", "x7"),
        ("@lb1 $ID= \\\none\n@lb2 $ID= \\\ntwo\nglobal_defs {\n router_id $ID\n}", "one"),
    ] {
        let mut options = Options { config_id: "lb1".to_owned(), ..Options::default() };
        options.environment.insert("HOME".to_owned(), "/root".to_owned());
        assert_eq!(router_ids(text, &options).as_deref(), Some(want), "{text}");
    }
}

#[test]
fn lines_for_one_host() {
    let text = "global_defs {\n @lb1 router_id one\n @lb2 router_id two\n @^lb1 vrrp_version 3\n}";
    for (id, want) in [("lb1", Some("one")), ("lb2", Some("two")), ("lb3", None)] {
        let options = Options { config_id: id.to_owned(), ..Options::default() };
        assert_eq!(router_ids(text, &options).as_deref(), want, "{id}");
    }
}

#[test]
fn loops() {
    let emails = |line: &str| {
        let text = format!("global_defs {{\n notification_email {{\n {line}\n }}\n}}");
        let (sources, loaded) = load(&text);
        let said = list(&sources, &loaded.diagnostics);
        assert!(said.iter().all(|said| said.starts_with("I no-mail")), "{line}: {said:?}");
        loaded.config.unwrap().global.notification_email.join(" ")
    };
    assert_eq!(emails("~SEQ(N, 3) a$N"), "a1 a2 a3");
    assert_eq!(emails("~SEQ(N, -2) a$N"), "a-1 a-2");
    assert_eq!(emails("~SEQ(N, 5, 3) a$N"), "a5 a4 a3");
    assert_eq!(emails("~SEQ(N, 8, 4, 16) ${N}x"), "8x 12x 16x");
    assert_eq!(emails("~SEQx(N, 9, 11) a$N"), "a9 aa ab");
    assert_eq!(emails("~LST(N, x, y) a$N"), "ax ay");
    assert_eq!(emails("~LST({N, M}, {x, 1}, {y, 2}) $N${M}"), "x1 y2");
    assert_eq!(emails("~SEQ(A, 2) ~SEQ(B, 2) ${A}${B}"), "11 12 21 22");
    assert_eq!(emails("$N=2\n ~SEQ(A, $N) b$A"), "b1 b2");
}

#[test]
fn a_loop_makes_whole_blocks() {
    let text = "$INSTANCE= \\\nvrrp_instance VI_$N { \\\n interface eth0 \\\n priority 100 \\\n virtual_router_id $N \\\n virtual_ipaddress { \\\n  192.0.2.$N/24 \\\n } \\\n}\n~SEQ(N, 1, 200) $INSTANCE";
    let config = good(text);
    assert_eq!(config.routers.len(), 200);
    assert_eq!(config.routers[199].addresses[0].address.to_string(), "192.0.2.200");
}

#[test]
fn a_mistake_in_a_definition_is_shown_where_it_is_used() {
    let text = "$P=much\nvrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority $P\n virtual_ipaddress {\n 192.0.2.1\n }\n}";
    assert_eq!(said(text), ["E bad-value 5:11"]);
}

#[test]
fn growth_without_end_is_an_error_and_takes_no_time() {
    let small = Options { limits: Limits { expanded_bytes: 1 << 20, ..Limits::default() }, ..Options::default() };
    let doubling: String = (0..60).map(|n| format!("$A{n}=${{A{}}}${{A{}}}\n", n + 1, n + 1)).collect();
    let deep = doubling.clone() + "$A60=x\nglobal_defs {\n router_id $A0\n}";
    for text in [
        "$A=$A\nglobal_defs {\n router_id $A\n}",
        "$A=$B\n$B=$A$A\nglobal_defs {\n router_id $A\n}",
        "$A= \\\n$A \\\n$A\n$A",
        &deep,
        "~SEQ(A, 1, 100000000000)",
        "~SEQ(A, 1000) ~SEQ(B, 1000) ~SEQ(C, 1000) ~SEQ(D, 1000) ! nothing",
        "~SEQ(A, -9223372036854775808, 9223372036854775807) x$A",
    ] {
        let (sources, loaded) = load_bytes(text.as_bytes(), &small);
        let said = list(&sources, &loaded.diagnostics);
        let [one] = said.as_slice() else { panic!("{text:.60}: {said:?}") };
        assert!(one.starts_with("E endless-definition") || one.starts_with("E bad-loop"), "{text:.60}: {one}");
    }
}

#[test]
fn included_files() {
    let files = disk(&[
        ("/etc/lb/main.conf", "include parts/*.conf\ninclude \"one.inc\"\n"),
        ("/etc/lb/parts/a.conf", "global_defs {\n router_id ${_PWD}\n}\n"),
        ("/etc/lb/parts/b.conf", "global_defs {\n vrrp_version 9\n}\n"),
        ("/etc/lb/parts/deeper/c.conf", "nonsense\n"),
        ("/etc/lb/one.inc", "include main.conf\ninclude gone.conf\nincludea nothing*\n"),
    ]);
    let mut sources = Sources::default();
    let loaded = config::load(&mut sources, &files, Path::new("/etc/lb/main.conf"), &Options::default());
    assert_eq!(loaded.best_effort().global.router_id.as_deref(), Some("/etc/lb/parts"));
    let places: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| format!("{} {}", diagnostic.code, sources.location(diagnostic.span().unwrap())))
        .collect();
    assert_eq!(
        places,
        [
            "bad-value /etc/lb/parts/b.conf:2:15",
            "endless-include /etc/lb/one.inc:1:1",
            "unreadable-file /etc/lb/one.inc:2:1",
            "empty-include /etc/lb/one.inc:3:1",
        ]
    );
}

#[test]
fn what_an_include_line_expands() {
    let include = |line: &str| {
        let files = disk(&[
            ("/etc/lb/main.conf", &format!("{line}\n")),
            ("/etc/lb/a.conf", "global_defs {\n router_id a\n}\n"),
            ("/etc/lb/b.conf", "global_defs {\n vrrp_version 3\n}\n"),
        ]);
        let mut sources = Sources::default();
        let loaded = config::load(&mut sources, &files, Path::new("/etc/lb/main.conf"), &Options::default());
        (list(&sources, &loaded.diagnostics).join(" "), loaded.best_effort().global.router_id.clone())
    };
    let a = Some("a".to_owned());
    assert_eq!(include("include ${_PWD}/a.conf"), (String::new(), a.clone()));
    assert_eq!(include("include {a,b}.conf"), (String::new(), a.clone()));
    assert_eq!(include("include {a,c}.conf"), ("W empty-include 1:1".to_owned(), a));
    assert_eq!(include("include nothing*.conf"), ("W empty-include 1:1".to_owned(), None));
    for line in ["include $DIR/a.conf", "include ${DIR}/*.conf", "include {a.conf"] {
        assert_eq!(include(line), ("E empty-include 1:1".to_owned(), None), "{line}");
    }
}

#[test]
fn a_file_with_zeros_is_an_error_at_the_first() {
    let (sources, loaded) = load("global_defs {\n router_id a\0\0\n}\nvrrp_instance");
    assert_eq!(list(&sources, &loaded.diagnostics), ["E zero-byte 2:13"]);
    let wide: Vec<u8> = "global_defs {\n}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (sources, loaded) = load_bytes(&wide, &Options::default());
    assert_eq!(list(&sources, &loaded.diagnostics), ["E utf-16 1:1"]);
    assert!(loaded.diagnostics[0].help[0].contains("iconv -f UTF-16"));
}

#[test]
fn files_that_include_ever_more_files_come_to_an_end() {
    struct Endless;
    impl Files for Endless {
        fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
            let name = path.display();
            Ok(format!("include {name}a\ninclude {name}b\n").into_bytes())
        }
        fn glob(&self, _: &str) -> Vec<std::path::PathBuf> {
            Vec::new()
        }
    }
    let loaded = config::load(&mut Sources::default(), &Endless, Path::new("x"), &Options::default());
    assert!(loaded.diagnostics.iter().any(|diagnostic| diagnostic.code == "endless-include"));
}

#[test]
fn a_file_that_is_not_there() {
    let (sources, loaded) = {
        let mut sources = Sources::default();
        let loaded = config::load(&mut sources, &disk(&[]), Path::new("gone.conf"), &Options::default());
        (sources, loaded)
    };
    assert_eq!(loaded.config, None);
    insta::assert_snapshot!(vipward_core::text::render(&sources, &loaded.diagnostics, false), @"error[unreadable-file]: can't read `gone.conf`: no such file");
}

#[test]
fn bytes_that_are_not_utf8_are_named_and_kept() {
    let text = b"global_defs { # f\xfcr alle\n router_id b\xe4r\n}\n";
    let (sources, loaded) = load_bytes(text, &Options::default());
    assert_eq!(list(&sources, &loaded.diagnostics), ["W not-utf8 1:18"]);
    assert_eq!(loaded.config.unwrap().global.router_id.as_deref(), Some("bär"));
}
