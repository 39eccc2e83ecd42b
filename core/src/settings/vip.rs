//! `[vip]`: how virtual addresses are held.

use super::reader::{Key, Reader, Value};
use crate::config::Vip;

pub const KEYS: &[&str] = &["lease"];

pub fn read(vip: &mut Vip, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
    match key.get_ref().as_ref() {
        "lease" => vip.lease = reader.boolean(value).unwrap_or(vip.lease),
        _ => reader.unknown(key, KEYS),
    }
}
