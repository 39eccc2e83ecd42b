//! `keepalived.data` and `keepalived.stats`.

use super::{Clock, Counters, address};
use std::fmt::Write;
use vipward_core::status::{AddressStatus, ElectionStatus, RouterStatus};

/// `keepalived.stats`.
pub(super) fn stats(election: &ElectionStatus) -> String {
    let mut text = String::new();
    for router in &election.routers {
        let it = Counters::of(election, router);
        // Writing into a String can't fail.
        let _ = write!(
            text,
            "VRRP Instance: {}\n  \
               Advertisements:\n    Received: {}\n    Sent: {}\n  \
               Became master: {}\n  Released master: {}\n  \
               Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    Advertisement Interval: {}\n    \
               Address List: {}\n  \
               Authentication Errors:\n    Invalid Type: {}\n    Type Mismatch: {}\n    Failure: {}\n  \
               Priority Zero:\n    Received: {}\n    Sent: {}\n",
            router.name,
            it.advert_rcvd,
            it.advert_sent,
            it.become_master,
            it.release_master,
            it.packet_len_err,
            it.ip_ttl_err,
            it.invalid_type_rcvd,
            it.advert_interval_err,
            it.addr_list_err,
            it.invalid_authtype,
            it.authtype_mismatch,
            it.auth_failure,
            it.pri_zero_rcvd,
            it.pri_zero_sent,
        );
    }
    text
}

/// `keepalived.data`: the topology, the sync groups and the scripts.
pub(super) fn data(election: &ElectionStatus, clock: Clock) -> String {
    let mut text = "------< VRRP Topology >------\n".to_owned();
    election.routers.iter().for_each(|router| instance(&mut text, router, clock));
    groups(&mut text, election);
    scripts(&mut text, election);
    text
}

fn instance(text: &mut String, router: &RouterStatus, clock: Clock) {
    let settings = &router.settings;
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    line(format_args!(" VRRP Instance = {}", router.name));
    line(format_args!("   VRRP Version = {}", router.version));
    if let Some(group) = &router.group {
        line(format_args!("   Sync group = {group}"));
    }
    line(format_args!("   State = {}", router.role));
    line(format_args!("   Wantstate = {}", router.role));
    line(format_args!("   Last transition = {:.6}", clock.last_transition(router).as_secs_f64()));
    line(format_args!("   Interface = {}", router.interface));
    line(format_args!("   Gratuitous ARP delay = {}", settings.garp_delay_s));
    line(format_args!("   Gratuitous ARP repeat = {}", settings.garp_repeat));
    line(format_args!("   Gratuitous ARP refresh = {}", settings.garp_refresh_s));
    line(format_args!("   Gratuitous ARP refresh repeat = {}", settings.garp_refresh_repeat));
    line(format_args!("   Gratuitous ARP lower priority delay = {}", settings.garp_lower_prio_delay_s));
    line(format_args!("   Gratuitous ARP lower priority repeat = {}", settings.garp_lower_prio_repeat));
    line(format_args!("   Down timer adverts = {}", settings.down_timer_adverts));
    line(format_args!("   Send advert after receive lower priority advert = {}", !settings.lower_prio_no_advert));
    line(format_args!("   Virtual Router ID = {}", router.vrid));
    line(format_args!("   Priority = {}", router.configured_priority));
    line(format_args!("   Effective priority = {}", router.priority));
    match router.version {
        3 => line(format_args!("   Advert interval = {} milli-sec", router.advert_int_ms)),
        _ => line(format_args!("   Advert interval = {} sec", router.advert_int_ms / 1_000)),
    }
    line(format_args!("   Preempt = {}", if settings.nopreempt { "disabled" } else { "enabled" }));
    if settings.preempt_delay_ms > 0 {
        line(format_args!("   Preempt delay = {} secs", settings.preempt_delay_ms as f64 / 1_000.0));
    }
    match settings.auth_type.as_deref() {
        Some("PASS") => line(format_args!("   Authentication type = SIMPLE_PASSWORD")),
        Some("AH") => line(format_args!("   Authentication type = IPSEC_AH")),
        Some(_) | None => {}
    }
    let of = |excluded: bool| router.addresses.iter().filter(move |it| it.excluded == excluded);
    let listed: Vec<&AddressStatus> = of(false).collect();
    line(format_args!("   Virtual IP ({}):", listed.len()));
    listed.iter().for_each(|it| line(format_args!("     {}", address(it))));
    if of(true).next().is_some() {
        line(format_args!("   Virtual IP Excluded :"));
        of(true).for_each(|it| line(format_args!("     {}", address(it))));
    }
    if !settings.unicast_peers.is_empty() {
        line(format_args!("   Unicast Peer :"));
        settings.unicast_peers.iter().for_each(|peer| line(format_args!("     {peer}")));
    }
    if !router.routes.is_empty() {
        line(format_args!("   Virtual Routes :"));
        router.routes.iter().for_each(|it| line(format_args!("     {}", it.route)));
    }
    if !router.rules.is_empty() {
        line(format_args!("   Virtual Rules :"));
        router.rules.iter().for_each(|it| line(format_args!("     {}", it.rule)));
    }
}

/// A group has the role of its members; while they change it, of the first.
fn groups(text: &mut String, election: &ElectionStatus) {
    let mut names: Vec<&str> = election.routers.iter().filter_map(|it| it.group.as_deref()).collect();
    names.dedup();
    if names.is_empty() {
        return;
    }
    *text += "------< VRRP Sync groups >------\n";
    for (place, name) in names.iter().enumerate() {
        if names.iter().take(place).any(|before| before == name) {
            continue;
        }
        let members = || election.routers.iter().filter(|it| it.group.as_deref() == Some(name));
        let role = members().next().map_or("", |it| it.role.as_str());
        let _ = writeln!(text, " VRRP Sync Group = {name}, {role}\n   VRRP member instances :");
        members().for_each(|it| *text += &format!("     {}\n", it.name));
    }
}

fn scripts(text: &mut String, election: &ElectionStatus) {
    let scripts = || election.trackers.iter().filter_map(|it| Some((it.what.strip_prefix("script ")?, it)));
    if scripts().next().is_none() {
        return;
    }
    *text += "------< VRRP Scripts >------\n";
    for (name, script) in scripts() {
        let status = match script.reading.as_str() {
            "up" => "GOOD",
            "down" => "BAD",
            _ => "INIT",
        };
        let _ = writeln!(text, " VRRP Script = {name}\n   Status = {status}");
    }
}
