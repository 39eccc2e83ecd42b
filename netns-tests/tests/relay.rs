//! Virtual servers through the relay, with a client that asks all the time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use vipward_lab::client::Client;
use vipward_lab::web::Server;
use vipward_lab::{Process, wait_for};
use vipward_netns_tests::{Need, Pair, Router, VIP, in_lab, service, virtual_server};

const SOON: Duration = Duration::from_secs(30);

fn any() -> SocketAddr {
    "0.0.0.0:80".parse().unwrap()
}

fn director(pair: &Pair, blocks: String) -> Process {
    let router = Router { version: 3, advert_int: "0.1", blocks, ..Router::master() };
    let mut process = pair.vipward_with(&pair.lb1, &router.text()).unwrap();
    process.wait_for_line("-> MASTER", SOON).unwrap();
    process
}

fn client(pair: &Pair) -> Client {
    Client::start(&pair.client, service(), Duration::from_millis(20), Duration::from_secs(2)).unwrap()
}

/// Waits until, from now on, `n` requests in a row were answered by just these servers; fails are shown.
fn answered_by(client: &Client, servers: &[&str], n: usize) {
    let since = Instant::now();
    let wanted: BTreeSet<_> = servers.iter().map(|server| Ok((*server).to_owned())).collect();
    let settled = wait_for(SOON, || {
        let samples = client.samples_since(since);
        let last = samples.get(samples.len().checked_sub(n)?..)?;
        (last.iter().map(|sample| sample.answer.clone()).collect::<BTreeSet<_>>() == wanted).then_some(())
    });
    let samples = client.samples_since(since);
    assert!(settled.is_some(), "not answered by {servers:?}: {:?}", samples.iter().rev().take(n).collect::<Vec<_>>());
}

#[test]
fn a_dead_web_server_is_taken_out_and_put_back() {
    in_lab("a_dead_web_server_is_taken_out_and_put_back", &[], || {
        let pair = Pair::build().unwrap();
        let web1 = Server::start(&pair.web1, any()).unwrap();
        let _web2 = Server::start(&pair.web2, any()).unwrap();
        let mut director = director(&pair, virtual_server());
        let client = client(&pair);
        answered_by(&client, &["web1", "web2"], 20);
        let killed = Instant::now();
        drop(web1);
        director.wait_for_line("198.51.100.21:80 is down", SOON).unwrap();
        answered_by(&client, &["web2"], 20);
        let _web1 = Server::start(&pair.web1, any()).unwrap();
        director.wait_for_line("198.51.100.21:80 is up", SOON).unwrap();
        answered_by(&client, &["web1", "web2"], 20);
        // Connections that web1 had when it died may have failed; a refused one goes to web2.
        let failed: Vec<_> = client.samples_since(killed).into_iter().filter(|sample| sample.answer.is_err()).collect();
        assert!(failed.len() <= 2, "{failed:#?}");
    });
}

#[test]
fn a_wrong_status_takes_a_web_server_out() {
    in_lab("a_wrong_status_takes_a_web_server_out", &[], || {
        let pair = Pair::build().unwrap();
        let web1 = Server::start(&pair.web1, any()).unwrap();
        let _web2 = Server::start(&pair.web2, any()).unwrap();
        let mut director = director(&pair, virtual_server());
        let client = client(&pair);
        answered_by(&client, &["web1", "web2"], 20);
        web1.answer_with(503);
        director.wait_for_line("198.51.100.21:80 is down: GET /: status 503", SOON).unwrap();
        answered_by(&client, &["web2"], 20);
    });
}

#[test]
fn the_sorry_server_answers_while_all_others_are_dead() {
    in_lab("the_sorry_server_answers_while_all_others_are_dead", &[], || {
        let pair = Pair::build().unwrap();
        let _sorry = Server::start(&pair.lb2, any()).unwrap();
        let with_sorry = virtual_server().replace("protocol TCP", "protocol TCP\n    sorry_server 198.51.100.12 80");
        let mut director = director(&pair, with_sorry);
        director.wait_for_line("quorum lost", SOON).unwrap();
        let client = client(&pair);
        answered_by(&client, &["lb2"], 20);
        let _web2 = Server::start(&pair.web2, any()).unwrap();
        director.wait_for_line("quorum gained", SOON).unwrap();
        answered_by(&client, &["web2"], 20);
    });
}

#[test]
fn the_service_moves_with_its_address() {
    in_lab("the_service_moves_with_its_address", &[], || {
        let pair = Pair::build().unwrap();
        let _web1 = Server::start(&pair.web1, any()).unwrap();
        let _web2 = Server::start(&pair.web2, any()).unwrap();
        let master = director(&pair, virtual_server());
        let backup = Router { version: 3, advert_int: "0.1", blocks: virtual_server(), ..Router::backup() };
        let mut backup = pair.vipward_with(&pair.lb2, &backup.text()).unwrap();
        backup.wait_for_line("-> BACKUP", SOON).unwrap();
        let client = client(&pair);
        answered_by(&client, &["web1", "web2"], 20);
        master.kill();
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        answered_by(&client, &["web1", "web2"], 20);
        assert!(pair.lb2.has(VIP));
    });
}

#[test]
fn vipward_demo_plays_to_its_end() {
    // Outside a lab: the demo makes its own.
    let test = "vipward_demo_plays_to_its_end";
    if vipward_lab::inside() || !vipward_netns_tests::met(test, Need::Netns) {
        return;
    }
    let output = std::process::Command::new(vipward_netns_tests::vipward()).arg("demo").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    for row in ["web1 killed", "web1 back", "MASTER killed", "MASTER back", "MASTER stopped"] {
        assert!(told.contains(row), "no row \"{row}\"");
    }
}
