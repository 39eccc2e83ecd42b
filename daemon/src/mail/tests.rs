//! Mail over real sockets: a server that behaves, and others. Nothing is lost and nothing waits for ever.

use super::Post;
use super::carry::deliver;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use vipward_core::config::{Config, GlobalDefs};
use vipward_core::mail::queue::{Batch, Fate, Report};
use vipward_core::mail::{Mail, Queue, Settings, Topic};
use vipward_core::time::{Duration, Instant};

const PLENTY: std::time::Duration = std::time::Duration::from_secs(60);

fn global(server: SocketAddr) -> GlobalDefs {
    GlobalDefs {
        notification_email: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        smtp_server: Some((server.ip().to_string(), server.port())),
        ..GlobalDefs::default()
    }
}

fn mail(subject: &str) -> Mail {
    Mail { topic: Topic::Vrrp, subject: subject.to_owned(), body: "text\n".to_owned() }
}

fn batch(settings: Settings) -> Batch {
    let mut queue = Queue::default();
    queue.configure(Some(settings));
    queue.put(mail("one"), Instant::ZERO, 0);
    queue.begin(Instant::ZERO).0.unwrap()
}

/// Serves one connection after the other with this function.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(&serve));
    address
}

/// One that takes every mail, but not for `a@`. Its subjects are told.
fn good() -> (SocketAddr, Receiver<String>) {
    let (tell, told) = channel();
    let address = server(move |mut stream| {
        let _ = stream.write_all(b"220 hi\r\n");
        let mut text = false;
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            let answer: &[u8] = match (text, line.as_str()) {
                (true, ".") => {
                    text = false;
                    b"250 taken\r\n"
                }
                (true, line) => {
                    if let Some(subject) = line.strip_prefix("Subject: ") {
                        let _ = tell.send(subject.to_owned());
                    }
                    continue;
                }
                (false, "DATA") => {
                    text = true;
                    b"354 go\r\n"
                }
                (false, "QUIT") => b"221 bye\r\n",
                (false, line) if line.contains("<a@") => b"550 nobody\r\n",
                (false, _) => b"250 ok\r\n",
            };
            let _ = stream.write_all(answer);
        }
    });
    (address, told)
}

fn delivered(settings: Settings) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async { tokio::time::timeout(PLENTY, deliver(batch(settings))).await.unwrap() });
    runtime.shutdown_background();
    report
}

#[test]
fn who_is_refused_does_not_keep_the_mail_from_others() {
    let (address, told) = good();
    let report = delivered(Settings::of(&global(address), "lb1").unwrap());
    assert_eq!(told.recv_timeout(PLENTY).unwrap(), "[lb1] one");
    let fates: Vec<&Fate> = report.mails.iter().flat_map(|(_, fates)| fates).map(|(_, fate)| fate).collect();
    assert_eq!(fates, [&Fate::Refused("550 nobody".to_owned()), &Fate::Delivered]);
    assert_eq!(report.error, None);
}

#[test]
fn servers_that_misbehave_end_with_their_reason() {
    type Serve = fn(TcpStream);
    let hold: Serve = |stream| std::mem::forget(stream);
    let close: Serve = drop;
    let nonsense: Serve = |mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let endless: Serve = |mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {};
    let trickles: Serve = |mut stream| {
        while stream.write_all(b"220-more\r\n").is_ok() {}
    };
    for (serve, why) in [
        (hold, "did not answer within"),
        (close, "closed the connection"),
        (nonsense, "no answer of a mail server"),
        (endless, "a line of more than"),
        (trickles, "more than 100 lines"),
    ] {
        let settings = Settings::of(&global(server(serve)), "lb1").unwrap();
        let report = delivered(Settings { timeout: Duration::from_secs(2), ..settings });
        let error = report.error.unwrap();
        assert!(error.starts_with("mail server 127.0.0.1, port "), "{error}");
        assert!(error.contains(why) || error.contains("reset by peer"), "{error}, and not: {why}");
        assert!(report.mails.iter().all(|(_, fates)| fates.is_empty()));
    }
}

#[test]
fn a_name_that_nobody_knows_and_a_closed_port_are_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings::of(&global(free), "lb1").unwrap();
    assert!(delivered(settings.clone()).error.unwrap().contains("refused"));
    let nobody = Settings { server: ("no-such-host.invalid".to_owned(), 25), ..settings };
    let error = delivered(Settings { timeout: Duration::from_secs(2), ..nobody }).error.unwrap();
    assert!(error.contains("its name"), "{error}");
}

#[test]
fn what_machines_put_in_arrives_and_the_end_waits_for_it() {
    let (address, told) = good();
    let post = Post::start().unwrap();
    post.put(&mail("before there is a configuration"));
    post.loaded(&Config { global: global(address), ..Config::default() });
    post.put(&mail("one"));
    post.put(&mail("two"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(post.end(PLENTY));
    let subjects: Vec<String> = (0..2).map(|_| told.recv_timeout(PLENTY).unwrap()).collect();
    assert!(subjects[0].ends_with("] one") && subjects[1].ends_with("] two"), "{subjects:?}");
    let status = post.status();
    assert_eq!((status.waiting, status.sent, status.dropped), (0, 2, 0));
}
