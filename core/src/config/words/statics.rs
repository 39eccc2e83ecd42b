//! `static_ipaddress`, `static_routes`, `static_rules`: the lines of virtual ones, of this host alone.

use super::said::{Lower, Said};
use crate::config::{Config, StaticItem, Statics, VirtualRouterConfig};
use crate::interface::InterfaceName;
use crate::quantity::Priority;
use crate::text::{Diagnostic, Span};

/// Adds the addresses of one list. Without `dev` they go where `default_interface` says.
pub(super) fn addresses(said: &mut Said<'_, '_, '_>, statics: &mut Statics) {
    let (lower, list) = (&mut *said.lower, said.line);
    let device = lower.memory.global.inherited.interface.clone().unwrap_or_else(|| InterfaceName::new("eth0"));
    for line in list.lines() {
        lower.memory.track_group = None;
        let Some(mut address) = lower.address(line, &list.word.text, &device) else { continue };
        address.permanent = true;
        let place = address.address.to_string();
        if let Some(before) = statics.addresses.iter().find(|before| before.key() == address.key()) {
            let twice = format!("{address} stands twice in `static_ipaddress`");
            let said = if *before == address { Diagnostic::warning } else { Diagnostic::error };
            lower.push(
                said("duplicate-address", twice)
                    .at(line.span(), "the second time")
                    .also(statics.places.of(&place), "the first time")
                    .help("delete one of them"),
            );
            continue;
        }
        statics.places.set(&place, line.span());
        lower.is_tracked(|| StaticItem::Address(address.key()));
        statics.addresses.push(address);
    }
}

pub(super) fn routes(said: &mut Said<'_, '_, '_>, statics: &mut Statics) {
    said.lower.routes(said.line, &mut statics.places, &mut statics.routes);
}

pub(super) fn rules(said: &mut Said<'_, '_, '_>, statics: &mut Statics) {
    said.lower.rules(said.line, &mut statics.places, &mut statics.rules);
}

impl Lower<'_> {
    /// What is always there can't move. Of an address owner it is right: its VIPs are its own addresses (RFC 9568 1.7).
    pub(super) fn static_and_virtual(&mut self, config: &Config) {
        let statics = &config.statics;
        for router in &config.routers {
            let both = |address: &&crate::interface::InterfaceAddress| {
                let held = router.addresses.iter().chain(&router.excluded);
                held.into_iter().any(|vip| (vip.address, vip.segment()) == (address.address, address.segment()))
            };
            for address in statics.addresses.iter().filter(both).filter(|_| router.priority != Priority::OWNER) {
                let word = address.address.to_string();
                self.push(
                    Diagnostic::error(
                        "static-and-virtual",
                        format!("{word} is static, and an address of `{}`", router.name),
                    )
                    .at(statics.places.of(&word), "this host always has it, also as BACKUP")
                    .also(router.places.of(&word), "the MASTER has it")
                    .note("two directors hold it at the same time")
                    .help("delete one of the two"),
                );
            }
            let (routes, rules) = (statics.routes.iter(), statics.rules.iter());
            let routes = routes.filter(|route| router.routes.iter().any(|other| other.key == route.key));
            let rules = rules.filter(|rule| router.rules.iter().any(|other| other.rule == rule.rule));
            let both: Vec<String> = routes
                .map(|route| format!("route {}", route.key))
                .chain(rules.map(|rule| format!("rule {}", rule.rule)))
                .collect();
            for word in both {
                self.without_effect(&word, router, statics.places.of(&word));
            }
        }
    }

    fn without_effect(&mut self, word: &str, router: &VirtualRouterConfig, place: Span) {
        self.push(
            Diagnostic::warning("static-and-virtual", format!("the {word} is static, and one of `{}`", router.name))
                .at(router.places.of(word), "changes nothing: it is there already, as the static one says")
                .also(place, "always there")
                .help("delete one of the two"),
        );
    }
}
