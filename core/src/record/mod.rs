//! The flight recorder's format: what a director heard, when, and all that it did about it, as a pcapng file.
//!
//! Pure: entries in, bytes out ([`Writer`]), and back ([`Reader`]). [`Recorded`] wraps a machine from outside and hands
//! every step to a [`Recorder`]; the daemon's writes files, a test's keeps a list.
//!
//! Adverts are real IP packets, one pcapng interface for each network interface, so Wireshark shows them as VRRP.
//! Everything else travels as packets of link type USER0 on an interface of our own. `docs/recording.md` says why, and
//! what each byte means.

mod packet;
mod pcapng;
mod read;
mod recorded;
mod write;

pub use read::{Damage, Found, Kind, Reader};
pub use recorded::{Recorded, Recorder};
pub use write::Writer;

use crate::balancer::{self, Balancer};
use crate::decision::Decision;
use crate::interface::InterfaceAddress;
use crate::machine::{Input, InputOf, Machine, Outbox, Output};
use crate::time::Instant;
use crate::vrrp::{self, Effect, Election};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Version of the format: the first byte of every record. Records name what they hold, so a field more or less changes
/// nothing; it goes up when something means another thing than before.
pub const FORMAT: u8 = 6;

/// Which of a director's two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MachineName {
    Election,
    Balancer,
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Election => "election",
            Self::Balancer => "balancer",
        })
    }
}

/// A machine that can be recorded: it has a name, and its whole state can be written down and taken up again.
pub trait Recordable: Machine + Serialize + DeserializeOwned {
    const NAME: MachineName;

    /// Among the steps of both.
    fn step(step: StepOf<Self>) -> Step;

    /// And out of them, if it is this machine's.
    fn step_of(step: &Step) -> Option<&StepOf<Self>>;
}

impl Recordable for Election {
    const NAME: MachineName = MachineName::Election;

    fn step(step: StepOf<Self>) -> Step {
        Step::Election(step)
    }

    fn step_of(step: &Step) -> Option<&StepOf<Self>> {
        match step {
            Step::Election(step) => Some(step),
            Step::Balancer(_) => None,
        }
    }
}

impl Recordable for Balancer {
    const NAME: MachineName = MachineName::Balancer;

    fn step(step: StepOf<Self>) -> Step {
        Step::Balancer(step)
    }

    fn step_of(step: &Step) -> Option<&StepOf<Self>> {
        match step {
            Step::Balancer(step) => Some(step),
            Step::Election(_) => None,
        }
    }
}

/// A machine's whole state in the bytes of this format.
pub fn state_of<M: Recordable>(machine: &M) -> Result<Vec<u8>, String> {
    let mut state = Vec::new();
    encode(machine, &mut state).map(|()| state)
}

/// The machine with this state.
pub fn from_state<M: Recordable>(state: &[u8]) -> Result<M, String> {
    decode(state)
}

/// Whether this machine has the recorded state, as far as this version of vipward knows what a state is made of.
pub fn has_state<M: Recordable>(machine: &M, recorded: &[u8]) -> Result<bool, String> {
    Ok(state_of(machine)? == state_of(&from_state::<M>(recorded)?)?)
}

/// CBOR (RFC 8949): fields and variants have their names, so that another version finds what it knows.
fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    ciborium::into_writer(value, out).map_err(|error| error.to_string())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes too many", rest.len())) }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "most are steps, and each is written or looked at and gone")]
pub enum Entry {
    /// The first of every file.
    Begin(Begin),
    /// The configuration's text, every file of it; before the step that loads it.
    Files(Vec<File>),
    /// All that a machine knows at this point. From here on its steps can be checked.
    State { machine: MachineName, at: Instant, state: Vec<u8> },
    /// One event and what came of it.
    Step(Step),
    /// So many steps of this machine could not be recorded: the disk was too slow. Its steps can't be checked again
    /// before its next [`Self::State`].
    Lost { machine: MachineName, at: Instant, steps: u64 },
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The version of vipward that wrote it.
    pub version: String,
    /// The director's name: `-i`, by default the host's name up to the first dot.
    pub director: String,
    /// Drawn anew at each start of the daemon: files with the same number belong together.
    pub run: u64,
    /// Counts the files of one run from 0.
    pub file: u64,
    /// When this file was begun.
    pub at: Instant,
    /// Nanoseconds from 1970-01-01T00:00:00Z to [`Instant::ZERO`], as the system's clock had it when the run began.
    pub epoch: u64,
}

/// One file of a configuration, in the order in which they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// One call of [`Machine::handle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Election(StepOf<Election>),
    Balancer(StepOf<Balancer>),
}

/// The same, when it is known whose.
pub type StepOf<M> = Taken<InputOf<M>, <M as Machine>::Effect>;

/// What a machine was told and what it asked for. `I` is its input, `F` its own effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<I, F> {
    pub at: Instant,
    pub input: I,
    pub output: Outbox<F>,
}

impl Step {
    pub fn machine(&self) -> MachineName {
        match self {
            Self::Election(_) => MachineName::Election,
            Self::Balancer(_) => MachineName::Balancer,
        }
    }

    pub fn at(&self) -> Instant {
        match self {
            Self::Election(step) => step.at,
            Self::Balancer(step) => step.at,
        }
    }

    /// A configuration comes into force by it.
    pub fn loads(&self) -> bool {
        match self {
            Self::Election(step) => matches!(step.input, Input::ConfigLoaded { .. }),
            Self::Balancer(step) => matches!(step.input, Input::ConfigLoaded { .. }),
        }
    }

    /// Its machine is driven no further.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Election(step) => step.input.is_last(),
            Self::Balancer(step) => step.input.is_last(),
        }
    }

    pub fn decisions(&self) -> Box<dyn Iterator<Item = &Decision> + '_> {
        match self {
            Self::Election(step) => Box::new(step.output.decisions()),
            Self::Balancer(step) => Box::new(step.output.decisions()),
        }
    }
}

/// A record's body as it is written. Inputs and outputs are borrowed to write and owned when read.
#[derive(Serialize, Deserialize)]
enum Body<VI, VO, BI, BO> {
    Begin(Begin),
    Files(Vec<File>),
    State { machine: MachineName, at: Instant, state: Bytes },
    Election { at: Instant, input: Placed<VI>, output: Vec<Placed<VO>> },
    Balancer { at: Instant, input: BI, output: Vec<BO> },
    Lost { machine: MachineName, at: Instant, steps: u64 },
}

type WrittenBody<'a> =
    Body<&'a vrrp::Input, &'a Output<vrrp::Effect>, &'a balancer::Input, &'a Output<balancer::Effect>>;

type ReadBody = Body<vrrp::Input, Output<vrrp::Effect>, balancer::Input, Output<balancer::Effect>>;

/// Where an input or output of the Election's stands.
#[derive(Serialize, Deserialize)]
enum Placed<T> {
    /// In the record itself.
    Here(T),
    /// It is an advert, and the next of the packets in front of the record.
    Packet,
    /// It renews the addresses of this list ([`Renewed`]).
    Renewed(u32),
}

/// The lists of addresses that were renewed, each of which is written out once in a section and is a number from then
/// on: a MASTER at rest renews the same ones twice a second. Writer and reader keep the same.
#[derive(Debug, Default)]
struct Renewed(Vec<Arc<[InterfaceAddress]>>);

impl Renewed {
    /// When there are so many, counting begins anew.
    const MOST: usize = 256;

    fn number(&self, addresses: &Arc<[InterfaceAddress]>) -> Option<u32> {
        self.0.iter().position(|known| known == addresses).and_then(|place| u32::try_from(place).ok())
    }

    fn get(&self, number: u32) -> Option<Arc<[InterfaceAddress]>> {
        self.0.get(usize::try_from(number).ok()?).cloned()
    }

    /// Takes note of what is written out.
    fn note(&mut self, output: &Output<Effect>) {
        if let Output::Effect(Effect::RenewAddresses { addresses }) = output {
            if self.0.len() >= Self::MOST {
                self.0.clear();
            }
            self.0.push(addresses.clone());
        }
    }
}

/// In front of each piece of a record: [`FORMAT`], whether more pieces follow, CRC-32.
const PIECE_HEAD: usize = 6;

/// The longest piece of a record. Wireshark refuses packets of more than 256 KiB.
const PIECE: usize = 128 * 1024;

/// Link type of the interfaces that carry adverts: a bare IPv4 or IPv6 packet.
const LINKTYPE_RAW: u16 = 101;

/// Link type of the interface that carries records.
const LINKTYPE_USER0: u16 = 147;

/// The name of that interface.
const OWN_INTERFACE: &str = "vipward";
