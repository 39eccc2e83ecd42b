//! From entries to bytes.

use super::pcapng::{self, Direction};
use super::{
    Begin, Body, Entry, FORMAT, LINKTYPE_RAW, LINKTYPE_USER0, OWN_INTERFACE, PIECE, Placed, Renewed, Step, StepOf,
    WrittenBody, encode, packet,
};
use crate::datagram::Datagram;
use crate::decision::Decision;
use crate::interface::InterfaceName;
use crate::machine::{Input, Output};
use crate::time::Instant;
use crate::vrrp::{Effect, Election, Event};
use bytes::Bytes;
use crc32fast::Hasher;
use std::collections::BTreeMap;

/// One file's bytes as they come into being. Give it a [`Entry::Begin`] first, [`Self::take`] the bytes whenever it suits.
/// Each further one begins a section that can be read without what stands before it.
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
    crc: Hasher,
    scratch: Vec<u8>,
}

impl Writer {
    /// Appends one entry.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Begin(begin) => {
                self.epoch = begin.epoch;
                self.latest = begin.at;
                self.open = false;
                self.interfaces.clear();
                self.renewed = Renewed::default();
                self.crc = Hasher::new();
                self.section(&begin.version);
                self.record(begin.at, &Body::Begin(begin.clone()), "");
            }
            Entry::Files(files) => self.record(self.latest, &Body::Files(files.clone()), ""),
            Entry::State { machine, at, state } => {
                let state = Bytes::copy_from_slice(state);
                self.record(*at, &Body::State { machine: *machine, at: *at, state }, "");
            }
            Entry::Step(Step::Election(step)) => self.election(step),
            Entry::Step(Step::Balancer(step)) => {
                let (at, comment) = (step.at, comment(step.output.decisions()));
                let output = step.output.iter().collect();
                self.record(at, &Body::Balancer { at, input: &step.input, output }, &comment);
            }
            Entry::Lost { machine, at, steps } => {
                let body = Body::Lost { machine: *machine, at: *at, steps: *steps };
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

    fn election(&mut self, step: &StepOf<Election>) {
        let at = step.at;
        let input = match &step.input {
            Input::Event(Event::AdvertReceived(advert)) if self.packet(at, advert, Direction::In) => Placed::Packet,
            other => Placed::Here(other),
        };
        let mut output = Vec::with_capacity(step.output.len());
        for each in &step.output {
            output.push(match each {
                Output::Effect(Effect::SendAdvert(advert)) if self.packet(at, advert, Direction::Out) => Placed::Packet,
                Output::Effect(Effect::RenewAddresses { addresses })
                    if let Some(number) = self.renewed.number(addresses) =>
                {
                    Placed::Renewed(number)
                }
                other => {
                    self.renewed.note(other);
                    Placed::Here(other)
                }
            });
        }
        self.record(at, &Body::Election { at, input, output }, &comment(step.output.decisions()));
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
        self.crc.update(advert.interface.as_str().as_bytes());
        self.crc.update(&self.scratch);
        let nanos = self.epoch.saturating_add(at.as_nanos());
        pcapng::packet(&mut self.out, interface, nanos, [&self.scratch, &[]], Some(direction), "");
        true
    }

    fn record(&mut self, at: Instant, body: &WrittenBody<'_>, comment: &str) {
        self.section("");
        self.latest = at;
        self.scratch.clear();
        let mut bytes = std::mem::take(&mut self.scratch);
        if encode(body, &mut bytes).is_err() {
            // Nothing in core fails to serialise; were it so, the packets in front would be found without their record.
            return;
        }
        let mut pieces = bytes.chunks(PIECE).peekable();
        let mut comment = comment;
        while let Some(piece) = pieces.next() {
            let more = u8::from(pieces.peek().is_some());
            self.crc.update(&[FORMAT, more]);
            self.crc.update(piece);
            let [a, b, c, d] = self.crc.clone().finalize().to_le_bytes();
            let nanos = self.epoch.saturating_add(at.as_nanos());
            pcapng::packet(&mut self.out, 0, nanos, [&[FORMAT, more, a, b, c, d], piece], None, comment);
            comment = "";
        }
        self.scratch = bytes;
    }
}

/// Each decision in a line of its own.
fn comment<'a>(decisions: impl Iterator<Item = &'a Decision>) -> String {
    decisions.map(Decision::to_string).collect::<Vec<_>>().join("\n")
}

impl Begin {
    /// The version of this very program.
    pub fn this_version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
}
