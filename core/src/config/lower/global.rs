//! `global_defs`: settings of the director, and what it hands down to virtual routers.

use super::super::model::{Garp, GlobalDefs};
use super::super::tree::Statement;
use super::values::FOREVER;
use super::{Lower, canonical};
use crate::command::ScriptUser;
use crate::interface::InterfaceName;
use crate::quantity::Version;
use crate::time::Duration;
use std::net::Ipv4Addr;

/// What a virtual router takes when it says nothing itself.
pub(super) struct Defaults {
    pub interface: Option<InterfaceName>,
    pub version: Version,
    pub group: Ipv4Addr,
    pub down_timer_adverts: u8,
    pub v3_checksum_as_v2: bool,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub strict: bool,
    pub script_user: Option<ScriptUser>,
    pub garp: Garp,
    /// None: as after becoming MASTER.
    pub lower_prio_repeat: Option<u32>,
    pub lower_prio_delay: Option<Duration>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interface: None,
            version: Version::V2,
            group: Ipv4Addr::new(224, 0, 0, 18),
            down_timer_adverts: 3,
            v3_checksum_as_v2: false,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            strict: false,
            script_user: None,
            garp: Garp::default(),
            lower_prio_repeat: None,
            lower_prio_delay: None,
        }
    }
}

const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

impl Lower<'_> {
    pub fn global(&mut self, block: &Statement, global: &mut GlobalDefs, defaults: &mut Defaults) {
        global.places.set("", block.span());
        let mut min_garp = false;
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            global.places.set(word, line.span());
            match word {
                "router_id" => global.router_id = self.value(line).map(|value| value.text.to_string()),
                "notification_email" => {
                    let words = line.lines().iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args));
                    global.notification_email.extend(words.map(|word| word.text.to_string()));
                }
                "notification_email_from" => {
                    global.notification_email_from = self.value(line).map(|value| value.text.to_string());
                }
                "smtp_server" => {
                    let port = line.args.get(1).and_then(|port| self.port(line, port)).unwrap_or(25);
                    global.smtp_server = self.value(line).map(|host| (host.text.to_string(), port));
                }
                "smtp_connect_timeout" => {
                    if let Some(timeout) = self.seconds(line, 1..=FOREVER) {
                        global.smtp_connect_timeout = timeout;
                    }
                }
                "enable_script_security" => global.script_security = true,
                "script_user" => defaults.script_user = self.user(line),
                "default_interface" => {
                    defaults.interface = self.value(line).and_then(|value| self.interface(line, value));
                }
                "vrrp_version" => {
                    let version = self.choice(line, &[("2", Version::V2), ("3", Version::V3)]);
                    defaults.version = version.unwrap_or(defaults.version);
                }
                "vrrp_mcast_group4" => {
                    if let Some(group) = self.value(line).and_then(|value| self.group(line, value)) {
                        defaults.group = group;
                    }
                }
                "vrrp_down_timer_adverts" => {
                    defaults.down_timer_adverts = self.number(line, 1..=100).unwrap_or(defaults.down_timer_adverts);
                }
                "v3_checksum_as_v2" => defaults.v3_checksum_as_v2 = self.switch(line),
                "vrrp_lower_prio_no_advert" => defaults.lower_prio_no_advert = self.switch(line),
                "vrrp_higher_prio_send_advert" => defaults.higher_prio_send_advert = self.switch(line),
                "vrrp_check_unicast_src" => defaults.check_unicast_src = true,
                "vrrp_skip_check_adv_addr" => defaults.skip_check_adv_addr = self.switch(line),
                "vrrp_strict" => defaults.strict = true,
                "vrrp_garp_master_delay" => {
                    defaults.garp.delay = self.seconds(line, 0..=FOREVER).unwrap_or(defaults.garp.delay);
                }
                "vrrp_garp_master_repeat" => {
                    defaults.garp.repeat = self.number(line, COUNT).unwrap_or(defaults.garp.repeat);
                }
                "vrrp_garp_master_refresh" => {
                    defaults.garp.refresh = self.seconds(line, 0..=FOREVER).unwrap_or(defaults.garp.refresh);
                }
                "vrrp_garp_master_refresh_repeat" => {
                    defaults.garp.refresh_repeat = self.number(line, COUNT).unwrap_or(defaults.garp.refresh_repeat);
                }
                "vrrp_garp_lower_prio_delay" => defaults.lower_prio_delay = self.seconds(line, 0..=FOREVER),
                "vrrp_garp_lower_prio_repeat" => defaults.lower_prio_repeat = self.number(line, COUNT),
                "vrrp_min_garp" => min_garp = self.switch(line),
                // Known and reported by the audit, or always so in vipward.
                _ => {}
            }
        }
        if min_garp {
            defaults.garp = Garp { repeat: 1, delay: Duration::ZERO, ..defaults.garp };
            defaults.lower_prio_repeat.get_or_insert(1);
            defaults.lower_prio_delay.get_or_insert(Duration::ZERO);
        }
    }

    /// An IPv4 multicast group.
    pub fn group(&mut self, line: &Statement, value: &super::super::line::Word) -> Option<Ipv4Addr> {
        let group = value.text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
        if group.is_none() {
            self.bad(line, value, "an IPv4 multicast address, such as 224.0.0.18");
        }
        group
    }
}
