//! From entries to bytes.

use super::crc32::Crc32;
use super::pcapng::{self, Direction};
use super::{
    Begin, Body, Entry, FORMAT, LINKTYPE_RAW, LINKTYPE_USER0, OWN_INTERFACE, PIECE, Placed, Renewed, Step, packet,
};
use crate::datagram::Datagram;
use crate::effect::Effect;
use crate::event::Event;
use crate::interface::InterfaceName;
use crate::time::Instant;
use std::collections::BTreeMap;

/// One file's bytes as they come into being. Give it a [`Entry::Begin`] first, [`Self::take`] the bytes whenever it suits.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Whether the section header is written.
    open: bool,
    epoch: u64,
    /// Of the last record: those that have no instant of their own are shown at this one.
    latest: Instant,
    interfaces: BTreeMap<InterfaceName, u32>,
    renewed: Renewed,
    /// Of every record and advert so far, so that one that is missing is noticed at the next.
    crc: Crc32,
    scratch: Vec<u8>,
}

impl Writer {
    /// Appends one entry.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Begin(begin) => {
                self.epoch = begin.epoch;
                self.latest = begin.at;
                self.section(&begin.version);
                self.record(begin.at, &Body::<&Event, &Effect>::Begin(begin.clone()), "");
            }
            Entry::Files(files) => {
                self.record(self.latest, &Body::<&Event, &Effect>::Files(files.clone()), "");
            }
            Entry::State { machine, at, state } => {
                let body = Body::<&Event, &Effect>::State { machine: *machine, at: *at, state: state.clone() };
                self.record(*at, &body, "");
            }
            Entry::Step(step) => self.step(step),
            Entry::Lost { machine, at, steps } => {
                let body = Body::<&Event, &Effect>::Lost { machine: *machine, at: *at, steps: *steps };
                self.record(*at, &body, &format!("{machine}: {steps} steps are lost"));
            }
        }
    }

    /// The bytes since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// How many bytes wait to be taken.
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    fn section(&mut self, version: &str) {
        if self.open {
            return;
        }
        self.open = true;
        pcapng::section_header(&mut self.out, &format!("vipward {version}"));
        pcapng::interface(&mut self.out, LINKTYPE_USER0, OWN_INTERFACE);
    }

    fn step(&mut self, step: &Step) {
        let Step { machine, at, event, effects } = step;
        let event = match event {
            Event::AdvertReceived(advert) if self.packet(*at, advert, Direction::In) => Placed::Packet,
            other => Placed::Here(other),
        };
        let mut comment = String::new();
        let mut placed = Vec::with_capacity(effects.len());
        for effect in effects {
            if let Effect::Decide(decision) = effect {
                if !comment.is_empty() {
                    comment.push('\n');
                }
                comment.push_str(&decision.to_string());
            }
            placed.push(match effect {
                Effect::SendAdvert(advert) if self.packet(*at, advert, Direction::Out) => Placed::Packet,
                Effect::RenewAddresses { addresses } if let Some(number) = self.renewed.number(addresses) => {
                    Placed::Renewed(number)
                }
                other => {
                    self.renewed.note(other);
                    Placed::Here(other)
                }
            });
        }
        self.record(*at, &Body::Step { machine: *machine, at: *at, event, effects: placed }, &comment);
    }

    /// Writes an advert as a packet; false when it has no form as one.
    fn packet(&mut self, at: Instant, advert: &Datagram, direction: Direction) -> bool {
        self.scratch.clear();
        if packet::to_packet(advert, &mut self.scratch).is_none() {
            return false;
        }
        self.section("");
        let interface = match self.interfaces.get(&advert.interface) {
            Some(number) => *number,
            None => {
                pcapng::interface(&mut self.out, LINKTYPE_RAW, advert.interface.as_str());
                // 0 is our own.
                let number = u32::try_from(self.interfaces.len() + 1).unwrap_or(u32::MAX);
                self.interfaces.insert(advert.interface.clone(), number);
                number
            }
        };
        self.crc.add(advert.interface.as_str().as_bytes());
        self.crc.add(&self.scratch);
        let nanos = self.epoch.saturating_add(at.as_nanos());
        pcapng::packet(&mut self.out, interface, nanos, [&self.scratch, &[]], Some(direction), "");
        true
    }

    fn record(&mut self, at: Instant, body: &Body<&Event, &Effect>, comment: &str) {
        self.section("");
        self.latest = at;
        self.scratch.clear();
        let Ok(bytes) = postcard::to_extend(body, std::mem::take(&mut self.scratch)) else {
            // Nothing in core fails to serialise; were it so, the packets in front would be found without their record.
            return;
        };
        let mut pieces = bytes.chunks(PIECE).peekable();
        let mut comment = comment;
        while let Some(piece) = pieces.next() {
            let more = u8::from(pieces.peek().is_some());
            self.crc.add(&[FORMAT, more]);
            self.crc.add(piece);
            let [a, b, c, d] = self.crc.sum().to_le_bytes();
            let nanos = self.epoch.saturating_add(at.as_nanos());
            pcapng::packet(&mut self.out, 0, nanos, [&[FORMAT, more, a, b, c, d], piece], None, comment);
            comment = "";
        }
        self.scratch = bytes;
    }
}

impl Begin {
    /// The version of this very program.
    pub fn this_version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
}
