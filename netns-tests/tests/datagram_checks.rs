//! UDP_CHECK of a real director against real sockets and the kernel's own refusals.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vipward_lab::{Node, Process};
use vipward_netns_tests::{Pair, Router, in_lab};

const SOON: Duration = Duration::from_secs(60);

/// A service that answers each datagram as it is told to; not at all when it is told nothing.
struct Service {
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(node: &Node, address: &'static str) -> Self {
        // The socket stays in the namespace that it was made in.
        let socket = node.run(move || UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answer = Arc::new(Mutex::new(None::<Vec<u8>>));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let (its_answer, its_heard, its_end) = (answer.clone(), heard.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            let mut payload = [0; 2048];
            while !its_end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut payload) else { continue };
                its_heard.lock().unwrap().push(payload[..length].to_vec());
                if let Some(answer) = &*its_answer.lock().unwrap() {
                    let _ = socket.send_to(answer, from);
                }
            }
        });
        Self { answer, heard, ends, thread: Some(thread) }
    }

    fn answers(&self, with: &[u8]) {
        *self.answer.lock().unwrap() = Some(with.to_vec());
    }

    fn is_silent(&self) {
        *self.answer.lock().unwrap() = None;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Waits for this line behind the last one that was waited for.
struct Reading {
    process: Process,
    from: usize,
}

impl Reading {
    fn sees(&mut self, part: &str) {
        self.process.wait_for_line_after(self.from, part, SOON).unwrap();
        let lines = self.process.lines(self.from);
        self.from += lines.iter().position(|line| line.text.contains(part)).unwrap() + 1;
    }
}

/// A virtual server whose real servers are those, each with the words of its UDP_CHECK. What is checked is not what is
/// served: the relay carries TCP.
fn director(pair: &Pair, servers: &[(u8, &str)]) -> Reading {
    let server = |(host, words): &(u8, &str)| {
        format!(
            "    real_server 198.51.100.{host} 80 {{\n        UDP_CHECK {{\n            alpha\n            retry 0\n            \
             connect_port 1812\n            {words}\n        }}\n    }}\n"
        )
    };
    let servers: String = servers.iter().map(server).collect();
    let blocks = format!(
        "virtual_server 192.0.2.100 80 {{\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    lb_kind NAT\n    \
         protocol TCP\n{servers}}}\n"
    );
    let router = Router { version: 3, advert_int: "0.1", blocks, ..Router::master() };
    Reading { process: pair.vipward_with(&pair.lb1, &router.text()).unwrap(), from: 0 }
}

#[test]
fn an_answer_is_required_and_looked_at() {
    in_lab("an_answer_is_required_and_looked_at", &[], || {
        let pair = Pair::build().unwrap();
        let service = Service::start(&pair.web1, "0.0.0.0:1812");
        service.answers(b"ok 17");
        let words = "payload 70696e67\nrequire_reply 6f6b 2x\nmax_reply_length 8\nconnect_timeout 1";
        let mut director = director(&pair, &[(21, words)]);
        let mut sees = |what: &str| director.sees(&format!("198.51.100.21:80 {what}"));
        sees("is up");
        assert!(service.heard.lock().unwrap().iter().all(|payload| payload == b"ping"));
        service.answers(b"no");
        sees("is down: answer 6e6f differs from require_reply at byte 1");
        service.answers(b"ok -");
        sees("is up");
        service.answers(b"ok and more");
        sees("is down: answer longer than max_reply_length 8");
        service.answers(b"ok");
        sees("is up");
        service.is_silent();
        sees("is down: no response in time");
        service.answers(b"ok");
        sees("is up");
        drop(service);
        sees("is down: connection refused");
    });
}

#[test]
fn without_a_required_answer_only_a_refusal_counts() {
    in_lab("without_a_required_answer_only_a_refusal_counts", &[], || {
        let pair = Pair::build().unwrap();
        let service = Service::start(&pair.web1, "0.0.0.0:1812");
        let from = "connect_timeout 4\nbindto 198.51.100.11\nbind_if eth1\nbind_port 4000\nfwmark 7";
        // Nobody has .99.
        let mut director = director(&pair, &[(21, from), (99, "connect_timeout 10\nalpha off")]);
        director.sees("198.51.100.21:80 is up");
        director.process.wait_for_line("198.51.100.99:80 is down: unreachable: No route to host", SOON).unwrap();
        drop(service);
        director.sees("198.51.100.21:80 is down: connection refused");
        let _service = Service::start(&pair.web1, "198.51.100.21:1812");
        director.sees("198.51.100.21:80 is up");
    });
}
