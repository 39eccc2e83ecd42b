//! `vipward status`, `explain` and `history` of real directors: what they say is so, and what is dead says nothing.

use std::process::{Command, Output};
use std::time::Duration;
use vipward_lab::{Node, Process, Signal, signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(30);

fn text(router: Router, script: &str) -> String {
    let check = format!(
        "vrrp_script chk {{\n    script \"{script}\"\n    interval 1\n    weight -60\n}}\n\
         virtual_server 192.0.2.100 80 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
         real_server 198.51.100.99 80 {{\n        TCP_CHECK {{\n            connect_timeout 1\n        }}\n    }}\n}}\n"
    );
    let words = router.text();
    assert!(words.contains("virtual_router_id 51"), "{words}");
    let tracked = words.replacen(
        "    virtual_router_id 51\n",
        "    virtual_router_id 51\n    track_script {\n        chk\n    }\n",
        1,
    );
    check + &tracked
}

fn ask(pair: &Pair, node: &Node, words: &[&str]) -> Output {
    let mut command = Command::new(vipward_netns_tests::vipward());
    command.args(words).arg("--control").arg(pair.control(node));
    node.output(command).unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].iter().map(|it| String::from_utf8_lossy(it)).collect()
}

/// The answer of a director that gives one.
fn told(pair: &Pair, node: &Node, words: &[&str]) -> String {
    let output = ask(pair, node, words);
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    assert!(output.stderr.is_empty(), "{words:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until it says that.
fn says(pair: &Pair, node: &Node, words: &[&str], wanted: &[&str]) -> String {
    let found = wait_for(SOON, || {
        let output = ask(pair, node, words);
        let text = said(&output);
        (output.status.success() && wanted.iter().all(|it| text.contains(it))).then_some(text)
    });
    found.unwrap_or_else(|| panic!("{words:?} should say {wanted:?}, and says\n{}", said(&ask(pair, node, words))))
}

fn director(pair: &Pair, node: &Node, router: Router, script: &str) -> Process {
    pair.vipward_with(node, &text(router, script)).unwrap()
}

#[test]
fn a_master_and_a_backup_say_what_they_are_and_why() {
    in_lab("a_master_and_a_backup_say_what_they_are_and_why", &[], || {
        let pair = Pair::build().unwrap();
        let flag = pair.folder.path().join("down");
        let script = pair.file("chk.sh", &format!("#!/bin/sh\ntest ! -e {}\n", flag.display())).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = script.display().to_string();
        let master = director(&pair, &pair.lb1, Router::master(), &script);
        says(&pair, &pair.lb1, &["explain", "VI_1"], &["VI_1 is MASTER", &format!("{VIP}/24 on eth0: held")]);
        says(&pair, &pair.lb1, &["status"], &["VI_1    MASTER", "198.51.100.99:80", "DOWN"]);
        let _backup = director(&pair, &pair.lb2, Router::backup(), "/bin/true");
        let text = says(&pair, &pair.lb2, &["status"], &["BACKUP", "MASTER is 192.0.2.11, heard "]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let text = says(&pair, &pair.lb2, &["explain"], &["VI_1 is BACKUP", "no advert of 192.0.2.11 for "]);
        assert!(text.contains("script chk goes down: priority 40"), "{text}");

        // Why it changes, by the words of both.
        std::fs::write(&flag, "").unwrap();
        says(&pair, &pair.lb1, &["explain", "VI_1"], &["VI_1 is BACKUP", "-60 script chk (down)", "higher priority"]);
        says(&pair, &pair.lb2, &["explain", "VI_1"], &["VI_1 is MASTER"]);
        let history = told(&pair, &pair.lb1, &["history", "VI_1"]);
        let at = |words: &str| history.find(words).unwrap_or_else(|| panic!("{words}: {history}"));
        assert!(at("BACKUP -> MASTER") < at("priority 150 -> 90") && at("priority 150 -> 90") < at("MASTER -> BACKUP"));
        let json: serde_json::Value =
            serde_json::from_str(&told(&pair, &pair.lb1, &["status", "--format", "json"])).unwrap();
        assert_eq!(json["format"], 1);
        assert_eq!(json["election"]["routers"][0]["priority"], 90);
        assert_eq!(json["election"]["routers"][0]["heard"]["source"], "192.0.2.12");
        assert_eq!(json["balancer"]["services"][0]["servers"][0]["up"], false);

        let one = told(&pair, &pair.lb1, &["status", "192.0.2.100:80", "--format", "json"]);
        let one: serde_json::Value = serde_json::from_str(&one).unwrap();
        assert_eq!(one["name"], "TCP 192.0.2.100:80");

        for format in ["text", "json"] {
            let unknown = ask(&pair, &pair.lb1, &["status", "VI_9", "--format", format]);
            assert_eq!(unknown.status.code(), Some(1));
            assert!(
                said(&unknown).contains("no virtual router or virtual server is called VI_9"),
                "{}",
                said(&unknown)
            );
        }
        assert!(!master.output().contains("panic"), "{}", master.output());
    });
}

/// A worker that hangs, one that died, one that was upgraded, and a director that is gone.
#[test]
fn what_does_not_run_is_never_shown_as_master() {
    in_lab("what_does_not_run_is_never_shown_as_master", &[], || {
        let pair = Pair::build().unwrap();
        let director = director(&pair, &pair.lb1, Router::master(), "/bin/true");
        says(&pair, &pair.lb1, &["explain"], &["VI_1 is MASTER"]);
        let worker = || director.children().unwrap().into_iter().next();
        let pid = |text: &str| text.split("process ").nth(1).and_then(|it| it.split(' ').next()).map(str::to_owned);
        let first = pid(&told(&pair, &pair.lb1, &["status"])).unwrap();
        assert_eq!(worker().map(|it| it.to_string()).as_ref(), Some(&first));

        let upgraded = ask(&pair, &pair.lb1, &["upgrade"]);
        assert!(upgraded.status.success(), "{}", said(&upgraded));
        let text = says(&pair, &pair.lb1, &["status"], &["VI_1    MASTER"]);
        let second = pid(&text).unwrap();
        assert_ne!(second, first, "the successor answers");
        says(&pair, &pair.lb1, &["explain"], &["taken up from the process before"]);

        // Stopped: its supervisor takes it for hung and starts another one. Until then there is no answer.
        signal(second.parse().unwrap(), Signal::SIGSTOP);
        let output = ask(&pair, &pair.lb1, &["status"]);
        let shown = said(&output);
        assert!(!shown.contains(&format!("process {second} ")), "{shown}");
        says_after_death(&pair, &second);

        // Both stopped: nobody answers at all.
        let all = [vec![director.pid()], director.children().unwrap()].concat();
        all.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
        let output = ask(&pair, &pair.lb1, &["status"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("no answer within 5 s"), "{}", said(&output));
        all.iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
        director.signal(Signal::SIGTERM);
        director.wait(SOON).unwrap();
        let output = ask(&pair, &pair.lb1, &["status"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("nothing is known of a director at "), "{}", said(&output));
    });
}

/// Waits until another worker is MASTER and says so.
fn says_after_death(pair: &Pair, dead: &str) {
    let again = wait_for(SOON, || {
        let output = ask(pair, &pair.lb1, &["status"]);
        let text = said(&output);
        let other = output.status.success() && !text.contains(&format!("process {dead} "));
        (other && text.contains("VI_1    MASTER")).then_some(())
    });
    assert!(again.is_some(), "{}", said(&ask(pair, &pair.lb1, &["status"])));
}

/// Clients of the control socket that say nothing, nonsense, or don't read cost the director nothing.
#[test]
fn hostile_clients_delay_no_advert() {
    in_lab("hostile_clients_delay_no_advert", &[], || {
        use std::io::Write;
        use std::os::unix::net::UnixStream;
        let pair = Pair::build().unwrap();
        let director = director(&pair, &pair.lb1, Router::master(), "/bin/true");
        says(&pair, &pair.lb1, &["explain"], &["VI_1 is MASTER"]);
        let watch = vipward_lab::watch::Watch::start(&pair.lb2).unwrap();
        let control = pair.control(&pair.lb1);
        let mut clients = Vec::new();
        for round in 0..300 {
            let Ok(mut client) = UnixStream::connect(&control) else { continue };
            client.set_nonblocking(true).unwrap();
            let words: &[u8] = match round % 4 {
                0 => b"status\n",
                1 => b"",
                2 => b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n",
                _ => &[b'x'; 4096],
            };
            // One that was let go already.
            let _ = client.write(words);
            clients.push(client);
        }
        std::thread::sleep(Duration::from_secs(5));
        drop(clients);
        says(&pair, &pair.lb1, &["explain"], &["VI_1 is MASTER"]);
        let seen = watch.seen();
        let adverts = seen.iter().filter(|it| matches!(it.what, vipward_lab::watch::What::Advert { .. })).count();
        assert!(adverts >= 4, "{adverts} adverts in more than 5 s: {seen:#?}");
        assert!(
            !director.output().contains("MASTER -> BACKUP") && !director.output().contains("hangs"),
            "{}",
            director.output()
        );
    });
}
