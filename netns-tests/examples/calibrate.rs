//! The simulator beside reality: every fault of the drill's battery, for six pairs of directors, played in the simulator and
//! with real daemons, clients and servers: `cargo run --release -p vipward-netns-tests --example calibrate [OPTION]... [WORD]...`
//!
//! - `WORD`: only cases whose cluster and fault have every word
//! - `--sample N --base B`: N cases only, drawn from B
//! - `--at-once N`: so many at the same time; default 6
//! - `--logs`: what the daemons said, and requests that failed or took long
//! - `--plays N`: a case that contradicts is played so often; default 3
//!
//! Where reality contradicts the model a case is played again: a busy machine is no contradiction, a wrong model
//! is one each time. Exit status 1 when one contradicts to the end.

use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use vipward_netns_tests::calibrate::*;
use vipward_netns_tests::example;

fn main() -> ExitCode {
    example("calibrate", calibrate)
}

struct Options {
    words: Vec<String>,
    sample: Option<usize>,
    base: u64,
    at_once: usize,
    logs: bool,
    plays: u32,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { words: Vec::new(), sample: None, base: 1, at_once: 6, logs: false, plays: 3 };
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        let mut number = || -> Result<u64, Box<dyn Error>> {
            let number = arguments.next().ok_or_else(|| format!("{word} needs a number"))?;
            number.parse().map_err(|_| format!("{word}: `{number}` is no number").into())
        };
        match word.as_str() {
            "--help" | "-h" => {
                let head = include_str!("calibrate.rs").lines().map_while(|line| line.strip_prefix("//!"));
                head.for_each(|line| println!("{}", line.strip_prefix(' ').unwrap_or(line)));
                std::process::exit(0);
            }
            "--sample" => options.sample = Some(usize::try_from(number()?)?),
            "--base" => options.base = number()?,
            "--at-once" => options.at_once = usize::try_from(number()?)?.max(1),
            "--plays" => options.plays = u32::try_from(number()?)?.max(1),
            "--logs" => options.logs = true,
            unknown if unknown.starts_with('-') => return Err(format!("unknown option {unknown}").into()),
            _ => options.words.push(word),
        }
    }
    Ok(options)
}

/// So many of them, drawn from `base`, in their order.
fn drawn(mut cases: Vec<Calibrated>, sample: Option<usize>, base: u64) -> Vec<Calibrated> {
    let Some(sample) = sample else { return cases };
    let mut state = base;
    while cases.len() > sample {
        // Knuth's MMIX generator: any will do.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(state >> 33).unwrap_or_default() % cases.len();
        cases.remove(place);
    }
    cases
}

fn calibrate() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let folder = tempfile::tempdir()?;
    let here = if std::env::var_os("VIPWARD_GUEST").is_some() { Kernel::Guest } else { Kernel::Here };
    let mut found = Vec::new();
    for cluster in all().into_iter().filter(|cluster| cluster.kernel == here) {
        found.extend(cases(cluster, folder.path())?);
    }
    found.retain(|one| options.words.iter().all(|word| one.name().contains(word.as_str())));
    let (played, left_out): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.playable().is_ok());
    let played = drawn(played, options.sample, options.base);
    let count = played.len();
    let queue = Mutex::new(played.into_iter().enumerate().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    let lane = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((place, one)) = next else { return };
            let compared = compare(&one, options.plays).map(|(row, said)| {
                if options.logs {
                    println!("--- {}\n{said}", one.name());
                }
                row
            });
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = match &compared {
                Ok(row) if !row.contradictions.is_empty() => {
                    writeln!(std::io::stderr(), "\r{}: {}", one.name(), row.contradictions.join("; "))
                }
                Ok(_) | Err(_) => Ok(()),
            };
            done.push((place, one, compared));
            let _ = write!(std::io::stderr(), "\r{} of {count} ", done.len());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.at_once {
            scope.spawn(lane);
        }
    });
    let _ = writeln!(std::io::stderr());
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, ..)| *place);
    let (mut compared, mut broken) = (Vec::new(), Vec::new());
    for (_, one, outcome) in done {
        match outcome {
            Ok(row) => compared.push(row),
            Err(error) => broken.push(format!("{}: {error}", one.name())),
        }
    }
    print(&compared);
    for one in &left_out {
        if let Err(why) = one.playable() {
            println!("Not played: {}: {why}", one.name());
        }
    }
    for one in compared.iter().filter(|one| !one.contradictions.is_empty()) {
        println!("\n{}: {}", one.cluster, one.fault);
        one.contradictions.iter().for_each(|text| println!("    {text}"));
    }
    broken.iter().for_each(|text| println!("\nNOT PLAYED: {text}"));
    println!("\n{}", summary(&compared));
    match compared.iter().any(|one| !one.contradictions.is_empty()) || !broken.is_empty() || compared.is_empty() {
        true => Err("the model does not agree with reality".into()),
        false => Ok(()),
    }
}

/// One table for each cluster.
fn print(all: &[Compared]) {
    let mut cluster = "";
    for one in all {
        if one.cluster != cluster {
            cluster = &one.cluster;
            println!("\n## {cluster}\n\n{HEAD}");
        }
        println!("{}", row(one));
    }
}
