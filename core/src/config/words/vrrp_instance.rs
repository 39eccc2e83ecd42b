//! `vrrp_instance`: what its words add up to. The rows are in `vrrp_instance_words`.

use super::authentication;
use super::said::{self, Lower, Said};
use super::track_script::Tracks;
use super::values::parse_seconds;
use super::vrrp_garp::{Announcements, Announces};
pub(super) use super::vrrp_instance_words::TABLE;
use crate::config::NotifyScripts;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{Adverts, InitialState, Interfaces, Preemption, Tracked, Tracking, VirtualRouterConfig};
use crate::interface::{InterfaceAddress, InterfaceName};
use crate::quantity::{AdvertInterval, Priority, Version, Vrid};
use crate::route::{Route, VirtualRule};
use crate::text::{Diagnostic, Span};
use crate::time::Duration;
use std::net::IpAddr;

/// What stands in an instance before it is known to be whole.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub state: InitialState,
    pub interface: Option<InterfaceName>,
    /// `lvs_sync_daemon_interface`, and where it stands.
    pub sync: Option<(InterfaceName, Span)>,
    pub vrid: Option<Vrid>,
    pub version: Version,
    pub priority: Priority,
    /// As written, and where: what is allowed depends on the version.
    pub advert_int: Option<(String, Span)>,
    pub preempt: bool,
    pub preempt_delay: Duration,
    /// Without it that of the family.
    pub group: Option<IpAddr>,
    pub mcast_source: Option<IpAddr>,
    pub unicast_source: Option<IpAddr>,
    pub peers: Option<Vec<IpAddr>>,
    pub unicast_ttl: u8,
    /// Each `authentication`, and where: whether there may be one depends on the version.
    pub authentications: Vec<(authentication::Draft, Span)>,
    pub addresses: Vec<InterfaceAddress>,
    pub excluded: Vec<InterfaceAddress>,
    pub routes: Vec<Route>,
    pub rules: Vec<VirtualRule>,
    pub no_address_meant: bool,
    pub tracked: Vec<Tracked>,
    pub dont_track_primary: bool,
    pub down_timer_adverts: u8,
    pub strict: bool,
    pub v3_checksum_as_v2: Option<bool>,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub lower_prio_no_advert: bool,
    pub announcements: Announcements,
    pub notify: NotifyScripts,
    pub smtp_alert: Option<bool>,
    pub places: Places,
}

impl Default for Draft {
    /// Before the rows have said what holds.
    fn default() -> Self {
        Self {
            state: InitialState::Backup,
            interface: None,
            sync: None,
            vrid: None,
            version: Version::V2,
            priority: Priority::DEFAULT,
            advert_int: None,
            preempt: true,
            preempt_delay: Duration::ZERO,
            group: None,
            mcast_source: None,
            unicast_source: None,
            peers: None,
            unicast_ttl: 0,
            authentications: Vec::new(),
            addresses: Vec::new(),
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            no_address_meant: false,
            tracked: Vec::new(),
            dont_track_primary: false,
            down_timer_adverts: 0,
            strict: false,
            v3_checksum_as_v2: None,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            lower_prio_no_advert: false,
            announcements: Announcements::default(),
            notify: NotifyScripts::default(),
            smtp_alert: None,
            places: Places::default(),
        }
    }
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

impl Tracks for Draft {
    fn tracks(&mut self) -> (&mut Vec<Tracked>, &mut Places) {
        (&mut self.tracked, &mut self.places)
    }
}

impl Announces for Draft {
    fn announcements(&mut self) -> &mut Announcements {
        &mut self.announcements
    }
}

impl Draft {
    /// Takes over what `global_defs` says.
    fn inherit(&mut self, lower: &Lower<'_>) {
        let outer = &lower.memory.global.inherited;
        self.version = outer.version;
        self.strict = outer.strict;
        self.down_timer_adverts = outer.down_timer_adverts;
        self.v3_checksum_as_v2 = outer.v3_checksum_as_v2;
        self.check_unicast_src = outer.check_unicast_src;
        self.skip_check_adv_addr = outer.skip_check_adv_addr;
        self.lower_prio_no_advert = outer.lower_prio_no_advert;
        self.notify.priority_changes = outer.priority_changes;
        self.announcements = outer.announcements.handed_down();
    }

    /// Where addresses without `dev` go.
    pub fn device(&self, lower: &Lower<'_>) -> InterfaceName {
        let outer = || lower.memory.global.inherited.interface.clone();
        self.interface.clone().or_else(outer).unwrap_or_else(|| InterfaceName::new("eth0"))
    }
}

pub(super) fn read(said: &mut Said<'_, '_, '_>, routers: &mut Vec<VirtualRouterConfig>) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.inherit(said.lower);
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Some(name) = said.name() else { return };
    let lower = &mut *said.lower;
    lower.sync_of_instance(&name, draft.sync.take());
    lower.needed(block, &name, &draft);
    let family = lower.family(&mut draft);
    lower.first_address(&draft);
    lower.version(family, &mut draft);
    let before = lower.report.errors();
    let (password, ah) = lower.authentication(family, &draft);
    if lower.report.errors() > before {
        draft.places.mistaken("authentication");
    }
    let before = lower.report.errors();
    let advert_interval = lower.advert_interval(&draft);
    if lower.report.errors() > before {
        draft.places.mistaken("advert_int");
    }
    lower.election(block, &mut draft);
    if ah {
        // It must hear first where the others are in the sequence; keepalived 2.2.7 does the same.
        draft.state = InitialState::Backup;
    }
    let (transport, source) = lower.transport(block, family, &draft);
    let Some(vrid) = draft.vrid else { return };
    let mut interfaces = Interfaces::all(draft.device(lower));
    if draft.dont_track_primary {
        interfaces.tracked = None;
    }
    routers.push(VirtualRouterConfig {
        name,
        initial_state: draft.state,
        interfaces,
        vrid,
        family,
        version: draft.version,
        priority: draft.priority,
        preemption: Preemption { on: draft.preempt, delay: draft.preempt_delay },
        adverts: Adverts {
            interval: advert_interval,
            down_timer: draft.down_timer_adverts,
            v3_checksum_as_v2: draft.v3_checksum_as_v2,
            check_unicast_src: draft.check_unicast_src,
            skip_check_adv_addr: draft.skip_check_adv_addr,
            lower_prio_no_advert: draft.lower_prio_no_advert,
        },
        transport,
        source,
        unicast_ttl: draft.unicast_ttl,
        password,
        ah,
        addresses: draft.addresses,
        excluded: draft.excluded,
        routes: draft.routes,
        rules: draft.rules,
        tracking: Tracking { list: draft.tracked },
        announcements: draft.announcements.whole(),
        notify: NotifyScripts { mail: lower.memory.global.global.role_mails(draft.smtp_alert), ..draft.notify },
        places: draft.places,
    });
}

impl Lower<'_> {
    /// What no virtual router can do without.
    fn needed(&mut self, block: &Statement<'_>, name: &str, draft: &Draft) {
        let has = |word: &str| said::of(block.lines(), word).next().is_some();
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

    /// Version 3 counts in centiseconds up to 40.95 s (RFC 9568 5.2.7), version 2 in whole seconds up to 255 (RFC 3768
    /// 5.3.7).
    fn advert_interval(&mut self, draft: &Draft) -> AdvertInterval {
        let Some((text, span)) = &draft.advert_int else { return AdvertInterval::DEFAULT };
        let version = draft.version;
        let interval = parse_seconds(text).filter(|interval| {
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
                    Diagnostic::error("bad-value", format!("`advert_int` can't be `{}`", text))
                        .at(*span, format!("must be {must}"))
                        .help(help),
                );
                AdvertInterval::DEFAULT
            }
        }
    }

    /// Words that contradict each other in the election.
    fn election(&mut self, block: &Statement<'_>, draft: &mut Draft) {
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
            let text = "255 means: the VIP is this host's own address; it yields to another owner at most, and its priority never changes";
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
        if !draft.no_address_meant {
            let lists = ["virtual_ipaddress", "virtual_ipaddress_excluded"];
            let written =
                lists.iter().flat_map(|list| said::of(block.lines(), list)).any(|list| !list.lines().is_empty());
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
}
