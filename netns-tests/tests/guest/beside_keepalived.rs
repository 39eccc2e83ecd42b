//! One file, two programs, one IPVS table: keepalived and vipward run `beside_keepalived.conf` in namespaces of their own.

use super::{SOON, ipvsadm, table};
use std::process::Command;
use vipward_lab::{Node, wait_for};
use vipward_netns_tests::{Need, Pair, in_lab, program};

const FILE: &str = include_str!("beside_keepalived.conf");

/// What only vipward understands as it is meant; docs/differences.md says why.
const DIFFERENT: [(&str, &str); 1] =
    // `persistence_granularity 24`
    [("-A -t 192.0.2.45:80 -s rr -p 360 -M 0.0.0.24", "-A -t 192.0.2.45:80 -s rr -p 360 -M 255.255.255.0")];

/// What shows that every check has ended: before, dead real servers are in.
const SETTLED: [&str; 4] = [
    "-a -t 192.0.2.200:80 -r 198.51.100.9:80 -m -w 1",
    "-a -t 203.0.113.1:80 -r 198.51.100.2:8080 -m -w 1",
    "-a -f 10 -r 198.51.100.2:8080 -m -w 1",
    "-a -f 2 -r 198.51.100.9:0 -g -w 1",
];

/// Without a route the kernel takes every real server for a broadcast address.
fn routed(node: &Node) {
    for words in ["route replace default dev lo", "-6 route replace default dev lo"] {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        let output = node.output(command).unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The upper and lower limits, which the other table does not show.
fn thresholds(node: &Node) -> Vec<String> {
    let shown = ipvsadm(node, &["-L", "-n", "--thresholds"]);
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in shown.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["->", server, upper, lower, ..] => lines.push(format!("{section} {server} {upper} {lower}")),
            [protocol, service, ..] => section = format!("{protocol} {service}"),
            [] | [_] => {}
        }
    }
    lines.sort();
    lines
}

#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn one_file_makes_one_table() {
    in_lab("beside_keepalived::one_file_makes_one_table", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let file = pair.file("beside_keepalived.conf", FILE).unwrap();
        for node in [&pair.lb1, &pair.lb2] {
            routed(node);
        }
        let mut command = Command::new(program("keepalived").unwrap());
        let pids = ["-p", "-c", "-r"].map(|which| (which, pair.folder.path().join(format!("keepalived{which}.pid"))));
        command.args(["--dont-fork", "--log-console", "--check", "-f"]).arg(&file);
        for (which, path) in &pids {
            command.arg(which).arg(path);
        }
        let keepalived = pair.lb1.spawn(command).unwrap();
        let mut command = pair.run(&pair.lb2);
        command.args(["--dataplane", "ipvs", "-f"]).arg(&file);
        let vipward = pair.lb2.spawn(command).unwrap();

        let settled = |lines: &[String]| SETTLED.iter().all(|line| lines.iter().any(|it| it == line));
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        let same = wait_for(SOON, || {
            (theirs, ours) = (table(&pair.lb1), table(&pair.lb2));
            let mut expected: Vec<&str> = theirs.iter().map(|line| in_ours(line)).collect();
            expected.sort_unstable();
            (settled(&theirs) && settled(&ours) && expected == ours).then_some(())
        });
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|line| !others.iter().any(|it| it == *line)).cloned().collect()
        };
        assert!(
            same.is_some(),
            "only keepalived: {:#?}\nonly vipward: {:#?}\n{}\n{}",
            only(&theirs, &ours),
            only(&ours, &theirs),
            keepalived.output(),
            vipward.output()
        );
        for (line, _) in DIFFERENT {
            assert!(theirs.iter().any(|it| it == line), "keepalived has no `{line}`: {theirs:#?}");
        }
        assert_eq!(thresholds(&pair.lb2), thresholds(&pair.lb1));
        assert!(thresholds(&pair.lb2).iter().any(|line| line.ends_with(" 100 50")));
        println!("{} lines of keepalived's table, {} of them different on purpose", theirs.len(), DIFFERENT.len());
    });
}

fn in_ours(theirs: &str) -> &str {
    DIFFERENT.iter().find(|(line, _)| *line == theirs).map_or(theirs, |(_, ours)| *ours)
}
