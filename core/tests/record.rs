//! The flight recorder: what goes in comes out, what is damaged is said, and a machine goes on from its recorded state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use vipward_core::balancer::{self, Balancer};
use vipward_core::check::{Failure, Verdict};
use vipward_core::config::{Config, Options, load};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, Link, ObservedAddress};
use vipward_core::ipvs::Table;
use vipward_core::machine::{Input, InputOf, Machine, Outbox, Output};
use vipward_core::record::{
    Begin, Entry, FORMAT, File, Kind, Reader, Recordable, Recorded, Recorder, Step, Taken, Writer, from_state,
    has_state, state_of,
};
use vipward_core::text::Sources;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{self, Election};

/// Keeps what it is given, and can be full.
#[derive(Clone, Default)]
struct Kept {
    entries: Rc<RefCell<Vec<Entry>>>,
    full: Rc<Cell<bool>>,
    generation: Rc<Cell<u64>>,
}

impl Recorder for Kept {
    fn take(&mut self, entry: Entry) -> bool {
        if !self.full.get() {
            self.entries.borrow_mut().push(entry);
        }
        !self.full.get()
    }

    fn generation(&self) -> u64 {
        self.generation.get()
    }
}

fn config(priority: u8) -> Arc<Config> {
    let text = format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 1\n \
         virtual_ipaddress {{\n 192.0.2.100/24\n }}\n}}\nvirtual_server 192.0.2.100 80 {{\n delay_loop 2\n lb_algo rr\n \
         lb_kind NAT\n protocol TCP\n real_server 198.51.100.21 80 {{\n TCP_CHECK {{\n connect_timeout 1\n }}\n }}\n}}\n"
    );
    let path = PathBuf::from("lb.conf");
    let files = BTreeMap::from([(path.clone(), text.into_bytes())]);
    let loaded = load(&mut Sources::default(), &files, Path::new("lb.conf"), &Options::default());
    Arc::new(loaded.config.expect("a sound configuration"))
}

fn loaded<E, F, S>(priority: u8) -> Input<E, F, S> {
    Input::ConfigLoaded { config: config(priority), seed: 7 }
}

fn start(host: u8, priority: u8) -> Vec<vrrp::Input> {
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, host].into(), prefix_len: 24 };
    vec![
        vrrp::Event::LinksRead(vec![Link { name: InterfaceName::new("eth0"), running: true }]).into(),
        vrrp::Event::AddressesRead(vec![ObservedAddress { key, ours: false }]).into(),
        loaded(priority),
    ]
}

fn due<M: Machine>(machine: &M, now: Instant) -> Option<InputOf<M>> {
    machine.next_wakeup().is_some_and(|(at, _)| at <= now).then_some(Input::Wakeup)
}

/// Two Elections that hear each other and a Balancer whose probes fail in turn, each under record. The better one dies at
/// 10 s. What lb2 and the balancer did, with a new generation at 4 s.
fn outage() -> Vec<Entry> {
    let (kept, other) = (Kept::default(), Kept::default());
    let mut lb1 = Recorded::new(Election::default(), other.clone());
    let mut lb2 = Recorded::new(Election::default(), kept.clone());
    let mut balancer = Recorded::new(Balancer::default(), kept.clone());
    let mut elections: Vec<(bool, vrrp::Input)> = Vec::new();
    elections.extend(start(11, 150).into_iter().map(|input| (true, input)));
    elections.extend(start(12, 100).into_iter().map(|input| (false, input)));
    let mut checks: Vec<balancer::Input> = vec![loaded(100)];
    let mut probes = 0;
    for millis in (0..16_000).step_by(10) {
        let now = Instant::from_millis(millis);
        if millis == 4_000 {
            kept.generation.set(1);
        }
        elections.extend(due(&lb1, now).map(|wakeup| (true, wakeup)));
        elections.extend(due(&lb2, now).map(|wakeup| (false, wakeup)));
        checks.extend(due(&balancer, now));
        for (first, input) in std::mem::take(&mut elections) {
            let outbox = match first {
                true if millis > 10_000 => Outbox::default(),
                true => lb1.handle(input, now),
                false => lb2.handle(input, now),
            };
            for effect in outbox.effects() {
                if let vrrp::Effect::SendAdvert(advert) = effect {
                    elections.push((!first, vrrp::Event::AdvertReceived(advert.clone()).into()));
                }
            }
        }
        for input in std::mem::take(&mut checks) {
            for effect in balancer.handle(input, now).effects() {
                match effect {
                    balancer::Effect::ReadIpvs => checks.push(balancer::Event::IpvsRead(Table::default()).into()),
                    balancer::Effect::StartProbe { id, .. } => {
                        probes += 1;
                        let verdict = if probes % 4 < 2 { Verdict::Passed } else { Verdict::Failed(Failure::Refused) };
                        checks.push(balancer::Event::ProbeFinished { probe: *id, verdict }.into());
                    }
                    balancer::Effect::Ipvs(_)
                    | balancer::Effect::SetIpvs(_)
                    | balancer::Effect::Answer { .. }
                    | balancer::Effect::CancelProbe(_) => {}
                }
            }
        }
    }
    lb2.handle(Input::Stop, Instant::from_millis(16_000));
    balancer.handle(Input::Stop, Instant::from_millis(16_000));
    let begin = Begin {
        version: Begin::this_version(),
        director: "lb2".into(),
        run: 1,
        file: 0,
        at: Instant::ZERO,
        epoch: 1_000_000_000,
    };
    let files = vec![File { name: "lb.conf".into(), text: "…".into() }];
    let mut entries = vec![Entry::Begin(begin), Entry::Files(files)];
    entries.extend(kept.entries.borrow().iter().cloned());
    entries
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::default();
    entries.iter().for_each(|entry| writer.entry(entry));
    writer.take()
}

fn sample() -> &'static (Vec<Entry>, Vec<u8>) {
    static SAMPLE: OnceLock<(Vec<Entry>, Vec<u8>)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let entries = outage();
        let bytes = written(&entries);
        (entries, bytes)
    })
}

/// Entries up to the first damage, and that.
fn read(bytes: &[u8]) -> (Vec<Entry>, Option<vipward_core::record::Damage>) {
    let (mut entries, mut damage) = (Vec::new(), None);
    for item in Reader::new(bytes) {
        match item {
            Ok(found) => entries.push(found.entry),
            Err(found) => damage = Some(found),
        }
    }
    (entries, damage)
}

#[test]
fn what_is_written_is_read_again() {
    let (entries, bytes) = sample();
    let heard = |entry: &&Entry| match entry {
        Entry::Step(Step::Election(step)) => matches!(step.input, Input::Event(vrrp::Event::AdvertReceived(_))),
        _ => false,
    };
    let adverts = entries.iter().filter(heard);
    assert!(adverts.count() > 4);
    let (found, damage) = read(bytes);
    assert_eq!(damage, None);
    assert_eq!(found, *entries);
}

/// From every state in the record the steps behind it give the very same effects, and the next state.
#[test]
fn a_machine_goes_on_from_each_recorded_state() {
    fn check<M: Recordable>(entries: &[Entry]) -> (usize, usize)
    where
        InputOf<M>: Clone,
        vipward_core::record::StepOf<M>: Clone,
    {
        let (mut machine, mut states, mut steps): (Option<M>, _, _) = (None, 0, 0);
        for entry in entries {
            match entry {
                Entry::State { machine: name, state, .. } if *name == M::NAME => {
                    if let Some(machine) = &machine {
                        assert_eq!(state_of(machine).unwrap(), *state);
                        assert_eq!(has_state(machine, state), Ok(true));
                    }
                    machine = Some(from_state(state).unwrap());
                    states += 1;
                }
                Entry::Step(step) if step.machine() == M::NAME => {
                    let step = M::step_of(step).unwrap();
                    let output = machine.as_mut().unwrap().handle(step.input.clone(), step.at);
                    assert_eq!(
                        M::step(Taken { at: step.at, input: step.input.clone(), output }),
                        M::step(step.clone())
                    );
                    steps += 1;
                }
                _ => {}
            }
        }
        (states, steps)
    }
    let (entries, _) = sample();
    let (states, steps) = check::<Election>(entries);
    assert_eq!(states, 2, "at the start and in the second generation");
    assert!(steps > 10, "{steps}");
    assert_eq!(check::<Balancer>(entries).0, 2);
}

#[test]
fn a_full_recorder_leaves_a_counted_gap_and_a_new_state_behind_it() {
    let kept = Kept::default();
    let mut machine = Recorded::new(Election::default(), kept.clone());
    let mut plain = Election::default();
    for (at, event) in start(11, 150).into_iter().chain([Input::Wakeup, Input::Wakeup]).enumerate() {
        kept.full.set(at == 1 || at == 2);
        let now = Instant::from_millis(at as u64);
        assert_eq!(machine.handle(event.clone(), now), plain.handle(event, now), "recording changes nothing");
    }
    let names: Vec<String> = kept
        .entries
        .borrow()
        .iter()
        .map(|entry| match entry {
            Entry::State { .. } => "state".to_owned(),
            Entry::Step(step) => format!("step at {}", step.at()),
            Entry::Lost { steps, at, .. } => format!("{steps} lost at {at}"),
            Entry::Begin(_) | Entry::Files(_) => String::new(),
        })
        .collect();
    assert_eq!(names, ["state", "step at 0.000", "2 lost at 0.003", "state", "step at 0.003", "step at 0.004"]);
}

#[test]
fn a_record_longer_than_a_packet_travels_in_pieces() {
    let text = "# a long comment\n".repeat(50_000);
    let mut entries = sample().0.clone();
    entries[1] = Entry::Files(vec![File { name: "long.conf".into(), text }]);
    assert_eq!(read(&written(&entries)), (entries, None));
}

#[test]
fn a_file_that_ends_anywhere_is_read_up_to_there() {
    let (entries, bytes) = sample();
    // Where a cut hurts nothing: in front of a record and its packets.
    let mut whole = BTreeSet::new();
    let mut writer = Writer::default();
    let mut length = 0;
    for entry in entries {
        writer.entry(entry);
        length += writer.take().len();
        whole.insert(length);
    }
    for end in (0..bytes.len()).rev().step_by(7).chain(0..200) {
        let (found, damage) = read(&bytes[..end]);
        assert!(entries.starts_with(&found), "cut at {end}");
        if whole.contains(&end) {
            assert_eq!(damage, None, "cut at {end}");
        } else {
            // In front of a new interface's packet there is nothing to be seen, so the last record may look whole.
            let Some(damage) = damage else { continue };
            assert!(matches!(damage.kind, Kind::CutOff | Kind::NotARecording), "cut at {end}: {damage}");
            assert!(damage.offset <= end as u64);
        }
    }
    assert_eq!(
        read(&[]).1.unwrap().to_string(),
        "not a recording: byte 0, block 0: there is no record of vipward in this file"
    );
}

/// A length that reaches past the end of the file is not taken for a cut: what is in the block says where it ends.
#[test]
fn a_damaged_length_is_told_from_a_cut() {
    let (entries, bytes) = sample();
    let mut at = 0;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        for bit in 0..32 {
            let mut damaged = bytes.clone();
            damaged[at + 4 + bit / 8] ^= 1 << (bit % 8);
            let (found, damage) = read(&damaged);
            let damage = damage.unwrap();
            assert!(entries.starts_with(&found));
            assert_eq!(damage.kind, Kind::Damaged, "block at {at}, bit {bit}: {damage}");
        }
        at += length;
    }

    let damage = |at: usize, length: u32| {
        let mut bytes = bytes.clone();
        bytes[at + 4..at + 8].copy_from_slice(&length.to_le_bytes());
        // The file ends within the block as well, so that its own end is not there to be found.
        bytes.truncate(at + 40);
        read(&bytes).1.unwrap()
    };
    let second = Reader::new(bytes).nth(1).unwrap().unwrap().offset as usize;
    let text = format!("damaged: byte {second}, block 3: no block is 268435456 bytes long");
    assert_eq!(damage(second, 1 << 28).to_string(), text);
    assert_eq!(damage(second, 1 << 20).kind, Kind::CutOff);
}

#[test]
fn another_version_of_the_format_is_named() {
    let mut bytes = sample().1.clone();
    // The head of the first record: format, last piece, checksum.
    let at = bytes.windows(2).position(|pair| pair == [FORMAT, 0]).unwrap();
    let at = (at..bytes.len()).find(|at| bytes[*at..].starts_with(&[FORMAT, 0]) && at % 4 == 0).unwrap();
    let first = Reader::new(&bytes).next().unwrap().unwrap().offset as usize + 28;
    assert!(at <= first);
    bytes[first] = FORMAT + 1;
    let damage = read(&bytes).1.unwrap();
    assert_eq!(damage.kind, Kind::OtherVersion);
    let version = Begin::this_version();
    assert_eq!(
        damage.what,
        format!("format {}, written by vipward {version}; this program reads format {FORMAT}", FORMAT + 1)
    );
}

#[test]
fn what_is_no_pcapng_says_so() {
    for bytes in [&b"vrrp_instance VI_1 {"[..], &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4, 0, 0]] {
        assert_eq!(read(bytes).1.unwrap().kind, Kind::NotARecording);
    }
}

fn renewal(last: u8) -> vrrp::Effect {
    let address = InterfaceAddress { address: [192, 0, 2, last].into(), ..config(100).routers[0].addresses[0].clone() };
    vrrp::Effect::RenewAddresses { addresses: [address].into() }
}

/// A list of renewed addresses is written out once in a file; how many lists there are is no matter.
#[test]
fn renewals_are_short_and_read_again_as_they_were() {
    let step = |at, effect| {
        let output = [vrrp::Effect::ReadAddresses, effect].map(Output::Effect).into_iter().collect();
        Entry::Step(Step::Election(Taken { at: Instant::from_millis(at), input: Input::Wakeup, output }))
    };
    let same: Vec<Entry> = (0..1_000).map(|at| step(at, renewal(100))).collect();
    let without: Vec<Entry> = (0..1_000).map(|at| step(at, vrrp::Effect::ReadAddresses)).collect();
    assert_eq!(read(&written(&same)), (same.clone(), None));
    assert!(written(&same).len() < written(&without).len() + 5_000);
    let many: Vec<Entry> = (0..2_000).map(|at| step(at, many(at % 700))).collect();
    assert_eq!(read(&written(&many)), (many, None));
}

fn many(which: u64) -> vrrp::Effect {
    let of = |effect| match effect {
        vrrp::Effect::RenewAddresses { addresses } => addresses.to_vec(),
        other => panic!("{other:?}"),
    };
    let [a, b] = [(which % 250) as u8, (which / 250) as u8];
    vrrp::Effect::RenewAddresses { addresses: [of(renewal(a)), of(renewal(b))].concat().into() }
}

#[test]
fn an_advert_that_no_packet_can_hold_travels_in_its_record() {
    let mixed = Datagram {
        interface: InterfaceName::new("eth0"),
        source: "2001:db8::1".parse::<IpAddr>().unwrap(),
        destination: [224, 0, 0, 18].into(),
        ttl: 255,
        payload: vec![1, 2, 3].into(),
    };
    let sent = [mixed.clone(), Datagram { source: [10, 0, 0, 1].into(), ..mixed.clone() }];
    let step = Step::Election(Taken {
        at: Instant::from_millis(5),
        input: vrrp::Event::AdvertReceived(mixed).into(),
        output: sent.map(|advert| vrrp::Effect::SendAdvert(advert).into()).into_iter().collect(),
    });
    assert_eq!(read(&written(&[Entry::Step(step.clone())])), (vec![Entry::Step(step)], None));
}

#[test]
fn packet_times_are_the_clock_on_the_wall() {
    let (_, bytes) = sample();
    // 1 s after 1970 plus the step's instant, upper half first.
    let nanos = (Duration::from_secs(1) + Duration::from_secs(16)).as_nanos() as u64;
    let mut stamp = (nanos >> 32).to_le_bytes()[..4].to_vec();
    stamp.extend(&nanos.to_le_bytes()[..4]);
    assert!(bytes.windows(8).any(|window| window == stamp));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    /// A flipped bit is found, or it lies where nothing is kept: times of packets, comments, reserved fields. One in the
    /// type of the very last block looks like a file that ends before it.
    #[test]
    fn a_flipped_bit_never_changes_what_is_read(at: prop::sample::Index, bit in 0..8_u8) {
        let (entries, bytes) = sample();
        let mut bytes = bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (found, damage) = read(&bytes);
        prop_assert!(entries.starts_with(&found), "byte {at}");
        prop_assert!(damage.is_some() || found.len() + 1 >= entries.len(), "byte {at}");
    }

    #[test]
    fn garbage_in_the_middle_is_read_without_panic(
        at: prop::sample::Index, garbage in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let (entries, bytes) = sample();
        let at = at.index(bytes.len());
        let mut bytes = bytes.clone();
        for (to, from) in bytes.iter_mut().skip(at).zip(garbage) {
            *to = from;
        }
        let (found, _) = read(&bytes);
        prop_assert!(entries.starts_with(&found));
    }
}

/// Each beginning is a section that needs nothing of what stands before it.
#[test]
fn behind_a_damaged_place_reading_goes_on_at_the_next_beginning() {
    let begin = |at| {
        let version = Begin::this_version();
        Entry::Begin(Begin {
            version,
            director: "lb1".to_owned(),
            run: 1,
            file: 0,
            at: Instant::from_millis(at),
            epoch: 0,
        })
    };
    let lost = |at| Entry::Lost { machine: Election::NAME, at: Instant::from_millis(at), steps: 1 };
    let entries = [begin(0), lost(1), lost(2), begin(3), lost(4)];
    let mut writer = Writer::default();
    entries.iter().for_each(|entry| writer.entry(entry));
    let bytes = writer.take();
    let whole: Vec<_> = Reader::new(&bytes).map(Result::unwrap).collect();
    assert_eq!(whole.iter().map(|found| &found.entry).collect::<Vec<_>>(), entries.iter().collect::<Vec<_>>());
    let second = whole[3].offset;
    for place in 0..whole[2].offset as usize + 30 {
        let mut broken = bytes.clone();
        broken[place] ^= 0x55;
        let mut reader = Reader::new(&broken);
        let (mut damages, mut read) = (Vec::new(), Vec::new());
        while let Some(item) = reader.next() {
            match item {
                Ok(found) => read.push(found.entry),
                Err(damage) => {
                    let resumed = reader.resume(&damage).unwrap();
                    assert!(
                        resumed < second && resumed > damage.offset,
                        "byte {place}: {damage}, {resumed} of {second}"
                    );
                    damages.push(damage);
                }
            }
        }
        // What names the program and the like is in nobody's checksum.
        assert!(damages.len() <= 1, "byte {place}");
        assert_eq!(&read[read.len() - 2..], &entries[3..], "byte {place}: {damages:?}");
    }
}
