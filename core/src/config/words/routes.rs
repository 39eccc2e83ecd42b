//! `virtual_routes`: one route each line, in `ip route`'s words.

use super::addresses::parse_prefixed;
use super::said::Lower;
use crate::config::StaticItem;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::interface::Family;
use crate::route::{Hop, MAIN, Metric, OURS, Placed, Preference, Route, RouteKey, RouteKind};
use crate::text::Diagnostic;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names that `ip route` knows without any file.
const TABLES: [(&str, u32); 3] = [("default", 253), ("main", MAIN), ("local", 255)];
const SCOPES: [(&str, u8); 6] =
    [("global", 0), ("universe", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];
const PREFERENCES: [(&str, Preference); 3] =
    [("low", Preference::Low), ("medium", Preference::Medium), ("high", Preference::High)];
/// `/usr/share/iproute2/rt_protos`.
const PROTOCOLS: [(&str, u8); 16] = [
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("zebra", 11),
    ("bird", 12),
    ("dhcp", 16),
    ("keepalived", OURS),
    ("babel", 42),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];
/// The route would lead somewhere else, or be another one, without these.
const ESSENTIAL: [&str; 6] = ["encap", "mpls", "vrf", "nat", "from", "as"];
/// Without these it leads to the same place.
const TUNING: [&str; 8] = ["rtt", "rttvar", "rto_min", "realms", "congctl", "ttl-propagate", "expires", "mtu_lock"];
const WORDS: [&str; 41] = [
    "to",
    "dst",
    "via",
    "gw",
    "dev",
    "oif",
    "src",
    "metric",
    "priority",
    "preference",
    "table",
    "scope",
    "protocol",
    "tos",
    "dsfield",
    "mtu",
    "advmss",
    "window",
    "ssthresh",
    "cwnd",
    "reordering",
    "hoplimit",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "fastopen_no_cookie",
    "pref",
    "onlink",
    "or",
    "nexthop",
    "weight",
    "add",
    "append",
    "no_track",
    "track_group",
    "inet",
    "inet6",
    "blackhole",
    "unreachable",
    "prohibit",
];

/// The words of one line, one after the other.
pub(super) struct Words<'l, 't> {
    line: &'l Statement<'t>,
    next: usize,
}

impl<'l, 't> Words<'l, 't> {
    pub fn of(line: &'l Statement<'t>) -> Self {
        Self { line, next: 0 }
    }

    pub fn line(&self) -> &'l Statement<'t> {
        self.line
    }

    fn peek(&self) -> Option<&'l Word<'t>> {
        match self.next.checked_sub(1) {
            None => Some(&self.line.word),
            Some(at) => self.line.args.get(at),
        }
    }

    pub fn take(&mut self) -> Option<&'l Word<'t>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }
}

/// What a line says before it is known to be a route.
#[derive(Default)]
struct Draft {
    destination: Option<(Option<IpAddr>, u8)>,
    /// `inet`, `inet6`.
    family: Option<Family>,
    kind: RouteKind,
    first: Option<Hop>,
    second: Option<IpAddr>,
    more: Vec<Hop>,
    source: Option<IpAddr>,
    table: Option<u32>,
    metric: u32,
    tos: u8,
    scope: Option<u8>,
    protocol: Option<u8>,
    metrics: Vec<(Metric, u32)>,
    locked: Vec<Metric>,
    preference: Option<Preference>,
    placed: Placed,
    no_track: bool,
}

fn hop() -> Hop {
    Hop { via: None, interface: None, weight: 1, onlink: false }
}

impl Lower<'_> {
    /// Adds the routes of one list to those of the lists of its name before it. A line that says something wrong, or something
    /// that vipward can't do and that matters, makes no route.
    pub(super) fn routes(&mut self, list: &Statement<'_>, places: &mut Places, routes: &mut Vec<Route>) {
        let mut known: BTreeMap<RouteKey, usize> =
            routes.iter().enumerate().map(|(at, route)| (route.key.clone(), at)).collect();
        for line in list.lines() {
            self.memory.track_group = None;
            let Some(route) = self.route(line, &list.word.text) else { continue };
            let place = format!("route {}", route.key);
            if known.contains_key(&route.key) {
                self.push(
                    Diagnostic::warning("duplicate-route", format!("there are two routes to {}", route.key))
                        .at(line.span(), "not set: of one destination, table and metric there is one")
                        .also(places.of(&place), "the first one")
                        .help("delete one of them, give it another `metric`, or write one line with `nexthop` twice"),
                );
                continue;
            }
            known.insert(route.key.clone(), routes.len());
            places.set(&place, line.span());
            self.is_tracked(|| StaticItem::Route(route.key.clone()));
            routes.push(route);
        }
    }

    fn route(&mut self, line: &Statement<'_>, list: &str) -> Option<Route> {
        let (mut words, mut draft) = (Words::of(line), Draft::default());
        let before = self.report.errors();
        while let Some(word) = words.take() {
            self.word(word, &mut words, &mut draft, list)?;
        }
        let route = self.whole(line, draft)?;
        (self.report.errors() == before).then_some(route)
    }

    /// One word with its value. None: there will be no route of this line.
    fn word(&mut self, word: &Word<'_>, words: &mut Words<'_, '_>, draft: &mut Draft, list: &str) -> Option<()> {
        let line = words.line;
        let text = &*word.text;
        if let Some((_, kind)) = RouteKind::ALL.iter().find(|(name, _)| *name == text) {
            draft.kind = *kind;
            return Some(());
        }
        if let Some((_, metric)) = Metric::ALL.iter().find(|(name, _)| *name == text) {
            return self.metric(*metric, word, words, draft);
        }
        match text {
            "inet" => draft.family = Some(Family::V4),
            "inet6" => draft.family = Some(Family::V6),
            "no_track" => draft.no_track = true,
            "track_group" => {
                let value = self.value_of(word, words)?;
                self.says_track_group(list, word, value);
            }
            "add" => draft.placed = Placed::Alone,
            "append" => draft.placed = Placed::Last,
            "onlink" => last(draft).onlink = true,
            "nexthop" => draft.more.push(hop()),
            "to" | "dst" => {
                let value = self.value_of(word, words)?;
                if let Some((_, kind)) = RouteKind::ALL.iter().find(|(name, _)| *name == &*value.text) {
                    draft.kind = *kind;
                } else {
                    draft.destination = Some(self.destination(value, list)?);
                }
            }
            "via" | "gw" => {
                let mut value = self.value_of(word, words)?;
                if matches!(&*value.text, "inet" | "inet6") {
                    value = self.value_of(word, words)?;
                }
                last(draft).via = Some(self.ip(line, value)?);
            }
            "or" => {
                let value = self.value_of(word, words)?;
                draft.second = Some(self.ip(line, value)?);
            }
            "dev" | "oif" => {
                let value = self.value_of(word, words)?;
                last(draft).interface = Some(self.interface(line, value)?);
            }
            "weight" => {
                let value = self.value_of(word, words)?;
                last(draft).weight = self.within(word, value, 1, 256)?;
            }
            "src" => {
                let value = self.value_of(word, words)?;
                draft.source = Some(self.ip(line, value)?);
            }
            "metric" | "priority" | "preference" => {
                let value = self.value_of(word, words)?;
                draft.metric = self.within(word, value, 0, u64::from(u32::MAX))?;
            }
            "tos" | "dsfield" => {
                let value = self.value_of(word, words)?;
                draft.tos = self.within(word, value, 0, 255)?;
            }
            "table" => {
                let value = self.value_of(word, words)?;
                draft.table = Some(self.table(value)?);
            }
            "scope" => {
                let value = self.value_of(word, words)?;
                draft.scope = Some(self.named(word, value, &SCOPES)?);
            }
            "protocol" | "proto" => {
                let value = self.value_of(word, words)?;
                draft.protocol = Some(self.named(word, value, &PROTOCOLS)?);
            }
            "pref" => {
                let value = self.value_of(word, words)?;
                draft.preference = Some(self.choice_of(line, value, &PREFERENCES)?);
            }
            _ if ESSENTIAL.contains(&text) => {
                self.push(
                    Diagnostic::warning("not-yet", format!("`{text}` of a route is known, but vipward does not act on it yet"))
                        .at(word.span, "without it the route would be another one: it is not set")
                        .help("set this route by a `notify_master` script, and take it out by `notify_backup`, `notify_fault` and `notify_stop`"),
                );
                return None;
            }
            _ if TUNING.contains(&text) => {
                let value = self.value_of(word, words)?;
                self.report.once(&format!("route {text}"), word.span, || {
                    Diagnostic::warning(
                        "not-yet",
                        format!("`{text}` of a route is known, but vipward does not act on it yet"),
                    )
                    .at(word.span.to(value.span), "the route is set without it")
                });
            }
            _ if draft.destination.is_none() => draft.destination = Some(self.destination(word, list)?),
            _ => {
                self.unknown_option(word, &WORDS, list);
                return None;
            }
        }
        Some(())
    }

    /// `mtu lock 1400`, `features ecn`, `quickack 1`.
    fn metric(&mut self, metric: Metric, word: &Word<'_>, words: &mut Words<'_, '_>, draft: &mut Draft) -> Option<()> {
        let mut value = self.value_of(word, words)?;
        if &*value.text == "lock" {
            draft.locked.push(metric);
            value = self.value_of(word, words)?;
        }
        let most = match metric {
            Metric::Hoplimit => 255,
            Metric::Quickack | Metric::FastopenNoCookie => 1,
            Metric::Mtu
            | Metric::Window
            | Metric::Ssthresh
            | Metric::Cwnd
            | Metric::Advmss
            | Metric::Reordering
            | Metric::Initcwnd
            | Metric::Features
            | Metric::Initrwnd => u64::from(u32::MAX),
        };
        let number = match (metric, &*value.text) {
            // `RTAX_FEATURE_ECN`
            (Metric::Features, "ecn") => 1,
            (Metric::Features, _) => {
                self.not_a(word, value, "ecn");
                return None;
            }
            _ => self.within(word, value, 0, most)?,
        };
        draft.metrics.retain(|(known, _)| *known != metric);
        draft.metrics.push((metric, number));
        Some(())
    }

    /// All words of the line together.
    fn whole(&mut self, line: &Statement<'_>, draft: Draft) -> Option<Route> {
        let Some((destination, prefix_len)) = draft.destination else {
            self.push(
                Diagnostic::error("missing-value", "this route has no destination")
                    .at(line.span(), "to where does it lead?")
                    .help("write `PREFIX via ADDRESS`, or `default via ADDRESS`"),
            );
            return None;
        };
        let mut hops: Vec<Hop> = draft.first.into_iter().collect();
        if let Some(via) = draft.second {
            let first = hops.first().cloned().unwrap_or_else(hop);
            hops.push(Hop { via: Some(via), ..first });
        }
        hops.extend(draft.more);
        // `default` alone says no family: what it leads by does.
        let shown = destination.map(Family::of).or(draft.family);
        let gateway = || hops.iter().find_map(|hop| hop.via).or(draft.source).map(Family::of);
        let family = shown.or_else(gateway).unwrap_or_default();
        let destination = destination.unwrap_or(match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        });
        let masked = network(destination, prefix_len);
        if masked != destination {
            self.push(
                Diagnostic::warning("host-bits", format!("`{destination}/{prefix_len}` has bits behind its prefix"))
                    .at(line.span(), format!("taken for {masked}/{prefix_len}; the kernel refuses it from keepalived"))
                    .help(format!("write `{masked}/{prefix_len}`")),
            );
        }
        let destination = masked;
        let other = |address: &IpAddr| Family::of(*address) != family;
        // IPv4 by way of an IPv6 gateway is the one mixture that Linux has.
        let wrong_gateway = hops.iter().filter_map(|hop| hop.via).find(|via| other(via) && family == Family::V6);
        if let Some(wrong) = draft.source.filter(other).or(wrong_gateway) {
            self.push(
                Diagnostic::error("family-mixed", format!("`{wrong}` is of the other family than the destination"))
                    .at(line.span(), format!("a route to {destination}/{prefix_len} takes {family} addresses"))
                    .help("write one route for each family"),
            );
            return None;
        }
        let leads = draft.kind.leads();
        let aimless = hops.is_empty() || hops.iter().any(|hop| hop.via.is_none() && hop.interface.is_none());
        if leads && aimless {
            self.push(
                Diagnostic::error("missing-value", "this route leads nowhere")
                    .at(line.span(), "neither `via` nor `dev` says where packets go")
                    .help("add `via ADDRESS`, or `dev INTERFACE` for hosts on the link"),
            );
            return None;
        }
        if !leads && !hops.is_empty() {
            self.push(
                Diagnostic::error("extra-words", format!("a `{}` route has no way out", draft.kind))
                    .at(line.span(), "the kernel refuses `via` and `dev` here")
                    .help(format!("delete them, or `{}`", draft.kind)),
            );
            return None;
        }
        if draft.protocol.is_some_and(|protocol| protocol != OURS) && !draft.no_track {
            self.push(
                Diagnostic::warning("route-protocol", "`protocol` other than `keepalived` needs `no_track`")
                    .at(
                        line.span(),
                        "set with `protocol keepalived`, by which its end is noticed; keepalived does the same",
                    )
                    .help("delete `protocol`, or add `no_track`"),
            );
        }
        let protocol = draft.protocol.filter(|_| draft.no_track).unwrap_or(OURS);
        let metric = if draft.metric == 0 { RouteKey::usual_metric(destination) } else { draft.metric };
        let key =
            RouteKey { table: draft.table.unwrap_or(MAIN), destination, prefix_len, tos: draft.tos, metric, protocol };
        Some(Route {
            source: draft.source,
            scope: draft.scope,
            metrics: draft.metrics,
            locked: draft.locked,
            preference: draft.preference.filter(|_| family == Family::V6),
            placed: draft.placed,
            no_track: draft.no_track,
            ..Route::new(key, draft.kind, hops)
        })
    }

    /// `PREFIX`, `default`; of `default` the family is not known yet.
    fn destination(&mut self, word: &Word<'_>, list: &str) -> Option<(Option<IpAddr>, u8)> {
        if matches!(&*word.text, "default" | "any" | "all") {
            return Some((None, 0));
        }
        match parse_prefixed(&word.text) {
            Ok((address, prefix_len)) => Some((Some(address), prefix_len)),
            Err(Some(meant)) => {
                self.push(
                    Diagnostic::error("bad-address", format!("`{}` has a netmask", word.text))
                        .at(word.span, "a prefix length is needed")
                        .help(format!("write `{meant}`")),
                );
                None
            }
            Err(None) => {
                let looks_like_a_word = word.text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
                if looks_like_a_word {
                    self.unknown_option(word, &WORDS, list);
                } else {
                    self.bad_address(word, list);
                }
                None
            }
        }
    }

    /// A number, or a name of `/etc/iproute2/rt_tables`.
    pub(super) fn table(&mut self, value: &Word<'_>) -> Option<u32> {
        if let Some(number) = number(&value.text).and_then(|number| u32::try_from(number).ok()).filter(|it| *it != 0) {
            return Some(number);
        }
        let known = TABLES.iter().find(|(name, _)| *name == &*value.text).map(|(_, number)| *number);
        let known = known.or_else(|| self.memory.tables.get(&*value.text).copied());
        if known.is_none() {
            self.push(
                Diagnostic::warning("unknown-table", format!("this host has no routing table `{}`", value.text))
                    .at(value.span, "this line is not acted on where `/etc/iproute2/rt_tables` does not name it")
                    .help("write the table's number, or name it in that file"),
            );
        }
        known
    }

    pub(super) fn value_of<'l, 't>(&mut self, word: &Word<'_>, words: &mut Words<'l, 't>) -> Option<&'l Word<'t>> {
        let value = words.take();
        if value.is_none() {
            self.push(
                Diagnostic::error("missing-value", format!("`{}` needs a value", word.text))
                    .at(word.span.after(), "expected here"),
            );
        }
        value
    }

    /// A name of these, or a number.
    fn named(&mut self, word: &Word<'_>, value: &Word<'_>, names: &[(&str, u8)]) -> Option<u8> {
        if let Some((_, number)) = names.iter().find(|(name, _)| *name == &*value.text) {
            return Some(*number);
        }
        self.within(word, value, 0, 255)
    }

    /// Decimal, or hexadecimal behind `0x`.
    pub(super) fn within<T: TryFrom<u64>>(
        &mut self,
        word: &Word<'_>,
        value: &Word<'_>,
        least: u64,
        most: u64,
    ) -> Option<T> {
        let found = number(&value.text).filter(|number| (least..=most).contains(number));
        let found = found.and_then(|number| T::try_from(number).ok());
        if found.is_none() {
            self.not_a(word, value, &format!("a number from {least} to {most}"));
        }
        found
    }

    pub(super) fn not_a(&mut self, word: &Word<'_>, value: &Word<'_>, must: &str) {
        self.push(
            Diagnostic::error("bad-value", format!("`{}` can't be `{}`", word.text, value.text))
                .at(value.span, format!("must be {must}")),
        );
    }
}

/// The way out that words speak of now.
fn last(draft: &mut Draft) -> &mut Hop {
    match draft.more.last_mut() {
        Some(last) => last,
        None => draft.first.get_or_insert_with(hop),
    }
}

pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?,
    }
}

/// The first address of the network.
pub(super) fn network(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

/// What stands in `/etc/iproute2/rt_tables`: a number and a name each line.
pub fn tables(text: &str) -> BTreeMap<String, u32> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let named = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let number = number(words.next()?).and_then(|number| u32::try_from(number).ok())?;
        Some((words.next()?.to_owned(), number))
    });
    named.collect()
}
