//! `global_defs`: settings of the director, and what it hands down to virtual routers.

use super::Block;
use super::fifo;
use super::global_process;
use super::lvs::SyncLine;
use super::row::Default::{Is, Nothing, Told};
use super::row::Status::{Acted, Always, Kept};
use super::row::{
    FOREVER, Row, Table, choice, flag, interface, ipv4, number, opens, row, seconds, switch, text, texts,
};
use super::said::{self, Said};
use super::values::keep;
use super::vrrp_garp::{self, Announcements, Announces};
use crate::command::ScriptUser;
use crate::config::GlobalDefs;
use crate::config::places::Places;
use crate::interface::InterfaceName;
use crate::quantity::Version;
use crate::time::Duration;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, std::default::Default)]
pub(in crate::config) struct Draft {
    pub global: GlobalDefs,
    pub inherited: Inherited,
    min_garp: bool,
    pub sync: Option<SyncLine>,
    pub(super) fifos: fifo::Lines,
}

/// What a virtual router takes when it says nothing itself.
#[derive(Clone, Debug)]
pub(in crate::config) struct Inherited {
    pub interface: Option<InterfaceName>,
    pub version: Version,
    pub group: Ipv4Addr,
    pub group6: Ipv6Addr,
    pub down_timer_adverts: u8,
    pub v3_checksum_as_v2: Option<bool>,
    pub lower_prio_no_advert: bool,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub strict: bool,
    pub script_user: Option<ScriptUser>,
    pub announcements: Announcements,
    /// `vrrp_notify_priority_changes`.
    pub priority_changes: bool,
}

impl std::default::Default for Inherited {
    /// Before the rows have said what holds.
    fn default() -> Self {
        Self {
            interface: None,
            version: Version::V2,
            group: Ipv4Addr::UNSPECIFIED,
            group6: Ipv6Addr::UNSPECIFIED,
            down_timer_adverts: 0,
            v3_checksum_as_v2: None,
            lower_prio_no_advert: false,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            strict: false,
            script_user: None,
            announcements: Announcements::default(),
            priority_changes: false,
        }
    }
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.global.places)
    }
}

impl Announces for Draft {
    fn announcements(&mut self) -> &mut Announcements {
        &mut self.inherited.announcements
    }
}

pub(in crate::config) const TABLE: Table<Draft> =
    Table { block: Block::GlobalDefs, rows: &[ROWS, GARP, fifo::ROWS, global_process::ROWS] };

pub(super) const VERSIONS: [(&str, Version); 2] = [("2", Version::V2), ("3", Version::V3)];

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("router_id", text("NAME"), Told("the host's name"), Acted(|said, draft| {
        draft.global.router_id = said.string();
    }), "name of this director in mails and logs"),
    row("default_interface", interface(), Nothing, Acted(|said, draft| {
        draft.inherited.interface = said.interface();
    }), "where an address without `dev` goes when no virtual router says so"),
    row("dynamic_interfaces", text("allow_if_changes").optional(), Nothing, Always("interfaces may come and go"), "interfaces may appear later"),
    row("checker_log_all_failures", switch(), Nothing, Always("every failure is logged"), "log every failed probe"),
    row("log_unknown_vrids", flag(), Nothing, Always("they are logged"), "log adverts for virtual routers that are not configured"),
    row("reload_check_config", text("FILE").optional(), Nothing, Always("a reload checks first"), "check a new file before reloading"),
    row("include_check", texts(0, 4, "[+|-]{readable | match | wildcard_match | brace_match}..."), Nothing, Always("a missing file is always reported"), "a missing include is an error"),
    row("vrrp_version", choice(&["2", "3"]), Is("2"), Acted(|said, draft| {
        keep(&mut draft.inherited.version, said.choice(&VERSIONS));
    }), "VRRP version of instances that name none"),
    row("vrrp_mcast_group4", ipv4(), Is("224.0.0.18"), Acted(|said, draft| {
        let group = said.value().and_then(|value| said.lower.group(said.line, value));
        keep(&mut draft.inherited.group, group);
    }), "multicast group of IPv4 adverts"),
    row("vrrp_mcast_group6", text("IPV6"), Is("ff02::12"), Acted(|said, draft| {
        if let Some(value) = said.value() {
            match said.lower.any_group(said.line, value) {
                Some(IpAddr::V6(group)) => draft.inherited.group6 = group,
                Some(IpAddr::V4(_)) => said.lower.bad(said.line, value, "an IPv6 multicast address, such as ff02::12"),
                None => {}
            }
        }
    }), "multicast group of IPv6 adverts"),
    row("vrrp_down_timer_adverts", number(1, 100), Is("3"), Acted(|said, draft| {
        keep(&mut draft.inherited.down_timer_adverts, said.number());
    }), "adverts missed before takeover"),
    row("v3_checksum_as_v2", switch(), Told("with it, and without it to peers that leave it out"), Acted(|said, draft| {
        draft.inherited.v3_checksum_as_v2 = Some(said.switch());
    }), "VRRPv3 over IPv4 without the pseudo header in the checksum"),
    row("vrrp_lower_prio_no_advert", switch(), Is("off"), Acted(|said, draft| {
        draft.inherited.lower_prio_no_advert = said.switch();
    }), "a MASTER does not answer an advert of lower priority"),
    row("vrrp_higher_prio_send_advert", switch(), Nothing, Always("every MASTER that yields does"),
        "a MASTER sends one more advert before it yields"),
    row("vrrp_check_unicast_src", flag(), Nothing, Acted(|_, draft| {
        draft.inherited.check_unicast_src = true;
    }), "drop unicast adverts that come from no peer"),
    row("vrrp_skip_check_adv_addr", switch(), Is("off"), Kept(|said, draft| {
        draft.inherited.skip_check_adv_addr = said.switch();
    }, "the addresses of every advert are compared"), "check a MASTER's addresses only in its first advert"),
    row("vrrp_strict", flag(), Nothing, Kept(|_, draft| {
        draft.inherited.strict = true;
    }, "of its rules only one is kept: no authentication"), "refuse what the RFC does not know"),
    row("vrrp_min_garp", switch(), Is("off"), Acted(|said, draft| {
        draft.min_garp = said.switch();
    }), "one announcement and no second burst"),
    row("script_user", texts(1, 2, "USER [GROUP]"), Nothing, Acted(|said, draft| {
        draft.inherited.script_user = said.user();
    }), "who runs scripts that name no user"),
    row("enable_script_security", flag(), Nothing, Acted(|_, draft| {
        draft.global.script_security = true;
    }), "refuse a script of root whose file others may write"),
    row("notification_email", opens(Block::Lines), Nothing, Acted(|said, draft| {
        let line = said.line;
        for word in line.lines().iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args)) {
            draft.global.notification_email.extend(said.mail_address(word));
        }
    }), "who gets mail"),
    row("notification_email_from", text("ADDRESS"), Told("root@ and the host's name"), Acted(|said, draft| {
        draft.global.notification_email_from = said.value().and_then(|word| said.mail_address(word));
    }), "sender of mail"),
    row("smtp_server", texts(1, 2, "HOST [PORT]"), Nothing, Acted(|said, draft| {
        let port = said.line.args.get(1).and_then(|port| said.lower.port(said.line, port)).unwrap_or(25);
        draft.global.smtp_server = said.host_name().map(|host| (host, port));
    }), "mail server; port 25 if none is written"),
    row("smtp_connect_timeout", seconds(1, FOREVER), Is("30"), Acted(|said, draft| {
        keep(&mut draft.global.smtp_connect_timeout, said.seconds());
    }), "how long the mail server may take to be reached, and for each answer"),
    row("smtp_helo_name", text("NAME"), Told("the host's name"), Acted(|said, draft| {
        draft.global.smtp_helo_name = said.host_name();
    }), "name in the greeting to the mail server"),
    row("smtp_alert", switch(), Nothing, Acted(|said, draft| draft.global.alerts.all = Some(said.switch())), "mail on changes unless a block says otherwise"),
    row("smtp_alert_vrrp", switch(), Told("`smtp_alert`"), Acted(|said, draft| draft.global.alerts.vrrp = Some(said.switch())), "mail on role changes unless an instance says otherwise"),
    row("smtp_alert_checker", switch(), Told("`smtp_alert`"), Acted(|said, draft| draft.global.alerts.checker = Some(said.switch())), "mail on health changes unless a server says otherwise"),
    row("no_email_faults", flag(), Nothing, Acted(|_, draft| draft.global.alerts.no_faults = true), "no mail for FAULT"),
    row("no_checker_emails", flag(), Nothing, Always("a mail is about a real server, never about one checker"), "no mail for single checkers"),
    row("vrrp_garp_interval", seconds(0, FOREVER), Is("0"), Acted(|said, draft| {
        keep(&mut draft.global.announcement_pauses.garp, said.seconds());
    }), "pause between two gratuitous ARPs on an interface"),
    row("vrrp_gna_interval", seconds(0, FOREVER), Is("0"), Acted(|said, draft| {
        keep(&mut draft.global.announcement_pauses.gna, said.seconds());
    }), "pause between two neighbour advertisements on an interface"),
];

const GARP: &[Row<Draft>] = &vrrp_garp::rows(
    [
        "vrrp_garp_master_repeat",
        "vrrp_garp_master_delay",
        "vrrp_garp_master_refresh",
        "vrrp_garp_master_refresh_repeat",
        "vrrp_garp_lower_prio_repeat",
        "vrrp_garp_lower_prio_delay",
    ],
    vrrp_garp::OWN,
);

/// Takes a block in; several are read as one.
pub(super) fn read(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    draft.global.places.head(said.line.span());
    draft.min_garp = false;
    said.lower.fill(&TABLE, said.line.lines(), draft);
    if draft.min_garp {
        let announcements = &mut draft.inherited.announcements;
        (announcements.garp.repeat, announcements.garp.delay) = (1, Duration::ZERO);
        announcements.lower_prio_repeat.get_or_insert(1);
        announcements.lower_prio_delay.get_or_insert(Duration::ZERO);
    }
}
