//! DNS_CHECK of a real director against a real name server (NSD).

use std::process::Command;
use std::time::Duration;
use vipward_lab::{Node, Process, Signal};
use vipward_netns_tests::{Need, Pair, Router, in_lab, program};

const SOON: Duration = Duration::from_secs(60);

/// It knows `example.org` and refuses others; what `example.net` is it would have to hear from a server that does not
/// answer.
fn name_server(pair: &Pair, node: &Node) -> Process {
    let folder = pair.folder.path().display();
    let zone = "$ORIGIN example.org.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 198.51.100.21\n\
                www A 192.0.2.100\n";
    pair.file("example.org.zone", zone).unwrap();
    let text = format!(
        "server:\n    ip-address: 0.0.0.0\n    username: \"\"\n    chroot: \"\"\n    database: \"\"\n    zonesdir: \"{folder}\"\n    \
         pidfile: \"{folder}/nsd.pid\"\n    xfrdfile: \"{folder}/xfrd.state\"\n    zonelistfile: \"{folder}/zone.list\"\n    \
         xfrdir: \"{folder}\"\n    server-count: 1\n    rrl-ratelimit: 0\n    verbosity: 1\nremote-control:\n    control-enable: no\n\
         zone:\n    name: example.org\n    zonefile: example.org.zone\n\
         zone:\n    name: example.net\n    request-xfr: AXFR 198.51.100.99 NOKEY\n"
    );
    let file = pair.file("nsd.conf", &text).unwrap();
    let mut command = Command::new(program("nsd").unwrap());
    command.arg("-d").arg("-c").arg(file);
    node.spawn(command).unwrap()
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

/// A real server for each query; what is checked is not what is served: the relay carries TCP.
fn director(pair: &Pair, queries: &[(u16, &str)]) -> Reading {
    let server = |(port, words): &(u16, &str)| {
        format!(
            "    real_server 198.51.100.21 {port} {{\n        DNS_CHECK {{\n            retry 0\n            connect_port 53\n            \
             connect_timeout 2\n            {words}\n        }}\n    }}\n"
        )
    };
    let servers: String = queries.iter().map(server).collect();
    let blocks = format!(
        "virtual_server 192.0.2.100 80 {{\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    lb_kind NAT\n    \
         protocol TCP\n{servers}}}\n"
    );
    let router = Router { version: 3, advert_int: "0.1", blocks, ..Router::master() };
    Reading { process: pair.vipward_with(&pair.lb1, &router.text()).unwrap(), from: 0 }
}

#[test]
fn a_real_name_server_answers_fails_and_is_silent() {
    in_lab("a_real_name_server_answers_fails_and_is_silent", &[Need::Nsd], || {
        let pair = Pair::build().unwrap();
        let mut server = name_server(&pair, &pair.web1);
        server.wait_for_line("nsd started", SOON).unwrap();
        let queries = [
            (81, "alpha\ntype A\nname www.example.org"),
            // There is such a name, without such a record.
            (82, "alpha\ntype AAAA\nname WWW.example.org."),
            (83, "type A\nname nosuch.example.org"),
            (84, "type A\nname www.example.com"),
            (85, "type SOA\nname example.net"),
            // Not of this server's: of the root it knows nothing.
            (86, ""),
        ];
        let mut director = director(&pair, &queries);
        for (port, what) in [
            (81, "is up"),
            (82, "is up"),
            (83, "is down: answered with NXDOMAIN"),
            (84, "is down: answered with REFUSED"),
            (85, "is down: answered with SERVFAIL"),
            (86, "is down: answered with REFUSED"),
        ] {
            director.process.wait_for_line(&format!("198.51.100.21:{port} {what}"), SOON).unwrap();
        }
        director.from = director.process.lines(0).len();
        server.signal_all(Signal::SIGSTOP);
        director.sees("198.51.100.21:81 is down: no response in time");
        server.signal_all(Signal::SIGCONT);
        director.sees("198.51.100.21:81 is up");
        server.signal_all(Signal::SIGKILL);
        server.kill();
        director.sees("198.51.100.21:81 is down: connection refused");
    });
}
