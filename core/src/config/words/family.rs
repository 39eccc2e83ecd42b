//! IPv4 or IPv6: a virtual router is of one family, and what it says must fit.

use super::said::Lower;
use super::vrrp_instance::Draft;
use crate::config::Transport;
use crate::interface::{Family, is_link_local};
use crate::quantity::Version;
use crate::text::{Diagnostic, Span};
use std::net::IpAddr;

/// What decides about the family, and where it stands.
type Decided = (Family, Span);

impl Lower<'_> {
    /// What this virtual router is: as its addresses are, or else its peers or its source, or `native_ipv6`; IPv4 where nothing
    /// says so. What is of the other family is left out.
    pub(super) fn family(&mut self, draft: &mut Draft) -> Family {
        let of = |address: &IpAddr| Family::of(*address);
        let native = draft.places.has("native_ipv6").then(|| draft.places.of("native_ipv6"));
        let address = draft.addresses.first().map(|first| first.address);
        let peer = draft.peers.as_ref().and_then(|peers| peers.first());
        let place = |word: &str| draft.places.of(word);
        let decided: Option<Decided> = address
            .map(|first| (Family::of(first), place(&first.to_string())))
            .or_else(|| native.map(|span| (Family::V6, span)))
            .or_else(|| peer.map(|first| (of(first), place(&format!("unicast_peer {first}")))))
            .or_else(|| draft.unicast_source.as_ref().map(|it| (of(it), place("unicast_src_ip"))))
            .or_else(|| draft.mcast_source.as_ref().map(|it| (of(it), place("mcast_src_ip"))));
        let Some(decided) = decided else { return Family::V4 };
        if let (Family::V4, Some(span)) = (decided.0, native) {
            self.push(
                Diagnostic::error("other-family", "`native_ipv6` in an IPv4 virtual router")
                    .at(span, "keepalived refuses it too")
                    .also(decided.1, "IPv4 because of this")
                    .help("delete it: the addresses say which family it is"),
            );
        }
        let mut places = std::mem::take(&mut draft.places);
        let mut fits = |address: IpAddr, place: &str, word: &'static str| {
            let fits = Family::of(address) == decided.0;
            if !fits {
                self.other_family(decided, address, places.of(place), word);
                places.mistaken(word);
            }
            fits
        };
        draft.addresses.retain(|it| fits(it.address, &it.address.to_string(), "virtual_ipaddress"));
        if let Some(peers) = &mut draft.peers {
            peers.retain(|peer| fits(*peer, &format!("unicast_peer {peer}"), "unicast_peer"));
        }
        draft.unicast_source = draft.unicast_source.filter(|it| fits(*it, "unicast_src_ip", "unicast_src_ip"));
        draft.mcast_source = draft.mcast_source.filter(|it| fits(*it, "mcast_src_ip", "mcast_src_ip"));
        draft.group = draft.group.filter(|it| fits(*it, "mcast_dst_ip", "mcast_dst_ip"));
        draft.places = places;
        decided.0
    }

    fn other_family(&mut self, (ours, decided): Decided, address: IpAddr, span: Span, word: &str) {
        let family = Family::of(address);
        let help = match word {
            "virtual_ipaddress" => {
                "write it into `virtual_ipaddress_excluded`, where both may be, or into a vrrp_instance of its own"
                    .to_owned()
            }
            _ => format!("write an {ours} address, or delete it"),
        };
        self.push(
            Diagnostic::error("other-family", format!("{address} is {family}, and this virtual router is {ours}"))
                .at(span, "left out: adverts travel in one family, and list addresses of that one")
                .also(decided, format!("{ours} because of this"))
                .help(help),
        );
    }

    /// What `virtual_ipaddress` should begin with (RFC 9568 5.2.9). keepalived says so too, and goes on.
    pub(super) fn first_address(&mut self, draft: &Draft) {
        let Some(first) = draft.addresses.first().filter(|first| first.address.is_ipv6()) else { return };
        if !is_link_local(first.address) {
            self.push(
                Diagnostic::info("not-link-local", "the first IPv6 address is no link-local one")
                    .at(draft.places.of(&first.address.to_string()), "served as it is, as by keepalived")
                    .note("hosts that use this virtual router as their gateway need a link-local address of it (RFC 9568 5.2.9)")
                    .help("if they do, put one in front, the same on every node: `fe80::1/64`"),
            );
        }
    }

    /// IPv6 is version 3, whatever `vrrp_version` says. `version 2` makes keepalived 2.2.7 send adverts that no RFC knows, and
    /// those who must understand each other do as it does.
    pub(super) fn version(&mut self, family: Family, draft: &mut Draft) {
        if family == Family::V4 {
            return;
        }
        if !draft.places.has("version") {
            draft.version = Version::V3;
        } else if draft.version == Version::V2 {
            self.push(
                Diagnostic::warning("version-2-ipv6", "VRRPv2 knows no IPv6")
                    .at(
                        draft.places.of("version"),
                        "sent as keepalived 2.2.7 does; nobody else understands such adverts",
                    )
                    .help("delete `version 2` on every node at the same time: IPv6 is version 3 by itself"),
            );
        }
    }

    /// The password of version 2 over IPv4, and whether it is the key of AH.
    pub(super) fn authentication(&mut self, family: Family, draft: &Draft) -> (Option<[u8; 8]>, bool) {
        let (mut password, mut ah) = (None, false);
        for (inside, span) in &draft.authentications {
            if draft.version == Version::V3 {
                self.push(
                    Diagnostic::warning("no-authentication", "VRRPv3 has no authentication")
                        .at(*span, "ignored, as keepalived does")
                        .help("delete the block"),
                );
            } else if draft.strict {
                let places = [draft.places.of("strict_mode"), self.memory.global.global.places.of("vrrp_strict")];
                self.report
                    .withdraw(|other| other.code == "not-yet" && other.span().is_some_and(|it| places.contains(&it)));
                self.push(
                    Diagnostic::warning("no-authentication", "strict mode drops authentication")
                        .at(*span, "ignored, as keepalived does")
                        .note("of what strict mode asks for, vipward does only this")
                        .help("delete the block on every node, or `vrrp_strict`"),
                );
            } else if family == Family::V6 {
                self.push(
                    Diagnostic::error("no-authentication", "there is no authentication over IPv6")
                        .at(*span, "keepalived would name it in its adverts and send no password")
                        .help("delete the block on every node"),
                );
            } else {
                (password, ah) = self.password(*span, inside).map_or((password, ah), |it| (Some(it), inside.ah));
            }
        }
        (password, ah)
    }

    /// Where multicast adverts go.
    pub(super) fn multicast(&self, family: Family, draft: &Draft) -> Transport {
        let outer = &self.memory.global.inherited;
        let of_family = || match family {
            Family::V4 => IpAddr::from(outer.group),
            Family::V6 => IpAddr::from(outer.group6),
        };
        Transport::Multicast { group: draft.group.unwrap_or_else(of_family) }
    }
}
