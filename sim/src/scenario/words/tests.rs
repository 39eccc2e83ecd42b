//! Every word of a scenario file is taken as its own example says.

use super::*;

/// A file of the words' own examples.
fn file(key: Option<&str>, table: &str, line: Option<(&str, &str)>) -> String {
    let (list, line) = line.unwrap_or(("steps", ""));
    let top = if table.is_empty() { key.unwrap_or_default() } else { "" };
    let line = if line.is_empty() { String::new() } else { format!("{list} = [{line}]\n") };
    let known = |word: &str| top.starts_with(word);
    let mut text = String::new();
    for (word, usual) in [("duration", "duration = \"30s\"\n"), ("title", "title = \"words\"\n")] {
        if !known(word) {
            text.push_str(usual);
        }
    }
    text.push_str(&format!("{top}\n{line}"));
    if known("network") {
        return text;
    }
    let nodes = nodes(key, table);
    match known("routed") {
        true => {
            let front = nodes.replace("/24\"", "/24 on front\"");
            text + &front.replace("[segment.lan]", "[segment.front]\n[segment.back]")
        }
        false => text + &nodes,
    }
}

/// Segments and nodes; in the tables called `table` with this line in the place of their own.
fn nodes(key: Option<&str>, table: &str) -> String {
    let mut text = String::new();
    let nodes = [
        ("segment.lan", ""),
        ("director.lb1", "config = \"a.conf\"\ninterfaces.eth0 = \"192.0.2.11/24\"\nlistens = 8080"),
        ("director.lb2", "config = \"b.conf\"\ninterfaces.eth0 = \"192.0.2.12/24\""),
        ("real_server.web1", "address = \"192.0.2.21/24\""),
        ("quorum.zk", "address = \"192.0.2.31/24\""),
        ("client.visitor", "address = \"192.0.2.200/24\"\nasks = \"192.0.2.100:80\"\nkeeps = 1"),
    ];
    for (name, lines) in nodes {
        text.push_str(&format!("[{name}]\n"));
        let own = name.split('.').next() == Some(table);
        let given = key.filter(|_| own && !name.ends_with("lb2")).unwrap_or_default();
        let word = given.split([' ', '.', '=']).next().unwrap_or_default();
        for line in lines.lines().filter(|line| word.is_empty() || !line.starts_with(word)) {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!("{given}\n"));
    }
    text
}

fn mistakes_of(text: &str) -> Vec<String> {
    let router = |name: &str, priority: u8, more: &str| {
        format!(
            "global_defs {{\n router_id {name}\n script_user root\n enable_script_security\n}}\nvrrp_script nginx {{\n script \"/usr/bin/true\"\n}}\n\
             vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 1\n \
             virtual_ipaddress {{\n 192.0.2.100/24\n }}\n track_script {{\n nginx\n }}\n \
             track_file {{\n load\n }}\n track_process {{\n haproxy\n }}\n}}\n\
             vrrp_track_process haproxy {{\n process haproxy\n}}\ntrack_file load {{\n file /run/load\n}}\n\
             virtual_server 192.0.2.100 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             real_server 192.0.2.21 80 {{\n TCP_CHECK {{\n connect_timeout 1\n }}\n }}\n}}\n{more}"
        )
    };
    let (first, second) = (router("lb1", 150, ""), router("lb2", 100, ""));
    let files = std::collections::BTreeMap::from([
        ("x.toml", text.to_owned()),
        ("a.conf", first.clone()),
        ("b.conf", second.clone()),
        ("new.conf", first.clone()),
        ("two-directors/lb1.conf", first.clone()),
        ("networks/lvs-dr.toml", nodes(None, "")),
        ("networks/a.conf", first),
        ("networks/b.conf", second.clone()),
        ("lifetime-off/vipward.toml", "[vip]\nlifetime = false\n".to_owned()),
    ]);
    let files = files
        .into_iter()
        .map(|(path, text)| (std::path::PathBuf::from(path), text.into_bytes()))
        .collect::<std::collections::BTreeMap<_, _>>();
    let loaded = crate::scenario::load_from(&files, std::path::Path::new("x.toml"));
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error());
    errors.map(|found| format!("{}: {}", found.code, found.message)).collect()
}

#[test]
fn the_reader_takes_every_example() {
    // These are about files with mistakes, of which this one has none; the reader says so and nothing else.
    let meant = ["mistakes"];
    let tables = [
        ("", TOP),
        ("segment", SEGMENT),
        ("director", DIRECTOR),
        ("real_server", REAL_SERVER),
        ("quorum", QUORUM),
        ("client", CLIENT),
    ];
    for (table, keys) in tables {
        for key in keys {
            // A table and a list of lines have words of their own, which are tried below.
            if matches!(key.takes, "tables" | "list of lines") {
                assert!(key.example.parse::<toml::Table>().is_ok(), "{}", key.example);
                continue;
            }
            let text = file(Some(key.example), table, None);
            let said = mistakes_of(&text);
            match meant.contains(&key.word) {
                true => {
                    assert!(said.iter().all(|it| it.starts_with("mistake-not-made")) && !said.is_empty(), "{said:?}")
                }
                false => assert_eq!(said, Vec::<String>::new(), "{}:\n{text}", key.example),
            }
        }
    }
    for (list, words) in [("steps", STEPS), ("expect", EXPECT)] {
        for word in words {
            let text = file(None, "", Some((list, word.example)));
            assert_eq!(mistakes_of(&text), Vec::<String>::new(), "{}:\n{text}", word.example);
            assert!(word.example.contains(&format!(" {} = ", word.word)), "{}", word.example);
        }
    }
}

#[test]
fn every_word_beside_a_verb_has_its_type_and_no_line_is_too_long() {
    let beside: std::collections::BTreeSet<&str> =
        STEPS.iter().chain(EXPECT).flat_map(|word| word.with).copied().collect();
    let typed: std::collections::BTreeSet<&str> = BESIDE.iter().map(|(word, _)| *word).collect();
    assert_eq!(beside, typed);
    let help = words_help();
    let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, Vec::<&str>::new());
}

#[test]
fn a_slip_of_the_finger_finds_its_word_and_a_strange_word_finds_none() {
    let steps = || STEPS.iter().map(|word| word.word);
    assert_eq!(nearest("frezee", steps()), Some("freeze"));
    assert_eq!(nearest("poweroff", steps()), Some("power_off"));
    assert_eq!(nearest("reboot", steps()), None);
}
