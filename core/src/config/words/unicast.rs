//! `unicast_peer`, and how adverts travel.

use super::addresses::parse_prefixed;
use super::said::{self, Lower};
use super::vrrp_instance::Draft;
use crate::config::Transport;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::interface::Family;
use crate::text::{Diagnostic, nearest_name};
use std::net::IpAddr;

impl Lower<'_> {
    /// Adds the addresses of one list.
    pub(super) fn peers(&mut self, list: &Statement<'_>, places: &mut Places, peers: &mut Vec<IpAddr>) {
        for line in list.lines() {
            let word = &line.word;
            match self.bare_ip("unicast_peer", word).map_or_else(|| word.text.parse::<IpAddr>(), Ok) {
                Ok(address) => {
                    if peers.contains(&address) {
                        self.push(
                            Diagnostic::warning("duplicate-peer", format!("peer {address} stands here twice"))
                                .at(word.span, "the second time")
                                .help("delete it"),
                        );
                        continue;
                    }
                    places.set(&format!("unicast_peer {address}"), word.span);
                    peers.push(address);
                }
                Err(_) => self.bad_address(word, "unicast_peer"),
            }
            if let Some(extra) = line.args.first() {
                let ttl = matches!(&*extra.text, "min_ttl" | "max_ttl");
                if ttl {
                    self.report.once("peer ttl", extra.span, || {
                        Diagnostic::warning(
                            "not-yet",
                            format!("`{}` is known, but vipward does not act on it yet", extra.text),
                        )
                        .at(extra.span, "the TTL of this peer's adverts is not checked")
                    });
                } else {
                    self.unknown_option(extra, &["min_ttl", "max_ttl"], "unicast_peer");
                }
            }
        }
    }

    /// `192.0.2.1/24` where an address is meant: keepalived leaves the prefix out. None: it has no prefix, or is no address.
    pub(super) fn bare_ip(&mut self, list: &str, word: &Word<'_>) -> Option<IpAddr> {
        if !word.text.contains('/') {
            return None;
        }
        let (address, _) = parse_prefixed(&word.text).ok()?;
        self.push(
            Diagnostic::warning("prefix-ignored", format!("`{list}` takes an address without a prefix"))
                .at(word.span, "the prefix is ignored, as keepalived does")
                .help(format!("write `{address}`")),
        );
        Some(address)
    }

    pub(super) fn bad_address(&mut self, word: &Word<'_>, list: &str) {
        let mut diagnostic = Diagnostic::error("bad-address", format!("`{}` is no IP address", word.text))
            .at(word.span, format!("a line of `{list}` begins with an address"));
        let digits = word.text.trim_end_matches(|c: char| !c.is_ascii_digit());
        if digits.len() < word.text.len() && parse_prefixed(digits).is_ok() {
            diagnostic = diagnostic.help(format!("write `{digits}`"));
        }
        self.push(diagnostic);
    }

    pub(super) fn unknown_option(&mut self, word: &Word<'_>, known: &[&str], list: &str) {
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{}`", word.text))
            .at(word.span, format!("not an option of a line in `{list}`"));
        if let Some(near) = nearest_name(&word.text, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("`{near}` is near"));
        } else if word.text.parse::<IpAddr>().is_ok() || parse_prefixed(&word.text).is_ok() {
            diagnostic = diagnostic.help("put each address on a line of its own");
        }
        self.push(diagnostic);
    }

    /// How adverts travel, and with which source.
    pub(super) fn transport(
        &mut self,
        block: &Statement<'_>,
        family: Family,
        draft: &Draft,
    ) -> (Transport, Option<IpAddr>) {
        let multicast = self.multicast(family, draft);
        let Some(peers) = &draft.peers else {
            if draft.unicast_source.is_some() {
                self.push(
                    Diagnostic::warning("no-peers", "`unicast_src_ip` does nothing without `unicast_peer`")
                        .at(draft.places.of("unicast_src_ip"), "adverts go by multicast")
                        .help("add `unicast_peer { ADDRESS }`, or write `mcast_src_ip`"),
                );
            }
            return (multicast, draft.mcast_source);
        };
        let list = said::of(block.lines(), "unicast_peer").next();
        if peers.is_empty() {
            if list.is_some_and(|list| list.lines().is_empty()) {
                self.push(
                    Diagnostic::error("no-peers", "`unicast_peer` is empty")
                        .at(draft.places.of("unicast_peer"), "keepalived falls back to multicast")
                        .help("put the addresses of the other nodes in, or delete it"),
                );
            }
            return (multicast, draft.unicast_source);
        }
        match draft.unicast_source {
            None => self.push(
                Diagnostic::warning("no-unicast-source", "`unicast_peer` without `unicast_src_ip`")
                    .at(draft.places.of("unicast_peer"), "adverts leave with the interface's first address")
                    .help("add `unicast_src_ip ADDRESS`: the one that the peers have in their `unicast_peer`"),
            ),
            Some(source) if peers.contains(&source) => self.push(
                Diagnostic::error("own-peer", format!("{source} is this node's own address, not a peer"))
                    .at(draft.places.of(&format!("unicast_peer {source}")), "adverts to oneself are dropped")
                    .also(draft.places.of("unicast_src_ip"), "the same address")
                    .help("put the other node's address here"),
            ),
            Some(_) => {}
        }
        (Transport::Unicast { peers: peers.clone() }, draft.unicast_source)
    }
}
