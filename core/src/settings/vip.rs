//! `[vip]`: how virtual addresses are held.

use super::reader::{Key, Reader, Value};
use crate::config::Vip;

pub const KEYS: &[&str] = &["lifetime"];

pub fn read(vip: &mut Vip, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
    match key.get_ref().as_ref() {
        "lifetime" | "lease" => vip.lifetime = reader.boolean(value).unwrap_or(vip.lifetime),
        _ => reader.unknown(key, KEYS),
    }
}
