//! `keepalived.json`.

use super::{Clock, Counters};
use serde::Serialize;
use serde_json::Number;
use vipward_core::status::{ElectionStatus, RouterStatus};

/// The list, or with `json_version 2` an object whose `vrrp` it is.
pub(super) fn json(election: &ElectionStatus, clock: Clock) -> Result<String, serde_json::Error> {
    let routers = election.routers.iter();
    let vrrp: Vec<Instance<'_>> =
        routers.map(|it| Instance { data: Data::of(it, clock), stats: Counters::of(election, it) }).collect();
    if election.dumps.json_version_2 { serde_json::to_string(&Named { vrrp }) } else { serde_json::to_string(&vrrp) }
}

#[derive(Serialize)]
struct Named<'a> {
    vrrp: Vec<Instance<'a>>,
}

#[derive(Serialize)]
struct Instance<'a> {
    data: Data<'a>,
    stats: Counters,
}

/// keepalived's names, in its order. What no answer of a director tells is left out.
#[derive(Serialize)]
struct Data<'a> {
    iname: &'a str,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    /// There are no VMACs.
    vmac_ifname: &'a str,
    ifp_ifname: &'a str,
    /// Seconds after 1970.
    last_transition: f64,
    garp_delay: u64,
    garp_refresh: u64,
    garp_rep: u32,
    garp_refresh_rep: u32,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u32,
    lower_prio_no_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    /// In seconds.
    adver_int: Number,
    nopreempt: bool,
    preempt_delay: Number,
    state: u8,
    wantstate: u8,
    version: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vroutes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vrules: Vec<&'a str>,
    auth_type: u8,
}

impl<'a> Data<'a> {
    fn of(router: &'a RouterStatus, clock: Clock) -> Self {
        let settings = &router.settings;
        let addresses = |excluded: bool| {
            let of_these = router.addresses.iter().filter(move |it| it.excluded == excluded);
            of_these.map(super::address).collect::<Vec<_>>()
        };
        let state = state(&router.role);
        Self {
            iname: &router.name,
            dont_track_primary: settings.dont_track_primary.into(),
            skip_check_adv_addr: settings.skip_check_adv_addr.into(),
            vmac_ifname: "",
            ifp_ifname: &router.interface,
            last_transition: clock.last_transition(router).as_secs_f64(),
            garp_delay: settings.garp_delay_s,
            garp_refresh: settings.garp_refresh_s,
            garp_rep: settings.garp_repeat,
            garp_refresh_rep: settings.garp_refresh_repeat,
            garp_lower_prio_delay: settings.garp_lower_prio_delay_s,
            garp_lower_prio_rep: settings.garp_lower_prio_repeat,
            lower_prio_no_advert: settings.lower_prio_no_advert.into(),
            vrid: router.vrid,
            base_priority: router.configured_priority,
            effective_priority: router.priority,
            vipset: router.addresses.iter().all(|it| it.there) && !router.addresses.is_empty(),
            adver_int: seconds(router.advert_int_ms),
            nopreempt: settings.nopreempt,
            preempt_delay: seconds(settings.preempt_delay_ms),
            state,
            wantstate: state,
            version: router.version,
            vips: addresses(false),
            evips: addresses(true),
            vroutes: router.routes.iter().map(|it| it.route.as_str()).collect(),
            vrules: router.rules.iter().map(|it| it.rule.as_str()).collect(),
            auth_type: match settings.auth_type.as_deref() {
                Some("PASS") => 1,
                Some("AH") => 2,
                _ => 0,
            },
        }
    }
}

/// keepalived's numbers of the states.
fn state(role: &str) -> u8 {
    match role {
        "BACKUP" => 1,
        "MASTER" => 2,
        "FAULT" => 3,
        _ => 0,
    }
}

/// A whole number of seconds has no point, as programs that read it into whole numbers want it.
fn seconds(millis: u64) -> Number {
    if millis.is_multiple_of(1_000) {
        return (millis / 1_000).into();
    }
    Number::from_f64(std::time::Duration::from_millis(millis).as_secs_f64()).unwrap_or_else(|| 0.into())
}
