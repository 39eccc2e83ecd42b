//! How long a drill of two directors takes, with many virtual routers on two interfaces. Prints numbers, asserts nothing.
//!
//!     cargo run --release -p vipward-sim --example drill_speed [ROUTERS ADDRESSES]
#![allow(clippy::disallowed_types, clippy::expect_used, reason = "a stop watch needs the system's clock")]

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant as StopWatch;
use vipward_sim::drill::{Options, drill};

/// Two hundred addresses of each /24; the others are the directors' and the clients'.
const OF_A_NETWORK: u32 = 200;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let (routers, addresses) = (numbers.next().unwrap_or(400), numbers.next().unwrap_or(20));
    let folder = tempfile::tempdir().expect("a folder for two files");
    let files: Vec<PathBuf> = [("lb1", 200), ("lb2", 100)]
        .map(|(name, priority)| {
            let path = folder.path().join(format!("{name}.conf"));
            std::fs::write(&path, configuration(name, priority, routers, addresses)).expect("written");
            path
        })
        .into();
    let watch = StopWatch::now();
    let drill = drill(&files, &Options::default(), |_, _| {});
    let took = watch.elapsed().as_secs_f64();
    println!(
        "{routers} virtual routers x {addresses} addresses: {} cases, {} s simulated in {took:.2} s, {:?}",
        drill.rows.len(),
        drill.simulated.as_secs(),
        drill.ending()
    );
}

/// Half of the virtual routers on each of two interfaces.
fn configuration(name: &str, priority: u8, routers: u32, addresses: u32) -> String {
    let mut text = format!("global_defs {{\n router_id {name}\n}}\n");
    for interface in 0..2 {
        for vrid in 1..=routers / 2 {
            let _ = write!(
                text,
                "vrrp_instance VI_{interface}_{vrid} {{\n interface eth{interface}\n virtual_router_id {vrid}\n \
                 priority {priority}\n advert_int 1\n version 3\n virtual_ipaddress {{\n"
            );
            for address in (vrid - 1) * addresses..vrid * addresses {
                let (network, host) = (address / OF_A_NETWORK, address % OF_A_NETWORK + 1);
                let _ = writeln!(text, "  10.{interface}.{network}.{host}/32");
            }
            text.push_str(" }\n}\n");
        }
    }
    text
}
