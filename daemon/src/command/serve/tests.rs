//! What clients get, and what hostile ones can't do.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use vipward_core::status::{
    BalancerStatus, CheckerStatus, ElectionStatus, FORMAT, QuorumStatus, RealServerStatus, ResultStatus,
    VirtualServerStatus,
};

fn answered() -> Status {
    let router = serde_json::json!({
        "name": "VI_1", "interface": "eth0", "vrid": 51, "family": "IPv4", "version": 3, "role": "MASTER",
        "since_ms": 1500, "why": null, "priority": 140, "configured_priority": 150, "tracked": [],
        "advert_int_ms": 100, "source": null, "heard": null, "next": null,
        "addresses": [
            { "address": "192.0.2.100", "prefix_len": 24, "interface": "eth0", "there": true },
            { "address": "192.0.2.101", "prefix_len": 24, "interface": "eth0", "there": false }
        ],
        "packets": { "sent": 7, "heard": 3 }, "group": null, "lease": null
    });
    let last = ResultStatus { ago_ms: 5, took_us: Some(1_500), passed: false, failure: Some("refused".to_owned()) };
    let checker = CheckerStatus {
        kind: "TCP_CHECK".to_owned(),
        target: "10.0.0.2:80".to_owned(),
        up: false,
        last: Some(last),
        next_ms: None,
    };
    let server = RealServerStatus {
        address: "10.0.0.2:80".to_owned(),
        up: false,
        since_ms: Some(4_200),
        why: None,
        forwarding: "NAT".to_owned(),
        weight: None,
        configured_weight: 1,
        drained: None,
        checkers: vec![checker],
    };
    let service = VirtualServerStatus {
        name: "TCP 192.0.2.100:80".to_owned(),
        scheduler: "rr".to_owned(),
        persistence_s: None,
        quorum: QuorumStatus { up: false, needed: 1, live: 0, total: 1, since_ms: None },
        sorry_server: None,
        suspended: false,
        entries: Vec::new(),
        servers: vec![server],
    };
    Status {
        format: FORMAT,
        director: "lb1".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 1,
        up_ms: 61_000,
        file: "a \"quoted\" file.conf".to_owned(),
        election: Some(ElectionStatus {
            routers: vec![serde_json::from_value(router).unwrap()],
            ..ElectionStatus::default()
        }),
        balancer: Some(BalancerStatus {
            carrier: "relay".to_owned(),
            services: vec![service],
            ..BalancerStatus::default()
        }),
        mail: None,
        waited_ms: 1,
    }
}

#[test]
fn every_number_is_there_with_its_labels() {
    let text = metrics::of(Some(&answered())).unwrap();
    let router = "{vrrp_instance=\"VI_1\",interface=\"eth0\",vrid=\"51\",family=\"IPv4\"}";
    let server = "{virtual_server=\"TCP 192.0.2.100:80\",real_server=\"10.0.0.2:80\"}";
    let checker = server.replace('}', ",checker=\"TCP_CHECK\",target=\"10.0.0.2:80\",number=\"1\"}");
    for line in [
        "vipward_up{} 1.0".to_owned(),
        "vipward_machine_answers{machine=\"election\"} 1.0".to_owned(),
        "vipward_worker_uptime_seconds{} 61.0".to_owned(),
        format!("vipward_vrrp_state{router} 2.0"),
        format!("vipward_vrrp_state_age_seconds{router} 1.5"),
        format!("vipward_vrrp_priority{router} 140.0"),
        format!("vipward_vrrp_addresses{router} 2.0"),
        format!("vipward_vrrp_addresses_here{router} 1.0"),
        format!("vipward_vrrp_adverts_sent_total{router} 7"),
        "vipward_virtual_server_quorum_up{virtual_server=\"TCP 192.0.2.100:80\"} 0.0".to_owned(),
        format!("vipward_real_server_up{server} 0.0"),
        format!("vipward_checker_up{checker} 0.0"),
        format!("vipward_checker_duration_seconds{checker} 0.0015"),
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
    // It is not in the table.
    assert!(!text.contains("vipward_real_server_weight{"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    let nobody = metrics::of(None).unwrap();
    let samples: Vec<&str> = nobody.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, ["vipward_up{} 0.0"]);
}

/// Served on a free port, with this as the director's last answer, which is fresh for the whole test.
fn served(answer: Result<Status, String>) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let later = Instant::now() + Duration::from_secs(3_600);
            let asked = Asked { control: PathBuf::from("/nowhere"), last: Mutex::new(Some((later, Arc::new(answer)))) };
            let _ = accept(Arc::new(asked), true, async || listener.accept().await.map(|it| it.0)).await;
        });
    });
    told.recv().unwrap()
}

fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Whoever is cut off in the middle of a request may hear a reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn path(address: SocketAddr, path: &str) -> String {
    get(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

#[test]
fn a_director_that_answers_is_well_and_one_with_a_fault_is_not_ready() {
    let address = served(Ok(answered()));
    assert!(path(address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(path(address, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = path(address, "/metrics");
    assert!(metrics.to_lowercase().contains("content-type: application/openmetrics-text"), "{metrics}");
    let status = path(address, "/v1/status");
    let (_, body) = status.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Status>(body).unwrap(), answered());
    let mut faulty = answered();
    faulty.election.as_mut().unwrap().routers[0].role = "FAULT".to_owned();
    let address = served(Ok(faulty));
    assert!(path(address, "/healthz").starts_with("HTTP/1.1 200"));
    let unready = path(address, "/readyz");
    assert!(unready.starts_with("HTTP/1.1 503") && unready.ends_with("in FAULT: VI_1\n"), "{unready}");
}

#[test]
fn of_a_dead_or_hanging_director_nothing_is_said() {
    let address = served(Err("connection refused".to_owned()));
    for asked in ["/healthz", "/readyz", "/v1/status"] {
        let answer = path(address, asked);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection refused"), "{answer}");
    }
    let metrics = path(address, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("\nvipward_up{} 0.0\n"), "{metrics}");
    let mut hangs = answered();
    hangs.election = None;
    let address = served(Ok(hangs));
    assert!(path(address, "/healthz").ends_with("the Election does not answer\n"));
    assert!(!path(address, "/metrics").contains("vipward_vrrp_state{"));
}

#[test]
fn hostile_requests_are_refused() {
    let address = served(Ok(answered()));
    for (request, status) in [
        ("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "421"),
        ("GET /v1/status HTTP/1.1\r\n\r\n".to_owned(), "4"),
        ("POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n".to_owned(), "405"),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: [::1]:9650\r\n\r\n".to_owned(), "404"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20)), "4"),
        ("\0\u{1}\u{2}nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = get(address, &request);
        let begins = format!("HTTP/1.1 {status}");
        // One that is cut off while it still sends may hear nothing.
        let long = request.len() > LONGEST_HEAD && answer.is_empty();
        assert!(answer.starts_with(&begins) || long, "{}: {answer}", &request[..request.len().min(80)]);
    }
    assert!(path(address, "/healthz").starts_with("HTTP/1.1 200"));
}

/// As many as there is room for say nothing; the next one is served when their time is over.
#[test]
fn who_says_nothing_holds_its_place_for_a_while_only() {
    let address = served(Ok(answered()));
    let silent: Vec<TcpStream> = (0..MOST).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(path(address, "/healthz").starts_with("HTTP/1.1 200"));
    drop(silent);
}
