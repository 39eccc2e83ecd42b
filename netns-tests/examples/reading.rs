//! How long a large configuration takes to read, and how much memory: `vipward check` beside `keepalived -t`, each as a
//! whole process, in turns: `cargo run --release -p vipward-netns-tests --example reading [VIRTUAL_SERVERS [ROUNDS]]`: 5,000 virtual servers of
//! four real servers each (150,000 lines) and 5 rounds if nothing is said. Prints; asserts nothing.

use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((flag, command)) if flag == "--alone" => alone(command),
        _ => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reading: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Six lines for each real server and six for each virtual server.
fn text(services: usize) -> String {
    let mut text = String::from("global_defs {\n    router_id big\n}\n");
    for service in 0..services {
        let _ = write!(
            text,
            "virtual_server 10.{}.{}.{} 80 {{\n    delay_loop 6\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n",
            service >> 16,
            service >> 8 & 255,
            service & 255
        );
        for server in service * 4..service * 4 + 4 {
            let _ = write!(
                text,
                "    real_server 172.{}.{}.{} 8080 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n        }}\n    }}\n",
                16 + (server >> 16),
                server >> 8 & 255,
                server & 255
            );
        }
        text.push_str("}\n");
    }
    text
}

/// One run of one command, in a process of its own, because the kernel only tells of all children together.
fn alone(command: &[String]) -> Result<(), Failure> {
    let (program, args) = command.split_first().ok_or("nothing to run")?;
    let start = Instant::now();
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = start.elapsed();
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    println!("{} {}", took.as_micros(), getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

/// Time, and most memory in KiB.
fn run(command: &[&str]) -> Result<(Duration, u64), Failure> {
    let output = Command::new(std::env::current_exe()?).arg("--alone").args(command).output()?;
    let said = String::from_utf8(output.stdout)?;
    let (micros, memory) =
        said.trim().split_once(' ').ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((Duration::from_micros(micros.parse()?), memory.parse()?))
}

fn compare(args: &[String]) -> Result<(), Failure> {
    let services = args.first().map_or(Ok(5_000), |count| count.parse())?;
    let rounds: usize = args.get(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("big.conf");
    let text = text(services);
    std::fs::write(&file, &text)?;
    let file = file.to_str().ok_or("a path that is no text")?;
    let vipward = vipward_netns_tests::vipward();
    let vipward = vipward.to_str().ok_or("a path that is no text")?;
    let commands: [(&str, &[&str]); 2] =
        [("vipward check", &[vipward, "check", file]), ("keepalived -t", &["keepalived", "-t", "-f", file])];
    println!("{} virtual servers, {} lines, {rounds} rounds in turns", services, text.lines().count());
    let mut seen: [Vec<(Duration, u64)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for ((_, command), seen) in commands.iter().zip(&mut seen) {
            seen.push(run(command)?);
        }
    }
    let [ours, theirs] = seen.map(|mut seen| {
        seen.sort();
        let time = seen.get(seen.len() / 2).map_or(Duration::ZERO, |(time, _)| *time);
        (time, seen.iter().map(|(_, memory)| *memory).max().unwrap_or(0))
    });
    for ((name, _), (time, memory)) in commands.iter().zip([ours, theirs]) {
        println!("{name:<16}{:>9.1} ms{:>9.1} MB", time.as_secs_f64() * 1000.0, memory as f64 / 1024.0);
    }
    let ratio = ours.0.as_secs_f64() / theirs.0.as_secs_f64();
    println!("{:<16}{ratio:>9.2} times{:>6.2} times", "vipward takes", ours.1 as f64 / theirs.1 as f64);
    Ok(())
}
