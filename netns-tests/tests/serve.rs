//! `vipward serve` beside a real director, read by a real Prometheus with the alerts of `packaging/`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Need, Pair, Router, in_lab, vipward};

const SOON: Duration = Duration::from_secs(60);

fn run(node: &Node, program: &str, words: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(words);
    let output = node.output(command).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn get(node: &Node, path: &str) -> String {
    run(node, "curl", &["--silent", "--include", "--max-time", "10", &format!("http://127.0.0.1:9650{path}")])
}

/// What a query of Prometheus gives, or nothing.
fn query(node: &Node, query: &str) -> Vec<serde_json::Value> {
    let query = format!("query={query}");
    let words =
        ["--silent", "--max-time", "10", "--get", "--data-urlencode", &query, "http://127.0.0.1:9090/api/v1/query"];
    let answer: serde_json::Value = serde_json::from_str(&run(node, "curl", &words)).unwrap_or_default();
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

fn becomes(node: &Node, asked: &str, value: &str) -> serde_json::Value {
    let found = wait_for(SOON, || {
        let answer = query(node, asked);
        answer.into_iter().find(|it| it["value"][1] == value)
    });
    found.unwrap_or_else(|| panic!("{asked} should be {value}, and is {:?}", query(node, asked)))
}

fn serve(pair: &Pair, node: &Node) -> Process {
    let mut command = Command::new(vipward());
    command.arg("serve").arg("--control").arg(pair.control(node));
    let mut process = node.spawn(command).unwrap();
    process.wait_for_line("listening on http://127.0.0.1:9650", SOON).unwrap();
    process
}

fn prometheus(pair: &Pair, node: &Node) -> Process {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus/vipward.rules.yml");
    let config = format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{}]\nscrape_configs:\n  - job_name: lb\n    \
         static_configs:\n      - targets: [127.0.0.1:9650]\n",
        rules.canonicalize().unwrap().display()
    );
    let config = pair.file("prometheus.yml", &config).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", pair.folder.path().join("tsdb").display()));
    command.arg("--web.listen-address=127.0.0.1:9090");
    node.spawn(command).unwrap()
}

#[test]
fn prometheus_reads_what_a_director_says_and_that_it_is_gone() {
    let needs = [Need::Curl, Need::Prometheus];
    in_lab("prometheus_reads_what_a_director_says_and_that_it_is_gone", &needs, || {
        let pair = Pair::build().unwrap();
        let lb1 = &pair.lb1;
        let director = pair.vipward_with(lb1, &Router::master().text()).unwrap();
        let _serve = serve(&pair, lb1);
        let _prometheus = prometheus(&pair, lb1);
        let series = becomes(lb1, "vipward_vrrp_state", "2");
        assert_eq!((&series["metric"]["vrrp_instance"], &series["metric"]["vrid"]), (&"VI_1".into(), &"51".into()));
        becomes(lb1, "vipward_vrrp_addresses_here", "1");
        let sent = query(lb1, "vipward_vrrp_adverts_sent_total");
        let first: f64 = sent[0]["value"][1].as_str().unwrap().parse().unwrap();
        let more = wait_for(SOON, || {
            let now = query(lb1, "vipward_vrrp_adverts_sent_total");
            let now: f64 = now.first()?["value"][1].as_str()?.parse().ok()?;
            (now > first).then_some(())
        });
        assert!(more.is_some(), "adverts are counted");
        assert!(get(lb1, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(lb1, "/v1/status").contains("\"role\":\"MASTER\""));

        director.kill();
        becomes(lb1, "vipward_up", "0");
        let found = wait_for(SOON, || {
            let alerts = query(lb1, "ALERTS{alertname=\"VipwardDoesNotAnswer\"}");
            (!alerts.is_empty()).then_some(())
        });
        assert!(found.is_some(), "the alert is there");
        // Nothing that was true a while ago.
        let gone = wait_for(SOON, || query(lb1, "vipward_vrrp_state").is_empty().then_some(()));
        assert!(gone.is_some(), "{:?}", query(lb1, "vipward_vrrp_state"));
        let health = get(lb1, "/healthz");
        assert!(health.starts_with("HTTP/1.1 503"), "{health}");
    });
}

#[test]
fn the_alerts_say_what_they_should() {
    if !vipward_netns_tests::met("the_alerts_say_what_they_should", Need::Prometheus) {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus");
    let words = ["test", "rules", "vipward.rules.test.yml"];
    let output = Command::new("promtool").args(words).current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
