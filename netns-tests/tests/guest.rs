//! Real IPVS: the daemon programs a Debian kernel's table for NAT and for DR, and a client's requests go through it to
//! real web servers (nginx).
//!
//! One guest boots and runs this test program again inside (`netns-tests/vm/`); there each test gets a lab, as on the
//! host. Nothing is measured in the guest: it is emulated and slow.

#[path = "guest/beside_keepalived.rs"]
mod beside_keepalived;
#[path = "guest/drain.rs"]
mod drain;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vipward_lab::client::{Client, ask};
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::{Need, Pair, VIP, in_lab, met, program, required, service, vipward};

/// Emulated time is long.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn real_ipvs_in_a_guest() {
    let test = "real_ipvs_in_a_guest";
    // A minute of emulation is not for everybody's every test run: only where it is asked for.
    if in_guest() {
        return;
    }
    if !required(Need::Vm) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: VIPWARD_REQUIRE=vm runs it");
        return;
    }
    if !met(test, Need::Vm) || !met(test, Need::Nginx) {
        return;
    }
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/run");
    let command = vipward();
    let status = Command::new(run)
        .args(["-t", "900", "-e", "VIPWARD_COMMAND", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--test-threads=1", "--nocapture"])
        .env("VIPWARD_COMMAND", command)
        .status()
        .unwrap();
    assert!(status.success(), "the tests in the guest failed ({status}), see above");
}

fn in_guest() -> bool {
    std::env::var_os("VIPWARD_GUEST").is_some()
}

/// nginx on a web server's machine; it answers with the machine's name.
fn nginx(pair: &Pair, node: &Node) -> Process {
    let folder = pair.folder.path().join(node.name());
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.display();
    let text = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{ }}\nhttp {{\n    \
         access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n    \
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n    \
         server {{ listen 80; location / {{ return 200 {}; }} }}\n}}\n",
        node.name()
    );
    let file = pair.file(&format!("{}.nginx", node.name()), &text).unwrap();
    let mut command = Command::new(program("nginx").unwrap());
    command.arg("-c").arg(file);
    let process = node.spawn(command).unwrap();
    wait_for(SOON, || node_answers(node).then_some(())).expect("nginx answers");
    process
}

fn node_answers(node: &Node) -> bool {
    ask(node, SocketAddr::from(([127, 0, 0, 1], 80)), Duration::from_secs(5)).is_ok()
}

fn ipvsadm(node: &Node, arguments: &[&str]) -> String {
    let mut command = Command::new("ipvsadm");
    command.args(arguments);
    let output = node.output(command).unwrap();
    assert!(output.status.success(), "ipvsadm: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The table as `ipvsadm -Sn` saves it, without the order of the lines.
fn table(node: &Node) -> Vec<String> {
    let saved = ipvsadm(node, &["-Sn"]);
    let mut lines: Vec<_> = saved.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

fn wait_for_table(node: &Node, wanted: &[&str], daemon: &Process) {
    let found = wait_for(SOON, || (table(node) == wanted).then_some(()));
    assert!(found.is_some(), "{:#?} is not {wanted:#?}\n{}", table(node), daemon.output());
}

/// Who answers `n` requests through the VIP, and how often.
fn answers(pair: &Pair, n: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        let answer = ask(&pair.client, service(), Duration::from_secs(20));
        *counts.entry(answer.unwrap_or_else(|error| format!("error: {error}"))).or_default() += 1;
    }
    counts
}

fn wait_for_answers(pair: &Pair, wanted: &[(&str, usize)]) {
    let n = wanted.iter().map(|(_, count)| count).sum();
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(who, count)| ((*who).to_owned(), *count)).collect();
    let mut last = BTreeMap::new();
    let found = wait_for(SOON, || {
        last = answers(pair, n);
        (last == wanted).then_some(())
    });
    assert!(found.is_some(), "{last:?} is not {wanted:?}");
}

/// A director's file. `back` is an address on the back segment that moves along: the way back for NAT.
fn file(name: &str, priority: u8, kind: &str, back: &str, servers: [&str; 2]) -> String {
    let real = |address: &str| {
        format!(
            "    real_server {address} 80 {{\n        weight 2\n        HTTP_GET {{\n            url {{\n                \
             path /\n                status_code 200\n            }}\n            connect_timeout 10\n            \
             retry 1\n            delay_before_retry 1\n        }}\n    }}\n"
        )
    };
    let [first, second] = servers;
    format!(
        "global_defs {{\n    router_id {name}\n}}\nvrrp_instance VI_1 {{\n    state BACKUP\n    interface eth0\n    \
         virtual_router_id 51\n    priority {priority}\n    advert_int 1\n    \
         virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n    \
         virtual_ipaddress_excluded {{\n        {back}\n    }}\n}}\n\
         virtual_server 192.0.2.100 80 {{\n    delay_loop 2\n    lb_algo rr\n    lb_kind {kind}\n    \
         protocol TCP\n{}{}}}\n",
        real(first),
        real(second)
    )
}

fn start(pair: &Pair, node: &Node, text: &str) -> Process {
    let file = pair.file(&format!("{}.conf", node.name()), text).unwrap();
    let mut command = pair.run(node);
    command.args(["--dataplane", "ipvs", "-f"]).arg(file);
    node.spawn(command).unwrap()
}

const NAT_TABLE: [&str; 3] = [
    "-A -t 192.0.2.100:80 -s rr",
    "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 2",
    "-a -t 192.0.2.100:80 -r 198.51.100.22:80 -m -w 2",
];

#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn nat() {
    in_lab("nat", &[], || {
        let pair = Pair::build().unwrap();
        let (web1, _web2) = (nginx(&pair, &pair.web1), nginx(&pair, &pair.web2));
        for web in [&pair.web1, &pair.web2] {
            web.default_route("198.51.100.100".parse().unwrap()).unwrap();
        }
        for director in [&pair.lb1, &pair.lb2] {
            director.sysctl("net/ipv4/ip_forward", "1").unwrap();
        }
        let text = |name, priority| {
            file(name, priority, "NAT", "198.51.100.100/24 dev eth1", ["198.51.100.21", "198.51.100.22"])
        };
        // Somebody else's service is never touched.
        ipvsadm(&pair.lb1, &["-A", "-t", "192.0.2.77:8080", "-s", "wlc"]);
        let foreign = "-A -t 192.0.2.77:8080 -s wlc";
        let with_foreign = |lines: &[&'static str]| {
            let mut lines = lines.to_vec();
            lines.push(foreign);
            lines.sort_unstable();
            lines
        };

        let mut lb1 = start(&pair, &pair.lb1, &text("lb1", 150));
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for_table(&pair.lb1, &with_foreign(&NAT_TABLE), &lb1);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
        let mut lb2 = start(&pair, &pair.lb2, &text("lb2", 100));
        lb2.wait_for_line("-> BACKUP", SOON).unwrap();
        wait_for_table(&pair.lb2, &NAT_TABLE, &lb2);

        // A dead web server leaves the table and comes back.
        web1.kill();
        let [service_line, _, web2_line] = NAT_TABLE;
        wait_for_table(&pair.lb1, &with_foreign(&[service_line, web2_line]), &lb1);
        wait_for_answers(&pair, &[("web2", 6)]);
        let _web1 = nginx(&pair, &pair.web1);
        wait_for_table(&pair.lb1, &with_foreign(&NAT_TABLE), &lb1);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);

        // What somebody else deletes comes back.
        ipvsadm(&pair.lb1, &["-d", "-t", "192.0.2.100:80", "-r", "198.51.100.21:80"]);
        wait_for_table(&pair.lb1, &with_foreign(&NAT_TABLE), &lb1);

        // A killed director leaves its table; the other one serves.
        lb1.kill();
        lb2.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
        assert_eq!(table(&pair.lb1), with_foreign(&NAT_TABLE));

        // The next daemon on lb1 adopts the table and takes the service back; stopped, it leaves only what is not its.
        let mut lb1 = start(&pair, &pair.lb1, &text("lb1", 150));
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || (!pair.lb2.has(VIP)).then_some(())).expect("lb2 gives the VIP back");
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
        lb1.signal(Signal::SIGTERM);
        let ended = lb1.wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        assert_eq!(table(&pair.lb1), [foreign], "{}", ended.output);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
    });
}

#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn direct_routing() {
    in_lab("direct_routing", &[], || {
        let pair = Pair::build().unwrap();
        // DR needs the web servers on the front segment, with the VIP on their loopback and quiet about it.
        let mut webs = Vec::new();
        for (node, host) in [(&pair.web1, "192.0.2.21"), (&pair.web2, "192.0.2.22")] {
            pair.front.attach(node, "eth1", host.parse::<IpAddr>().unwrap(), 24).unwrap();
            node.sysctl("net/ipv4/conf/all/arp_ignore", "1").unwrap();
            node.sysctl("net/ipv4/conf/all/arp_announce", "2").unwrap();
            node.add_address("lo", VIP, 32).unwrap();
            webs.push(nginx(&pair, node));
        }
        let text = file("lb1", 150, "DR", "198.51.100.100/24 dev eth1", ["192.0.2.21", "192.0.2.22"]);
        let mut lb1 = start(&pair, &pair.lb1, &text);
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        let wanted = [
            "-A -t 192.0.2.100:80 -s rr",
            "-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 2",
            "-a -t 192.0.2.100:80 -r 192.0.2.22:80 -g -w 2",
        ];
        wait_for_table(&pair.lb1, &wanted, &lb1);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);

        // A reload changes what differs: another scheduler and persistence; the destinations stay.
        pair.file("lb1.conf", &text.replace("lb_algo rr", "lb_algo wlc\n    persistence_timeout 300")).unwrap();
        lb1.signal(Signal::SIGHUP);
        let [_, first, second] = wanted;
        wait_for_table(&pair.lb1, &["-A -t 192.0.2.100:80 -s wlc -p 300", first, second], &lb1);
        let sticky = answers(&pair, 6);
        assert_eq!(sticky.len(), 1, "persistence: {sticky:?}");
        assert!(webs.iter_mut().all(Process::running));
    });
}

/// The table is adopted and not built anew, so connections and their counters go on.
#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn an_upgrade_leaves_table_counters_and_clients_alone() {
    in_lab("an_upgrade_leaves_table_counters_and_clients_alone", &[], || {
        let pair = Pair::build().unwrap();
        let _webs = [nginx(&pair, &pair.web1), nginx(&pair, &pair.web2)];
        for web in [&pair.web1, &pair.web2] {
            web.default_route("198.51.100.100".parse().unwrap()).unwrap();
        }
        pair.lb1.sysctl("net/ipv4/ip_forward", "1").unwrap();
        let text = |name, priority| {
            file(name, priority, "NAT", "198.51.100.100/24 dev eth1", ["198.51.100.21", "198.51.100.22"])
        };
        let mut lb1 = start(&pair, &pair.lb1, &text("lb1", 150));
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for_table(&pair.lb1, &NAT_TABLE, &lb1);
        let mut lb2 = start(&pair, &pair.lb2, &text("lb2", 100));
        lb2.wait_for_line("-> BACKUP", SOON).unwrap();
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
        let said = lb2.lines(0).len();
        // Less than an emulated machine can answer.
        let client = Client::start(&pair.client, service(), Duration::from_millis(50), SOON).unwrap();
        let connections = || {
            let shown = ipvsadm(&pair.lb1, &["-L", "-n", "--stats", "--exact", "-t", "192.0.2.100:80"]);
            let line = shown.lines().find(|line| line.starts_with("TCP")).map(str::to_owned).unwrap();
            line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()
        };
        wait_for(SOON, || (connections() > 0).then_some(())).expect("the kernel counts");
        let (mut upgraded, mut late) = (0, 0);
        while upgraded < 100 {
            let (before, since) = (connections(), Instant::now());
            let mut command = Command::new(vipward());
            command.arg("upgrade").arg("--control").arg(pair.control(&pair.lb1));
            let output = pair.lb1.output(command).unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.success() {
                true => upgraded += 1,
                // An emulated machine on a busy one: then all stays as it was, and that is looked at like the rest.
                false if said.contains("within 1 s") && late < 20 => late += 1,
                false => panic!("{said}: {}", lb1.output()),
            }
            let now = connections();
            assert!(now >= before, "begun anew: {now} connections after {before}");
            wait_for(SOON, || (!client.samples_since(since).is_empty()).then_some(())).expect("the client goes on");
        }
        assert_eq!(table(&pair.lb1), NAT_TABLE);
        // The kernel sums its counters up every 2 s.
        let asked = client.samples().len();
        let counted = || usize::try_from(connections()).is_ok_and(|n| n >= asked);
        wait_for(SOON, || counted().then_some(())).expect("each request is counted");
        println!(
            "{upgraded} upgrades, {late} more that took too long and were taken back, {asked} requests over new \
             connections through IPVS"
        );
        let failed: Vec<_> = client.samples().into_iter().filter_map(|sample| sample.answer.err()).collect();
        assert_eq!(failed, [""; 0], "{}", lb1.output());
        let news: Vec<String> = lb2.lines(said).into_iter().map(|line| line.text).collect();
        assert!(!news.iter().any(|line| line.contains("MASTER")), "{news:#?}");
    });
}

#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn auto_takes_ipvs_where_it_is() {
    in_lab("auto_takes_ipvs_where_it_is", &[], || {
        let pair = Pair::build().unwrap();
        let _webs = [nginx(&pair, &pair.web1), nginx(&pair, &pair.web2)];
        let text = file("lb1", 150, "NAT", "198.51.100.100/24 dev eth1", ["198.51.100.21", "198.51.100.22"]);
        let file = pair.file("lb1.conf", &text).unwrap();
        let mut command = pair.run(&pair.lb1);
        command.arg("-f").arg(file);
        let lb1 = pair.lb1.spawn(command).unwrap();
        wait_for_table(&pair.lb1, &NAT_TABLE, &lb1);
    });
}
