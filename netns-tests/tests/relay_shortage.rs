//! The relay when something is short: a flood on one service takes nothing from the others, a worker without descriptors
//! judges nobody, and a connection that nobody takes anything from ends. And after a death it serves again.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use vipward_lab::client::{Client, ask};
use vipward_lab::web::Server;
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab, service, virtual_server};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(60);

/// `RLIMIT_NOFILE` of a director that is short of descriptors.
const DESCRIPTORS: usize = 256;

/// More connections than that.
const FLOOD: usize = 400;

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

/// Port 8080 of the VIP, carried to this port of web1; a connection is all that its checker asks for.
fn other() -> SocketAddr {
    SocketAddr::new(VIP, 8080)
}

fn other_server(port: u16) -> String {
    format!(
        "virtual_server 192.0.2.100 8080 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
         real_server 198.51.100.21 {port} {{\n        TCP_CHECK {{\n            connect_timeout 1\n        }}\n    }}\n}}\n"
    )
}

fn text(port: u16) -> String {
    let blocks = virtual_server() + &other_server(port);
    Router { version: 3, advert_int: "0.1", blocks, ..Router::master() }.text()
}

/// A director that may have so few descriptors and no more.
fn short_of_descriptors(pair: &Pair, text: &str) -> Process {
    let file = pair.file("lb1.conf", text).unwrap();
    let mut run = pair.run(&pair.lb1);
    run.args(["--dataplane", "relay", "-f"]).arg(file);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")]);
    command.arg(run.get_program()).args(run.get_args());
    pair.lb1.spawn(command).unwrap()
}

fn worker(director: &Process) -> u32 {
    let children = || director.children().ok()?.first().copied();
    wait_for(SOON, children).unwrap_or_else(|| panic!("no worker: {}", director.output()))
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

fn answers(client: &Node, target: SocketAddr) {
    let answered = wait_for(SOON, || ask(client, target, Duration::from_secs(5)).ok());
    assert!(answered.is_some(), "{target} does not answer: {:?}", ask(client, target, Duration::from_secs(5)));
}

#[test]
fn a_flood_on_one_service_takes_nothing_from_another() {
    in_lab("a_flood_on_one_service_takes_nothing_from_another", &[], || {
        let pair = Pair::build().unwrap();
        let webs = [Server::start(&pair.web1, any(80)).unwrap(), Server::start(&pair.web2, any(80)).unwrap()];
        let _flooded = Server::start(&pair.web1, any(8080)).unwrap();
        let mut director = short_of_descriptors(&pair, &text(8080));
        director.wait_for_line("-> MASTER", SOON).unwrap();
        answers(&pair.client, service());
        answers(&pair.client, other());
        let before = descriptors(worker(&director));

        // Connections that are opened and then say nothing.
        let flood = pair.client.run(|| (0..FLOOD).map(|_| TcpStream::connect(other())).collect()).unwrap();
        let flood: Vec<TcpStream> = flood;
        let steady =
            Client::start(&pair.client, service(), Duration::from_millis(50), Duration::from_secs(10)).unwrap();
        let served = |n| {
            let samples = wait_for(SOON, || Some(steady.samples()).filter(|samples| samples.len() >= n)).unwrap();
            let failed: Vec<_> = samples.iter().filter_map(|sample| sample.answer.as_ref().err()).collect();
            assert!(failed.is_empty(), "{failed:?}: {}", director.output());
        };
        served(40);
        drop(steady);
        // Each of the two is probed again and again.
        let asked = || webs.each_ref().map(Server::requests);
        let since = asked();
        let probed = wait_for(SOON, || {
            let on = asked().iter().zip(since).all(|(now, since)| now - since >= 6);
            (on || director.output().contains("is down")).then_some(())
        });
        assert!(probed.is_some(), "probes do not get through: {}", director.output());
        let most = descriptors(worker(&director));
        let said = director.output();
        println!("descriptors of the worker: {before} before, {most} of {DESCRIPTORS} under the flood");
        assert!(!said.contains("is down") && !said.contains("quorum lost"), "{said}");
        assert!(!said.contains("could not be asked") && !said.contains("nothing can be accepted"), "{said}");
        let told = said.matches("new ones wait to be accepted").count();
        assert!((1..=3).contains(&told), "told {told} times: {said}");
        // It was a flood: nearly all that connections may have is in use, and the reserve is not.
        assert!(most > before + 50 && most < DESCRIPTORS - 16, "{before}, then {most}");

        // Whoever waited is served when the flood is over.
        drop(flood);
        answers(&pair.client, other());
        assert!(!director.output().contains("is down"), "{}", director.output());
    });
}

/// Somebody takes a running worker's descriptors away: nothing new can be opened, by whom ever.
#[test]
fn a_worker_without_descriptors_gives_no_verdict() {
    in_lab("a_worker_without_descriptors_gives_no_verdict", &[], || {
        let pair = Pair::build().unwrap();
        let web1 = Server::start(&pair.web1, any(80)).unwrap();
        let _web2 = Server::start(&pair.web2, any(80)).unwrap();
        let _other = Server::start(&pair.web1, any(8080)).unwrap();
        let mut director = pair.vipward_with(&pair.lb1, &text(8080)).unwrap();
        director.wait_for_line("-> MASTER", SOON).unwrap();
        answers(&pair.client, service());
        answers(&pair.client, other());
        let worker = worker(&director);
        soft_limit(worker, "8");
        director.wait_for_line("could not be asked: this process has no file descriptor left", SOON).unwrap();
        // Clients come all the same; nobody can accept them, and one of their servers dies.
        let waiting = pair.client.run(|| TcpStream::connect_timeout(&service(), SOON)).unwrap();
        director.wait_for_line("nothing can be accepted: this process has no file descriptor left", SOON).unwrap();
        drop(web1);
        std::thread::sleep(Duration::from_secs(5));
        let said = director.output();
        println!("descriptors short for more than 5 s: {} lines of log in all", said.lines().count());
        assert!(!said.contains("is down") && !said.contains("quorum lost"), "{said}");
        assert_eq!(said.matches("could not be asked").count(), 1, "{said}");
        assert!(said.matches("nothing can be accepted").count() <= 2, "one for each service: {said}");
        assert_eq!(worker, self::worker(&director), "the same worker: {said}");
        // They are back, and what is true is seen.
        soft_limit(worker, "1024");
        director.wait_for_line("198.51.100.21:80 is down", SOON).unwrap();
        answers(&pair.client, service());
        drop(waiting);
        let said = director.output();
        assert!(!said.contains("198.51.100.22:80 is down") && !said.contains("quorum lost"), "{said}");
    });
}

/// From outside, as an administrator would.
fn soft_limit(process: u32, limit: &str) {
    let set =
        Command::new("prlimit").args([format!("--pid={process}"), format!("--nofile={limit}:")]).output().unwrap();
    assert!(set.status.success(), "{set:?}");
}

#[test]
fn a_backend_that_accepts_and_never_reads_loses_its_connection() {
    in_lab("a_backend_that_accepts_and_never_reads_loses_its_connection", &[], || {
        let pair = Pair::build().unwrap();
        let _webs = [Server::start(&pair.web1, any(80)).unwrap(), Server::start(&pair.web2, any(80)).unwrap()];
        let deaf = pair.web1.run(|| TcpListener::bind(any(9000))).unwrap();
        std::thread::spawn(move || deaf.incoming().collect::<Vec<_>>());
        let settings = "[relay.services.\"192.0.2.100:8080\"]\nstall_timeout = 2\n";
        let mut director = pair.vipward_beside(&pair.lb1, &text(9000), settings).unwrap();
        director.wait_for_line("-> MASTER", SOON).unwrap();
        answers(&pair.client, service());
        let mut stream = pair.client.run(|| TcpStream::connect_timeout(&other(), SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        let bytes = vec![0; 1 << 20];
        let error = (0..1000).find_map(|_| stream.write_all(&bytes).err()).expect("nobody took a gigabyte");
        let cut = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        assert!(cut, "{error}: {}", director.output());
        director.wait_for_line("TCP 192.0.2.100:8080: a connection was cut: one side took nothing", SOON).unwrap();
        answers(&pair.client, service());
    });
}

#[test]
fn a_killed_worker_binds_its_ports_at_once() {
    in_lab("a_killed_worker_binds_its_ports_at_once", &[], || {
        let pair = Pair::build().unwrap();
        let _webs = [Server::start(&pair.web1, any(80)).unwrap(), Server::start(&pair.web2, any(80)).unwrap()];
        let _other = Server::start(&pair.web1, any(8080)).unwrap();
        let mut director = pair.vipward_with(&pair.lb1, &text(8080)).unwrap();
        director.wait_for_line("-> MASTER", SOON).unwrap();
        for _ in 0..3 {
            // Connections that are closed, and others that are open when it dies.
            (0..20).for_each(|_| answers(&pair.client, service()));
            let open = pair.client.run(|| (0..20).map(|_| TcpStream::connect(other())).collect()).unwrap();
            let _open: Vec<TcpStream> = open;
            let (old, from) = (worker(&director), director.lines(0).len());
            let killed = Instant::now();
            vipward_lab::signal(old, Signal::SIGKILL);
            director.wait_for_line_after(from, " MASTER", SOON).unwrap();
            answers(&pair.client, service());
            answers(&pair.client, other());
            println!("serves again after {} ms", killed.elapsed().as_millis());
            assert_ne!(worker(&director), old);
        }
        assert!(!director.output().contains("cannot listen"), "{}", director.output());
    });
}
