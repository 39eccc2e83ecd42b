//! Prints what vipward says about configuration files: `cargo run --example check -- FILE...`.
//!
//! With `--big N` it makes a file of N real servers instead and prints how long loading takes.

use std::path::{Path, PathBuf};
use vipward_core::config::{self, Options, cluster};
use vipward_core::text::{Files, Sources};

struct Disk;

impl Files for Disk {
    // The example stands outside of what core may do.
    #[allow(clippy::disallowed_methods)]
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn glob(&self, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, count] = args.as_slice()
        && flag == "--big"
    {
        big(count.parse().unwrap_or(37_298));
        return;
    }
    let mut sources = Sources::default();
    let loaded: Vec<_> = args
        .iter()
        .map(|path| (path, config::load(&mut sources, &Disk, Path::new(path), &Options::default())))
        .collect();
    let nodes: Vec<_> =
        loaded.iter().map(|(name, loaded)| cluster::Node { name, config: loaded.best_effort() }).collect();
    for (_, loaded) in &loaded {
        print!("{}", vipward_core::text::render(&sources, &loaded.diagnostics, false));
    }
    print!("{}", vipward_core::text::render(&sources, &cluster::check(&nodes), false));
}

/// 2,284 services share the real servers, as in the largest configuration that users have reported.
#[allow(clippy::disallowed_types)]
fn big(count: usize) {
    let mut text = String::from("global_defs {\n    router_id big\n}\n");
    let services = 2284.min(count.max(1));
    for service in 0..services {
        let (a, b) = (service / 250, service % 250 + 1);
        text += &format!(
            "virtual_server 10.0.{a}.{b} 80 {{\n    delay_loop 6\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in (service..count).step_by(services) {
            let (a, b) = (server / 250, server % 250 + 1);
            text += &format!(
                "    real_server 10.1.{a}.{b} 80 {{\n        weight 1\n        TCP_CHECK {{\n            connect_timeout 3\n            retry 3\n            delay_before_retry 1\n        }}\n    }}\n"
            );
        }
        text += "}\n";
    }
    let bytes = text.len();
    let files = std::collections::BTreeMap::from([(PathBuf::from("big.conf"), text.into_bytes())]);
    let start = std::time::Instant::now();
    let loaded = config::load(&mut Sources::default(), &files, Path::new("big.conf"), &Options::default());
    let took = start.elapsed();
    let servers: usize = loaded.best_effort().services.iter().map(|service| service.real_servers.len()).sum();
    println!("{bytes} bytes, {servers} real servers, {} messages: {took:?}", loaded.diagnostics.len());
}
