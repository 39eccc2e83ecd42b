//! The values behind a word, each parsed into a type or reported. What is taken comes from the word's row.

use super::row::{MOST, Value, seconds_range};
use super::said::{Lower, Said};
use crate::config::line::Word;
use crate::config::tree::Statement;
use crate::interface::InterfaceName;
use crate::text::{Diagnostic, nearest_name};
use crate::time::Duration;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Longest name of an interface or label on Linux (`IFNAMSIZ` - 1).
const NAME: usize = 15;

/// Keeps what was there when a value is wrong or missing, which is reported.
pub(super) fn keep<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

impl<'l, 't> Said<'l, '_, 't> {
    /// The first value of the line; none if it is missing, which is reported for every word alike.
    pub fn value(&self) -> Option<&'l Word<'t>> {
        self.line.args.first()
    }

    pub fn text(&self) -> Option<&'l str> {
        self.value().map(|value| &*value.text)
    }

    pub fn string(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// A mail address, as a mail server can be told it.
    pub fn mail_address(&mut self, word: &Word<'_>) -> Option<String> {
        let address = mail_address(&word.text);
        if address.is_none() {
            self.lower.bad(self.line, word, "a mail address, such as admin@example.com");
        }
        address.map(str::to_owned)
    }

    /// The name of a host, or its address.
    pub fn host_name(&mut self) -> Option<String> {
        let value = self.value()?;
        let plain = value.text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]%".contains(c));
        if !plain || value.text.is_empty() || value.text.len() > 253 {
            self.lower.bad(self.line, value, "a host's name or address");
            return None;
        }
        Some(value.text.to_string())
    }

    /// The value as a name that other blocks have too.
    pub fn name(&mut self) -> Option<Arc<str>> {
        self.text().map(|name| self.lower.name(name))
    }

    /// A whole number within the range of the row.
    pub fn number<T: TryFrom<i64>>(&mut self) -> Option<T> {
        let value = self.value()?;
        let Value::Number { from, to } = self.takes.value else { return None };
        self.lower.number_of(self.line, value, from..=to)
    }

    /// Seconds with a fraction within the range of the row.
    pub fn seconds(&mut self) -> Option<Duration> {
        let value = self.value()?;
        let Value::Seconds { from, to } = self.takes.value else { return None };
        let bounds = Duration::from_millis(from)..=Duration::from_millis(to);
        let seconds = parse_seconds(&value.text).filter(|seconds| bounds.contains(seconds));
        if seconds.is_none() {
            self.lower.bad(self.line, value, &seconds_range(from, to));
        }
        seconds
    }

    /// On when nothing is said.
    pub fn switch(&mut self) -> bool {
        let Some(value) = self.value() else { return true };
        match value.text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => true,
            "off" | "false" | "no" => false,
            _ => {
                self.lower.bad(self.line, value, "on or off (true, yes, false, no)");
                true
            }
        }
    }

    /// One of the row's words, as the value that belongs to it.
    pub fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value()?;
        self.lower.choice_of(self.line, value, choices)
    }

    pub fn ip(&mut self) -> Option<IpAddr> {
        let value = self.value()?;
        self.lower.ip(self.line, value)
    }

    pub fn interface(&mut self) -> Option<InterfaceName> {
        let value = self.value()?;
        self.lower.interface(self.line, value)
    }
}

impl Lower<'_> {
    pub fn bad(&mut self, line: &Statement<'_>, value: &Word<'_>, must: &str) {
        let mut diagnostic = Diagnostic::error("bad-value", format!("`{}` can't be `{}`", line.word.text, value.text))
            .at(value.span, format!("must be {must}"));
        // `priority = 100`
        if let (true, [_, meant @ ..]) = (value.text == "=", line.args.as_slice())
            && !meant.is_empty()
        {
            let meant = meant.iter().map(|word| &*word.text).collect::<Vec<_>>().join(" ");
            diagnostic = diagnostic.help(format!("write `{} {meant}`", line.word.text));
        }
        self.push(diagnostic);
    }

    pub fn number_of<T: TryFrom<i64>>(
        &mut self,
        line: &Statement<'_>,
        value: &Word<'_>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let number = value.text.parse::<i64>().ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let must = match (*range.start(), *range.end()) {
                (low, MOST..) => format!("a whole number from {low} up"),
                (low, high) => format!("a whole number from {low} to {high}"),
            };
            self.bad(line, value, &must);
        }
        number
    }

    pub fn choice_of<T: Copy>(&mut self, line: &Statement<'_>, value: &Word<'_>, choices: &[(&str, T)]) -> Option<T> {
        if let Some((_, found)) = choices.iter().find(|(name, _)| *name == &*value.text) {
            return Some(*found);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let must = match names.as_slice() {
            [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            all => all.join(", "),
        };
        let mut diagnostic = Diagnostic::error("bad-value", format!("`{}` can't be `{}`", line.word.text, value.text))
            .at(value.span, format!("must be {must}"));
        let near = nearest_name(&value.text, names.iter().copied());
        if let Some(near) = near {
            diagnostic = diagnostic.help(format!("write `{} {near}`", line.word.text));
        }
        self.push(diagnostic);
        near.and_then(|near| choices.iter().find(|(name, _)| *name == near)).map(|(_, found)| *found)
    }

    pub fn ip(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<IpAddr> {
        let address = value.text.parse().ok();
        if address.is_none() {
            self.bad(line, value, "an IP address");
        }
        address
    }

    pub fn ipv4(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<Ipv4Addr> {
        let address = value.text.parse().ok();
        if address.is_none() {
            self.bad(line, value, "an IPv4 address");
        }
        address
    }

    pub fn port(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<u16> {
        self.number_of(line, value, 1..=65535)
    }

    /// An IPv4 multicast group.
    pub fn group(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<Ipv4Addr> {
        let group = value.text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
        if group.is_none() {
            self.bad(line, value, "an IPv4 multicast address, such as 224.0.0.18");
        }
        group
    }

    /// A multicast group of either family; of IPv6 one that stays on the segment, as in keepalived.
    pub fn any_group(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<IpAddr> {
        let fits = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.is_multicast(),
            IpAddr::V6(address) => address.segments().first().is_some_and(|first| first & 0xff0f == 0xff02),
        };
        let group = value.text.parse().ok().filter(fits);
        if group.is_none() {
            self.bad(
                line,
                value,
                "a multicast address, such as 224.0.0.18, or ff02::12, whose second digit behind ff is 2",
            );
        }
        group
    }

    pub fn interface(&mut self, line: &Statement<'_>, value: &Word<'_>) -> Option<InterfaceName> {
        let name = &*value.text;
        let fits =
            !name.is_empty() && name.len() <= NAME && !name.contains(['/', ':']) && !name.contains(char::is_whitespace);
        if !fits {
            self.bad(line, value, "an interface's name: up to 15 characters, no `/` and no `:`");
        }
        fits.then(|| InterfaceName::shared(self.name(name)))
    }
}

/// Decimal seconds, to the microsecond; further digits are cut.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros = (0..6).fold(0, |micros, at| {
        micros * 10 + fraction.as_bytes().get(at).map_or(0, |digit| u64::from(digit.wrapping_sub(b'0')))
    });
    Duration::from_secs(whole).checked_add(Duration::from_micros(micros))
}

/// The address in one word, if it is one that a mail server can be told: `a@example.com`, `root`, `<a@example.com>`.
fn mail_address(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    let plain = inner.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | ',' | ';' | '"' | '\\'));
    (plain && (1..=254).contains(&inner.len())).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (text, micros) in
            [("1", 1_000_000), ("0.1", 100_000), (".25", 250_000), ("3.609375", 3_609_375), ("2.", 2_000_000)]
        {
            assert_eq!(parse_seconds(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", ".", "-1", "1s", "1e3", "99999999999999999999", "\u{661}"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }
}
