//! Files become tracks: all that was recorded of one run of one director's daemon, in the order of time.

use super::lane::{Turn, join};
use std::fmt;
use std::path::PathBuf;
use vipward_core::record::{Begin, Damage, Entry, File, Kind, MachineName, Reader, Step};
use vipward_core::text::Sources;
use vipward_core::time::Instant;

/// One run of one daemon.
#[derive(Clone, Debug)]
pub struct Track {
    /// The director's name; made different from every other track that overlaps in time.
    pub name: String,
    /// The version of vipward that recorded it.
    pub version: String,
    pub run: u64,
    /// The run whose process handed over to this one.
    pub before: Option<u64>,
    /// Nanoseconds from 1970 to the track's [`Instant::ZERO`]; of an earlier run's clock, if it is the same one.
    pub epoch: u64,
    /// Whether it has the run's first file.
    pub whole: bool,
    pub items: Vec<Item>,
    /// What is wrong with its files, in their order.
    pub faults: Vec<Fault>,
    /// [`Instant::ZERO`] of all tracks together, on this track's clock.
    pub zero: Instant,
}

/// One thing of a track.
#[derive(Clone, Debug)]
pub enum Item {
    State {
        machine: MachineName,
        at: Instant,
        state: Vec<u8>,
    },
    Step(Box<Step>),
    /// Something is missing: neither machine can be checked before its next state. `machine`: only this one's.
    Break {
        at: Instant,
        machine: Option<MachineName>,
        why: String,
    },
    /// The configuration's text from here on.
    Files {
        at: Instant,
        files: Vec<File>,
    },
}

impl Item {
    fn at(&self) -> Instant {
        match self {
            Self::State { at, .. } | Self::Break { at, .. } | Self::Files { at, .. } => *at,
            Self::Step(step) => step.at(),
        }
    }
}

/// A place of a file that could not be read.
#[derive(Clone, Debug)]
pub struct Fault {
    pub path: PathBuf,
    pub damage: Damage,
    /// The byte from which it could be read again.
    pub resumed: Option<u64>,
}

impl Fault {
    /// A killed daemon leaves a file that ends in the middle. This is something else.
    pub fn is_damage(&self) -> bool {
        self.damage.kind != Kind::CutOff || self.resumed.is_some()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; ", self.path.display(), self.damage)?;
        match self.resumed {
            None => f.write_str("replayed up to there"),
            Some(at) => {
                let passed = at.saturating_sub(self.damage.offset);
                write!(f, "{passed} bytes are passed over, replayed again from byte {at}")
            }
        }
    }
}

impl Track {
    /// The instants of its first and last step.
    pub fn span(&self) -> (Instant, Instant) {
        let mut steps = self.steps().map(Step::at);
        let first = steps.next().unwrap_or(self.zero);
        (first, steps.last().unwrap_or(first))
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.items.iter().filter_map(|item| match item {
            Item::Step(step) => Some(&**step),
            Item::State { .. } | Item::Break { .. } | Item::Files { .. } => None,
        })
    }

    /// An instant of this track on the common timeline, which begins with the first step of all.
    pub fn common(&self, at: Instant) -> Instant {
        Instant::ZERO + at.since(self.zero)
    }

    /// An instant of the common timeline on this track's clock.
    pub fn own(&self, common: Instant) -> Instant {
        self.zero + common.since_origin()
    }

    /// The configuration's text at this instant of the track.
    pub fn sources(&self, at: Instant) -> Sources {
        let mut sources = Sources::default();
        let mut files = self.items.iter().filter_map(|item| match item {
            Item::Files { at: from, files } if *from <= at => Some(files),
            _ => None,
        });
        for file in files.next_back().into_iter().flatten() {
            sources.add(file.name.clone(), file.text.clone());
        }
        sources
    }

    /// A track that ends in order: with a stop, or handed over to another process, whose track is another one.
    pub fn stopped(&self) -> bool {
        matches!(self.ends_with(), Some(Turn::Stops | Turn::HandsOver))
    }
}

/// What is in one file.
struct Piece {
    begin: Begin,
    entries: Vec<Part>,
    /// How the first configuration came is not in what could be read of it.
    late: bool,
}

enum Part {
    Entry(Box<Entry>),
    /// Something could not be read here.
    Gap,
}

/// Reads files, in any order and of any number of directors and runs. The error: what could not be read at all.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Track>, Vec<String>> {
    let (mut pieces, mut faults, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match std::fs::read(path) {
            Ok(bytes) => match piece(&bytes) {
                (Some(piece), damages) => {
                    let fault = |(damage, resumed)| Fault { path: path.clone(), damage, resumed };
                    faults.extend(damages.into_iter().map(fault).map(|fault| (piece.begin.run, fault)));
                    pieces.push(piece);
                }
                (None, damages) => {
                    let damage = damages.first().map(|(damage, _)| damage.to_string());
                    let damage = damage.unwrap_or_else(|| "it has no beginning".to_owned());
                    errors.push(format!("`{}`: {damage}", path.display()));
                }
            },
            Err(error) => errors.push(format!("can't read `{}`: {error}", path.display())),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    pieces.sort_by_key(|piece| (piece.begin.run, piece.begin.file));
    let mut tracks: Vec<Track> = Vec::new();
    let mut last = None;
    for Piece { begin, entries, late } in pieces {
        let follows = begin.file.checked_sub(1).is_some_and(|before| last == Some((begin.run, before)));
        if last == Some((begin.run, begin.file)) {
            // The same file twice.
            continue;
        }
        match tracks.last_mut().filter(|track| track.run == begin.run) {
            Some(track) => {
                if !follows {
                    track.add_break(&entries, "a file is missing");
                }
                track.add(entries);
            }
            None => {
                let mut track = Track {
                    name: begin.director.clone(),
                    version: begin.version.clone(),
                    run: begin.run,
                    before: None,
                    epoch: begin.epoch,
                    whole: begin.file == 0 && !late,
                    items: Vec::new(),
                    faults: Vec::new(),
                    zero: Instant::ZERO,
                };
                track.add(entries);
                tracks.push(track);
            }
        }
        last = Some((begin.run, begin.file));
    }
    for (run, fault) in faults {
        if let Some(track) = tracks.iter_mut().find(|track| track.run == run) {
            track.faults.push(fault);
        }
    }
    for track in &mut tracks {
        // At a turn of the ring both files are written for a moment. Of each machine nothing changes its order by this.
        track.items.sort_by_key(Item::at);
    }
    tracks.retain(|track| track.steps().next().is_some());
    align(&mut tracks);
    Ok(tracks)
}

/// As far as it goes, and again from each beginning behind a damaged place.
fn piece(bytes: &[u8]) -> (Option<Piece>, Vec<(Damage, Option<u64>)>) {
    let mut begin = None;
    let (mut entries, mut damages) = (Vec::new(), Vec::new());
    let (mut loaded, mut late) = (false, false);
    let mut reader = Reader::new(bytes);
    while let Some(item) = reader.next() {
        match item {
            Ok(found) => match found.entry {
                Entry::Begin(found) if begin.is_none() => begin = Some(found),
                // The next section, or files that were joined into one.
                Entry::Begin(_) => {}
                entry => {
                    loaded |= matches!(&entry, Entry::Step(step) if step.loads());
                    entries.push(Part::Entry(Box::new(entry)));
                }
            },
            Err(damage) => {
                let resumed = if damage.kind == Kind::OtherVersion { None } else { reader.resume(&damage) };
                if resumed.is_some() {
                    entries.push(Part::Gap);
                    late |= !loaded;
                } else if damage.kind != Kind::NotARecording
                    && let Some(at) = entries.iter().rev().find_map(at_of)
                {
                    // What follows in another file must not be checked against this.
                    for machine in [MachineName::Election, MachineName::Balancer] {
                        entries.push(Part::Entry(Box::new(Entry::Lost { machine, at, steps: 0 })));
                    }
                }
                damages.push((damage, resumed));
            }
        }
    }
    (begin.map(|begin| Piece { begin, entries, late }), damages)
}

fn at_of(part: &Part) -> Option<Instant> {
    let Part::Entry(entry) = part else { return None };
    match &**entry {
        Entry::State { at, .. } | Entry::Lost { at, .. } => Some(*at),
        Entry::Step(step) => Some(step.at()),
        Entry::Begin(_) | Entry::Files(_) => None,
    }
}

impl Track {
    fn add_break(&mut self, next: &[Part], why: &str) {
        let at = next.iter().find_map(at_of).unwrap_or_default();
        self.items.push(Item::Break { at, machine: None, why: why.to_owned() });
    }

    fn add(&mut self, parts: Vec<Part>) {
        for place in 0..parts.len() {
            let Some((part, rest)) = parts.get(place..).and_then(<[Part]>::split_first) else { break };
            let Part::Entry(entry) = part else {
                self.add_break(rest, "what was recorded before this can't be read");
                continue;
            };
            let item = match Entry::clone(entry) {
                Entry::Begin(_) => continue,
                Entry::Files(files) => {
                    let at = rest.iter().find_map(at_of).unwrap_or_default();
                    Item::Files { at, files }
                }
                Entry::State { machine, at, state } => Item::State { machine, at, state },
                Entry::Step(step) => Item::Step(Box::new(step)),
                Entry::Lost { machine, at, steps } => {
                    let why = match steps {
                        0 => "the file ends here".to_owned(),
                        n => format!("{n} steps of the {machine} are lost: the disk was too slow"),
                    };
                    Item::Break { at, machine: Some(machine), why }
                }
            };
            self.items.push(item);
        }
    }
}

/// One zero for all, and names that tell them apart: of one name there is one director, unless two act at once.
fn align(tracks: &mut [Track]) {
    join(tracks);
    let start = |track: &Track| track.epoch.saturating_add(track.span().0.as_nanos());
    let first = tracks.iter().map(start).min().unwrap_or_default();
    for track in tracks.iter_mut() {
        track.zero = Instant::from_nanos(first.saturating_sub(track.epoch));
    }
    tracks.sort_by_key(start);
    for at in 1..tracks.len() {
        let (before, rest) = tracks.split_at_mut(at);
        let Some(track) = rest.first_mut() else { continue };
        let plain = track.name.clone();
        let mut number = 1;
        while before.iter().filter(|other| other.name == track.name).any(|other| both_act(other, track)) {
            number += 1;
            track.name = format!("{plain}-{number}");
        }
    }
}

/// Whether there was an instant at which the same machine acted in both.
fn both_act(one: &Track, other: &Track) -> bool {
    [MachineName::Election, MachineName::Balancer].into_iter().any(|machine| {
        let acts = |track: &Track| {
            let acts = track.acts(machine).into_iter();
            acts.map(|(from, until)| (track.common(from), track.common(until))).collect::<Vec<_>>()
        };
        let (one, other) = (acts(one), acts(other));
        one.iter().any(|(from, until)| other.iter().any(|(begins, ends)| from < ends && begins < until))
    })
}
