//! Recordings of other versions: records name what they hold, so a field more or less makes none unreadable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use ciborium::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::config::{Options, load};
use vipward_core::interface::{AddressKey, InterfaceName, Link, ObservedAddress};
use vipward_core::machine::{Input, Machine, Outbox};
use vipward_core::quantity::Role;
use vipward_core::record::{
    Damage, Entry, FORMAT, MachineName, Reader, Step, Taken, Writer, from_state, has_state, state_of,
};
use vipward_core::text::Sources;
use vipward_core::time::Instant;
use vipward_core::vrrp::{self, Election};

type Fields = Vec<(Value, Value)>;

/// Changes the fields behind this name.
type Change<'a> = &'a dyn Fn(&str, &mut Fields);

fn start() -> Vec<vrrp::Input> {
    let text = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 150\n virtual_ipaddress {\n \
                192.0.2.100/24\n }\n}\n";
    let files = BTreeMap::from([(PathBuf::from("lb.conf"), text.as_bytes().to_vec())]);
    let config = load(&mut Sources::default(), &files, Path::new("lb.conf"), &Options::default()).config.unwrap();
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, 11].into(), prefix_len: 24 };
    vec![
        vrrp::Event::LinksRead(vec![Link { name: InterfaceName::new("eth0"), running: true }]).into(),
        vrrp::Event::AddressesRead(vec![ObservedAddress { key, ours: false }]).into(),
        Input::ConfigLoaded { config: Arc::new(config), seed: 7 },
    ]
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::default();
    entries.iter().for_each(|entry| writer.entry(entry));
    writer.take()
}

/// Entries up to the first damage, and that.
fn read(bytes: &[u8]) -> (Vec<Entry>, Option<Damage>) {
    let (mut entries, mut damage) = (Vec::new(), None);
    for item in Reader::new(bytes) {
        match item {
            Ok(found) => entries.push(found.entry),
            Err(found) => damage = Some(found),
        }
    }
    (entries, damage)
}

/// Records name what they hold: what an older or newer version wrote is read by this one. What it does not know is passed
/// over, and what it misses has a default.
#[test]
fn a_field_more_or_less_makes_no_recording_unreadable() {
    let mut machine = Election::default();
    start().into_iter().for_each(|input| drop(machine.handle(input, Instant::ZERO)));
    machine.handle(Input::Wakeup, Instant::from_millis(3_500));
    assert_eq!(machine.routers()[0].role(), Role::Master);
    let entries = [
        Entry::Step(Step::Election(Taken {
            at: Instant::ZERO,
            input: start().pop().unwrap(),
            output: Outbox::default(),
        })),
        Entry::State { machine: MachineName::Election, at: Instant::ZERO, state: state_of(&machine).unwrap() },
    ];
    let bytes = written(&entries);
    let newer = rewritten(&bytes, &|field, fields| {
        if field == "routers" || field == "router" || field == "Election" {
            fields.push(("of_tomorrow".into(), Value::Array(vec![true.into(), "x".into()])));
        }
    });
    assert_ne!(newer, bytes);
    let (found, damage) = read(&newer);
    assert_eq!(damage, None);
    assert_eq!(found[0], entries[0]);
    let Entry::State { state, .. } = &found[1] else { panic!("{found:?}") };
    assert_eq!(has_state(&machine, state), Ok(true));

    // `holds` came later than the rest of what a MASTER knows.
    let older = rewritten(&bytes, &|name, fields| {
        if name == "Master" {
            fields.retain(|(field, _)| field.as_text() != Some("holds"));
        }
    });
    assert_ne!(older, bytes);
    let (found, damage) = read(&older);
    assert_eq!(damage, None);
    assert_eq!(found[0], entries[0]);
    let Entry::State { state, .. } = &found[1] else { panic!("{found:?}") };
    assert!(!from_state::<Election>(state).unwrap().routers()[0].holds(), "the default");
    assert_eq!(has_state(&machine, state), Ok(false));
}

/// The file with every record changed, maps by the name of the field or variant that they stand behind. A state is a
/// record within a record.
fn rewritten(bytes: &[u8], change: Change<'_>) -> Vec<u8> {
    fn walk(name: &str, value: &mut Value, change: Change<'_>) {
        match value {
            Value::Map(fields) => {
                for (name, value) in fields.iter_mut() {
                    let name = name.as_text().unwrap_or_default().to_owned();
                    match value {
                        Value::Bytes(state) if name == "state" => *state = of(state, change),
                        other => walk(&name, other, change),
                    }
                }
                change(name, fields);
            }
            Value::Array(values) => values.iter_mut().for_each(|value| walk(name, value, change)),
            _ => {}
        }
    }
    fn of(body: &[u8], change: Change<'_>) -> Vec<u8> {
        let mut value: Value = ciborium::from_reader(body).unwrap();
        walk("", &mut value, change);
        let mut changed = Vec::new();
        ciborium::into_writer(&value, &mut changed).unwrap();
        changed
    }
    // Section header and interface stay as they are; of each packet the piece behind its head and before its options.
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut out, mut crc, mut at) = (Vec::new(), crc32fast::Hasher::new(), 0);
    while at < bytes.len() {
        let length = word(at + 4) as usize;
        if word(at) == 6 {
            let captured = word(at + 20) as usize;
            let body = of(&bytes[at + 28 + 6..at + 28 + captured], change);
            crc.update(&[FORMAT, 0]);
            crc.update(&body);
            let mut packet = bytes[at + 8..at + 20].to_vec();
            let captured = (body.len() as u32 + 6).to_le_bytes();
            packet.extend([captured, captured].concat());
            packet.extend([FORMAT, 0]);
            packet.extend(crc.clone().finalize().to_le_bytes());
            packet.extend(body);
            packet.resize(packet.len().next_multiple_of(4), 0);
            let length = (packet.len() as u32 + 12).to_le_bytes();
            out.extend([&6_u32.to_le_bytes()[..], &length[..], &packet[..], &length[..]].concat());
        } else {
            out.extend(&bytes[at..at + length]);
        }
        at += length;
    }
    out
}
