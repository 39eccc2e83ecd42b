//! `virtual_server_group`: the addresses, ranges and marks of one virtual server.

use super::said::{Lower, Said};
use crate::config::line::Word;
use crate::config::tree::Statement;
use crate::interface::Family;
use crate::ipvs::GroupName;
use crate::text::{Diagnostic, Span};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many entries of the table all groups that virtual servers use may make together. What is more takes minutes to put
/// into a kernel, and was hardly meant.
pub(super) const MOST_ENTRIES: u128 = 65_536;

/// One group.
#[derive(Clone, Debug)]
pub(in crate::config) struct ServerGroup {
    pub name: GroupName,
    pub lines: Vec<(Line, Span)>,
    pub place: Span,
    /// Some virtual server names it.
    pub used: bool,
}

/// One of its lines.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Line {
    Range {
        first: IpAddr,
        last: IpAddr,
        port: u16,
    },
    /// Which family it is may depend on what else is in the group, and on the real servers.
    Mark {
        mark: u32,
        family: Option<Family>,
    },
}

pub(super) fn read(said: &mut Said<'_, '_, '_>) {
    let block = said.line;
    let (Some(word), Some(known)) = (said.value(), said.name()) else { return };
    let lower = &mut *said.lower;
    let Some(name) = GroupName::new(&known) else {
        lower.bad(block, word, &format!("a name of up to {} bytes", GroupName::LONGEST));
        return;
    };
    if let Some(before) = lower.memory.server_groups.get(&known).map(|group| group.place) {
        lower.push(
            Diagnostic::error("duplicate-name", format!("two virtual_server_groups are called `{known}`"))
                .at(block.span(), "the second one: keepalived ignores it")
                .also(before, "the first one")
                .help("give each a name of its own, or write all lines into one"),
        );
        return;
    }
    if block.lines().is_empty() {
        lower.push(
            Diagnostic::error("empty-group", format!("virtual_server_group `{known}` is empty"))
                .at(block.span(), "a virtual server with it would have no address")
                .help("add lines such as `192.0.2.100 80`, `192.0.2.100-110 80`, `192.0.2.96/28 80` or `fwmark 1`"),
        );
    }
    let lines = block.lines().iter();
    let lines: Vec<(Line, Span)> = lines.filter_map(|line| Some((lower.member(line)?, line.span()))).collect();
    lower.no_member_twice(&lines);
    lower.memory.server_groups.insert(known, ServerGroup { name, lines, place: block.span(), used: false });
}

impl Lower<'_> {
    fn member(&mut self, line: &Statement<'_>) -> Option<Line> {
        if &*line.word.text == "fwmark" {
            return self.mark(line);
        }
        let (first, last) = match range(&line.word.text) {
            Ok(range) => range,
            Err(wrong) => {
                self.wrong_range(&line.word, wrong);
                return None;
            }
        };
        let port = match line.args.first() {
            Some(port) => self.number_of(line, port, 0..=65535)?,
            None => 0,
        };
        self.no_more(line, 1);
        Some(Line::Range { first, last, port })
    }

    fn mark(&mut self, line: &Statement<'_>) -> Option<Line> {
        let Some(mark) = line.args.first() else {
            self.push(
                Diagnostic::error("missing-value", "`fwmark` needs a value")
                    .at(line.span().after(), "expected MARK")
                    .help("write `fwmark MARK`: the mark that the packet filter sets"),
            );
            return None;
        };
        let mark = self.mark_of(line, mark)?;
        let family = match line.args.get(1) {
            Some(family) => Some(self.choice_of(line, family, &FAMILIES)?),
            None => None,
        };
        self.no_more(line, 2);
        Some(Line::Mark { mark, family })
    }

    /// 0 is what packets without a mark have: IPVS knows no service by it.
    pub(super) fn mark_of(&mut self, line: &Statement<'_>, mark: &Word<'_>) -> Option<u32> {
        self.number_of(line, mark, 1..=i64::from(u32::MAX))
    }

    fn no_more(&mut self, line: &Statement<'_>, most: usize) {
        if let Some(extra) = line.args.get(most) {
            self.push(
                Diagnostic::error("extra-words", format!("`{}` is too much on this line", extra.text))
                    .at(extra.span, "a line of a virtual_server_group is one address, range or mark")
                    .help("put each on a line of its own"),
            );
        }
    }

    /// Lines whose addresses are in another line too, and marks that stand twice.
    fn no_member_twice(&mut self, lines: &[(Line, Span)]) {
        let mut sorted: Vec<&(Line, Span)> = lines.iter().collect();
        sorted.sort_by_key(|(line, _)| line.order());
        for pair in sorted.windows(2) {
            let [(before, first), (line, second)] = pair else { continue };
            if before.meets(line) {
                let (first, second) = (*first.min(second), *first.max(second));
                self.push(
                    Diagnostic::warning("same-twice", "an entry of this line stands in another line too")
                        .at(second, "it is one entry in the table")
                        .also(first, "the other line")
                        .help("delete one of them, or make a range smaller"),
                );
            }
        }
    }

    fn wrong_range(&mut self, word: &Word<'_>, wrong: Wrong) {
        let text = &word.text;
        let (label, help) = match wrong {
            Wrong::NoAddress => (
                "must be an address, a range or a network".to_owned(),
                "write `192.0.2.100`, `192.0.2.100-110`, `192.0.2.96/28`, or `fwmark MARK`".to_owned(),
            ),
            Wrong::Backwards => (
                "the end is not behind the beginning".to_owned(),
                "write the lower address first; a single address needs no range".to_owned(),
            ),
            Wrong::TwoFamilies => ("IPv4 and IPv6 in one range".to_owned(), "write one range for each".to_owned()),
            Wrong::TooFar => (
                "only the last number may differ: keepalived hangs for minutes over such a range".to_owned(),
                "write one range for each network, or a network such as `192.0.2.0/23`".to_owned(),
            ),
            Wrong::HostBits(network) => {
                ("not where this network begins; keepalived skips the line".to_owned(), format!("write `{network}`"))
            }
            Wrong::Prefix(most) => {
                (format!("the prefix length must be from 1 to {most}"), "write `IP/PREFIX`".to_owned())
            }
        };
        self.push(
            Diagnostic::error("bad-range", format!("`{text}` is no range of addresses"))
                .at(word.span, label)
                .help(help),
        );
    }
}

impl Line {
    /// Those that could meet stand beside each other.
    fn order(&self) -> (u16, Option<IpAddr>, u32, Option<Family>) {
        match self {
            Self::Range { first, port, .. } => (*port, Some(*first), 0, None),
            Self::Mark { mark, family } => (0, None, *mark, *family),
        }
    }

    /// Whether both have an entry in common; `after` stands behind it in their order.
    fn meets(&self, after: &Self) -> bool {
        match (self, after) {
            (Self::Range { last, port, .. }, Self::Range { first, port: other, .. }) => port == other && first <= last,
            (Self::Mark { mark, family }, Self::Mark { mark: other, family: its }) => mark == other && family == its,
            (Self::Range { .. }, Self::Mark { .. }) | (Self::Mark { .. }, Self::Range { .. }) => false,
        }
    }
}

pub(super) const FAMILIES: [(&str, Family); 2] = [("inet", Family::V4), ("inet6", Family::V6)];

/// What is wrong with a range.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    NoAddress,
    /// Its end is not behind its beginning.
    Backwards,
    TwoFamilies,
    /// More than the last octet differs, or of IPv6 the last group.
    TooFar,
    /// A network with host bits; the right one.
    HostBits(String),
    /// The longest prefix.
    Prefix(u32),
}

/// `IP`, `IP-LAST`, `IP-IP`, `IP/PREFIX`: the first and the last address. All of a network count, as in keepalived.
fn range(text: &str) -> Result<(IpAddr, IpAddr), Wrong> {
    if let Some((first, prefix)) = text.split_once('/') {
        return network(first.parse().map_err(|_| Wrong::NoAddress)?, prefix);
    }
    let Some((first, last)) = text.split_once('-') else {
        let address = text.parse().map_err(|_| Wrong::NoAddress)?;
        return Ok((address, address));
    };
    let first: IpAddr = first.parse().map_err(|_| Wrong::NoAddress)?;
    let last = match (first, last.parse::<IpAddr>()) {
        (_, Ok(last)) => last,
        (IpAddr::V4(first), Err(_)) => {
            let [a, b, c, _] = first.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, last.parse().map_err(|_| Wrong::NoAddress)?))
        }
        (IpAddr::V6(first), Err(_)) => {
            let last = u16::from_str_radix(last, 16).map_err(|_| Wrong::NoAddress)?;
            IpAddr::V6(Ipv6Addr::from(u128::from(first) & !0xffff | u128::from(last)))
        }
    };
    let too_far = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (u32::from(first) ^ u32::from(last)) > 0xff,
        (IpAddr::V6(first), IpAddr::V6(last)) => (u128::from(first) ^ u128::from(last)) > 0xffff,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(Wrong::TwoFamilies),
    };
    if last <= first {
        return Err(Wrong::Backwards);
    }
    if too_far { Err(Wrong::TooFar) } else { Ok((first, last)) }
}

fn network(first: IpAddr, prefix: &str) -> Result<(IpAddr, IpAddr), Wrong> {
    let most = if first.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse::<u32>().ok().filter(|prefix| (1..=most).contains(prefix)).ok_or(Wrong::Prefix(most))?;
    let (begins, last) = match first {
        IpAddr::V4(first) => {
            let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let begins = u32::from(first) & !hosts;
            (IpAddr::V4(begins.into()), IpAddr::V4((begins | hosts).into()))
        }
        IpAddr::V6(first) => {
            let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
            let begins = u128::from(first) & !hosts;
            (IpAddr::V6(begins.into()), IpAddr::V6((begins | hosts).into()))
        }
    };
    if begins == first { Ok((first, last)) } else { Err(Wrong::HostBits(format!("{begins}/{prefix}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let ends = |text: &str| range(text).map(|(first, last)| format!("{first} {last}"));
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1 192.0.2.1"),
            ("192.0.2.10-12", "192.0.2.10 192.0.2.12"),
            ("192.0.2.0-255", "192.0.2.0 192.0.2.255"),
            ("192.0.2.10-192.0.2.11", "192.0.2.10 192.0.2.11"),
            ("192.0.2.40/30", "192.0.2.40 192.0.2.43"),
            ("192.0.2.40/32", "192.0.2.40 192.0.2.40"),
            ("128.0.0.0/1", "128.0.0.0 255.255.255.255"),
            ("2001:db8::10-12", "2001:db8::10 2001:db8::12"),
            ("2001:db8::9-a", "2001:db8::9 2001:db8::a"),
            ("2001:db8::/126", "2001:db8:: 2001:db8::3"),
            ("2001:db8::7/128", "2001:db8::7 2001:db8::7"),
        ] {
            assert_eq!(ends(text), Ok(expected.to_owned()), "{text}");
        }
        for (text, wrong) in [
            ("web", Wrong::NoAddress),
            ("192.0.2.10-256", Wrong::NoAddress),
            ("192.0.2.10-", Wrong::NoAddress),
            ("2001:db8::1-10000", Wrong::NoAddress),
            ("192.0.2.10-10", Wrong::Backwards),
            ("192.0.2.10-9", Wrong::Backwards),
            ("192.0.2.254-192.0.3.1", Wrong::TooFar),
            ("2001:db8::1-2001:db8::1:0", Wrong::TooFar),
            ("192.0.2.1-2001:db8::1", Wrong::TwoFamilies),
            ("192.0.2.41/30", Wrong::HostBits("192.0.2.40/30".to_owned())),
            ("192.0.2.0/0", Wrong::Prefix(32)),
            ("192.0.2.0/33", Wrong::Prefix(32)),
            ("2001:db8::/129", Wrong::Prefix(128)),
        ] {
            assert_eq!(ends(text), Err(wrong), "{text}");
        }
    }
}
