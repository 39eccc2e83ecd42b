//! One director: the production machine, a kernel that holds the VIP or does not, and what the two say to each stimulus.
//!
//! An `Election` decides by differences of instants only, so its answer to a stimulus depends on its timers relative to
//! now ([`Local`]). Each (state, stimulus) is put to the production code once and the answer is kept. That a [`Local`] holds
//! all that matters is itself checked: [`crate::model::timeline::replay`] runs whole paths through fresh machines, without
//! anything kept, and must arrive at the same states.

use super::rules;
use super::setup::{GROUP, Planted, SECOND, Setup, TICK, Ticks, VIP, address, addresses, interface, seconds, vip};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{Family, Link};
use vipward_core::machine::Machine;
use vipward_core::quantity::{AdvertInterval, Vrid};
use vipward_core::time::Instant;
use vipward_core::vrrp::packet::{AddressList, Advert, TTL};
use vipward_core::vrrp::virtual_router::State;
use vipward_core::vrrp::{Effect, Election, Event, Input};

/// What a running director is, as far as it matters. Times are ticks from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    pub role: Role,
    /// Who said last that it has an interval that is not believed at once.
    pub unsure: Option<u8>,
    /// The VIP is in its kernel.
    pub owns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `active`: the MASTER's interval in seconds, as learned. `slept`: the timer was long overdue once.
    Backup { down: Ticks, active: Ticks, slept: bool },
    /// `last`: when its last advert left.
    Master { advertise: Ticks, last: Ticks },
}

/// `BACKUP 3.500`: the role, and seconds until its timer fires.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Backup { down, .. } => write!(f, "BACKUP {:.3}", seconds(down)),
            Self::Master { advertise, .. } => write!(f, "MASTER {:.3}", seconds(advertise)),
        }
    }
}

impl Local {
    pub fn is_master(self) -> bool {
        matches!(self.role, Role::Master { .. })
    }

    pub fn timer(self) -> Ticks {
        match self.role {
            Role::Backup { down, .. } => down,
            Role::Master { advertise, .. } => advertise,
        }
    }

    /// The same after some time in which nothing happened. What is long overdue does not get any later: only a frozen
    /// director is, and it asks no more than whether `Active_Adver_Interval` or `Master_Down_Interval` is over.
    pub fn later(self, setup: &Setup, by: Ticks) -> Self {
        let long = -setup.longest_wait() - 1;
        let at = |ticks: Ticks| (ticks - by).max(long);
        let role = match self.role {
            Role::Backup { down, active, slept } => {
                Role::Backup { down: at(down).max(-setup.longest_interval() * SECOND - 1), active, slept }
            }
            Role::Master { advertise, last } => Role::Master { advertise: at(advertise), last: at(last) },
        };
        Self { role, ..self }
    }
}

/// What happens to a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stimulus {
    /// A new process; `owns`: a killed one left the VIP behind.
    Start {
        owns: bool,
    },
    Wakeup,
    Hears {
        from: u8,
        message: Message,
    },
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    Advert,
    /// Priority 0.
    Goodbye,
}

/// A place in [`Directors`].
pub type Id = u32;

/// What came of a stimulus.
#[derive(Clone, Debug)]
pub struct Answer {
    /// None: stopped.
    pub next: Option<Id>,
    pub owns: bool,
    pub sent: Vec<Message>,
    /// The rule that it broke.
    pub broken: Option<String>,
}

/// A process and its kernel.
#[derive(Clone, Debug)]
pub struct Process {
    pub who: usize,
    pub election: Election,
    pub owns: bool,
}

impl Process {
    pub fn new(who: usize, owns: bool) -> Self {
        Self { who, election: Election::default(), owns }
    }

    /// Its state; none when it takes no part.
    pub fn local(&self, now: Instant) -> Result<Local, String> {
        let [router] = self.election.routers() else { return Err("it has no virtual router".to_owned()) };
        let ticks = |at: Instant| {
            let nanos = i128::from(at.as_nanos()) - i128::from(now.as_nanos());
            let tick = i128::try_from(TICK.as_nanos()).unwrap();
            if nanos % tick != 0 {
                return Err(format!("{at:?} is between two ticks"));
            }
            Ok(Ticks::try_from(nanos / tick).unwrap())
        };
        let role = match router.state() {
            State::Backup(backup) => Role::Backup {
                down: ticks(backup.down_at)?,
                active: Ticks::from(backup.active_interval.centis() / 100),
                slept: backup.slept,
            },
            State::Master(master) => {
                Role::Master { advertise: ticks(master.advertise_at)?, last: ticks(master.last_advert)? }
            }
            State::Init | State::Fault => return Err(format!("it is {}", router.role())),
        };
        let unsure = router.unsure_interval().map(|(source, _)| director_at(source));
        let local = Local { role, unsure, owns: self.owns };
        match router.next().map(|(at, _)| ticks(at)).transpose()? {
            Some(at) if at == local.timer() => Ok(local),
            other => Err(format!("it wants to be woken in {other:?} ticks, not when its timer fires: {local:?}")),
        }
    }

    /// Puts a stimulus to the machine and carries out its effects. What it sent.
    pub fn meets(&mut self, setup: &Setup, stimulus: Stimulus, now: Instant) -> Result<Vec<Message>, String> {
        let mut sent = Vec::new();
        for input in self.inputs(setup, stimulus) {
            let effects = self.election.handle(input, now).into_effects().collect();
            self.carry_out(setup, effects, now, &mut sent)?;
        }
        Ok(sent)
    }

    fn inputs(&self, setup: &Setup, stimulus: Stimulus) -> Vec<Input> {
        match stimulus {
            Stimulus::Start { owns } => vec![
                Event::LinksRead(vec![Link { name: interface(), running: true }]).into(),
                Event::AddressesRead(addresses(self.who, owns)).into(),
                Input::ConfigLoaded { config: setup.config(self.who), seed: 0 },
            ],
            Stimulus::Wakeup => vec![Input::Wakeup],
            Stimulus::Stop => vec![Input::Stop],
            Stimulus::Hears { message: Message::Goodbye, .. }
                if setup.planted == Some(Planted::PriorityZeroIgnored) =>
            {
                vec![]
            }
            Stimulus::Hears { from, message } => {
                let (from, ours) = (usize::from(from), setup.directors[self.who].priority);
                let (mut source, mut priority) = (address(from), setup.directors[from].priority);
                match setup.planted {
                    Some(Planted::TieBreakReversed) if priority == ours => {
                        let other_side = if from > self.who { 9 } else { 11 };
                        source = Ipv4Addr::new(other_side, 0, 0, u8::try_from(from).unwrap());
                    }
                    Some(Planted::NeverPreempts) => priority = priority.max(ours),
                    _ => {}
                }
                if message == Message::Goodbye {
                    priority = 0;
                }
                vec![Event::AdvertReceived(datagram(setup, from, source.into(), priority)).into()]
            }
        }
    }

    fn carry_out(
        &mut self,
        setup: &Setup,
        effects: Vec<Effect>,
        now: Instant,
        sent: &mut Vec<Message>,
    ) -> Result<(), String> {
        let adverts_held = setup.planted == Some(Planted::AdvertsWithheld)
            && !effects.iter().any(|effect| matches!(effect, Effect::AddAddress(_) | Effect::RemoveAddress(_)));
        for effect in effects {
            match effect {
                Effect::SendAdvert(datagram) => {
                    let message = self.message(setup, &datagram)?;
                    if !adverts_held {
                        sent.push(message);
                    }
                }
                Effect::AddAddress(added) if added == vip() => {
                    if std::mem::replace(&mut self.owns, true) {
                        return Err("the VIP is added although it is there".to_owned());
                    }
                }
                Effect::RemoveAddress(key) if key == vip().key() => {
                    if setup.planted == Some(Planted::AddressKept) {
                        continue;
                    }
                    if !std::mem::replace(&mut self.owns, false) {
                        return Err("the VIP is removed although it is not there".to_owned());
                    }
                }
                // The kernel has what the machine thinks it has, so this changes nothing.
                Effect::ReadAddresses => {
                    let read = Event::AddressesRead(addresses(self.who, self.owns));
                    let again = self.election.handle(read.into(), now);
                    if !again.is_empty() {
                        return Err(format!("reading the addresses again brought {again:?}"));
                    }
                }
                Effect::Listen { .. } | Effect::Announce { .. } => {}
                other => return Err(format!("asks for {other:?}")),
            }
        }
        Ok(())
    }

    /// A message that is byte for byte what this director's configuration says.
    fn message(&self, setup: &Setup, sent: &Datagram) -> Result<Message, String> {
        let of = |priority| datagram(setup, self.who, address(self.who).into(), priority);
        if *sent == of(setup.directors[self.who].priority) {
            Ok(Message::Advert)
        } else if *sent == of(0) {
            Ok(Message::Goodbye)
        } else {
            Err(format!("sends {sent:?}"))
        }
    }
}

/// Who has this address, also when [`Planted::TieBreakReversed`] moved it.
fn director_at(source: IpAddr) -> u8 {
    let IpAddr::V4(source) = source else { return u8::MAX };
    match source.octets() {
        [9 | 11, _, _, who] => who,
        _ => (0..=8).find(|who| address(usize::from(*who)) == source).unwrap_or(u8::MAX),
    }
}

/// What `from` sends.
fn datagram(setup: &Setup, from: usize, source: IpAddr, priority: u8) -> Datagram {
    let vip = VIP.octets();
    let advert = Advert {
        version: setup.version,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::from_centis(u16::try_from(setup.directors[from].interval * 100).unwrap()).unwrap(),
        authentication: vipward_core::vrrp::packet::Authentication::None,
        addresses: AddressList::from_wire(Family::V4, &vip),
    };
    Datagram { interface: interface(), source, destination: GROUP.into(), ttl: TTL, payload: advert.encode(None) }
}

/// Every state that a director was seen in, and every answer.
#[derive(Debug)]
pub struct Directors {
    known: Vec<(Local, Process, Instant)>,
    ids: BTreeMap<(usize, Local), Id>,
    answers: BTreeMap<(usize, Option<Local>, Stimulus), Answer>,
}

impl Directors {
    pub fn new() -> Self {
        Self { known: Vec::new(), ids: BTreeMap::new(), answers: BTreeMap::new() }
    }

    /// How many states of single directors there are, and how many questions the production code was asked.
    pub fn counts(&self) -> (usize, usize) {
        (self.known.len(), self.answers.len())
    }

    pub fn local(&self, setup: &Setup, id: Id, age: Ticks) -> Local {
        self.known[id as usize].0.later(setup, age)
    }

    /// What director `who` makes of a stimulus. `state`: what it was and how long ago; none when it starts.
    pub fn ask(&mut self, setup: &Setup, who: usize, state: Option<(Id, Ticks)>, stimulus: Stimulus) -> &Answer {
        let before = state.map(|(id, age)| self.local(setup, id, age));
        let key = (who, before, stimulus);
        if !self.answers.contains_key(&key) {
            let answer = self.find_out(setup, who, state, before, stimulus);
            self.answers.insert(key, answer);
        }
        &self.answers[&key]
    }

    fn find_out(
        &mut self,
        setup: &Setup,
        who: usize,
        state: Option<(Id, Ticks)>,
        before: Option<Local>,
        stimulus: Stimulus,
    ) -> Answer {
        let (mut process, now) = match state {
            Some((id, age)) => {
                let (_, process, at) = &self.known[id as usize];
                (process.clone(), *at + TICK * u32::try_from(age).unwrap())
            }
            None => {
                let owns = stimulus == Stimulus::Start { owns: true };
                (Process::new(who, owns), Instant::from_millis(10_000))
            }
        };
        self.put(setup, &mut process, before, stimulus, now).unwrap_or_else(|problem| Answer {
            next: None,
            owns: process.owns,
            sent: vec![],
            broken: Some(problem),
        })
    }

    fn put(
        &mut self,
        setup: &Setup,
        process: &mut Process,
        before: Option<Local>,
        stimulus: Stimulus,
        now: Instant,
    ) -> Result<Answer, String> {
        let sent = process.meets(setup, stimulus, now)?;
        if stimulus == Stimulus::Stop {
            stays_silent(setup, process, now)?;
            let broken = rules::check_stop(setup, process.who, before, process.owns, &sent).err();
            let broken = broken.filter(|_| setup.rules);
            return Ok(Answer { next: None, owns: process.owns, sent, broken });
        }
        let after = process.local(now)?.later(setup, 0);
        let broken = rules::check(setup, process.who, before, stimulus, after, &sent).err().filter(|_| setup.rules);
        let key = (process.who, after);
        if let Some(id) = self.ids.get(&key) {
            return Ok(Answer { next: Some(*id), owns: process.owns, sent, broken });
        }
        early_wakeup_is_harmless(setup, process, after, now)?;
        let id = Id::try_from(self.known.len()).unwrap();
        self.known.push((after, process.clone(), now));
        self.ids.insert(key, id);
        Ok(Answer { next: Some(id), owns: process.owns, sent, broken })
    }
}

/// Stopped, it holds nothing, wants nothing and says nothing, whatever comes.
fn stays_silent(setup: &Setup, process: &Process, now: Instant) -> Result<(), String> {
    let mut stopped = process.clone();
    if stopped.election.next_wakeup().is_some() {
        return Err("stopped, and wants to be woken".to_owned());
    }
    let everybody = 0..u8::try_from(setup.directors.len()).unwrap();
    let hears =
        everybody.flat_map(|from| [Message::Advert, Message::Goodbye].map(|message| Stimulus::Hears { from, message }));
    for stimulus in [Stimulus::Wakeup, Stimulus::Stop].into_iter().chain(hears) {
        for input in stopped.inputs(setup, stimulus) {
            let effects = stopped.election.handle(input, now + TICK * 10_000);
            if !effects.is_empty() {
                return Err(format!("stopped, and asks for {effects:?}"));
            }
        }
    }
    Ok(())
}

/// `Machine::next_wakeup`: waking earlier than asked changes nothing.
fn early_wakeup_is_harmless(setup: &Setup, process: &Process, after: Local, now: Instant) -> Result<(), String> {
    if after.timer() <= 0 {
        return Ok(());
    }
    let mut woken = process.clone();
    let sent = woken.meets(setup, Stimulus::Wakeup, now)?;
    if sent.is_empty() && woken.local(now)? == after {
        Ok(())
    } else {
        Err(format!("woken before its timer fires, it sends {sent:?} and is {:?}", woken.local(now)))
    }
}
