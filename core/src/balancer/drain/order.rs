//! What an operator asks for by `vipward drain` and `vipward undrain`, as it is written: on the command line, on the control
//! socket, in scenario files and in the log.
//!
//! ```text
//! drain [VIRTUAL SERVER] REAL SERVER [--remove] [--limit SECONDS] [--force]
//! undrain [VIRTUAL SERVER] REAL SERVER
//! ```
//!
//! A virtual server is written as in the file or as `vipward status` shows it: `192.0.2.100 80`, `192.0.2.100:80`,
//! `TCP 192.0.2.100:80`, `fwmark 5`, `fwmark 5 inet6`, `group web`, `web`. Without one, every virtual server that has this real server is meant.

use crate::interface::Family;
use crate::ipvs::{GroupName, Protocol, ServiceKey, VirtualServerId};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The longest `--limit`: a week. Whoever wants to wait longer leaves it out.
pub const LONGEST_LIMIT: u32 = 7 * 24 * 3600;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub what: What,
    /// Where; none: in every virtual server that has it.
    pub of: Option<Named>,
    pub server: SocketAddr,
}

/// What is to become of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// No new connections; `remove`: and it is taken out in the end. `force`: also if nobody else is left.
    Drain { remove: Option<Removal>, force: bool },
    /// It takes connections again, with the weight that it has by itself.
    Undrain,
}

/// It is taken out when it has no active connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Or after this long, whatever is left.
    pub limit: Option<Duration>,
}

/// A virtual server as people write it. Without a protocol it may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub protocol: Option<Protocol>,
    pub place: NamedPlace,
}

/// By what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamedPlace {
    Address(SocketAddr),
    /// Of both families, unless one is named.
    Mark {
        mark: u32,
        family: Option<Family>,
    },
    Group(GroupName),
}

impl Named {
    /// Whether it calls this one.
    pub fn means(&self, id: &VirtualServerId) -> bool {
        let (protocol, same) = match (id, &self.place) {
            (VirtualServerId::Entry(ServiceKey::Address { protocol, address }), NamedPlace::Address(wanted)) => {
                (Some(*protocol), address == wanted)
            }
            (VirtualServerId::Entry(ServiceKey::Mark { mark, family }), NamedPlace::Mark { mark: m, family: f }) => {
                (None, mark == m && f.is_none_or(|wanted| wanted == *family))
            }
            (VirtualServerId::Group { group, protocol }, NamedPlace::Group(wanted)) => (*protocol, group == wanted),
            (
                VirtualServerId::Entry(_) | VirtualServerId::Group { .. },
                NamedPlace::Address(_) | NamedPlace::Mark { .. } | NamedPlace::Group(_),
            ) => (None, false),
        };
        same && self.protocol.is_none_or(|wanted| protocol == Some(wanted))
    }

    /// The words of one, as above.
    fn read(words: &[&str]) -> Result<Self, String> {
        let protocol = |word: &str| match word.to_ascii_uppercase().as_str() {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        };
        let (protocol, rest) = match words {
            [first, rest @ ..] if !rest.is_empty() && protocol(first).is_some() => (protocol(first), rest),
            all => (None, all),
        };
        let unknown = || format!("`{}` is no virtual server", words.join(" "));
        let mark = |mark: &str, family| Some(NamedPlace::Mark { mark: mark.parse().ok()?, family });
        let place = match *rest {
            ["fwmark", number] => mark(number, None),
            ["fwmark", number, "inet6"] => mark(number, Some(Family::V6)),
            ["group", name] => GroupName::new(name).map(NamedPlace::Group),
            [one] => match one.parse() {
                Ok(address) => Some(NamedPlace::Address(address)),
                Err(_) if one.parse::<IpAddr>().is_ok() => {
                    return Err(format!("`{one}` lacks a port: virtual servers are named by address and port"));
                }
                Err(_) => GroupName::new(one).map(NamedPlace::Group),
            },
            [ip, port] => address_of(ip, port).map(NamedPlace::Address),
            _ => None,
        };
        Ok(Self { protocol, place: place.ok_or_else(unknown)? })
    }
}

fn address_of(ip: &str, port: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

impl Order {
    /// From words without options: `[VIRTUAL SERVER] REAL SERVER`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn about(what: What, words: &[&str]) -> Result<Self, String> {
        let (server, of) = match words {
            [] => return Err("which real server?".to_owned()),
            // A port by itself belongs to the address before it.
            [of @ .., ip, port] if address_of(ip, port).is_some() => (address_of(ip, port), of),
            // Behind a mark real servers have no port of their own.
            [of @ .., one] => {
                let alone = || one.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0));
                (one.parse().ok().or_else(alone), of)
            }
        };
        let last = words.last().copied().unwrap_or_default();
        let server = server.ok_or_else(|| format!("`{last}` is no real server: ADDRESS:PORT is wanted"))?;
        let of = if of.is_empty() { None } else { Some(Named::read(of)?) };
        Ok(Self { what, of, server })
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default();
        let (mut named, mut remove, mut limit, mut force) = (Vec::new(), false, None, false);
        while let Some(word) = words.next() {
            match word {
                "--remove" => remove = true,
                "--force" => force = true,
                "--limit" => limit = Some(seconds(words.next().unwrap_or_default())?),
                option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
                name => named.push(name),
            }
        }
        let what = match verb {
            "drain" if limit.is_some() && !remove => return Err("--limit is of --remove".to_owned()),
            "drain" => What::Drain { remove: remove.then_some(Removal { limit }), force },
            "undrain" if remove || force || limit.is_some() => return Err("undrain has no options".to_owned()),
            "undrain" => What::Undrain,
            other => return Err(format!("unknown order `{other}`")),
        };
        Self::about(what, &named)
    }
}

/// `--limit`, within its range.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=LONGEST_LIMIT).contains(seconds));
    let wrong = || format!("--limit takes 1 to {LONGEST_LIMIT} seconds, not `{text}`");
    seconds.map(|seconds: u32| Duration::from_secs(seconds.into())).ok_or_else(wrong)
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol} ")?;
        }
        match &self.place {
            NamedPlace::Address(address) => write!(f, "{address}"),
            NamedPlace::Mark { mark, family: None | Some(Family::V4) } => write!(f, "fwmark {mark}"),
            NamedPlace::Mark { mark, family: Some(Family::V6) } => write!(f, "fwmark {mark} inet6"),
            NamedPlace::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// As it is read.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            What::Drain { .. } => "drain ",
            What::Undrain => "undrain ",
        })?;
        if let Some(of) = &self.of {
            write!(f, "{of} ")?;
        }
        write!(f, "{}", self.server)?;
        let What::Drain { remove, force } = self.what else { return Ok(()) };
        if let Some(Removal { limit }) = remove {
            f.write_str(" --remove")?;
            if let Some(limit) = limit {
                write!(f, " --limit {}", limit.as_secs())?;
            }
        }
        f.write_str(if force { " --force" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        line.parse()
    }

    #[test]
    fn what_is_written_is_read_in_every_form() {
        let drain = "drain 192.0.2.100:80 10.0.0.1:80";
        for line in ["drain 192.0.2.100 80 10.0.0.1:80", "drain 192.0.2.100:80 10.0.0.1 80", drain] {
            assert_eq!(read(line).map(|order| order.to_string()), Ok(drain.to_owned()), "{line}");
        }
        let same = [
            "drain 10.0.0.1:80",
            "undrain TCP 192.0.2.100:80 10.0.0.1:80",
            "drain fwmark 5 10.0.0.1:0 --remove",
            "drain fwmark 5 inet6 [2001:db8::1]:0 --remove --limit 30 --force",
            "drain UDP group dns 10.0.0.1:53 --force",
        ];
        for line in same {
            assert_eq!(read(line).map(|order| order.to_string()), Ok(line.to_owned()));
        }
        assert_eq!(read("drain dns 10.0.0.1:53"), read("drain group dns 10.0.0.1:53"));
        assert_eq!(read("drain fwmark 5 10.0.0.1"), read("drain fwmark 5 10.0.0.1:0"));
        assert_eq!(read("drain tcp dns 10.0.0.1 53"), read("drain TCP group dns 10.0.0.1:53"));
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |line: &str| read(line).unwrap_err();
        assert_eq!(wrong("drain"), "which real server?");
        assert_eq!(wrong("drain web1"), "`web1` is no real server: ADDRESS:PORT is wanted");
        assert!(wrong("drain 192.0.2.100 10.0.0.1:80").contains("lacks a port"));
        assert_eq!(wrong("drain fwmark x 10.0.0.1:80"), "`fwmark x` is no virtual server");
        assert_eq!(wrong("drain a b c d 10.0.0.1:80"), "`a b c d` is no virtual server");
        assert_eq!(wrong("drain 10.0.0.1:80 --limit 5"), "--limit is of --remove");
        for limit in ["0", "-1", "604801", "soon", ""] {
            assert!(wrong(&format!("drain 10.0.0.1:80 --remove --limit {limit}")).starts_with("--limit takes 1 to"));
        }
        assert!(read("drain 10.0.0.1:80 --remove --limit 604800").is_ok());
        assert_eq!(wrong("undrain 10.0.0.1:80 --force"), "undrain has no options");
        assert_eq!(wrong("drain 10.0.0.1:80 --frce"), "unknown option `--frce`");
        assert_eq!(wrong("drown 10.0.0.1:80"), "unknown order `drown`");
    }

    #[test]
    fn a_name_means_what_it_says_and_no_more() {
        let of = |words: &str| Named::read(&words.split(' ').collect::<Vec<_>>()).unwrap();
        let entry = |protocol| {
            VirtualServerId::of_entry(ServiceKey::Address { protocol, address: ([192, 0, 2, 100], 53).into() })
        };
        let group = |protocol| VirtualServerId::Group { group: GroupName::new("dns").unwrap(), protocol };
        let mark = |family| VirtualServerId::of_entry(ServiceKey::Mark { mark: 5, family });
        let all = [
            entry(Protocol::Tcp),
            entry(Protocol::Udp),
            group(Some(Protocol::Udp)),
            group(None),
            mark(Family::V4),
            mark(Family::V6),
        ];
        let means = |words: &str| all.map(|id| u8::from(of(words).means(&id)));
        assert_eq!(means("192.0.2.100 53"), [1, 1, 0, 0, 0, 0]);
        assert_eq!(means("UDP 192.0.2.100:53"), [0, 1, 0, 0, 0, 0]);
        assert_eq!(means("192.0.2.100:54"), [0; 6]);
        assert_eq!(means("dns"), [0, 0, 1, 1, 0, 0]);
        assert_eq!(means("UDP dns"), [0, 0, 1, 0, 0, 0]);
        assert_eq!(means("fwmark 5"), [0, 0, 0, 0, 1, 1]);
        assert_eq!(means("fwmark 5 inet6"), [0, 0, 0, 0, 0, 1]);
        assert_eq!(means("fwmark 6"), [0; 6]);
    }
}
