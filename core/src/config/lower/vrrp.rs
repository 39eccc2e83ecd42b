//! `vrrp_instance`.

use super::super::line::Word;
use super::super::model::{
    Garp, InitialState, NotifyScripts, TrackedScript, Transport, VirtualRouterConfig, VrrpScript,
};
use super::super::tree::Statement;
use super::addresses::parse_prefixed;
use super::values::FOREVER;
use super::{Defaults, Lower, canonical};
use crate::config::places::Places;
use crate::interface::InterfaceName;
use crate::quantity::{AdvertInterval, Priority, Version, Vrid};
use crate::text::Diagnostic;
use crate::text::Span;
use crate::text::nearest_name;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

/// Passwords that manuals print and people copy.
const PUBLIC: [&str; 22] = [
    "1111",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "0000",
    "pass",
    "passwd",
    "password",
    "PASSWORD",
    "secret",
    "test",
    "admin",
    "root",
    "keepalive",
    "keepalived",
    "qwerty",
    "qwe123",
    "k@l!ve1",
    "mypass",
    "changeme",
];

/// What stands in an instance before it is known to be whole.
struct Draft {
    state: InitialState,
    interface: Option<InterfaceName>,
    vrid: Option<Vrid>,
    version: Version,
    priority: Priority,
    preempt: bool,
    preempt_delay: Duration,
    group: Ipv4Addr,
    mcast_source: Option<IpAddr>,
    unicast_source: Option<IpAddr>,
    peers: Option<Vec<IpAddr>>,
    unicast_ttl: u8,
    strict: bool,
    garp: Garp,
    lower_prio_repeat: Option<u32>,
    lower_prio_delay: Option<Duration>,
    notify: NotifyScripts,
    places: Places,
}

impl Lower<'_> {
    pub fn instance(
        &mut self,
        block: &Statement,
        defaults: &Defaults,
        scripts: &BTreeMap<Arc<str>, VrrpScript>,
        routers: &mut Vec<VirtualRouterConfig>,
    ) {
        let Some(name) = self.value(block) else { return };
        let name: Arc<str> = Arc::from(&*name.text);
        let mut draft = Draft {
            state: InitialState::Backup,
            interface: None,
            vrid: None,
            version: defaults.version,
            priority: Priority::DEFAULT,
            preempt: true,
            preempt_delay: Duration::ZERO,
            group: defaults.group,
            mcast_source: None,
            unicast_source: None,
            peers: None,
            unicast_ttl: 255,
            strict: defaults.strict,
            garp: defaults.garp,
            lower_prio_repeat: defaults.lower_prio_repeat,
            lower_prio_delay: defaults.lower_prio_delay,
            notify: NotifyScripts::default(),
            places: Places::default(),
        };
        draft.places.set("", block.span());
        let mut down_timer_adverts = defaults.down_timer_adverts;
        let mut v3_checksum_as_v2 = defaults.v3_checksum_as_v2;
        let mut check_unicast_src = defaults.check_unicast_src;
        let mut skip_check_adv_addr = defaults.skip_check_adv_addr;
        let mut lower_prio_no_advert = defaults.lower_prio_no_advert;
        let mut higher_prio_send_advert = defaults.higher_prio_send_advert;
        let mut dont_track_primary = false;
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            draft.places.set(word, line.span());
            match word {
                "state" => draft.state = self.state(line),
                "interface" => draft.interface = self.value(line).and_then(|value| self.interface(line, value)),
                "virtual_router_id" => draft.vrid = self.number(line, 1..=255).and_then(Vrid::new),
                "version" => {
                    let version = self.choice(line, &[("2", Version::V2), ("3", Version::V3)]);
                    draft.version = version.unwrap_or(draft.version);
                }
                "priority" => {
                    draft.priority = self.number(line, 1..=255).and_then(Priority::new).unwrap_or(draft.priority);
                }
                "nopreempt" => draft.preempt = false,
                "preempt_delay" => draft.preempt_delay = self.seconds(line, 0..=1_000_000).unwrap_or_default(),
                "down_timer_adverts" => {
                    down_timer_adverts = self.number(line, 1..=100).unwrap_or(down_timer_adverts);
                }
                "skip_check_adv_addr" => skip_check_adv_addr = self.switch(line),
                "strict_mode" => draft.strict = self.switch(line),
                "lower_prio_no_advert" => lower_prio_no_advert = self.switch(line),
                "higher_prio_send_advert" => higher_prio_send_advert = self.switch(line),
                "v3_checksum_as_v2" => v3_checksum_as_v2 = self.switch(line),
                "check_unicast_src" => check_unicast_src = true,
                "dont_track_primary" => dont_track_primary = true,
                "mcast_src_ip" => draft.mcast_source = self.own_ip(line),
                "unicast_src_ip" => draft.unicast_source = self.own_ip(line),
                "mcast_dst_ip" => {
                    let group = self.value(line).and_then(|value| self.group(line, value));
                    draft.group = group.unwrap_or(draft.group);
                }
                "unicast_ttl" => draft.unicast_ttl = self.number(line, 0..=255).unwrap_or(draft.unicast_ttl),
                "unicast_peer" => {
                    let peers = self.peers(line, &mut draft.places);
                    draft.peers.get_or_insert_default().extend(peers);
                }
                "garp_master_delay" => draft.garp.delay = self.seconds(line, 0..=FOREVER).unwrap_or(draft.garp.delay),
                "garp_master_repeat" => draft.garp.repeat = self.number(line, COUNT).unwrap_or(draft.garp.repeat),
                "garp_master_refresh" => {
                    draft.garp.refresh = self.seconds(line, 0..=FOREVER).unwrap_or(draft.garp.refresh);
                }
                "garp_master_refresh_repeat" => {
                    draft.garp.refresh_repeat = self.number(line, COUNT).unwrap_or(draft.garp.refresh_repeat);
                }
                "garp_lower_prio_repeat" => {
                    draft.lower_prio_repeat = self.number(line, COUNT).or(draft.lower_prio_repeat);
                }
                "garp_lower_prio_delay" => {
                    draft.lower_prio_delay = self.seconds(line, 0..=FOREVER).or(draft.lower_prio_delay);
                }
                "notify_master" => self.hook(line, defaults, |notify| &mut notify.master, &mut draft.notify),
                "notify_backup" => self.hook(line, defaults, |notify| &mut notify.backup, &mut draft.notify),
                "notify_fault" => self.hook(line, defaults, |notify| &mut notify.fault, &mut draft.notify),
                "notify_stop" => self.hook(line, defaults, |notify| &mut notify.stop, &mut draft.notify),
                "notify" => self.hook(line, defaults, |notify| &mut notify.any, &mut draft.notify),
                // Taken below, when version and interface are known; or reported by the audit; or always so in vipward.
                _ => {}
            }
        }
        draft.garp.lower_prio_repeat = draft.lower_prio_repeat.unwrap_or(draft.garp.repeat);
        draft.garp.lower_prio_delay = draft.lower_prio_delay.unwrap_or(draft.garp.delay);
        self.needed(block, &name, &draft);
        let interface = draft
            .interface
            .clone()
            .or_else(|| defaults.interface.clone())
            .unwrap_or_else(|| InterfaceName::new("eth0"));
        let advert_interval = self.advert_interval(block, draft.version);
        let password = self.authentication(block, &draft);
        let addresses = self.addresses(block, "virtual_ipaddress", &interface, &mut draft.places);
        let excluded = self.addresses(block, "virtual_ipaddress_excluded", &interface, &mut draft.places);
        let track_scripts = self.track_scripts(block, scripts);
        self.track_interfaces(block, &interface);
        self.election(block, &mut draft);
        let (transport, source) = self.transport(block, &draft);
        let Some(vrid) = draft.vrid else { return };
        routers.push(VirtualRouterConfig {
            name,
            initial_state: draft.state,
            interface,
            vrid,
            version: draft.version,
            priority: draft.priority,
            advert_interval,
            preempt: draft.preempt,
            preempt_delay: draft.preempt_delay,
            transport,
            source,
            unicast_ttl: draft.unicast_ttl,
            password,
            addresses,
            excluded,
            track_scripts,
            dont_track_primary,
            down_timer_adverts,
            v3_checksum_as_v2,
            check_unicast_src,
            skip_check_adv_addr,
            lower_prio_no_advert,
            higher_prio_send_advert,
            garp: draft.garp,
            notify: draft.notify,
            places: draft.places,
        });
    }

    fn state(&mut self, line: &Statement) -> InitialState {
        let Some(value) = self.value(line) else { return InitialState::Backup };
        let (state, meant) = match &*value.text {
            "MASTER" => return InitialState::Master,
            "BACKUP" => return InitialState::Backup,
            other if other.eq_ignore_ascii_case("MASTER") => (InitialState::Master, "MASTER"),
            _ => (InitialState::Backup, "BACKUP"),
        };
        self.push(
            Diagnostic::error("bad-value", format!("`state` can't be `{}`", value.text))
                .at(value.span, "must be MASTER or BACKUP, in capitals; keepalived takes BACKUP")
                .help(format!("write `state {meant}`")),
        );
        state
    }

    fn own_ip(&mut self, line: &Statement) -> Option<IpAddr> {
        let value = self.value(line)?;
        let address = self.ip(line, value)?;
        if address.is_ipv6() {
            self.no_ipv6(line.span(), "this virtual router would have no source for its adverts");
            return None;
        }
        Some(address)
    }

    pub(super) fn no_ipv6(&mut self, span: Span, leads_to: &str) {
        self.push(
            Diagnostic::error("no-ipv6", "VRRP for IPv6 is not supported yet")
                .at(span, leads_to)
                .help("delete it here for now; keepalived can serve it in the meantime"),
        );
    }

    fn hook(
        &mut self,
        line: &Statement,
        defaults: &Defaults,
        slot: fn(&mut NotifyScripts) -> &mut Option<crate::command::Command>,
        notify: &mut NotifyScripts,
    ) {
        let command = self.notify(line, defaults.script_user.as_ref());
        let slot = slot(notify);
        if slot.is_none() {
            *slot = command;
        }
    }

    /// What no virtual router can do without.
    fn needed(&mut self, block: &Statement, name: &str, draft: &Draft) {
        let has = |word: &str| super::of(block.lines(), word).next().is_some();
        if !has("virtual_router_id") {
            self.push(
                Diagnostic::error("missing-word", format!("vrrp_instance `{name}` has no `virtual_router_id`"))
                    .at(block.span(), "which virtual router is this?")
                    .help("add `virtual_router_id N`, with the same N on every node"),
            );
        }
        if !has("interface") {
            self.push(
                Diagnostic::error("missing-word", format!("vrrp_instance `{name}` has no `interface`"))
                    .at(block.span(), "where do its adverts go?")
                    .help("add `interface NAME`"),
            );
        }
        if !has("priority") {
            self.push(
                Diagnostic::info("default-priority", format!("vrrp_instance `{name}` has no `priority`"))
                    .at(block.span(), format!("takes {}", draft.priority)),
            );
        }
    }

    /// Version 3 counts in centiseconds up to 40.95 s (RFC 9568 5.2.6), version 2 in whole seconds up to 255 (RFC 3768
    /// 5.3.7).
    fn advert_interval(&mut self, block: &Statement, version: Version) -> AdvertInterval {
        let Some(line) = super::of(block.lines(), "advert_int").last() else { return AdvertInterval::DEFAULT };
        let Some(value) = self.value(line) else { return AdvertInterval::DEFAULT };
        let interval = super::values::seconds(&value.text).filter(|interval| {
            let centis = interval.as_micros() / 10_000;
            let exact = interval.as_micros().is_multiple_of(10_000);
            match version {
                Version::V2 => exact && centis.is_multiple_of(100) && (100..=25500).contains(&centis),
                Version::V3 => exact && (1..=4095).contains(&centis),
            }
        });
        let centis = interval.and_then(|interval| u16::try_from(interval.as_millis() / 10).ok());
        match centis.and_then(AdvertInterval::from_centis) {
            Some(interval) => interval,
            None => {
                let (must, help) = match version {
                    Version::V2 => {
                        ("whole seconds from 1 to 255 in VRRPv2", "shorter intervals need `version 3` on every node")
                    }
                    Version::V3 => {
                        ("seconds from 0.01 to 40.95 in steps of 0.01", "the advert has no room for other values")
                    }
                };
                self.push(
                    Diagnostic::error("bad-value", format!("`advert_int` can't be `{}`", value.text))
                        .at(value.span, format!("must be {must}"))
                        .help(help),
                );
                AdvertInterval::DEFAULT
            }
        }
    }

    fn authentication(&mut self, block: &Statement, draft: &Draft) -> Option<[u8; 8]> {
        let mut password = None;
        for auth in super::of(block.lines(), "authentication") {
            if draft.version == Version::V3 {
                self.push(
                    Diagnostic::warning("no-authentication", "VRRPv3 has no authentication")
                        .at(auth.span(), "ignored, as keepalived does")
                        .help("delete the block"),
                );
                continue;
            }
            if draft.strict {
                self.push(
                    Diagnostic::error("no-authentication", "strict mode drops authentication")
                        .at(auth.span(), "has no effect")
                        .note("RFC 3768 removed it from VRRPv2")
                        .help("delete the block on every node, or `vrrp_strict`"),
                );
                continue;
            }
            password = self.password(auth).or(password);
        }
        password
    }

    fn password(&mut self, auth: &Statement) -> Option<[u8; 8]> {
        let kind = super::of(auth.lines(), "auth_type").last();
        let pass = super::of(auth.lines(), "auth_pass").last();
        if let Some((line, value)) = kind.and_then(|line| Some((line, self.value(line)?)))
            && &*value.text == "AH"
        {
            self.push(
                Diagnostic::error("no-ah", "authentication by AH is not supported")
                    .at(line.span(), "nodes that use it would drop our adverts, and we theirs")
                    .help("delete the block on every node; to keep strangers out, use a packet filter or unicast_peer"),
            );
            return None;
        }
        if let Some(line) = kind {
            self.choice(line, &[("PASS", ())]);
        } else if pass.is_some() {
            self.push(
                Diagnostic::error("missing-word", "`authentication` has no `auth_type`")
                    .at(auth.span(), "no authentication without it")
                    .help("add `auth_type PASS`, or delete the block"),
            );
        }
        let Some(line) = pass else {
            // Both on one line: the audit has said it.
            if kind.is_some_and(|line| line.args.iter().any(|word| &*word.text == "auth_pass")) {
                return None;
            }
            self.push(
                Diagnostic::error("missing-word", "`authentication` has no `auth_pass`")
                    .at(auth.span(), "no password, no authentication")
                    .help("add `auth_pass PASSWORD`, or delete the block on every node"),
            );
            return None;
        };
        let value = self.value(line)?;
        let bytes = value.text.as_bytes();
        let same = bytes.iter().all(|byte| Some(byte) == bytes.first());
        if PUBLIC.contains(&&*value.text) || same {
            self.push(
                Diagnostic::warning("public-password", format!("`auth_pass {}` protects nothing", value.text))
                    .at(value.span, "everybody knows this one, and adverts carry it in clear text")
                    .help("delete `authentication` on every node; to keep strangers out, use a packet filter or unicast_peer"),
            );
        }
        if bytes.len() > 8 {
            let counts: String = value
                .text
                .chars()
                .scan(0, |length, c| {
                    *length += c.len_utf8();
                    (*length <= 8).then_some(c)
                })
                .collect();
            self.push(
                Diagnostic::warning("long-password", "only the first 8 characters of `auth_pass` count")
                    .at(value.span, format!("`{counts}` is all that counts"))
                    .help("cut it to 8 characters on every node"),
            );
        }
        let mut password = [0; 8];
        for (slot, byte) in password.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        Some(password)
    }

    fn peers(&mut self, list: &Statement, places: &mut Places) -> Vec<IpAddr> {
        let mut peers = Vec::new();
        for line in list.lines() {
            let word = &line.word;
            match word.text.parse::<IpAddr>() {
                Ok(IpAddr::V6(_)) => self.no_ipv6(word.span, "this peer would hear nothing"),
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
        peers
    }

    pub(super) fn bad_address(&mut self, word: &Word, list: &str) {
        let mut diagnostic = Diagnostic::error("bad-address", format!("`{}` is no IP address", word.text))
            .at(word.span, format!("a line of `{list}` begins with an address"));
        let digits = word.text.trim_end_matches(|c: char| !c.is_ascii_digit());
        if digits.len() < word.text.len() && parse_prefixed(digits).is_ok() {
            diagnostic = diagnostic.help(format!("write `{digits}`"));
        }
        self.push(diagnostic);
    }

    pub(super) fn unknown_option(&mut self, word: &Word, known: &[&str], list: &str) {
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{}`", word.text))
            .at(word.span, format!("not an option of a line in `{list}`"));
        if let Some(near) = nearest_name(&word.text, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("`{near}` is near"));
        } else if word.text.parse::<IpAddr>().is_ok() || parse_prefixed(&word.text).is_ok() {
            diagnostic = diagnostic.help("put each address on a line of its own");
        }
        self.push(diagnostic);
    }

    fn track_scripts(&mut self, block: &Statement, scripts: &BTreeMap<Arc<str>, VrrpScript>) -> Vec<TrackedScript> {
        let mut tracked: Vec<TrackedScript> = Vec::new();
        for line in super::of(block.lines(), "track_script").flat_map(|list| list.lines()) {
            let name = &line.word;
            self.tracked.insert(name.text.to_string());
            let Some(script) = scripts.get(&*name.text) else {
                if self.report.is_full() {
                    continue;
                }
                let mut diagnostic =
                    Diagnostic::error("unknown-script", format!("there is no vrrp_script called `{}`", name.text))
                        .at(name.span, "this check would never run");
                diagnostic = match nearest_name(&name.text, scripts.keys().map(|name| &**name)) {
                    Some(near) => {
                        self.tracked.insert(near.to_owned());
                        let place = scripts.get(near).map(|script| script.places.of("")).unwrap_or_default();
                        diagnostic.also(place, "is this one meant?").help(format!("write `{near}`"))
                    }
                    None => {
                        diagnostic.help(format!("define `vrrp_script {} {{ ... }}`, or delete the line", name.text))
                    }
                };
                self.push(diagnostic);
                continue;
            };
            let defined = script.places.of("");
            if defined.file == name.span.file && defined.start > name.span.start {
                self.push(
                    Diagnostic::info(
                        "late-script",
                        format!("`{}` is defined after the instance that tracks it", name.text),
                    )
                    .at(name.span, "fine here; keepalived 2.2 would ignore this line")
                    .also(defined, "defined here")
                    .help("move the vrrp_script above the instance if keepalived is to read this file too"),
                );
            }
            let weight = match line.args.split_first() {
                None => script.weight,
                Some((word, rest)) if &*word.text == "weight" => {
                    let reverse_given = rest.len() > 1;
                    match self.track_weight(line, rest) {
                        Some(weight) if reverse_given => weight,
                        Some(weight) => super::super::model::TrackWeight { reverse: script.weight.reverse, ..weight },
                        None => script.weight,
                    }
                }
                Some((word, _)) => {
                    self.unknown_option(word, &["weight"], "track_script");
                    script.weight
                }
            };
            if tracked.iter().all(|other| *other.script != *name.text) {
                tracked.push(TrackedScript { script: script.name.clone(), weight });
            }
        }
        tracked
    }

    fn track_interfaces(&mut self, block: &Statement, interface: &InterfaceName) {
        for line in super::of(block.lines(), "track_interface").flat_map(|list| list.lines()) {
            let name = &line.word;
            if &*name.text == interface.as_str() && line.args.is_empty() {
                self.push(
                    Diagnostic::info("tracked-anyway", format!("`{}` is tracked anyway", name.text))
                        .at(name.span, "an instance always tracks its own interface")
                        .help("delete the line"),
                );
            } else {
                self.report.once("track_interface", name.span, || {
                    Diagnostic::warning("not-yet", "`track_interface` is known, but vipward does not act on it yet")
                        .at(name.span, "when this interface fails, the virtual router stays where it is")
                });
            }
        }
    }

    /// Words that contradict each other in the election.
    fn election(&mut self, block: &Statement, draft: &mut Draft) {
        let master = draft.state == InitialState::Master;
        let places = &draft.places;
        let mut found = Vec::new();
        if master && !draft.preempt {
            found.push(
                Diagnostic::warning("nopreempt-master", "`nopreempt` does nothing with `state MASTER`")
                    .at(places.of("nopreempt"), "dropped: this node always takes the addresses back")
                    .also(places.of("state"), "because of this")
                    .help("write `state BACKUP` on every node; the highest priority still wins at the start"),
            );
        }
        if master && !draft.preempt_delay.is_zero() {
            found.push(
                Diagnostic::warning("nopreempt-master", "`preempt_delay` does nothing with `state MASTER`")
                    .at(places.of("preempt_delay"), "dropped")
                    .also(places.of("state"), "because of this")
                    .help("write `state BACKUP`"),
            );
        }
        if draft.priority == Priority::OWNER {
            let text = "255 means: the VIP is this host's own address; it never yields, and its priority never changes";
            let help = if master {
                "use 254 or less unless the host really owns the VIP"
            } else {
                "use 254 or less, or write `state MASTER` if the host really owns the VIP"
            };
            found.push(
                Diagnostic::warning("address-owner", "`priority 255` makes this node the address owner")
                    .at(places.of("priority"), text)
                    .help(help),
            );
        }
        if super::of(block.lines(), "no_virtual_ipaddress").next().is_none() {
            let lists = ["virtual_ipaddress", "virtual_ipaddress_excluded"];
            let written =
                lists.iter().flat_map(|list| super::of(block.lines(), list)).any(|list| !list.lines().is_empty());
            if !written {
                found.push(
                    Diagnostic::warning("no-addresses", "this virtual router has no address")
                        .at(block.span(), "there is nothing to take over")
                        .help("add `virtual_ipaddress { ADDRESS/PREFIX }`"),
                );
            }
        }
        for diagnostic in found {
            self.push(diagnostic);
        }
        if master {
            draft.preempt = true;
            draft.preempt_delay = Duration::ZERO;
        }
    }

    fn transport(&mut self, block: &Statement, draft: &Draft) -> (Transport, Option<IpAddr>) {
        let multicast = Transport::Multicast { group: draft.group };
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
        let list = super::of(block.lines(), "unicast_peer").next();
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
