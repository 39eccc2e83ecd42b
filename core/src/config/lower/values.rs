//! The values behind a word, each parsed into a type or reported.

use super::super::line::Word;
use super::super::tree::Statement;
use super::Lower;
use crate::interface::InterfaceName;
use crate::text::Diagnostic;
use crate::text::nearest_name;
use crate::time::Duration;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// Longest name of an interface or label on Linux (`IFNAMSIZ` - 1).
const NAME: usize = 15;

impl Lower<'_> {
    /// The one value of a word; none if it is missing, which the audit reports.
    pub fn value<'a>(&self, line: &'a Statement) -> Option<&'a Word> {
        line.args.first()
    }

    pub fn bad(&mut self, line: &Statement, value: &Word, must: &str) {
        self.push(
            Diagnostic::error("bad-value", format!("`{}` can't be `{}`", line.word.text, value.text))
                .at(value.span, format!("must be {must}")),
        );
    }

    /// A whole number within `range`.
    pub fn number<T: TryFrom<i64>>(&mut self, line: &Statement, range: RangeInclusive<i64>) -> Option<T> {
        let value = self.value(line)?;
        self.number_of(line, value, range)
    }

    pub fn number_of<T: TryFrom<i64>>(
        &mut self,
        line: &Statement,
        value: &Word,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let number = value.text.parse::<i64>().ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let must = match (*range.start(), *range.end()) {
                (low, high) if high >= i64::from(i32::MAX) => format!("a whole number from {low} up"),
                (low, high) => format!("a whole number from {low} to {high}"),
            };
            self.bad(line, value, &must);
        }
        number
    }

    /// Seconds with a fraction, within bounds given in milliseconds.
    pub fn seconds(&mut self, line: &Statement, millis: RangeInclusive<u64>) -> Option<Duration> {
        let value = self.value(line)?;
        let seconds = seconds(&value.text);
        let bounds = Duration::from_millis(*millis.start())..=Duration::from_millis(*millis.end());
        let seconds = seconds.filter(|seconds| bounds.contains(seconds));
        if seconds.is_none() {
            let show = |millis: u64| {
                if millis.is_multiple_of(1000) {
                    (millis / 1000).to_string()
                } else {
                    format!("0.{:03}", millis % 1000)
                }
            };
            let must = if *millis.end() >= FOREVER {
                match *millis.start() {
                    0 => "seconds, such as 3 or 0.5".to_owned(),
                    start => format!("seconds, {} at least", show(start)),
                }
            } else {
                format!("seconds from {} to {}", show(*millis.start()), show(*millis.end()))
            };
            self.bad(line, value, &must);
        }
        seconds
    }

    /// `[BOOL]`: on when nothing is said.
    pub fn switch(&mut self, line: &Statement) -> bool {
        let Some(value) = self.value(line) else { return true };
        match value.text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => true,
            "off" | "false" | "no" => false,
            _ => {
                self.bad(line, value, "on or off (true, yes, false, no)");
                true
            }
        }
    }

    /// One of a few words, as written there.
    pub fn choice<T: Copy>(&mut self, line: &Statement, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(line)?;
        self.choice_of(line, value, choices)
    }

    pub fn choice_of<T: Copy>(&mut self, line: &Statement, value: &Word, choices: &[(&str, T)]) -> Option<T> {
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

    pub fn ip(&mut self, line: &Statement, value: &Word) -> Option<IpAddr> {
        let address = value.text.parse().ok();
        if address.is_none() {
            self.bad(line, value, "an IP address");
        }
        address
    }

    pub fn ipv4(&mut self, line: &Statement, value: &Word) -> Option<Ipv4Addr> {
        let address = value.text.parse().ok();
        if address.is_none() {
            self.bad(line, value, "an IPv4 address");
        }
        address
    }

    pub fn port(&mut self, line: &Statement, value: &Word) -> Option<u16> {
        self.number_of(line, value, 1..=65535)
    }

    pub fn interface(&mut self, line: &Statement, value: &Word) -> Option<InterfaceName> {
        let name = &*value.text;
        let fits =
            !name.is_empty() && name.len() <= NAME && !name.contains(['/', ':']) && !name.contains(char::is_whitespace);
        if !fits {
            self.bad(line, value, "an interface's name: up to 15 characters, no `/` and no `:`");
        }
        fits.then(|| InterfaceName::new(name))
    }
}

/// No bound, in milliseconds: 2^22 seconds, 48 days.
pub(super) const FOREVER: u64 = 4_194_304_000;

/// Decimal seconds, to the microsecond; further digits are cut.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Duration::from_secs(whole).checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (text, micros) in
            [("1", 1_000_000), ("0.1", 100_000), (".25", 250_000), ("3.609375", 3_609_375), ("2.", 2_000_000)]
        {
            assert_eq!(seconds(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", ".", "-1", "1s", "1e3", "99999999999999999999", "\u{661}"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
