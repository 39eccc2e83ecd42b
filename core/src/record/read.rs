//! From bytes to entries, as far as they go. Nothing that a file holds can do more than end the reading with a
//! [`Damage`] that says where and why.

use super::pcapng::{Block, Blocks};
use super::{
    Body, Entry, FORMAT, LINKTYPE_RAW, LINKTYPE_USER0, OWN_INTERFACE, PIECE_HEAD, Placed, ReadBody, Renewed, Step,
    Taken, decode, packet,
};
use crate::datagram::Datagram;
use crate::interface::InterfaceName;
use crate::machine::{Input, Outbox, Output};
use crate::vrrp::{Effect, Event};
use crc32fast::Hasher;
use std::collections::VecDeque;
use std::fmt;

/// Why the reading ended before the file did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the block begins that could not be read, in bytes from the start of the file.
    pub offset: u64,
    /// Its number, counted from 0.
    pub block: u64,
    pub kind: Kind,
    pub what: String,
}

/// The kinds of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not a file of ours at all.
    NotARecording,
    /// The file ends in the middle. A process that was killed or a full disk leaves it so.
    CutOff,
    /// Bytes are not what was written.
    Damaged,
    /// Written in another version of the format.
    OtherVersion,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            Kind::NotARecording => "not a recording",
            Kind::CutOff => "cut off",
            Kind::Damaged => "damaged",
            Kind::OtherVersion => "another version",
        };
        write!(f, "{word}: byte {}, block {}: {}", self.offset, self.block, self.what)
    }
}

impl std::error::Error for Damage {}

/// An entry and the place of its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: u64,
    pub block: u64,
    pub entry: Entry,
}

/// Reads a file from its start; ends after the first [`Damage`], unless it is told to [`Self::resume`].
#[derive(Debug)]
pub struct Reader<'a> {
    blocks: Blocks<'a>,
    interfaces: Vec<Interface>,
    /// What wrote this section.
    program: String,
    /// Adverts that the next record speaks of.
    packets: VecDeque<Datagram>,
    renewed: Renewed,
    /// Of all records and adverts of this section.
    crc: Hasher,
    /// The pieces so far of a record.
    body: Vec<u8>,
    /// Where the block before was; where something is missing at the end.
    last: (u64, u64),
    any: bool,
    ended: bool,
}

#[derive(Debug)]
enum Interface {
    Own,
    Adverts(InterfaceName),
    /// Another program put it there.
    Foreign,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            blocks: Blocks::new(bytes),
            interfaces: Vec::new(),
            program: String::new(),
            packets: VecDeque::new(),
            renewed: Renewed::default(),
            crc: Hasher::new(),
            body: Vec::new(),
            last: (0, 0),
            any: false,
            ended: false,
        }
    }

    /// After a [`Damage`]: goes on at the next section of the file, and tells the byte where that begins. It knows nothing
    /// of what was before. `None`: there is none.
    pub fn resume(&mut self, damage: &Damage) -> Option<u64> {
        let at = self.blocks.skip_to_section(damage.offset)?;
        self.packets.clear();
        self.body.clear();
        self.ended = false;
        Some(at)
    }

    fn read(&mut self) -> Option<Result<Found, Damage>> {
        loop {
            let (offset, block, content) = match self.blocks.next() {
                Some(Ok(found)) => found,
                Some(Err(damage)) => return Some(Err(damage)),
                None => return self.finish().map(Err),
            };
            self.last = (offset, block);
            match self.take(content) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    self.any = true;
                    return Some(Ok(Found { offset, block, entry }));
                }
                Err((kind, what)) => return Some(Err(Damage { offset, block, kind, what })),
            }
        }
    }

    /// At the end of the file: is anything missing?
    fn finish(&self) -> Option<Damage> {
        let (offset, block) = self.last;
        let damage = |kind, what: &str| Some(Damage { offset, block, kind, what: what.to_owned() });
        if !self.body.is_empty() || !self.packets.is_empty() {
            return damage(Kind::CutOff, "the file ends before the record that begins here is whole");
        }
        if !self.any {
            return damage(Kind::NotARecording, "there is no record of vipward in this file");
        }
        None
    }

    fn take(&mut self, block: Block<'_>) -> Result<Option<Entry>, (Kind, String)> {
        match block {
            Block::Section { program } => {
                if !self.packets.is_empty() || !self.body.is_empty() {
                    return Err((Kind::Damaged, "a new section before the record is whole".to_owned()));
                }
                self.interfaces.clear();
                self.renewed = Renewed::default();
                self.crc = Hasher::new();
                self.program = program;
                Ok(None)
            }
            Block::Interface { link_type, name } => {
                self.interfaces.push(match link_type {
                    LINKTYPE_USER0 if name == OWN_INTERFACE => Interface::Own,
                    LINKTYPE_RAW => Interface::Adverts(InterfaceName::new(&name)),
                    _ => Interface::Foreign,
                });
                Ok(None)
            }
            Block::Packet { interface, data } => {
                let number = usize::try_from(interface).unwrap_or(usize::MAX);
                match self.interfaces.get(number) {
                    None => Err((Kind::Damaged, format!("there is no interface {interface}"))),
                    Some(Interface::Foreign) => Ok(None),
                    Some(Interface::Adverts(name)) => {
                        let advert = packet::from_packet(name, data)
                            .ok_or_else(|| (Kind::Damaged, "this is no IP packet".to_owned()))?;
                        self.crc.update(name.as_str().as_bytes());
                        self.crc.update(data);
                        self.packets.push_back(advert);
                        Ok(None)
                    }
                    Some(Interface::Own) => self.piece(data),
                }
            }
        }
    }

    fn piece(&mut self, data: &[u8]) -> Result<Option<Entry>, (Kind, String)> {
        let short = || (Kind::Damaged, "the record has no whole head".to_owned());
        let (head, piece) = data.split_at_checked(PIECE_HEAD).ok_or_else(short)?;
        let [format, more, sum @ ..] = head else { return Err(short()) };
        if *format != FORMAT {
            let by = if self.program.is_empty() { String::new() } else { format!(", written by {}", self.program) };
            return Err((Kind::OtherVersion, format!("format {format}{by}; this program reads format {FORMAT}")));
        }
        self.crc.update(&[*format, *more]);
        self.crc.update(piece);
        if self.crc.clone().finalize().to_le_bytes() != *sum {
            let what = "the checksum does not fit: this record was changed, or one before it is gone";
            return Err((Kind::Damaged, what.to_owned()));
        }
        self.body.extend_from_slice(piece);
        if *more != 0 {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.body);
        let body = decode(&body).map_err(|error| (Kind::Damaged, format!("the record makes no sense: {error}")))?;
        let entry = self.entry(body)?;
        if !self.packets.is_empty() {
            return Err((Kind::Damaged, format!("{} packets that no record speaks of", self.packets.len())));
        }
        Ok(Some(entry))
    }

    fn entry(&mut self, body: ReadBody) -> Result<Entry, (Kind, String)> {
        Ok(match body {
            Body::Begin(begin) => Entry::Begin(begin),
            Body::Files(files) => Entry::Files(files),
            Body::State { machine, at, state } => Entry::State { machine, at, state: state.into() },
            Body::Lost { machine, at, steps } => Entry::Lost { machine, at, steps },
            Body::Balancer { at, input, output } => {
                Entry::Step(Step::Balancer(Taken { at, input, output: output.into_iter().collect() }))
            }
            Body::Election { at, input, output } => {
                let input = match input {
                    Placed::Here(input) => input,
                    Placed::Packet => Input::Event(Event::AdvertReceived(self.packet()?)),
                    Placed::Renewed(_) => return Err((Kind::Damaged, "a renewal is no event".to_owned())),
                };
                let output = output.into_iter().map(|placed| match placed {
                    Placed::Here(output) => {
                        self.renewed.note(&output);
                        Ok(output)
                    }
                    Placed::Packet => Ok(Output::Effect(Effect::SendAdvert(self.packet()?))),
                    Placed::Renewed(number) => match self.renewed.get(number) {
                        Some(addresses) => Ok(Output::Effect(Effect::RenewAddresses { addresses })),
                        None => Err((Kind::Damaged, format!("there is no list {number} of renewed addresses"))),
                    },
                });
                let output = output.collect::<Result<Outbox<Effect>, _>>()?;
                Entry::Step(Step::Election(Taken { at, input, output }))
            }
        })
    }

    fn packet(&mut self) -> Result<Datagram, (Kind, String)> {
        self.packets.pop_front().ok_or_else(|| (Kind::Damaged, "a packet of this record is missing".to_owned()))
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Found, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}
