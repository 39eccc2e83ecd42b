//! Whatever comes in: no panic, an end, and places that lie within the file.

use crate::helpers::load_bytes;
use proptest::prelude::*;
use vipward_core::config::{Limits, Options};

const REAL: [&str; 4] = [
    include_str!("../../../scenarios/tutorial/master.conf"),
    include_str!("../../../scenarios/tutorial/backup.conf"),
    include_str!("../../../scenarios/two-directors/lb1.conf"),
    // All that the language can do beyond those.
    "$V=\\\n ~SEQ(N, 1, 3) 192.0.2.${N}/24 dev eth0 label \"eth0:$N\" \\\n ~LST({A, B}, {x, y}) # $A$B\n\
     @lb1 vrrp_script chk { script 'sh -c \"exit 0\"' }\n@^lb1 vrrp_instance \"a b\" {\ninterface eth0\n\
     unicast_peer { 192.0.2.9 min_ttl 3 }\nvirtual_ipaddress {\n$V\n}\ntrack_script { chk weight -3 reverse }\n\
     notify \"/bin/x y\" root\n}\nvirtual_server fwmark 3 { regex ^a{3}$\n}\ninclude lb.conf\n${_RANDOM 1 3} ${_ENV x}\n",
];

/// Bits of the language, to be thrown together.
const BITS: [&str; 40] = [
    "{",
    "}",
    "\n",
    "\n",
    " ",
    "#",
    "!",
    "//",
    ";",
    "\"",
    "'",
    "\\",
    "$A",
    "${A}",
    "$A=",
    "\\\n",
    "~SEQ(A, 1, 9)",
    "~SEQx(",
    "~LST(A, b, c)",
    "@lb1 ",
    "@^lb1 ",
    "@",
    "\u{a0}",
    "\u{201c}",
    "\r\n",
    "include lb.conf",
    "vrrp_instance ",
    "virtual_server ",
    "virtual_ipaddress ",
    "real_server ",
    "HTTP_GET ",
    "url ",
    "192.0.2.1/24",
    "priority 100",
    "virtual_server192.0.2.1",
    "global_defs",
    "track_script",
    "vrrp_script x",
    "auth_pass ",
    "\u{feff}",
];

fn options() -> Options {
    let limits = Limits { expanded_bytes: 1 << 18, ..Limits::default() };
    Options { config_id: "lb1".to_owned(), limits, ..Options::default() }
}

/// Loads and renders; both must come to an end without a panic, and every place must fit its file.
fn survive(bytes: &[u8]) {
    let (sources, loaded) = load_bytes(bytes, &options());
    for label in loaded.diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        assert!(label.span.start <= label.span.end, "{label:?}");
        assert!(
            sources.text(label.span.file).get(label.span.start as usize..label.span.end as usize).is_some(),
            "{label:?}"
        );
    }
    assert_eq!(loaded.config.is_some(), !loaded.has_errors());
    assert!(loaded.diagnostics.len() <= 501);
    vipward_core::text::render(&sources, &loaded.diagnostics, false);
    vipward_core::text::render(&sources, &loaded.diagnostics, true);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        survive(&bytes);
    }

    #[test]
    fn bits_thrown_together(picks in proptest::collection::vec(0..BITS.len(), 0..120)) {
        let text: String = picks.iter().map(|pick| BITS[*pick]).collect();
        survive(text.as_bytes());
    }

    #[test]
    fn real_files_with_bytes_changed(
        file in 0..REAL.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = REAL[file].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        survive(&bytes);
    }

    #[test]
    fn real_files_with_pieces_cut_moved_and_doubled(
        file in 0..REAL.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 1..6),
    ) {
        let mut lines: Vec<&str> = REAL[file].lines().collect();
        for (from, to, edit) in edits {
            let (from, to) = (from.index(lines.len()), to.index(lines.len()));
            match edit {
                0 => { lines.remove(from); if lines.is_empty() { lines.push(""); } }
                1 => lines.swap(from, to),
                2 => lines.insert(to, lines[from]),
                _ => lines.insert(to, if from % 2 == 0 { "}" } else { "{" }),
            }
        }
        survive(lines.join("\n").as_bytes());
    }

    /// One brace taken away is one message about braces: no other line is blamed for it.
    #[test]
    fn one_missing_brace_is_one_message(file in 2..3_usize, nth in 0..9_usize) {
        let text = REAL[file];
        let closing: Vec<usize> = text.match_indices('}').map(|(at, _)| at).collect();
        let at = closing[nth % closing.len()];
        let broken = format!("{}{}", &text[..at], &text[at + 1..]);
        let (_, loaded) = load_bytes(broken.as_bytes(), &options());
        let errors: Vec<_> = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error() || diagnostic.code == "unclosed-block").map(|diagnostic| diagnostic.code).collect();
        prop_assert_eq!(errors, ["unclosed-block"], "{}", broken);
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    survive("{".repeat(50_000).as_bytes());
    survive("a {\n".repeat(50_000).as_bytes());
    survive("virtual_server a {\n".repeat(20_000).as_bytes());
    survive(("$A=".to_owned() + &"(".repeat(50_000)).as_bytes());
    survive(("~SEQ(".to_owned() + &"(".repeat(50_000)).as_bytes());
}
