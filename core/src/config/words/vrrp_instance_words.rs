//! The words of `vrrp_instance`.

use super::Block;
use super::authentication;
use super::global_defs::VERSIONS;
use super::row::Default::{Is, Nothing, Of, Told};
use super::row::Status::{Acted, Also, Always, Dead, Kept, NotYet, Renamed};
use super::row::{Row, Table, choice, command, flag, interface, ip, number, opens, row, seconds, switch, text, texts};
use super::said::Said;
use super::values::keep;
use super::vrrp_garp;
use super::vrrp_instance::Draft;
use crate::command::Command;
use crate::config::InitialState;
use crate::config::NotifyScripts;
use crate::quantity::{Priority, Vrid};
use crate::text::Diagnostic;
use std::net::IpAddr;

pub(super) const TABLE: Table<Draft> = Table { block: Block::VrrpInstance, rows: &[ROWS, GARP, LATER] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("state", choice(&["MASTER", "BACKUP"]), Is("BACKUP"), Acted(|said, draft| {
        draft.state = state(said);
    }), "role that is hoped for at the start; the election decides"),
    row("interface", interface(), Nothing, Acted(|said, draft| {
        draft.interface = said.interface();
    }), "where adverts go and addresses live"),
    row("virtual_router_id", number(1, 255), Nothing, Acted(|said, draft| {
        draft.vrid = said.number().and_then(Vrid::new);
    }), "VRID: the same on all nodes of one virtual router"),
    row("version", choice(&["2", "3"]), Of(Block::GlobalDefs, "vrrp_version"), Acted(|said, draft| {
        keep(&mut draft.version, said.choice(&VERSIONS));
    }), "VRRP version"),
    row("priority", number(1, 255), Is("100"), Acted(|said, draft| {
        keep(&mut draft.priority, said.number().and_then(Priority::new));
    }), "the highest wins; 255: address owner"),
    row("advert_int", text("SECONDS"), Is("1"), Acted(|said, draft| {
        match said.value() {
            Some(value) if value.text == "=" => said.lower.bad(said.line, value, "seconds"),
            Some(value) => draft.advert_int = Some((value.text.to_string(), value.span)),
            None => {}
        }
    }), "time between two adverts: whole seconds from 1 to 255 in version 2, from 0.01 to 40.95 in version 3"),
    row("nopreempt", flag(), Nothing, Acted(|_, draft| draft.preempt = false), "leave a MASTER of lower priority alone; needs `state BACKUP`"),
    row("preempt", flag(), Nothing, Always("it is the default"), "take over from a MASTER of lower priority"),
    row("preempt_delay", seconds(0, 1_000_000), Is("0"), Acted(|said, draft| {
        draft.preempt_delay = said.seconds().unwrap_or_default();
    }), "time to wait before taking over from a MASTER of lower priority"),
    row("down_timer_adverts", number(1, 100), Of(Block::GlobalDefs, "vrrp_down_timer_adverts"), Acted(|said, draft| {
        keep(&mut draft.down_timer_adverts, said.number());
    }), "adverts missed before takeover"),
    row("skip_check_adv_addr", switch(), Of(Block::GlobalDefs, "vrrp_skip_check_adv_addr"), Kept(|said, draft| {
        draft.skip_check_adv_addr = said.switch();
    }, "the addresses of every advert are compared"), "check a MASTER's addresses only in its first advert"),
    row("strict_mode", switch(), Of(Block::GlobalDefs, "vrrp_strict"), Kept(|said, draft| {
        draft.strict = said.switch();
    }, "of its rules only one is kept: no authentication"), "refuse what the RFC does not know"),
    row("lower_prio_no_advert", switch(), Of(Block::GlobalDefs, "vrrp_lower_prio_no_advert"), Acted(|said, draft| {
        draft.lower_prio_no_advert = said.switch();
    }), "do not answer an advert of lower priority"),
    row("higher_prio_send_advert", switch(), Nothing, Always("every MASTER that yields does"), "send one more advert before yielding"),
    row("v3_checksum_as_v2", switch(), Of(Block::GlobalDefs, "v3_checksum_as_v2"), Acted(|said, draft| {
        draft.v3_checksum_as_v2 = Some(said.switch());
    }), "VRRPv3 over IPv4 without the pseudo header in the checksum"),
    row("mcast_src_ip", ip(), Told("the interface's first address"), Acted(|said, draft| {
        draft.mcast_source = own_ip(said);
    }), "source of multicast adverts"),
    row("mcast_dst_ip", ip(), Of(Block::GlobalDefs, "vrrp_mcast_group4"), Acted(|said, draft| {
        let group = said.value().and_then(|value| said.lower.any_group(said.line, value));
        draft.group = group.or(draft.group);
    }), "multicast group of this instance; with IPv6 addresses `vrrp_mcast_group6` is the default"),
    row("unicast_src_ip", ip(), Told("the interface's first address"), Acted(|said, draft| {
        draft.unicast_source = own_ip(said);
    }), "source of unicast adverts"),
    row("unicast_peer", opens(Block::Peers), Nothing, Acted(|said, draft| {
        said.lower.peers(said.line, &mut draft.places, draft.peers.get_or_insert_default());
    }), "send adverts to these nodes only"),
    row("unicast_ttl", number(0, 255), Is("255"), Acted(|said, draft| {
        keep(&mut draft.unicast_ttl, said.number());
    }), "TTL of unicast adverts"),
    row("check_unicast_src", flag(), Of(Block::GlobalDefs, "vrrp_check_unicast_src"), Acted(|_, draft| {
        draft.check_unicast_src = true;
    }), "drop adverts that come from no peer"),
    row("authentication", opens(Block::Authentication), Nothing, Acted(authenticate), "a password in every advert, in clear text, or the key of an authentication header (VRRPv2)"),
    row("virtual_ipaddress", opens(Block::Addresses), Nothing, Acted(|said, draft| {
        let device = draft.device(said.lower);
        said.lower.addresses(said.line, &device, &mut draft.places, &mut draft.addresses);
    }), "the addresses of the virtual router; adverts list them"),
    row("virtual_ipaddress_excluded", opens(Block::Addresses), Nothing, Acted(|said, draft| {
        let device = draft.device(said.lower);
        said.lower.addresses(said.line, &device, &mut draft.places, &mut draft.excluded);
    }), "addresses of either family that move along but are in no advert"),
    row("virtual_routes", opens(Block::Lines), Nothing, Acted(|said, draft| {
        said.lower.routes(said.line, &mut draft.places, &mut draft.routes);
    }), "routes of the MASTER, in the words of `ip route`; `no_track`: not put back before it is MASTER again"),
    row("virtual_rules", opens(Block::Lines), Nothing, Acted(|said, draft| {
        said.lower.rules(said.line, &mut draft.places, &mut draft.rules);
    }), "policy rules of the MASTER, in the words of `ip rule`; `no_track`: not put back before it is MASTER again"),
    row("native_ipv6", flag(), Nothing, Acted(|_, _| {}), "IPv6, where no address says so"),
    row("no_virtual_ipaddress", flag(), Nothing, Acted(|_, draft| draft.no_address_meant = true), "it is meant that there is none"),
    row("accept", flag(), Nothing, Always("it is the default"), "take packets for the addresses"),
    row("dont_track_primary", flag(), Nothing, Acted(|_, draft| draft.dont_track_primary = true), "the instance's own interface may be down"),
    row("track_interface", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let device = draft.device(said.lower);
        said.lower.track_interfaces(said.line, Some(&device), draft);
    }), "other interfaces that must be up, or change the priority"),
    row("track_script", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let scripts = std::mem::take(&mut said.lower.memory.scripts);
        said.lower.track_scripts(said.line, &scripts, draft);
        said.lower.memory.scripts = scripts;
    }), "scripts that must succeed, or change the priority"),
    row("notify_master", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.master)), "command on becoming MASTER"),
    row("notify_backup", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.backup)), "command on becoming BACKUP"),
    row("notify_fault", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.fault)), "command on FAULT"),
    row("notify_stop", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.stop)), "command on stop"),
    row("notify_deleted", texts(0, 3, "[COMMAND [USER [GROUP]]]"), Nothing, Acted(|said, draft| {
        draft.notify.tells_deleted = true;
        if !said.line.args.is_empty() { hook(said, &mut draft.notify, |it| &mut it.deleted); }
    }), "when a reload removes the instance `notify` gets DELETED instead of FAULT, and this command runs"),
    row("notify_master_rx_lower_pri", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.rx_lower_pri)), "command when a MASTER hears a lower priority; eight times at once, then once a second at most"),
    row("notify", command(), Nothing, Acted(|said, draft| hook(said, &mut draft.notify, |it| &mut it.any)), "command on every change; gets kind, name, role and priority"),
];

const GARP: &[Row<Draft>] = &vrrp_garp::rows(
    [
        "garp_master_repeat",
        "garp_master_delay",
        "garp_master_refresh",
        "garp_master_refresh_repeat",
        "garp_lower_prio_repeat",
        "garp_lower_prio_delay",
    ],
    vrrp_garp::HANDED_DOWN,
);

/// Not acted on yet, or any more.
#[rustfmt::skip]
const LATER: &[Row<Draft>] = &[
    row("owner_ignore_adverts", switch(), Nothing, NotYet(""), "an address owner does not listen"),
    row("timer_expired_backup", number(1, 254).optional(), Nothing, NotYet("a MASTER that did not run for too long always becomes BACKUP first"), "a late MASTER steps down"),
    row("thread_timer_expired", texts(0, 9, ""), Nothing, Dead("write `timer_expired_backup`"), "early name of timer_expired_backup"),
    row("debug", number(0, 4).optional(), Nothing, Dead("it has no effect in keepalived either"), "debug level"),
    row("unicast_fault_no_peer", flag(), Nothing, NotYet(""), "FAULT when the list of peers is empty"),
    row("old_unicast_checksum", text("never").optional(), Nothing, NotYet(""), "checksum as before keepalived 1.3.6"),
    row("vrf", interface(), Nothing, NotYet(""), "VRF of an instance without interface"),
    row("track_src_ip", flag(), Nothing, NotYet(""), "FAULT when the source address is gone"),
    row("kernel_rx_buf_size", text("BYTES"), Nothing, NotYet(""), "receive buffer for adverts"),
    row("linkbeat_use_polling", flag(), Nothing, NotYet(""), "ask for the link's state instead of hearing it"),
    row("use_vmac", texts(0, 6, "[NAME] [MAC]"), Nothing, NotYet("the virtual router answers with the interface's own MAC address"), "answer with the virtual router's MAC address (RFC 9568 7.3)"),
    row("use_vmac_addr", flag(), Nothing, NotYet("the virtual router answers with the interface's own MAC address"), "the same for addresses on other interfaces"),
    row("vmac_xmit_base", flag(), Nothing, NotYet("the virtual router answers with the interface's own MAC address"), "adverts go by the interface below"),
    row("use_ipvlan", texts(0, 6, "[NAME] [IP] [MODE]"), Nothing, NotYet("the virtual router answers with the interface's own MAC address"), "run on an ipvlan interface"),
    row("promote_secondaries", flag(), Nothing, Always("it is set where virtual addresses are held"), "let other addresses of the subnet survive the removal of one"),
    row("no_accept", flag(), Nothing, NotYet("it is an error, since packets for the addresses would be taken"), "drop packets for the addresses unless owner"),
    row("lvs_sync_daemon_interface", interface(), Nothing, Acted(|said, draft| {
        let place = said.line.span();
        draft.sync = said.interface().map(|interface| (interface, place));
    }), "old form of `lvs_sync_daemon`, with id 0"),
    row("lvs_sync_daemon_inteface", interface(), Nothing, Also("lvs_sync_daemon_interface"), "interface of the connection synchronisation"),
    row("track_file", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let files = std::mem::take(&mut said.lower.memory.files);
        said.lower.track_files(said.line, &files, draft);
        said.lower.memory.files = files;
    }), "files whose numbers change the priority"),
    row("track_process", opens(Block::Tracked), Nothing, Acted(|said, draft| {
        let processes = std::mem::take(&mut said.lower.memory.processes);
        said.lower.track_processes(said.line, &processes, draft);
        said.lower.memory.processes = processes;
    }), "processes that must run, or change the priority"),
    row("track_bfd", opens(Block::Tracked), Nothing, NotYet("nothing is tracked by it"), "BFD sessions that must be up"),
    row("garp_extra_if", texts(1, 2, "[all] SECONDS"), Nothing, NotYet(""), "announce on other interfaces too"),
    row("vmac_garp_intvl", texts(1, 2, "[all] SECONDS"), Nothing, Renamed("garp_extra_if"), "announce on other interfaces too"),
    row("notify_priority_changes", switch(), Of(Block::GlobalDefs, "vrrp_notify_priority_changes"), Acted(|said, draft| draft.notify.priority_changes = said.switch()), "changes of the priority go into the notify FIFOs too; a sync group's `on` counts for its members"),
    row("smtp_alert", switch(), Told("`smtp_alert_vrrp` of `global_defs`, else off"), Acted(|said, draft| draft.smtp_alert = Some(said.switch())), "mail on role changes"),
    row("auth_hmac", opens(Block::AuthHmac), Nothing, NotYet("adverts are not signed"), "adverts signed with HMAC-SHA256"),
];

/// Anything but the two words is BACKUP, as in keepalived; the election decides anyway.
fn state(said: &mut Said<'_, '_, '_>) -> InitialState {
    let Some(value) = said.value() else { return InitialState::Backup };
    let next = said.line.args.get(1).filter(|_| value.text == "=").unwrap_or(value);
    let meant = match &*value.text {
        "MASTER" => return InitialState::Master,
        "BACKUP" => return InitialState::Backup,
        _ if next.text.eq_ignore_ascii_case("MASTER") => "MASTER",
        _ => "BACKUP",
    };
    said.lower.push(
        Diagnostic::warning("bad-value", format!("`state` can't be `{}`", value.text))
            .at(value.span, "neither MASTER nor BACKUP, in capitals: BACKUP is taken, as in keepalived")
            .help(format!("write `state {meant}`")),
    );
    InitialState::Backup
}

fn own_ip(said: &mut Said<'_, '_, '_>) -> Option<IpAddr> {
    let value = said.value()?;
    said.lower.bare_ip(&said.line.word.text, value).or_else(|| said.ip())
}

/// The first command for one occasion counts, as in keepalived.
pub(super) fn hook(
    said: &mut Said<'_, '_, '_>,
    scripts: &mut NotifyScripts,
    slot: fn(&mut NotifyScripts) -> &mut Option<Command>,
) {
    let user = said.lower.memory.global.inherited.script_user.clone();
    let command = said.notify(user.as_ref());
    let slot = slot(scripts);
    if slot.is_none() {
        *slot = command;
    }
}

/// The block is looked at when the version is known.
fn authenticate(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    let mut inside = said.lower.fresh(&authentication::TABLE);
    said.lower.fill(&authentication::TABLE, said.line.lines(), &mut inside);
    draft.authentications.push((inside, said.line.span()));
}
