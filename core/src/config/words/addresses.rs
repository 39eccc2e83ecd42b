//! `virtual_ipaddress` and `virtual_ipaddress_excluded`: one address line each.

use super::said::Lower;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::interface::{InterfaceAddress, InterfaceName, Scope};
use crate::text::Diagnostic;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

impl Lower<'_> {
    /// Adds the lines of one list to those of the lists of its name before it.
    pub(super) fn addresses(
        &mut self,
        list: &Statement<'_>,
        interface: &InterfaceName,
        places: &mut Places,
        addresses: &mut Vec<InterfaceAddress>,
    ) {
        let mut known: BTreeMap<IpAddr, usize> =
            addresses.iter().enumerate().map(|(at, address)| (address.address, at)).collect();
        for line in list.lines() {
            let Some(address) = self.address(line, &list.word.text, interface) else { continue };
            let place = address.address.to_string();
            if let Some(before) = known.get(&address.address).and_then(|at| addresses.get(*at)) {
                let twice = format!("{place} stands twice in one list");
                let diagnostic = if *before == address {
                    Diagnostic::warning("duplicate-address", twice)
                        .note("keepalived counts it twice in its adverts: a node with keepalived drops those of one that counts it once")
                        .help("delete one of them, on every node")
                } else {
                    Diagnostic::error("duplicate-address", twice).help("delete one of them")
                };
                self.push(diagnostic.at(line.span(), "the second time").also(places.of(&place), "the first time"));
                continue;
            }
            known.insert(address.address, addresses.len());
            places.set(&place, line.span());
            addresses.push(address);
        }
    }

    /// `IP[/PREFIX] [brd IP|+|-] [dev IF] [scope SCOPE] [label LABEL] [noprefixroute] ...`
    pub(super) fn address(
        &mut self,
        line: &Statement<'_>,
        list: &str,
        interface: &InterfaceName,
    ) -> Option<InterfaceAddress> {
        let (ip, prefix_len) = match parse_prefixed(&line.word.text) {
            Ok(found) => found,
            Err(Some(mask)) => {
                self.push(
                    Diagnostic::error("bad-address", format!("`{}` has a netmask", line.word.text))
                        .at(line.word.span, "a prefix length is needed")
                        .help(format!("write `{mask}`")),
                );
                return None;
            }
            Err(None) => {
                self.bad_address(&line.word, list);
                return None;
            }
        };
        let mut address = InterfaceAddress {
            interface: interface.clone(),
            address: ip,
            prefix_len,
            broadcast: None,
            label: None,
            scope: Scope::default(),
            no_prefix_route: false,
            permanent: false,
        };
        let mut words = line.args.iter();
        while let Some(option) = words.next() {
            match &*option.text {
                "noprefixroute" => address.no_prefix_route = true,
                "home" | "-nodad" | "mngtmpaddr" | "autojoin" | "no_track" | "use_vmac" => self.later(option, list),
                "dev" | "brd" | "broadcast" | "scope" | "label" | "peer" | "preferred_lft" | "track_group" => {
                    let Some(value) = words.next() else {
                        self.push(
                            Diagnostic::error("missing-value", format!("`{}` needs a value", option.text))
                                .at(option.span.after(), "expected here"),
                        );
                        continue;
                    };
                    match &*option.text {
                        "brd" | "broadcast" | "label" | "scope" if ip.is_ipv6() => self.of_ipv4(option, value),
                        "dev" => {
                            if let Some(name) = self.interface(line, value) {
                                address.interface = name;
                            }
                        }
                        "brd" | "broadcast" => address.broadcast = self.broadcast(line, value, ip, prefix_len),
                        "scope" => {
                            let scopes = [
                                ("global", Scope::Global),
                                ("site", Scope::Site),
                                ("link", Scope::Link),
                                ("host", Scope::Host),
                                ("nowhere", Scope::Nowhere),
                            ];
                            address.scope = self.choice_of(line, value, &scopes).unwrap_or_default();
                        }
                        "label" => {
                            if value.text.len() > 15 {
                                self.push(
                                    Diagnostic::error("bad-value", format!("label `{}` is too long", value.text))
                                        .at(value.span, "the kernel takes 15 characters"),
                                );
                            } else {
                                address.label = Some(self.name(&value.text));
                            }
                        }
                        "track_group" => self.says_track_group(list, option, value),
                        _ => self.later(option, list),
                    }
                }
                _ => {
                    let known = [
                        "dev",
                        "brd",
                        "broadcast",
                        "scope",
                        "label",
                        "peer",
                        "noprefixroute",
                        "no_track",
                        "use_vmac",
                        "preferred_lft",
                        "home",
                        "-nodad",
                        "mngtmpaddr",
                        "autojoin",
                        "track_group",
                    ];
                    self.unknown_option(option, &known, list);
                    break;
                }
            }
        }
        Some(address)
    }

    fn later(&mut self, option: &Word<'_>, list: &str) {
        self.report.once(&format!("address {}", option.text), option.span, || {
            Diagnostic::warning("not-yet", format!("`{}` is known, but vipward does not act on it yet", option.text))
                .at(option.span, format!("this address of `{list}` is treated as any other"))
        });
    }

    /// What the kernel does not know of an IPv6 address.
    fn of_ipv4(&mut self, option: &Word<'_>, value: &Word<'_>) {
        let said = match &*option.text {
            "brd" | "broadcast" => Diagnostic::error("bad-value", "IPv6 has no broadcast")
                .at(option.span.to(value.span), "keepalived drops this address"),
            word => Diagnostic::warning("ipv4-only", format!("`{word}` does nothing for an IPv6 address"))
                .at(option.span.to(value.span), "left out: the kernel takes none"),
        };
        self.push(said.help("delete it"));
    }

    fn broadcast(
        &mut self,
        line: &Statement<'_>,
        value: &Word<'_>,
        address: IpAddr,
        prefix_len: u8,
    ) -> Option<Ipv4Addr> {
        let IpAddr::V4(address) = address else { return None };
        let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
        match &*value.text {
            "+" => Some(Ipv4Addr::from(u32::from(address) | host)),
            "-" => Some(Ipv4Addr::from(u32::from(address) & !host)),
            _ => self.ipv4(line, value),
        }
    }
}

/// `IP[/PREFIX]`; `Err(Some(..))`: the same with a prefix length instead of the netmask that stands there.
pub(super) fn parse_prefixed(text: &str) -> Result<(IpAddr, u8), Option<String>> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| None)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let Some(prefix) = prefix else { return Ok((address, most)) };
    if let (true, Ok(mask)) = (address.is_ipv4(), prefix.parse::<Ipv4Addr>()) {
        let mask = u32::from(mask);
        return Err(
            (mask.leading_ones() + mask.trailing_zeros() >= 32).then(|| format!("{address}/{}", mask.count_ones()))
        );
    }
    let plain = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    match prefix.parse::<u8>() {
        Ok(prefix) if plain && prefix <= most => Ok((address, prefix)),
        _ => Err(None),
    }
}
