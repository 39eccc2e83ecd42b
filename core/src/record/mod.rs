//! The flight recorder's format: what a director heard, when, and all that it did about it, as a pcapng file.
//!
//! Pure: entries in, bytes out ([`Writer`]), and back ([`Reader`]). [`Recorded`] wraps a machine from outside and hands
//! every step to a [`Recorder`]; the daemon's writes files, a test's keeps a list.
//!
//! Adverts are real IP packets, one pcapng interface for each network interface, so Wireshark shows them as VRRP.
//! Everything else travels as packets of link type USER0 on an interface of our own. `docs/recording.md` says why, and
//! what each byte means.

pub mod crc32;
mod packet;
mod pcapng;
mod read;
mod recorded;
mod write;

pub use read::{Damage, Found, Kind, Reader};
pub use recorded::{Recorded, Recorder};
pub use write::Writer;

use crate::balancer::Balancer;
use crate::effect::Effect;
use crate::event::Event;
use crate::interface::InterfaceAddress;
use crate::machine::Machine;
use crate::time::Instant;
use crate::vrrp::Election;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Version of the format: the first byte of every record. It goes up with every change of [`Event`], [`Effect`], the
/// machines' state or what they are made of; `core/tests/record` has a test that notices.
pub const FORMAT: u8 = 4;

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
}

impl Recordable for Election {
    const NAME: MachineName = MachineName::Election;
}

impl Recordable for Balancer {
    const NAME: MachineName = MachineName::Balancer;
}

/// A machine's whole state in the bytes of this format.
pub fn state_of<M: Recordable>(machine: &M) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(machine).map_err(|error| error.to_string())
}

/// The machine with this state.
pub fn from_state<M: Recordable>(state: &[u8]) -> Result<M, String> {
    match postcard::take_from_bytes(state) {
        Ok((machine, [])) => Ok(machine),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct Step {
    pub machine: MachineName,
    pub at: Instant,
    pub event: Event,
    pub effects: Vec<Effect>,
}

/// A record's body as it is written; `E` and `F` are events and effects, borrowed to write and owned when read.
#[derive(Serialize, Deserialize)]
enum Body<E, F> {
    Begin(Begin),
    Files(Vec<File>),
    State { machine: MachineName, at: Instant, state: Vec<u8> },
    Step { machine: MachineName, at: Instant, event: Placed<E>, effects: Vec<Placed<F>> },
    Lost { machine: MachineName, at: Instant, steps: u64 },
}

/// Where an event or effect stands.
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
    fn note(&mut self, effect: &Effect) {
        if let Effect::RenewAddresses { addresses } = effect {
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
