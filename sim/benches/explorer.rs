//! How fast the explorer's runner is: simulated seconds a wall second on one core, for two directors, two virtual servers
//! with two real servers each, adverts of 1 s. Throughput is in simulated seconds.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vipward_sim::explore::files::Texts;
use vipward_sim::explore::{Case, Clusters};
use vipward_sim::runner::events::{EventRun, Product};
use vipward_sim::scenario;

const SECONDS: u64 = 10_000;

fn configuration(director: u8, priority: u8, delay_loop: u32) -> String {
    let mut text = format!(
        "global_defs {{\n router_id lb{director}\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int 1\n virtual_ipaddress {{\n 192.0.2.100/24\n 192.0.2.101/24\n }}\n}}\n"
    );
    for (vip, servers) in [(100, [21, 22]), (101, [23, 24])] {
        text += &format!(
            "virtual_server 192.0.2.{vip} 80 {{\n delay_loop {delay_loop}\n lb_algo rr\n lb_kind DR\n protocol TCP\n"
        );
        for server in servers {
            text += &format!(
                " real_server 192.0.2.{server} 80 {{\n HTTP_GET {{\n url {{\n path /\n status_code 200\n }}\n \
                 connect_timeout 3\n retry 1\n delay_before_retry 1\n }}\n }}\n"
            );
        }
        text += "}\n";
    }
    text
}

fn pair(delay_loop: u32) -> Arc<scenario::Scenario> {
    let mut files = Texts::new();
    files.insert(PathBuf::from("lb1.conf"), configuration(1, 150, delay_loop).into_bytes());
    files.insert(PathBuf::from("lb2.conf"), configuration(2, 100, delay_loop).into_bytes());
    let mut text = format!("duration = \"{SECONDS}s\"\n");
    for director in [1, 2] {
        text += &format!(
            "[director.lb{director}]\nconfig = \"lb{director}.conf\"\ninterfaces.eth0 = \"192.0.2.{}/24\"\n",
            10 + director
        );
    }
    for server in 21..=24 {
        text += &format!("[real_server.web{server}]\naddress = \"192.0.2.{server}/24\"\n");
    }
    files.insert(PathBuf::from("pair.toml"), text.into_bytes());
    let loaded = scenario::load_from(&files, &PathBuf::from("pair.toml"));
    assert!(loaded.scenario.is_some(), "{:?}", loaded.diagnostics);
    Arc::new(loaded.scenario.unwrap())
}

fn runner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated-seconds");
    group.throughput(Throughput::Elements(SECONDS)).sample_size(20).measurement_time(Duration::from_secs(8));
    for delay_loop in [2, 10, 60] {
        let scenario = pair(delay_loop);
        group.bench_function(format!("pair-checked-every-{delay_loop}s"), |bench| {
            bench.iter(|| {
                let mut run = EventRun::new(&scenario, None, &Product);
                run.leave_out_traffic();
                run.play().unwrap();
                assert!(run.watch().violations.is_empty());
            });
        });
    }
    group.finish();
}

fn seeds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seeds-of-600-s");
    group.throughput(Throughput::Elements(50)).sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("fifty", |bench| {
        bench.iter(|| {
            for seed in 1..=50 {
                Case::draw(seed, 600, &Clusters::Any).unwrap().run(&Product).unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, runner, seeds);
criterion_main!(benches);
