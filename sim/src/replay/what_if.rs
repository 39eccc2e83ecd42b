//! What a director would have decided had it not heard an advert: its machine goes through its recording once more,
//! without it.
//!
//! One machine alone is asked. What the others would have answered is in no recording, so what it hears is what it heard
//! then. From the first decision on that differs this can be wrong, and the text says so.

use super::lane::{Chain, Lane, Turn, lanes};
use super::track::{Item, Track};
use super::words::decoded;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::machine::{Input, Machine};
use vipward_core::quantity::Role;
use vipward_core::record::{MachineName, Step, from_state};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{Effect, Election, Event};

/// An advert within this of the instant that was named is the one that is meant.
const NEAR: Duration = Duration::from_millis(500);

/// A timer may be due at the same instant so many times.
const AT_ONCE: usize = 1000;

/// So many decisions that differ are shown.
const SHOWN: usize = 6;

/// What is to be left out: the adverts of a director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without {
    pub director: String,
    pub from: Instant,
    /// None: the one advert that is next to `from`.
    pub until: Option<Instant>,
}

/// Reads `without lb2's advert at 12.3 s` and `without lb2's adverts from 12 s to 15 s`. The error shows the place.
pub fn parse(phrase: &str) -> Result<Without, String> {
    let mut words = Words { phrase, at: 0 };
    words.expect("without")?;
    let director = words.next("the name of a director, as in `lb2's`")?;
    let Some(director) = director.strip_suffix("'s").filter(|name| !name.is_empty()) else {
        return Err(words.error("expected the name of a director and `'s`, as in `lb2's`"));
    };
    let director = director.to_owned();
    let many = match words.next("`advert at` or `adverts from`")? {
        "advert" => false,
        "adverts" => true,
        _ => return Err(words.error("expected `advert` or `adverts`: nothing else can be left out")),
    };
    words.expect(if many { "from" } else { "at" })?;
    let from = words.moment()?;
    let until = if many {
        words.expect("to")?;
        let until = words.moment()?;
        if until < from {
            return Err(words.error("this is before the beginning"));
        }
        Some(until)
    } else {
        None
    };
    match words.peek() {
        None => Ok(Without { director, from, until }),
        Some(_) => {
            let _ = words.next("");
            Err(words.error("expected nothing more"))
        }
    }
}

struct Words<'a> {
    phrase: &'a str,
    /// Behind the last word.
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.phrase.get(self.at..)?.split_whitespace().next()
    }

    fn next(&mut self, wanted: &str) -> Result<&'a str, String> {
        let Some(word) = self.peek() else {
            self.at = self.phrase.len();
            return Err(self.show(self.phrase.trim_end().len(), &format!("expected {wanted}")));
        };
        let gap = self.phrase.get(self.at..).and_then(|rest| rest.find(word)).unwrap_or_default();
        self.at += gap + word.len();
        Ok(word)
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let found = self.next(&format!("`{word}`"))?;
        if found == word { Ok(()) } else { Err(self.error(&format!("expected `{word}`"))) }
    }

    /// `12.3 s`, `12.3s`, `12.3`, `400 ms`.
    fn moment(&mut self) -> Result<Instant, String> {
        let number = self.next("a time like `12.3 s`")?;
        let mut text = number.to_owned();
        let unit = self.peek().filter(|unit| ["s", "ms", "m", "h"].contains(unit));
        if text.ends_with(|c: char| c.is_ascii_digit()) {
            text.push_str(unit.unwrap_or("s"));
        }
        let Some(duration) = crate::scenario::parse_duration(&text) else {
            return Err(self.error("expected a time like `12.3 s`, in whole milliseconds"));
        };
        if text != number && unit.is_some() {
            self.next("")?;
        }
        Ok(Instant::ZERO + duration)
    }

    /// At the last word.
    fn error(&self, what: &str) -> String {
        let before = self.phrase.get(..self.at).unwrap_or_default();
        let start = before.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        self.show(start, what)
    }

    fn show(&self, start: usize, what: &str) -> String {
        let indent = self.phrase.get(..start).map_or(0, |before| before.chars().count());
        let length = self.phrase.get(start..self.at).map_or(1, |word| word.chars().count().max(1));
        format!("{what}\n  {}\n  {}{}", self.phrase, " ".repeat(indent), "^".repeat(length))
    }
}

/// A decision about roles or priorities, as both ways of the story have them.
type Told = (Instant, String);

/// One way on, from the first input that is left out.
#[derive(Debug, Default)]
struct Way {
    decisions: Vec<Told>,
    /// Adverts sent from then on.
    adverts: usize,
    /// At the end.
    roles: Vec<(Arc<str>, Role)>,
    /// Recorded answers to what the machine did then.
    answers: usize,
    /// Of the last step; a machine's clock never goes back.
    now: Instant,
}

/// What each director that heard these adverts would have decided. The error says why that can't be told.
pub fn what_if(tracks: &[Track], without: &Without) -> Result<String, String> {
    let lanes = lanes(tracks);
    let sources = sources(&lanes, &without.director)?;
    let range = match without.until {
        Some(until) => format!("{}'s adverts from {} s to {until} s", without.director, without.from),
        None => format!("{}'s advert at {} s", without.director, without.from),
    };
    let mut text = format!("without {range}:\n");
    let mut any = false;
    for lane in lanes.iter().filter(|lane| lane.name != without.director) {
        for chain in &lane.chains {
            for run in chain.runs() {
                let left_out = left_out(run, &sources, without);
                let Some(first) = left_out.first() else { continue };
                any = true;
                let _ = writeln!(
                    text,
                    "  {}: {} {} s",
                    lane.name,
                    if left_out.len() == 1 {
                        "1 advert is left out, at".to_owned()
                    } else {
                        format!("{} adverts are left out, the first at", left_out.len())
                    },
                    run.common(*first)
                );
                told(run, chain, &left_out, &mut text);
            }
        }
    }
    if !any {
        return Err(format!("nobody in these recordings heard {range}"));
    }
    text.push_str(
        "  This is each machine alone: what others would have sent in return is in no recording, so everything else that it\n  \
         hears is what it heard then. From the first difference on that may be wrong.\n",
    );
    Ok(text)
}

/// Where the director's adverts come from.
fn sources(lanes: &[Lane<'_>], director: &str) -> Result<BTreeSet<IpAddr>, String> {
    let Some(lane) = lanes.iter().find(|lane| lane.name == director) else {
        let names: Vec<&str> = lanes.iter().map(|lane| lane.name).collect();
        return Err(format!("there is no director `{director}` in these recordings; there is {}", names.join(", ")));
    };
    let runs = lane.chains.iter().flat_map(Chain::runs);
    let sent = runs.flat_map(Track::steps).flat_map(|step| match step {
        Step::Election(step) => step.output.effects().filter_map(advert).map(|advert| advert.source).collect(),
        Step::Balancer(_) => Vec::new(),
    });
    let sources: BTreeSet<IpAddr> = sent.collect();
    if sources.is_empty() { Err(format!("{director} sent no advert in these recordings")) } else { Ok(sources) }
}

fn advert(effect: &Effect) -> Option<&Datagram> {
    match effect {
        Effect::SendAdvert(advert) => Some(advert),
        _ => None, // Nothing else is an advert.
    }
}

fn heard(step: &Step) -> Option<&Datagram> {
    match step {
        Step::Election(step) => match &step.input {
            Input::Event(Event::AdvertReceived(advert)) => Some(advert),
            _ => None, // Nothing else is an advert.
        },
        Step::Balancer(_) => None,
    }
}

/// The instants, on the run's clock, of what it heard of these sources then.
fn left_out(run: &Track, sources: &BTreeSet<IpAddr>, without: &Without) -> Vec<Instant> {
    let from = |step: &&Step| heard(step).is_some_and(|advert| sources.contains(&advert.source));
    let adverts = run.steps().filter(from).map(Step::at);
    match without.until {
        Some(until) => adverts.filter(|at| (without.from..=until).contains(&run.common(*at))).collect(),
        None => {
            let away = |at: Instant| run.common(at).since(without.from).max(without.from.since(run.common(at)));
            let near = adverts.filter(|at| away(*at) <= NEAR);
            near.min_by_key(|at| away(*at)).into_iter().collect()
        }
    }
}

fn told(run: &Track, chain: &Chain<'_>, left_out: &[Instant], text: &mut String) {
    let as_it_was = way(run, left_out, false);
    let otherwise = way(run, left_out, true);
    let (Some(as_it_was), Some(otherwise)) = (as_it_was, otherwise) else {
        text.push_str("    its state is not recorded before that: nothing can be told\n");
        return;
    };
    let line = |(at, what): &Told| format!("{} s  {what}", run.common(*at));
    let same = as_it_was.decisions.iter().zip(&otherwise.decisions).take_while(|(a, b)| a == b).count();
    let then: Vec<&Told> = as_it_was.decisions.iter().skip(same).collect();
    let now: Vec<&Told> = otherwise.decisions.iter().skip(same).collect();
    let until = run.common(run.span().1);
    if then.is_empty() && now.is_empty() {
        let _ = writeln!(text, "    nothing would have been decided otherwise until {until} s");
    } else {
        match now.first() {
            Some(first) => _ = writeln!(text, "    the first decision that differs: {}", line(first)),
            None => text.push_str("    it would have decided nothing more\n"),
        }
        now.iter().skip(1).take(SHOWN).for_each(|told| _ = writeln!(text, "      then  {}", line(told)));
        if now.len() > SHOWN + 1 {
            let _ = writeln!(text, "      and {} more", now.len() - SHOWN - 1);
        }
        match then.first() {
            Some(first) => _ = writeln!(text, "    as it was: {}", line(first)),
            None => text.push_str("    as it was: no decision after that\n"),
        }
    }
    for ((router, was), (_, would)) in as_it_was.roles.iter().zip(&otherwise.roles) {
        let _ = if was == would {
            writeln!(text, "    at {until} s {router} would be {would}, as it is")
        } else {
            writeln!(text, "    at {until} s {router} would be {would}; as it was: {was}")
        };
    }
    if as_it_was.adverts != otherwise.adverts {
        let _ = writeln!(
            text,
            "    it would have sent {} adverts after that; it sent {}",
            otherwise.adverts, as_it_was.adverts
        );
    }
    if otherwise.answers > 0 {
        let _ = writeln!(
            text,
            "    {} recorded answers to what it did then are left out: failures, addresses, leases",
            otherwise.answers
        );
    }
    if run.ends_with() == Some(Turn::HandsOver) && chain.last().run != run.run {
        text.push_str("    then it handed over: what the next process would have gone on with is not followed\n");
    }
}

/// Goes through a run. From the first advert that is in question on the machine lives by its own timers, whatever timers
/// fired then, both with the adverts and without: so the two ways differ by nothing else.
fn way(run: &Track, left_out: &[Instant], without: bool) -> Option<Way> {
    let first = *left_out.first()?;
    let mut machine: Option<Election> = None;
    let mut way = Way::default();
    let mut alone = false;
    for item in &run.items {
        let step = match item {
            Item::State { machine: MachineName::Election, state, .. } if !alone => {
                machine = from_state(state).ok();
                continue;
            }
            Item::Break { machine: None | Some(MachineName::Election), .. } if !alone => {
                machine = None;
                continue;
            }
            Item::Step(step) => &**step,
            Item::State { .. } | Item::Break { .. } | Item::Files { .. } => continue,
        };
        let (Step::Election(taken), Some(machine)) = (step, &mut machine) else { continue };
        if alone {
            timers(machine, taken.at, &mut way);
        }
        let in_question = heard(step).is_some() && left_out.contains(&taken.at);
        alone |= in_question && taken.at == first;
        if in_question && without {
            continue;
        }
        if alone {
            match &taken.input {
                // Its own timers are those that it asks for.
                Input::Wakeup => continue,
                Input::Failed { .. } | Input::Event(Event::AddressChanged { .. } | Event::Lease(_)) => {
                    way.answers += 1;
                    continue;
                }
                // What nobody asked it about happened all the same.
                _ => {}
            }
        }
        way.now = taken.at;
        let output = machine.handle(taken.input.clone(), taken.at);
        if alone {
            way.learn(taken.at, output.decisions(), output.effects());
        }
    }
    let machine = machine?;
    way.roles = machine.routers().iter().map(|router| (router.name().clone(), router.role())).collect();
    Some(way)
}

/// Lets every timer fire that is due before the next recorded input.
fn timers(machine: &mut Election, before: Instant, way: &mut Way) {
    let mut at_once = 0;
    while let Some((due, _)) = machine.next_wakeup() {
        at_once = if due > way.now { 0 } else { at_once + 1 };
        // One that is due again and again at one instant would never end.
        if due >= before || at_once > AT_ONCE {
            return;
        }
        way.now = way.now.max(due);
        let output = machine.handle(Input::Wakeup, way.now);
        way.learn(way.now, output.decisions(), output.effects());
    }
}

impl Way {
    fn learn<'a>(
        &mut self,
        at: Instant,
        decisions: impl Iterator<Item = &'a Decision>,
        effects: impl Iterator<Item = &'a Effect>,
    ) {
        self.decisions.extend(decisions.map(|decision| (at, decision.to_string())));
        self.adverts += effects.filter(|effect| advert(effect).is_some_and(|advert| decoded(advert).is_some())).count();
    }
}
