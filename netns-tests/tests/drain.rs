//! `vipward drain` and `vipward undrain` of a real director with the relay: connections that are there live, new ones go elsewhere.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use vipward_lab::client::Client;
use vipward_lab::kept::Kept;
use vipward_lab::web::Server;
use vipward_lab::{Signal, signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab, service, virtual_server};

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

/// Processor time of a process so far, in hundredths of a second.
fn used(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may have anything in it, utime and stime are the 12th and the 13th (proc(5)).
    let fields = stat.rsplit(')').next().unwrap().split_ascii_whitespace();
    fields.skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}

/// The supervisor runs before all others: on a machine of one processor a worker would never read what kept it awake.
#[test]
fn an_order_that_the_worker_has_not_read_does_not_keep_the_supervisor_awake() {
    in_lab("an_order_that_the_worker_has_not_read_does_not_keep_the_supervisor_awake", &[], || {
        let pair = Pair::build().unwrap();
        let file = pair.file("lb1.conf", &Router { blocks: virtual_server(), ..Router::master() }.text()).unwrap();
        let director = pair.vipward(&pair.lb1, &file).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap_or_else(|| panic!("{}", director.output()));
        let worker = director.children().unwrap().first().copied().expect("a worker");
        signal(worker, Signal::SIGSTOP);
        let mut client = UnixStream::connect(pair.control(&pair.lb1)).unwrap();
        client.write_all(format!("drain {WEB1}\n").as_bytes()).unwrap();
        let (began, before) = (Instant::now(), used(director.pid()));
        std::thread::sleep(Duration::from_millis(600));
        let (lasted, used) = (began.elapsed(), used(director.pid()) - before);
        signal(worker, Signal::SIGCONT);
        assert!(u128::from(used) * 10 * 4 < lasted.as_millis(), "{used} hundredths of a second in {lasted:?}");
    });
}
