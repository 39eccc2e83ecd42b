//! `vipward drain` and `vipward undrain` of a real director with the relay: connections that are there live, new ones go elsewhere.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use vipward_lab::client::Client;
use vipward_lab::kept::Kept;
use vipward_lab::wait_for;
use vipward_lab::web::Server;
use vipward_netns_tests::{Pair, Router, in_lab, service, virtual_server};

const SOON: Duration = Duration::from_secs(30);
const WEB1: &str = "198.51.100.21:80";

fn any() -> SocketAddr {
    "0.0.0.0:80".parse().unwrap()
}

fn ask(pair: &Pair, words: &[&str]) -> Output {
    let mut command = Command::new(vipward_netns_tests::vipward());
    command.args(words).arg("--control").arg(pair.control(&pair.lb1));
    pair.lb1.output(command).unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].iter().map(|it| String::from_utf8_lossy(it)).collect()
}

/// It does as it is told.
fn done(pair: &Pair, words: &[&str]) {
    let output = ask(pair, words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", said(&output));
}

fn refused(pair: &Pair, words: &[&str], status: i32, why: &str) {
    let output = ask(pair, words);
    assert_eq!(output.status.code(), Some(status), "{words:?}: {}", said(&output));
    assert!(said(&output).contains(why), "{words:?}: {}", said(&output));
}

/// Waits until `vipward status` says that.
fn says(pair: &Pair, words: &[&str], wanted: &[&str]) {
    let found = wait_for(SOON, || {
        let output = ask(pair, words);
        (output.status.success() && wanted.iter().all(|it| said(&output).contains(it))).then_some(())
    });
    assert!(found.is_some(), "{words:?} should say {wanted:?}, and says\n{}", said(&ask(pair, words)));
}

/// Waits until, from now on, `n` requests in a row were answered by all of these and by nobody else.
fn answered_by(client: &Client, servers: &[&str], n: usize) {
    let since = Instant::now();
    let settled = wait_for(SOON, || {
        let samples = client.samples_since(since);
        let last = samples.get(samples.len().checked_sub(n)?..)?;
        let by = |server: &&&str| last.iter().any(|it| it.answer.as_deref() == Ok(**server));
        let nobody_else = last.iter().all(|it| it.answer.as_deref().is_ok_and(|by| servers.contains(&by)));
        (nobody_else && servers.iter().filter(by).count() == servers.len()).then_some(())
    });
    assert!(settled.is_some(), "not answered by {servers:?}: {:?}", client.samples_since(since).iter().rev().take(n));
}

#[test]
fn connections_that_are_there_live_and_new_ones_go_elsewhere() {
    in_lab("connections_that_are_there_live_and_new_ones_go_elsewhere", &[], || {
        let pair = Pair::build().unwrap();
        let _web1 = Server::start(&pair.web1, any()).unwrap();
        let _web2 = Server::start(&pair.web2, any()).unwrap();
        let text = Router { version: 3, advert_int: "0.1", blocks: virtual_server(), ..Router::master() }.text();
        let mut director = pair.vipward_with(&pair.lb1, &text).unwrap();
        director.wait_for_line("-> MASTER", SOON).unwrap();
        let often = Duration::from_millis(50);
        let client = Client::start(&pair.client, service(), Duration::from_millis(20), Duration::from_secs(5)).unwrap();
        answered_by(&client, &["web1", "web2"], 20);
        // Some of them are carried by web1.
        let mut kept: Vec<Kept> =
            (0..8).map(|_| Kept::start(&pair.client, service(), often, Duration::from_secs(20)).unwrap()).collect();
        std::thread::sleep(Duration::from_secs(2));

        refused(&pair, &["drain", "192.0.2.99:80", WEB1], 1, "no virtual server is called 192.0.2.99:80");
        refused(&pair, &["drain", "198.51.100.99:80"], 1, "no virtual server has a real server 198.51.100.99:80");
        refused(&pair, &["undrain", WEB1], 1, "is not drained");
        refused(&pair, &["drain", "web1"], 3, "`web1` is no real server");
        refused(&pair, &["drain", WEB1, "--limit", "5"], 3, "--remove");

        done(&pair, &["drain", "192.0.2.100", "80", WEB1]);
        answered_by(&client, &["web2"], 40);
        says(&pair, &["status"], &["drained", "left"]);
        refused(&pair, &["drain", "198.51.100.22:80"], 1, "would have no other real server that is up");
        says(&pair, &["history"], &["is drained: it takes no new connections", "not done: `drain 198.51.100.22:80`"]);

        done(&pair, &["reload"]);
        done(&pair, &["upgrade"]);
        answered_by(&client, &["web2"], 40);
        says(&pair, &["status", "192.0.2.100:80", "--format", "json"], &["\"drained\": {", "\"weight\": 0"]);
        let breaks: Vec<_> = kept.iter().flat_map(Kept::breaks).collect();
        assert!(breaks.is_empty(), "{breaks:?}");

        done(&pair, &["undrain", WEB1]);
        answered_by(&client, &["web1", "web2"], 40);
        // New ones, which this process carries.
        kept.clear();
        kept.extend((0..8).map(|_| Kept::start(&pair.client, service(), often, Duration::from_secs(20)).unwrap()));
        std::thread::sleep(Duration::from_secs(2));
        done(&pair, &["drain", WEB1, "--remove"]);
        says(&pair, &["status", "192.0.2.100:80"], &["left, then it is taken out"]);
        std::thread::sleep(Duration::from_secs(5));
        says(&pair, &["status", "192.0.2.100:80"], &["left, then it is taken out"]);
        let breaks: Vec<_> = kept.iter().flat_map(Kept::breaks).collect();
        assert!(breaks.is_empty(), "{breaks:?}");
        kept.clear();
        director.wait_for_line("is taken out: no active connection is left", SOON).unwrap();
        says(&pair, &["status", "192.0.2.100:80"], &["taken out, 0 connections left", "not in the table"]);
        answered_by(&client, &["web2"], 40);
    });
}
