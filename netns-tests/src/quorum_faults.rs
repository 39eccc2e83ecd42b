//! What directors that take leases make of faults of a real ensemble, of the network and of each other: a seeded schedule,
//! one fault at a time, and the VIP as the kernels of both directors tell it.

use crate::owners::{Stretch, both, stretches};
use crate::quorate::{Quorate, SOON, router};
use crate::zookeeper::Timing;
use crate::{VIP, measure};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime};
use vipward_core::lease::surely;
use vipward_lab::{Process, Signal, signal, wait_for};

/// What happens; lb1 has the higher priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGSTOP to the ensemble's leader, until another one leads and for 3 s more.
    LeaderFrozen,
    /// SIGKILL to one of the servers, and it is started again.
    ServerKilled,
    /// SIGSTOP to two of three servers, until no holder can have the VIP, and for up to 10 s more.
    QuorumLost,
    /// The directors don't hear each other.
    DirectorsCut,
    /// The holder hears neither the other director nor the ensemble.
    HolderCut,
    /// SIGSTOP to the holder's processes for 1 to 25 s.
    HolderFrozen,
    /// SIGKILL to the holder's processes, and it is started again.
    HolderKilled,
    /// SIGKILL to the holder's worker.
    WorkerKilled,
    /// SIGHUP to the holder.
    Reloaded,
}

impl Fault {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::LeaderFrozen,
        Self::ServerKilled,
        Self::QuorumLost,
        Self::DirectorsCut,
        Self::HolderCut,
        Self::HolderFrozen,
        Self::HolderKilled,
        Self::WorkerKilled,
        Self::Reloaded,
    ];

    /// In the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaderFrozen => "ZooKeeper's leader frozen",
            Self::ServerKilled => "a server killed",
            Self::QuorumLost => "two servers frozen, and back",
            Self::DirectorsCut => "directors cut from each other",
            Self::HolderCut => "the holder cut from all",
            Self::HolderFrozen => "the holder frozen",
            Self::HolderKilled => "the holder killed",
            Self::WorkerKilled => "its worker killed",
            Self::Reloaded => "the holder reloaded",
        }
    }

    /// For how long nobody may have the VIP although a healthy director and the ensemble are there: from the fault on; from
    /// its end on where the ensemble itself is away. `noticed`: how long the ensemble may take to end a session.
    fn allowed(self, session: Duration, noticed: Duration) -> Duration {
        match self {
            // Nothing that serves is broken.
            Self::LeaderFrozen | Self::ServerKilled | Self::DirectorsCut | Self::Reloaded => Duration::ZERO,
            // A client finds a server, the lease is free, nobody is heard for Master_Down_Interval.
            Self::QuorumLost => session / 8 + Duration::from_secs(3) + surely::ASK_EVERY + MASTER_DOWN,
            Self::HolderCut | Self::HolderFrozen | Self::HolderKilled => session + noticed + MASTER_DOWN,
            Self::WorkerKilled => MASTER_DOWN,
        }
    }
}

/// Of the lower priority: three adverts of a second and Skew_Time (RFC 9568 6.1).
const MASTER_DOWN: Duration = Duration::from_millis(3_900);

/// From this much more than allowed on, what the directors said last is shown.
const NOTABLE: Duration = Duration::from_millis(100);

/// How many lines of each.
const STORY: usize = 12;

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(3);

/// What came of one kind of fault.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub times: usize,
    /// The longest time that nobody had the VIP, from the fault on.
    pub gap: Duration,
    /// The same, as far as it counts against [`Fault::allowed`].
    pub counted: Duration,
    pub allowed: Duration,
    /// How often the ensemble, whole again and with a leader, wrote nothing for anybody until that leader was restarted.
    pub stuck: usize,
}

impl Outcome {
    /// Longer than it may be.
    pub fn too_long(&self) -> bool {
        self.counted > self.allowed + SLACK
    }
}

/// All of a schedule.
#[derive(Debug, Default)]
pub struct Played {
    pub outcomes: BTreeMap<Fault, Outcome>,
    /// The longest time in which both directors had the VIP.
    pub both: Duration,
    /// What the directors said, for a run that went wrong.
    pub log: String,
}

/// Plays these faults until `lasts` is over: each kind once, in a drawn order, then drawn ones. `timing`: that of the lab's
/// servers. `more`: the mode, in words of `vipward.toml`. The directors run for as long as this does.
///
/// # Errors
/// When something can't be set up, or the VIP does not come back within a generous time.
pub fn play(
    lab: &mut Quorate,
    more: &str,
    faults: &[Fault],
    (timing, seed, lasts): (Timing, u64, Duration),
) -> Result<Played, Box<dyn Error>> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut cluster = Cluster::start(lab, more)?;
    let mut played = Played::default();
    let mut first: Vec<Fault> = faults.to_vec();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        let fault = if first.is_empty() {
            faults.choose(&mut dice).copied().unwrap_or(Fault::LeaderFrozen)
        } else {
            first.swap_remove(dice.random_range(0..first.len()))
        };
        let counted = cluster.strike(fault, timing, &mut dice)?;
        let outcome = played.outcomes.entry(fault).or_default();
        outcome.times += 1;
        outcome.stuck += counted.stuck;
        outcome.gap = outcome.gap.max(counted.gap);
        outcome.counted = outcome.counted.max(counted.counted);
        outcome.allowed = fault.allowed(surely::DEFAULT_SESSION, timing.tick);
    }
    played.both = both(&stretches(&cluster.lab.watch1, VIP), &stretches(&cluster.lab.watch2, VIP));
    played.log = cluster.directors.iter().map(|it| format!("{}:\n{}", it.name(), it.output())).collect();
    drop(cluster);
    lab.nobody_has_it();
    Ok(played)
}

/// The lab and the directors in it.
struct Cluster<'a> {
    lab: &'a mut Quorate,
    more: String,
    directors: [Process; 2],
}

/// How long nobody had the VIP.
struct Counted {
    gap: Duration,
    counted: Duration,
    stuck: usize,
}

impl<'a> Cluster<'a> {
    fn start(lab: &'a mut Quorate, more: &str) -> Result<Self, Box<dyn Error>> {
        let directors = [Self::start_one(lab, more, 0)?, Self::start_one(lab, more, 1)?];
        let cluster = Self { directors, more: more.to_owned(), lab };
        cluster.calm()?;
        Ok(cluster)
    }

    fn start_one(lab: &Quorate, more: &str, at: usize) -> Result<Process, Box<dyn Error>> {
        let node = if at == 0 { &lab.pair.lb1 } else { &lab.pair.lb2 };
        Ok(lab.pair.vipward_beside(node, &router(node).text(), &lab.settings_by_default(node, more))?)
    }

    /// Until lb1, which is the better one, has the VIP alone, and for a moment longer.
    fn calm(&self) -> Result<(), Box<dyn Error>> {
        let (lb1, lb2) = (&self.lab.pair.lb1, &self.lab.pair.lb2);
        wait_for(SOON, || (lb1.has(VIP) && !lb2.has(VIP)).then_some(())).ok_or_else(|| {
            let said = self.directors.each_ref().map(Process::output).join("\n");
            format!("lb1 does not get the VIP: {}\n{said}\n{}", self.lab.story(), self.lab.ensemble.story())
        })?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    /// One fault, its end, and until all is well again.
    fn strike(&mut self, fault: Fault, timing: Timing, dice: &mut ChaCha8Rng) -> Result<Counted, Box<dyn Error>> {
        std::thread::sleep(Duration::from_millis(dice.random_range(0..1_000)));
        let since = SystemTime::now();
        let (mut counts_from, mut stuck) = (since, 0);
        match fault {
            Fault::LeaderFrozen => {
                let leader = self.lab.ensemble.leader(SOON)?;
                self.lab.ensemble.servers[leader].freeze(true);
                let other = || self.lab.ensemble.leader_but(leader);
                wait_for(SOON, other).ok_or("no other leader")?;
                std::thread::sleep(Duration::from_secs(3));
                self.lab.ensemble.servers[leader].freeze(false);
                self.lab.ensemble.serves(SOON)?;
            }
            Fault::ServerKilled => {
                let server = dice.random_range(0..3);
                self.lab.ensemble.servers[server].kill();
                std::thread::sleep(timing.tick * timing.sync_limit);
                self.lab.ensemble.servers[server].start()?;
                self.lab.ensemble.serves(SOON)?;
            }
            Fault::QuorumLost => {
                for server in &self.lab.ensemble.servers[..2] {
                    server.freeze(true);
                }
                self.lab.nobody_has_it();
                std::thread::sleep(Duration::from_millis(dice.random_range(0..10_000)));
                for server in &self.lab.ensemble.servers[..2] {
                    server.freeze(false);
                }
                // It is there again when it has a leader that gets something written.
                self.lab.ensemble.serves(SOON)?;
                if !self.lab.ensemble.commits() {
                    stuck = 1;
                    let leader = self.lab.ensemble.leader(SOON)?;
                    self.lab.ensemble.servers[leader].kill();
                    self.lab.ensemble.servers[leader].start()?;
                    self.lab.ensemble.serves(SOON)?;
                }
                counts_from = SystemTime::now();
            }
            Fault::DirectorsCut => {
                self.lab.cut_directors(true);
                std::thread::sleep(Duration::from_millis(dice.random_range(1_000..20_000)));
                self.lab.cut_directors(false);
            }
            Fault::HolderCut => {
                self.lab.cut_from_ensemble(&self.lab.pair.lb1, true);
                self.lab.cut_directors(true);
                let lb2 = &self.lab.pair.lb2;
                wait_for(SOON, || lb2.has(VIP).then_some(())).ok_or("lb2 does not take over")?;
                self.lab.cut_directors(false);
                self.lab.cut_from_ensemble(&self.lab.pair.lb1, false);
            }
            Fault::HolderFrozen => {
                let processes = [vec![self.directors[0].pid()], self.directors[0].children()?].concat();
                processes.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
                std::thread::sleep(Duration::from_millis(dice.random_range(1_000..25_000)));
                processes.iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
            }
            Fault::HolderKilled => {
                self.directors[0].signal_all(Signal::SIGKILL);
                let lb2 = &self.lab.pair.lb2;
                wait_for(SOON, || lb2.has(VIP).then_some(())).ok_or("lb2 does not take over")?;
                self.directors[0] = Self::start_one(self.lab, &self.more, 0)?;
            }
            Fault::WorkerKilled => {
                let worker = self.directors[0].children()?;
                worker.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
                let ended = |it: &Stretch| it.to.is_some_and(|to| to >= since);
                let dropped = || stretches(&self.lab.watch1, VIP).iter().any(ended);
                wait_for(SOON, || dropped().then_some(())).ok_or("the dead worker's address stays")?;
            }
            Fault::Reloaded => self.directors[0].signal(Signal::SIGHUP),
        }
        let healed = SystemTime::now();
        self.calm()?;
        let (one, other) = (stretches(&self.lab.watch1, VIP), stretches(&self.lab.watch2, VIP));
        let longest = |from| longest_gap(&one, &other, from, SystemTime::now());
        if stuck > 0 {
            println!("  the ensemble had a leader and wrote nothing: the leader was restarted");
        }
        println!(
            "  {:<32} nobody had the VIP for {} at the longest ({} after the fault)",
            fault.name(),
            measure::show(longest(since)),
            measure::show(healed.duration_since(since).unwrap_or_default()),
        );
        if longest(counts_from) > fault.allowed(surely::DEFAULT_SESSION, timing.tick) + NOTABLE {
            let lines = self.directors.iter().map(|it| {
                let said = it.output();
                let skipped = said.lines().count().saturating_sub(STORY);
                let last: String = said.lines().skip(skipped).map(|line| format!("    {line}\n")).collect();
                format!("  {}:\n{last}", it.name())
            });
            println!("{}", lines.collect::<String>());
        }
        Ok(Counted { gap: longest(since), counted: longest(counts_from), stuck })
    }
}

/// The longest time between two instants in which neither had it.
fn longest_gap(one: &[Stretch], other: &[Stretch], from: SystemTime, to: SystemTime) -> Duration {
    let mut had: Vec<(SystemTime, SystemTime)> =
        one.iter().chain(other).map(|it| (it.from, it.to.unwrap_or(to))).filter(|(_, end)| *end > from).collect();
    had.sort();
    let mut served = from;
    let mut longest = Duration::ZERO;
    for (begin, end) in had {
        longest = longest.max(begin.min(to).duration_since(served).unwrap_or_default());
        served = served.max(end);
    }
    longest.max(to.duration_since(served).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_that_neither_had_it() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let stretch = |from, to: Option<u64>| Stretch { from: at(from), to: to.map(at) };
        let (one, other) = ([stretch(0, Some(10)), stretch(30, None)], [stretch(12, Some(20))]);
        let gap = |from, to| longest_gap(&one, &other, at(from), at(to)).as_secs();
        assert_eq!(gap(5, 40), 10);
        assert_eq!(gap(5, 15), 2);
        assert_eq!(gap(22, 40), 8, "from the instant on");
        assert_eq!(gap(31, 40), 0);
        assert_eq!(longest_gap(&[], &[], at(1), at(4)).as_secs(), 3);
    }
}
