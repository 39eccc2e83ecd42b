//! Recordings of two directors, of which lb1 has more than one process: upgrades, restarts, reloads.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::config::{Config, Options, load};
use vipward_core::interface::{AddressKey, InterfaceName, Link, ObservedAddress};
use vipward_core::machine::{Input, Machine};
use vipward_core::record::{Begin, Entry, File, Recorded, Recorder, Writer};
use vipward_core::text::Sources;
use vipward_core::time::Instant;
use vipward_core::vrrp::{self, Effect, Election, Event};
use vipward_sim::replay::{self, Track};

/// What happens to lb1.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A new process prepares 50 ms before, and goes on 5 ms later. With this priority.
    Upgrade(u8),
    /// The new process takes up what it is left, and is killed 20 ms later: the old one goes on.
    FailedUpgrade,
    Stop,
    Kill,
    /// A process begins, which knows nothing. With this priority.
    Start(u8),
    /// The worker dies and its successor begins 30 ms later with the copy in the state file.
    Crash,
    /// Another priority.
    Reload(u8),
}

/// lb1's first priority; lb2 has 100.
pub const FIRST: u8 = 150;

#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<Entry>>>, Rc<Cell<u64>>);

impl Recorder for Kept {
    fn take(&mut self, entry: Entry) -> bool {
        self.0.borrow_mut().push(entry);
        true
    }

    fn generation(&self) -> u64 {
        self.1.get()
    }
}

struct Process {
    machine: Recorded<Election, Kept>,
    kept: Kept,
    run: u64,
    host: u8,
}

impl Process {
    fn begin(run: u64, host: u8, priority: u8) -> Self {
        let kept = Kept::default();
        let process = Self { machine: Recorded::new(Election::default(), kept.clone()), kept, run, host };
        process.files(priority);
        process
    }

    /// The text of what it loads next.
    fn files(&self, priority: u8) {
        let name = format!("lb{}.conf", self.host - 10);
        self.kept.0.borrow_mut().push(Entry::Files(vec![File { name, text: text(priority) }]));
    }

    fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        // lb2's clock is 5,000 s ahead.
        let ahead = if self.host == 12 { 5_000_000_000_000 } else { 0 };
        let begin = Entry::Begin(Begin {
            version: Begin::this_version(),
            director: format!("lb{}", self.host - 10),
            run: self.run,
            file: 0,
            at: Instant::ZERO,
            // 2026-01-01. Every process reads the clock on the wall a little differently.
            epoch: 1_767_225_600_000_000_000 - ahead + if self.host == 12 { 0 } else { 40_000 * (self.run - 10) },
        });
        writer.entry(&begin);
        let (entries, mut files) = (self.kept.0.borrow(), None);
        for (number, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Files(_) => files = Some(entry.clone()),
                Entry::State { .. } if number > 1 => {
                    writer.entry(&begin);
                    files.iter().for_each(|files| writer.entry(files));
                }
                _ => {}
            }
            writer.entry(entry);
        }
        writer.take()
    }
}

pub fn text(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         advert_int 1\n    virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n}}\n"
    )
}

fn config(priority: u8) -> Arc<Config> {
    let files = BTreeMap::from([(PathBuf::from("lb.conf"), text(priority).into_bytes())]);
    Arc::new(load(&mut Sources::default(), &files, Path::new("lb.conf"), &Options::default()).config.unwrap())
}

fn loads(priority: u8) -> vrrp::Input {
    Input::ConfigLoaded { config: config(priority), seed: 7 }
}

/// What a process reads of its machine.
fn reads(host: u8, held: &BTreeSet<AddressKey>) -> Vec<vrrp::Input> {
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, host].into(), prefix_len: 24 };
    let ours = held.iter().map(|key| ObservedAddress { key: key.clone(), ours: true });
    let addresses = std::iter::once(ObservedAddress { key, ours: false }).chain(ours).collect();
    let links = vec![Link { name: InterfaceName::new("eth0"), running: true }];
    vec![Event::LinksRead(links).into(), Event::AddressesRead(addresses).into()]
}

/// Recordings in a folder of their own: one file of each process, lb2's first.
pub struct Saved {
    pub folder: tempfile::TempDir,
    pub paths: Vec<PathBuf>,
}

/// What lb1 is to do at one instant, in small steps.
#[derive(Clone, Copy)]
enum Small {
    Begin(u8),
    Prepare(u8),
    HandOver,
    TakeUp(u8),
    Abandon,
    TakeBack,
    Die,
    Stop,
    Restart,
    Reload(u8),
}

fn small(acts: &[(u64, Act)]) -> Vec<(u64, Small)> {
    let mut priority = FIRST;
    let mut small = vec![(0, Small::Begin(FIRST))];
    for (at, act) in acts {
        if let Act::Upgrade(new) | Act::Start(new) | Act::Reload(new) = act {
            priority = *new;
        }
        small.extend(match act {
            Act::Upgrade(_) => {
                vec![(at - 50, Small::Prepare(priority)), (*at, Small::HandOver), (at + 5, Small::TakeUp(priority))]
            }
            Act::FailedUpgrade => vec![
                (at - 50, Small::Prepare(priority)),
                (*at, Small::HandOver),
                (at + 5, Small::TakeUp(priority)),
                (at + 25, Small::Abandon),
                (at + 30, Small::TakeBack),
            ],
            Act::Stop => vec![(*at, Small::Stop)],
            Act::Kill => vec![(*at, Small::Die)],
            Act::Start(_) => vec![(*at, Small::Begin(priority))],
            Act::Crash => vec![(*at, Small::Die), (at + 30, Small::Restart)],
            Act::Reload(_) => vec![(*at, Small::Reload(priority))],
        });
    }
    small
}

/// Both directors for 20 s.
pub fn saved(acts: &[(u64, Act)]) -> Saved {
    saved_in_sections(acts, u64::MAX)
}

/// The same, and every so many milliseconds a new section of the file begins.
pub fn saved_in_sections(acts: &[(u64, Act)], section: u64) -> Saved {
    let (steps, mut priority) = (small(acts), FIRST);
    let mut lb1: Vec<Process> = Vec::new();
    // Which of them acts, and which did before.
    let (mut acting, mut before): (Option<usize>, Option<usize>) = (None, None);
    let mut lb2 = Process::begin(100, 12, 100);
    let mut mail: Vec<(u8, vrrp::Input)> = reads(12, &BTreeSet::new()).into_iter().map(|event| (12, event)).collect();
    mail.push((12, loads(100)));
    let mut held: BTreeSet<AddressKey> = BTreeSet::new();
    for millis in 0..20_000 {
        let clock = |host: u8| Instant::from_millis(millis + if host == 12 { 5_000_000 } else { 0 });
        for process in lb1.iter().chain([&lb2]) {
            process.kept.1.set(millis / section);
        }
        let mut done: Vec<(usize, vrrp::Input)> = Vec::new();
        for (_, step) in steps.iter().filter(|(at, _)| *at == millis) {
            let newest = lb1.len();
            match *step {
                Small::Begin(new) | Small::Prepare(new) => {
                    lb1.push(Process::begin(10 + newest as u64, 11, new));
                    done.extend(reads(11, &held).into_iter().map(|event| (newest, event)));
                    if let Small::Begin(_) = step {
                        (acting, priority) = (Some(newest), new);
                        mail.retain(|(host, _)| *host == 12);
                        done.push((newest, loads(new)));
                    }
                }
                Small::HandOver => {
                    done.push((acting.unwrap(), Input::HandOver));
                    (before, acting) = (acting, None);
                }
                Small::TakeUp(new) => {
                    let estate = lb1[before.unwrap()].machine.estate(clock(11)).unwrap();
                    assert!(estate.handed_over);
                    done.extend([(newest - 1, Input::Inherited(estate)), (newest - 1, loads(new))]);
                    (acting, priority) = (Some(newest - 1), new);
                }
                Small::Abandon => acting = None,
                Small::TakeBack => {
                    acting = before;
                    done.push((acting.unwrap(), Input::TakeBack));
                }
                Small::Die => (before, acting) = (acting, None),
                Small::Stop => done.push((acting.unwrap(), Input::Stop)),
                Small::Restart => {
                    let estate = lb1[before.unwrap()].machine.estate(clock(11)).unwrap();
                    assert!(!estate.handed_over);
                    lb1.push(Process::begin(10 + newest as u64, 11, priority));
                    done.extend(reads(11, &held).into_iter().map(|event| (newest, event)));
                    done.extend([(newest, Input::Inherited(estate)), (newest, loads(priority))]);
                    acting = Some(newest);
                }
                Small::Reload(new) => {
                    let who = acting.unwrap();
                    lb1[who].files(new);
                    done.push((who, loads(new)));
                    priority = new;
                }
            }
        }
        let arrived = std::mem::take(&mut mail);
        let mut now: Vec<(Option<usize>, vrrp::Input)> = done.into_iter().map(|(who, it)| (Some(who), it)).collect();
        for (host, event) in arrived {
            match (host, acting) {
                (12, _) => now.push((None, event)),
                (_, Some(who)) => now.push((Some(who), event)),
                // It waits in the socket.
                (_, None) => mail.push((host, event)),
            }
        }
        let due =
            |machine: &Recorded<Election, Kept>, host| machine.next_wakeup().is_some_and(|(at, _)| at <= clock(host));
        if let Some(who) = acting.filter(|who| due(&lb1[*who].machine, 11)) {
            now.push((Some(who), Input::Wakeup));
        }
        if due(&lb2.machine, 12) {
            now.push((None, Input::Wakeup));
        }
        for (who, event) in now {
            let last = event == Input::Stop;
            let (host, effects) = match who {
                Some(who) => (11, lb1[who].machine.handle(event, clock(11)).into_effects()),
                None => (12, lb2.machine.handle(event, clock(12)).into_effects()),
            };
            for effect in effects {
                match effect {
                    Effect::SendAdvert(advert) => mail.push((23 - host, Event::AdvertReceived(advert).into())),
                    Effect::AddAddress(address) if host == 11 => drop(held.insert(address.key())),
                    Effect::RemoveAddress(key) if host == 11 => drop(held.remove(&key)),
                    _ => {}
                }
            }
            if last {
                acting = None;
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let files = std::iter::once(&lb2).chain(&lb1).enumerate().map(|(number, process)| {
        let path = folder.path().join(format!("lb{}.{number}.pcapng", process.host - 10));
        std::fs::write(&path, process.bytes()).unwrap();
        path
    });
    let paths = files.collect();
    Saved { folder, paths }
}

pub fn tracks(saved: &Saved) -> Vec<Track> {
    replay::read(&saved.paths).unwrap()
}

/// Exit status, standard output and error of `vipward-sim replay`.
pub fn command(paths: &[PathBuf], options: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vipward-sim")).arg("replay").args(paths).args(options).output();
    let output = output.unwrap();
    let folder = paths[0].parent().unwrap().display().to_string();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&folder, "FOLDER");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What a page draws.
pub fn data(page: &str) -> serde_json::Value {
    let data = page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>"));
    serde_json::from_str(data.unwrap().0).unwrap()
}

/// The spans of a director's role: from when, until when (in ms), what.
pub fn roles(page: &serde_json::Value, node: &str) -> Vec<(u64, u64, String)> {
    let lanes = page["runs"][0]["lanes"].as_array().unwrap();
    let of = lanes.iter().filter(|lane| lane["node"] == node && lane["kind"] == "role");
    let lane = of.collect::<Vec<_>>();
    assert_eq!(lane.len(), 1, "one lane of {node}");
    let span = |span: &serde_json::Value| {
        let number = |key: &str| span[key].as_u64().unwrap();
        (number("from"), number("to"), span["text"].as_str().unwrap().to_owned())
    };
    lane[0]["spans"].as_array().unwrap().iter().map(span).filter(|(from, to, _)| from < to).collect()
}

/// The scenario made of a recording, which holds when it is run, and its steps.
pub fn again(saved: &Saved) -> (String, Vec<String>) {
    let path = saved.folder.path().join("again.toml");
    let written = replay::scenario::scenario(&tracks(saved), "again").unwrap();
    written.save(&path).unwrap();
    let loaded = vipward_sim::scenario::load(&path);
    let rendered = vipward_core::text::render(&loaded.sources, &loaded.diagnostics, false);
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{rendered}\n{}", written.scenario));
    let report = vipward_sim::report::Report::new(vipward_sim::runner::run(&scenario.into(), None).unwrap());
    assert!(report.held(), "{}\n{}", written.scenario, report.text(&loaded.sources, false));
    let timeline = vipward_sim::timeline::render(&report.run);
    let lines = written.scenario.lines().map(str::trim);
    let steps = lines.filter(|line| line.starts_with("{ at = ") && !line.contains("role = ")).map(str::to_owned);
    (timeline, steps.collect())
}
