//! How long a large IPVS table takes, vipward and keepalived in turns, from outside: from the start of the process to the
//! complete table, and from SIGHUP to one weight that a new file changes. Needs IPVS, so the guest:
//! `netns-tests/vm/run -m 3000 -t 1800 -e VIPWARD_COMMAND -- target/release/examples/table [SERVICES [SERVERS]]`, with
//! `VIPWARD_COMMAND` as the path of a built `vipward`. 2,284 virtual servers with 37,298 real servers in all if nothing is said.
//! Prints; asserts nothing.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vipward_lab::{Node, Process, Signal, apart};
use vipward_netns_tests::scale::{memory, ran};
use vipward_netns_tests::{Daemon, Pair, example};

/// After this a daemon is said not to get there.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at the table. A look at a large one takes a while itself.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    example("table", measure)
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let services = numbers.next().transpose()?.unwrap_or(2_284);
    let servers = numbers.next().transpose()?.unwrap_or(37_298);
    println!("{services} virtual servers, {servers} real servers");
    println!("{:<12}{:>10}{:>12}{:>10}{:>14}{:>12}", "", "complete", "CPU", "memory", "one weight", "CPU");
    for daemon in [Daemon::Vipward, Daemon::Keepalived] {
        // In a network of its own: the other one's table is not there.
        let row =
            apart(|| Pair::build().map(|pair| round(&pair, daemon, services, servers).map_err(|why| why.to_string())));
        match row?? {
            Ok(row) => println!("{daemon:<12}{row}"),
            Err(why) => println!("{daemon:<12}  {why}"),
        }
    }
    println!("\nThe table is looked at every {} ms, which takes time of the one processor as well.", LOOK.as_millis());
    Ok(())
}

/// Real servers without checkers, spread over the virtual servers; the very last one has this weight.
fn text(services: usize, servers: usize, last: u32) -> String {
    let mut text = String::from("global_defs {\n    router_id big\n}\n");
    for service in 0..services {
        let _ = write!(
            text,
            "virtual_server 10.1.{}.{} 80 {{\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n",
            service >> 8,
            service & 255
        );
        let of = |service: usize| servers * service / services;
        for server in of(service)..of(service + 1) {
            let weight = if server + 1 == servers { last } else { 1 };
            let _ = writeln!(
                text,
                "    real_server 10.{}.{}.{} 8080 {{\n        weight {weight}\n    }}",
                16 + (server >> 16),
                server >> 8 & 255,
                server & 255
            );
        }
        text.push_str("}\n");
    }
    text
}

/// How many lines the kernel shows of services and destinations, and how many of the latter have this weight.
fn look(node: &Node, weight: u32) -> io::Result<(usize, usize)> {
    node.run(move || {
        // Until somebody asks for IPVS the kernel has not loaded it.
        let table = match std::fs::read_to_string("/proc/thread-self/net/ip_vs") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let rows = table.lines().skip(3);
        let weighs = format!(" {weight} ");
        let (mut all, mut of_weight) = (0, 0);
        for row in rows {
            all += 1;
            let destination = row.split_once("Masq").map(|(_, numbers)| numbers.split_whitespace().next());
            of_weight += usize::from(destination == Some(Some(weighs.trim())));
        }
        Ok((all, of_weight))
    })
}

fn start(pair: &Pair, daemon: Daemon, file: &std::path::Path) -> io::Result<Process> {
    match daemon {
        Daemon::Vipward => {
            let mut command = pair.run(&pair.lb1);
            command.args(["--dataplane", "ipvs", "-f"]).arg(file);
            pair.lb1.spawn(command)
        }
        Daemon::Keepalived => {
            let program =
                vipward_netns_tests::program("keepalived").ok_or_else(|| io::Error::other("no keepalived"))?;
            let run = pair.folder.path().join("ka");
            let mut command = std::process::Command::new(program);
            command.args(["--dont-fork", "--log-console", "--check", "-f"]).arg(file);
            command.arg("-p").arg(run.with_extension("pid")).arg("-c").arg(run.with_extension("check.pid"));
            pair.lb1.spawn(command)
        }
    }
}

fn round(pair: &Pair, daemon: Daemon, services: usize, servers: usize) -> Result<String, Box<dyn std::error::Error>> {
    let file = pair.file("big.conf", &text(services, servers, 1))?;
    let began = Instant::now();
    let process = start(pair, daemon, &file)?;
    let until = |done: &dyn Fn() -> io::Result<bool>| -> Result<Duration, Box<dyn std::error::Error>> {
        let from = Instant::now();
        while !done()? {
            if from.elapsed() > PATIENCE {
                return Err(format!("not done after {} s: {}", PATIENCE.as_secs(), process.output()).into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(from.elapsed())
    };
    until(&|| Ok(look(&pair.lb1, 1)?.0 == services + servers))?;
    let complete = began.elapsed();
    let cpu = ran(&process)?;
    let memory = memory(&process)? as f64 / 1024.0;
    // The rest of the start: children that say that they have begun, a table read back.
    std::thread::sleep(Duration::from_secs(5));
    pair.file("big.conf", &text(services, servers, 7))?;
    let before = ran(&process)?;
    process.signal(Signal::SIGHUP);
    let changed = until(&|| Ok(look(&pair.lb1, 7)?.1 == 1))?;
    let reload = ran(&process)?.saturating_sub(before);
    let secs = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let row =
        format!("{:>10}{:>12}{:>7.1} MB{:>14}{:>12}", secs(complete), secs(cpu), memory, secs(changed), secs(reload));
    process.signal(Signal::SIGTERM);
    let _ = process.wait(Duration::from_secs(120));
    Ok(row)
}
