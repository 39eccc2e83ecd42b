//! Single values: names, numbers, durations, shares, addresses.

use super::model::*;
use super::read::{Reader, Table, Value};
use super::words::nearest;
use std::net::IpAddr;
use toml::de::DeValue;
use vipward_core::interface::InterfaceName;
use vipward_core::text::{Diagnostic, Span};
use vipward_core::time::Duration;

impl Reader<'_> {
    pub(super) fn of_value(&self, value: &Value<'_>) -> Span {
        self.span(value.span())
    }

    pub(super) fn text<'t>(&mut self, value: &'t Value<'t>, what: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let found = value.get_ref().type_str();
            self.wrong(self.of_value(value), format!("expected {what} in quotes, found {found}"), "");
        }
        text
    }

    pub(super) fn string(&mut self, table: &Table<'_>, word: &str) -> Option<String> {
        let value = table.get(word)?;
        self.text(value, "text").map(str::to_owned)
    }

    pub(super) fn integer<N: TryFrom<u64>>(&mut self, table: &Table<'_>, word: &str) -> Option<N> {
        let value = table.get(word)?;
        self.whole(value)
    }

    pub(super) fn whole<N: TryFrom<u64>>(&mut self, value: &Value<'_>) -> Option<N> {
        let number = value.get_ref().as_integer().and_then(|number| {
            u64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .ok()
                .and_then(|n| N::try_from(n).ok())
        });
        if number.is_none() {
            self.wrong(self.of_value(value), "expected a whole number, not negative and not too large", "");
        }
        number
    }

    /// What a tracked file may hold.
    pub(super) fn signed(&mut self, table: &Table<'_>, word: &str) -> Option<i64> {
        let value = table.get(word)?;
        let number = value.get_ref().as_integer();
        let number = number.and_then(|it| i32::from_str_radix(&it.as_str().replace('_', ""), it.radix()).ok());
        if number.is_none() {
            self.wrong(self.of_value(value), "expected a whole number from -2147483648 to 2147483647", "");
        }
        number.map(i64::from)
    }

    pub(super) fn boolean(&mut self, table: &Table<'_>, word: &str) -> Option<bool> {
        let value = table.get(word)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(self.of_value(value), "expected true or false", "");
        }
        found
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, value: &Value<'_>, what: &str) -> Option<T> {
        let text = self.text(value, what)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.wrong(self.of_value(value), format!("`{text}` is not {what}"), "");
        }
        parsed
    }

    pub(super) fn duration(&mut self, table: &Table<'_>, word: &str) -> Option<Duration> {
        let value = table.get(word)?;
        let text = self.text(value, "a duration like \"1.5s\"")?;
        let duration = parse_duration(text);
        if duration.is_none() {
            let message = format!("`{text}` is not a duration");
            self.error(
                Diagnostic::error("bad-value", message)
                    .at(self.of_value(value), "")
                    .help("write a number and `ms`, `s` or `m`: \"250ms\", \"1.5s\", \"2m\"; whole milliseconds"),
            );
        }
        duration
    }

    pub(super) fn share(&mut self, table: &Table<'_>, word: &str) -> Option<Share> {
        let value = table.get(word)?;
        let text = self.text(value, "a share like \"20%\"")?;
        let share = parse_share(text);
        if share.is_none() {
            self.wrong(self.of_value(value), format!("`{text}` is not a share between 0% and 100%"), "write \"20%\"");
        }
        share
    }

    pub(super) fn list<'t>(&mut self, value: &'t Value<'t>) -> Vec<&'t Value<'t>> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![value],
        }
    }

    pub(super) fn ports(&mut self, table: &Table<'_>, word: &str) -> Option<Vec<u16>> {
        let value = table.get(word)?;
        Some(self.list(value).into_iter().filter_map(|value| self.whole(value)).collect())
    }

    /// `ADDRESS/LEN on SEGMENT`; either half may be left out.
    pub(super) fn port(&mut self, interface: &str, value: &Value<'_>) -> Option<PortPlan> {
        let text = self.text(value, "\"ADDRESS/LEN on SEGMENT\"")?;
        let span = self.of_value(value);
        let (address, segment) = match text.split_once("on ") {
            Some((address, segment)) => (address.trim(), Some(segment.trim())),
            None => (text.trim(), None),
        };
        let segment = match segment {
            Some(name) => self.segment_named(name, span)?,
            // Without any `[segment.NAME]` there is one, `lan`.
            None if self.segments.len() <= 1 => SegmentId(0),
            None => {
                self.wrong(span, "there are several segments: which one?", "write \"ADDRESS/LEN on SEGMENT\"");
                return None;
            }
        };
        let address = match address {
            "" => None,
            text => {
                let parsed = text.split_once('/').and_then(|(ip, len)| {
                    let (ip, len): (IpAddr, u8) = (ip.parse().ok()?, len.parse().ok()?);
                    (len <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, len))
                });
                if parsed.is_none() {
                    self.wrong(
                        span,
                        format!("`{text}` is not an address with its prefix length"),
                        "like 192.0.2.11/24",
                    );
                    return None;
                }
                parsed
            }
        };
        if let Some((ip, _)) = address
            && let Some(other) =
                self.nodes.iter().find(|node| node.ports.iter().any(|port| port.address.is_some_and(|(a, _)| a == ip)))
        {
            let name = other.name.to_string();
            self.wrong(span, format!("{ip} is the address of `{name}` already"), "");
        }
        Some(PortPlan { interface: InterfaceName::new(interface), segment, address })
    }

    pub(super) fn segment_named(&mut self, name: &str, span: Span) -> Option<SegmentId> {
        let found = self.segments.iter().position(|segment| *segment.name == *name).map(SegmentId);
        if found.is_none() {
            let names: Vec<String> = self.segments.iter().map(|segment| segment.name.to_string()).collect();
            let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("segment", name, span, near.as_deref(), &names);
        }
        found
    }

    pub(super) fn no_such(&mut self, kind: &str, name: &str, span: Span, near: Option<&str>, names: &[String]) {
        let mut diagnostic = Diagnostic::error("unknown-name", format!("there is no {kind} `{name}`"));
        diagnostic = match near {
            Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")),
            None if names.is_empty() => diagnostic.at(span, "there is none at all"),
            None => diagnostic.at(span, "").note(format!("there is {}", names.join(", "))),
        };
        self.error(diagnostic);
    }

    /// The node that a value names, if it is of a fitting kind.
    pub(super) fn node(&mut self, value: &Value<'_>, kind: &str, fits: fn(&NodeKind) -> bool) -> Option<NodeId> {
        let name = self.text(value, &format!("the name of a {kind}"))?;
        let span = self.of_value(value);
        let found = self.nodes.iter().position(|node| *node.name == *name).map(NodeId);
        match found {
            Some(id) if self.nodes.get(id.0).is_some_and(|node| fits(&node.kind)) => Some(id),
            Some(_) => {
                let mut diagnostic = Diagnostic::error("wrong-kind", format!("`{name}` is no {kind}")).at(span, "");
                if let Some(head) = self.heads.get(name) {
                    diagnostic = diagnostic.also(*head, "it is this");
                }
                self.error(diagnostic);
                None
            }
            None => {
                let names: Vec<String> =
                    self.nodes.iter().filter(|node| fits(&node.kind)).map(|node| node.name.to_string()).collect();
                let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
                self.no_such(kind, name, span, near.as_deref(), &names);
                None
            }
        }
    }

    /// What a table's word names; the only one of its kind when the word is not there.
    pub(super) fn node_of(
        &mut self,
        table: &Table<'_>,
        word: &str,
        kind: &str,
        fits: fn(&NodeKind) -> bool,
    ) -> Option<NodeId> {
        if let Some(value) = table.get(word) {
            return self.node(value, kind, fits);
        }
        let mut fitting = self.nodes.iter().enumerate().filter(|(_, node)| fits(&node.kind));
        match (fitting.next(), fitting.next()) {
            (Some((at, _)), None) => Some(NodeId(at)),
            (Some(_), Some(_)) | (None, _) => {
                self.missing(table.span, word, &format!("which {kind}?"));
                None
            }
        }
    }
}

pub(super) fn is_director(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Director(_))
}

pub(super) fn is_server(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::RealServer(_))
}

pub(super) fn is_client(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Client(_))
}

pub(super) fn keeps_some(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Client(client) if client.keeps > 0)
}

pub(super) fn is_quorum(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Quorum(_))
}

/// What can be frozen.
pub(super) fn is_frozen(kind: &NodeKind) -> bool {
    is_director(kind) || is_quorum(kind)
}

pub(super) fn is_machine(kind: &NodeKind) -> bool {
    is_director(kind) || is_server(kind)
}

pub(super) fn is_any(kind: &NodeKind) -> bool {
    !matches!(kind, NodeKind::Router)
}

/// `250ms`, `1.5s`, `2m`: whole milliseconds, exactly.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, millis): (&str, u64) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1_000)
    } else {
        (text.strip_suffix('m')?, 60_000)
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 9;
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? * millis };
    (part % scale == 0).then_some(())?;
    Some(Duration::from_millis(whole.parse::<u64>().ok()? * millis + part / scale))
}

/// `20%`, `0.5%`.
fn parse_share(text: &str) -> Option<Share> {
    let number = text.strip_suffix('%')?.trim();
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let tenths =
        whole.parse::<u16>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok().filter(|t: &u16| *t < 10)?)?;
    (tenths <= 1000).then_some(Share(tenths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_milliseconds() {
        let cases = [
            ("250ms", Some(250)),
            ("1.5s", Some(1_500)),
            ("2m", Some(120_000)),
            ("0.001s", Some(1)),
            ("1.5ms", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn shares_are_tenths_of_a_per_cent() {
        let cases = [("20%", Some(200)), ("0.5%", Some(5)), ("100%", Some(1000)), ("101%", None), ("20", None)];
        for (text, share) in cases {
            assert_eq!(parse_share(text), share.map(Share), "{text}");
        }
    }
}
