//! MISC_CHECK with real scripts, through the relay, with a client that asks all the time.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use vipward_lab::client::Client;
use vipward_lab::web::Server;
use vipward_lab::{Process, wait_for};
use vipward_netns_tests::{Pair, Router, in_lab, service};

const SOON: Duration = Duration::from_secs(60);

/// Two web servers: what script says of web1, and a script that is always content with web2.
fn blocks(script: &Path, words: &str) -> String {
    let real_server = |host: u8, command: &str| {
        format!(
            "    real_server 198.51.100.{host} 80 {{\n        weight 3\n        MISC_CHECK {{\n            \
             misc_path \"{command}\"\n            {words}\n        }}\n    }}\n"
        )
    };
    format!(
        "virtual_server 192.0.2.100 80 {{\n    delay_loop 1\n    warmup 0\n    lb_algo wrr\n    lb_kind NAT\n    \
         protocol TCP\n{}{}}}\n",
        real_server(21, &format!("{} 198.51.100.21", script.display())),
        real_server(22, "/bin/true")
    )
}

/// A script that does what the file `mood` beside it says.
fn script(pair: &Pair) -> std::path::PathBuf {
    let path = pair.file("check", "#!/bin/sh\n. $(dirname $0)/mood\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn director(pair: &Pair, blocks: String) -> Process {
    let router = Router { version: 3, advert_int: "0.1", blocks, ..Router::master() };
    let mut process = pair.vipward_with(&pair.lb1, &router.text()).unwrap();
    process.wait_for_line("-> MASTER", SOON).unwrap();
    process
}

/// Waits until 20 requests in a row were answered by just these servers.
fn answered_by(client: &Client, servers: &[&str]) {
    let since = Instant::now();
    let wanted: BTreeSet<_> = servers.iter().map(|server| Ok((*server).to_owned())).collect();
    let settled = wait_for(SOON, || {
        let samples = client.samples_since(since);
        let last = samples.get(samples.len().checked_sub(20)?..)?;
        (last.iter().map(|sample| sample.answer.clone()).collect::<BTreeSet<_>>() == wanted).then_some(())
    });
    assert!(settled.is_some(), "not answered by {servers:?}");
}

fn gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

#[test]
fn a_script_takes_a_real_server_out_and_sets_its_weight() {
    in_lab("a_script_takes_a_real_server_out_and_sets_its_weight", &[], || {
        let pair = Pair::build().unwrap();
        let any = "0.0.0.0:80".parse().unwrap();
        let (_web1, _web2) = (Server::start(&pair.web1, any).unwrap(), Server::start(&pair.web2, any).unwrap());
        let mood = |text: &str| pair.file("mood", text).unwrap();
        mood("exit 0");
        let mut director = director(&pair, blocks(&script(&pair), "misc_dynamic"));
        let client = Client::start(&pair.client, service(), Duration::from_millis(20), Duration::from_secs(2)).unwrap();
        answered_by(&client, &["web1", "web2"]);
        mood("echo the disk of $1 is full >&2; exit 1");
        director.wait_for_line("198.51.100.21:80 is down: misc_path exited with 1", SOON).unwrap();
        director.wait_for_line("says: the disk of 198.51.100.21 is full", SOON).unwrap();
        answered_by(&client, &["web2"]);
        mood("exit 2");
        director.wait_for_line("198.51.100.21:80 has weight 0 from now on, and had 3", SOON).unwrap();
        director.wait_for_line("198.51.100.21:80 is up", SOON).unwrap();
        answered_by(&client, &["web2"]);
        mood("exit 9");
        director.wait_for_line("198.51.100.21:80 has weight 7 from now on, and had 0", SOON).unwrap();
        answered_by(&client, &["web1", "web2"]);
        mood("kill -9 $$");
        director.wait_for_line("198.51.100.21:80 is down: misc_path was killed by signal 9", SOON).unwrap();
    });
}

#[test]
fn a_script_that_does_not_end_is_killed_with_all_that_it_started() {
    in_lab("a_script_that_does_not_end_is_killed_with_all_that_it_started", &[], || {
        let pair = Pair::build().unwrap();
        let mood = |text: &str| pair.file("mood", text).unwrap();
        mood("exit 0");
        let script = script(&pair);
        let pids = script.with_file_name("pids");
        let mut director = director(&pair, blocks(&script, "misc_timeout 1"));
        let pids_to = pids.display();
        mood(&format!("sleep 1000 & echo $$ $! > {pids_to}.new; mv {pids_to}.new {pids_to}; wait"));
        director
            .wait_for_line("198.51.100.21:80 is down: misc_path ran longer than misc_timeout: killed", SOON)
            .unwrap();
        mood("exit 0");
        director.wait_for_line("198.51.100.21:80 is up", SOON).unwrap();
        let known = std::fs::read_to_string(&pids).unwrap();
        let pids: Vec<&str> = known.split_whitespace().collect();
        assert_eq!(pids.len(), 2, "{known}");
        assert!(wait_for(SOON, || pids.iter().all(|pid| gone(pid)).then_some(())).is_some(), "{known} live on");
        // What can't be started says why.
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
        director
            .wait_for_line("198.51.100.21:80 is down: misc_path could not be started: Permission denied", SOON)
            .unwrap();
        std::fs::remove_file(&script).unwrap();
        mood("exit 0");
    });
}
