//! What only shows when the whole configuration is known.

use super::said::{self, Lower};
use crate::check::ssl::Material;
use crate::command::Command;
use crate::config::RoleMails;
use crate::config::tree::Statement;
use crate::config::{CheckerConfig, Config, GlobalDefs, Tracked, TrackerId, Transport, VirtualServer};
use crate::ipvs::Forwarding;
use crate::quantity::Priority;
use crate::text::Diagnostic;
use crate::text::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What a bare address is taken to be part of when segments are compared.
const USUAL_PREFIX: (u8, u8) = (24, 64);

/// All of them.
fn checkers(services: &mut [VirtualServer]) -> impl Iterator<Item = &mut CheckerConfig> {
    services.iter_mut().flat_map(|service| &mut service.real_servers).flat_map(|real| &mut real.checkers)
}

impl Lower<'_> {
    pub fn afterwards(&mut self, root: &[Statement<'_>], config: &Config) {
        self.same_twice(config);
        self.static_and_virtual(config);
        self.other_interfaces(config);
        self.scripts(config);
        self.owners(config);
        self.groups(root);
        self.nothing_lost();
        self.synchronisable(config);
        self.mail(root, config);
        let vips = vips(root, config);
        self.services(config, &vips);
        self.direct_routing(config, &vips);
    }

    fn same_twice(&mut self, config: &Config) {
        let (mut names, mut vrids, mut addresses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for router in &config.routers {
            if let Some(other) = names.insert(&router.name, router) {
                self.push(
                    Diagnostic::error("duplicate-name", format!("two vrrp_instances are called `{}`", router.name))
                        .at(router.places.of(""), "the second one")
                        .also(other.places.of(""), "the first one")
                        .help("give each a name of its own"),
                );
            }
            if let Some(other) = vrids.insert((router.family, router.vrid, &router.interfaces.heard_on), router) {
                let (vrid, interface) = (router.vrid, &router.interfaces.heard_on);
                self.push(
                    Diagnostic::error(
                        "duplicate-vrid",
                        format!("virtual_router_id {vrid} stands twice on {interface}"),
                    )
                    .at(router.places.of("virtual_router_id"), format!("of `{}`", router.name))
                    .also(other.places.of("virtual_router_id"), format!("of `{}`", other.name))
                    .note("their adverts can't be told apart")
                    .help("give each virtual router of a segment an id of its own"),
                );
            }
            for address in &router.addresses {
                let (address, segment) = (address.address, address.segment());
                if let Some(other) = addresses.insert((address, segment), router) {
                    let word = address.to_string();
                    self.push(
                        Diagnostic::error("duplicate-address", format!("{address} belongs to two virtual routers"))
                            .at(router.places.of(&word), format!("of `{}`", router.name))
                            .also(other.places.of(&word), format!("of `{}`", other.name))
                            .note("two directors can hold it at the same time")
                            .help("delete one of them"),
                    );
                }
            }
        }
        let mut seen = BTreeMap::new();
        for service in &config.services {
            let mut told = false;
            for key in service.keys() {
                let before = *seen.entry(key).or_insert(service);
                if std::ptr::eq(before, service) || std::mem::replace(&mut told, true) {
                    continue;
                }
                let said = if before.id() == service.id() {
                    Diagnostic::error("duplicate-service", format!("virtual_server {} stands twice", service.id()))
                        .at(service.places.of(""), "the second time")
                        .also(before.places.of(""), "the first time")
                        .help("put all its real servers into one block")
                } else {
                    Diagnostic::error("duplicate-service", format!("{key} belongs to two virtual servers"))
                        .at(service.places.of(""), format!("{} has it", service.id()))
                        .also(before.places.of(""), format!("and {} has it", before.id()))
                        .help("take it out of one of them")
                };
                self.push(said);
            }
        }
    }

    /// `interface eth0`, and an address with `dev ens33`. Where adverts go by unicast, or the other interface is tracked,
    /// somebody knows that there are two.
    fn other_interfaces(&mut self, config: &Config) {
        for router in &config.routers {
            for address in router.addresses.iter().filter(|address| address.interface != router.interfaces.heard_on) {
                let meant = matches!(router.transport, Transport::Unicast { .. })
                    || router.tracking.interfaces().any(|tracked| *tracked == address.interface);
                let text =
                    format!("adverts on {}, but this address on {}", router.interfaces.heard_on, address.interface);
                let said = match meant {
                    true => Diagnostic::info("other-interface", text),
                    false => Diagnostic::warning("other-interface", text)
                        .help("use the same interface in both places, if there are not really two"),
                };
                self.push(
                    said.at(router.places.of(&address.address.to_string()), format!("put on {}", address.interface))
                        .also(router.places.of("interface"), "adverts go out here")
                        .note("both links are watched: without either of them this node is FAULT")
                        .note("a cut beyond the switch, where the link stays up, is seen on the adverts' side only"),
                );
            }
        }
    }

    /// Virtual servers are read before the block `SSL` is known.
    pub fn files_of_checks(&mut self, material: &Material, services: &mut [VirtualServer]) {
        for checker in checkers(services) {
            if let Some(its) = checker.kind.material_mut() {
                its.clone_from(material);
            }
        }
    }

    /// Virtual servers are read before `script_user` is known.
    pub fn users_of_checks(&mut self, services: &mut [VirtualServer]) {
        for checker in checkers(services) {
            let command = checker.kind.command_mut();
            let named = |command: &&mut Command| command.argv.first().is_some_and(|program| !program.is_empty());
            if let Some(command) = command.filter(|command| command.user.is_none()).filter(named) {
                command.user.clone_from(&self.memory.global.inherited.script_user);
                if command.user.is_none() {
                    self.memory.shell_users.push(checker.places.of("misc_path"));
                }
            }
        }
    }

    /// The same for `notify_up` and its kin, for mail and FIFOs.
    pub fn of_notifies(&mut self, fifos: &[Arc<str>], services: &mut [VirtualServer]) {
        for service in services {
            let reals = service.real_servers.iter_mut().map(|real| (&mut real.notify, &real.places, true));
            for (scripts, places, usual) in std::iter::once((&mut service.notify, &service.places, false)).chain(reals)
            {
                let own = scripts.as_ref().is_some_and(|scripts| scripts.mail);
                let own = places.has("smtp_alert").then_some(own);
                let mail = self.memory.global.global.checker_mails(own, usual);
                if scripts.as_ref().map_or(mail, |scripts| scripts.mail != mail) {
                    Arc::make_mut(scripts.get_or_insert_default()).mail = mail;
                }
                if !fifos.is_empty() {
                    Arc::make_mut(scripts.get_or_insert_default()).fifos = fifos.to_vec();
                }
                let Some(scripts) = scripts.as_mut().map(Arc::make_mut) else { continue };
                let words = [("notify_up", &mut scripts.up), ("notify_down", &mut scripts.down)];
                for (word, command) in words {
                    let Some(command) = command.as_mut().filter(|command| command.user.is_none()) else { continue };
                    command.user.clone_from(&self.memory.global.inherited.script_user);
                    if command.user.is_none() {
                        let place = if places.has(word) { word.to_owned() } else { word.replace("notify", "quorum") };
                        self.memory.shell_users.push(places.of(&place));
                    }
                }
            }
        }
    }

    fn scripts(&mut self, config: &Config) {
        for script in config.scripts.values() {
            if !self.memory.tracked.contains(&*script.name) {
                self.push(
                    Diagnostic::warning("unused-script", format!("no instance tracks `{}`", script.name))
                        .at(script.places.of(""), "never run: its result would change nothing")
                        .help(format!("add `track_script {{ {} }}` to a vrrp_instance, or delete it", script.name)),
                );
            }
        }
        if let (false, Some(place)) = (config.global.script_security, self.memory.shell_users.first().copied()) {
            self.push(
                Diagnostic::warning("root-scripts", "scripts run as root, whoever may change their files")
                    .at(place, "no `script_user`, no `enable_script_security`")
                    .help("add both to global_defs: `script_user USER` and `enable_script_security`"),
            );
        }
    }

    /// The priority of an address owner never changes (RFC 9568 5.2.4): what would change it is left out.
    fn owners(&mut self, config: &Config) {
        for router in config.routers.iter().filter(|router| router.priority == Priority::OWNER) {
            let weighs = |tracked: &&Tracked| tracked.weight.weight != 0;
            let Some(tracked) = router.tracking.list.iter().find(weighs) else { continue };
            let (what, list) = match &tracked.what {
                TrackerId::Script(name) => (name.to_string(), "track_script"),
                TrackerId::Interface(name) => (name.to_string(), "track_interface"),
                TrackerId::File(name) => (name.to_string(), "track_file"),
                TrackerId::Process(name) => (name.to_string(), "track_process"),
            };
            let place = router.places.of(list);
            self.push(
                Diagnostic::warning("owner-weight", format!("weights have no effect on an address owner: `{what}`"))
                    .at(place, "it changes nothing here, as in keepalived")
                    .also(router.places.of("priority"), "because of this")
                    .help("use a priority of 254 or less"),
            );
        }
    }

    /// Warnings about words that would do nothing in keepalived either become infos.
    fn nothing_lost(&mut self) {
        self.report.soften(|said| said.code == "not-yet" && said.message.contains("skip_check_adv_addr`"));
    }

    /// Words about mail that lead to none.
    fn mail(&mut self, root: &[Statement<'_>], config: &Config) {
        let GlobalDefs { notification_email, smtp_server, places, .. } = &config.global;
        let alerts = |line: &&Statement<'_>| {
            let off = line.args.first().is_some_and(|value| matches!(&*value.text, "off" | "no" | "false"));
            line.word.text.starts_with("smtp_alert") && !off
        };
        let asks = root.iter().flat_map(|block| block.lines()).find(alerts).map(Statement::span);
        match (notification_email.is_empty(), smtp_server.is_some()) {
            (false, false) => {
                // Real servers send mail unless told otherwise; everything else asks for it.
                let would_be_sent = asks.is_some() || !config.services.is_empty();
                let said = if would_be_sent { Diagnostic::warning } else { Diagnostic::info };
                self.push(
                    said("no-mail", "nobody gets mail: there is no `smtp_server`".to_owned())
                        .at(places.of("notification_email"), "these addresses get none")
                        .help("add `smtp_server HOST` to global_defs"),
                );
            }
            (true, _) => {
                if let Some(place) = asks {
                    self.report.once("mail", place, || {
                        Diagnostic::info("no-mail", "nobody gets mail: there is no `notification_email`")
                            .at(place, "does nothing, as in keepalived")
                            .help("add `notification_email { ADDRESS }` and `smtp_server HOST` to global_defs, or delete the line")
                    });
                }
            }
            (false, true) => {
                let roles = config.all_notify().any(|notify| notify.mail != RoleMails::None);
                let servers = config.services.iter().any(|service| {
                    let reals = service.real_servers.iter().map(|real| &real.notify);
                    reals.chain([&service.notify]).flatten().any(|scripts| scripts.mail)
                });
                if !roles && !servers {
                    self.push(
                        Diagnostic::info("no-mail", "no change makes a mail: nothing says `smtp_alert`")
                            .at(places.of("notification_email"), "these addresses get none, as in keepalived")
                            .help("for mail about roles, add `smtp_alert` to the vrrp_instance"),
                    );
                }
            }
        }
    }

    fn services(&mut self, config: &Config, vips: &BTreeMap<IpAddr, u8>) {
        for service in &config.services {
            let addresses: BTreeSet<IpAddr> = service.entries.addresses().map(|address| address.ip()).collect();
            let mut foreign =
                addresses.iter().filter(|address| !config.routers.is_empty() && !vips.contains_key(address));
            if let Some(address) = foreign.next() {
                let more = foreign.count();
                self.report.once(&format!("foreign {address}"), service.places.of(""), || {
                    let said =
                        Diagnostic::info("foreign-address", format!("no vrrp_instance of this file holds {address}"));
                    let said = said.at(service.places.of(""), "who answers for this address?");
                    let said =
                        if more > 0 { said.note(format!("nor {more} more addresses of its group")) } else { said };
                    said.help("add it to a `virtual_ipaddress`, unless it is always there")
                });
            }
            if service.ha_suspend && addresses.is_empty() {
                self.push(
                    Diagnostic::warning("no-address", "`ha_suspend` waits for an address, and a mark has none")
                        .at(service.places.of("ha_suspend"), "its real servers are checked all the time")
                        .help("delete it"),
                );
            }
            let weight: u64 = service.real_servers.iter().map(|server| u64::from(server.weight)).sum();
            if u64::from(service.quorum) > weight && service.places.has("quorum") {
                self.push(
                    Diagnostic::warning(
                        "quorum-out-of-reach",
                        format!("`quorum {}` can never be reached", service.quorum),
                    )
                    .at(service.places.of("quorum"), format!("all real servers together have weight {weight}"))
                    .help("lower the quorum, or raise weights"),
                );
            }
        }
    }

    /// DR changes only the Ethernet address: whoever is to get the packet must be on a segment of the director, and must
    /// hold the VIP without saying so.
    fn direct_routing(&mut self, config: &Config, vips: &BTreeMap<IpAddr, u8>) {
        let mut first: Option<Span> = None;
        for service in &config.services {
            // Where its packets come from nobody knows of a mark.
            let segments: Vec<(IpAddr, u8, bool)> =
                service.entries.ends().iter().map(|address| segment(address.ip(), vips)).collect();
            let via_dr = service.real_servers.iter().filter(|server| server.forwarding == Forwarding::Dr);
            for server in via_dr {
                let place = if server.places.has("lvs_method") {
                    server.places.of("lvs_method")
                } else {
                    service.places.of("lb_kind")
                };
                first.get_or_insert(place);
                let reached = |(vip, prefix, _): &(IpAddr, u8, bool)| same_segment(*vip, server.address.ip(), *prefix);
                let Some((vip, prefix, written)) = segments.first().filter(|_| !segments.iter().any(reached)) else {
                    continue;
                };
                let mut diagnostic = Diagnostic::warning(
                    "dr-segment",
                    format!("{} is not on the segment of {vip}/{prefix}", server.address.ip()),
                )
                .at(
                    server.places.of(""),
                    "DR can't send over a router: reached only if the director has a leg in its network",
                )
                .also(place, "forwarded like this");
                if !written {
                    diagnostic = diagnostic.note(format!("{vip} has no prefix here; /{prefix} is assumed"));
                }
                self.push(
                    diagnostic
                        .help("if it has none, use an address on a segment of the director, or `lb_kind NAT` or `TUN`"),
                );
            }
        }
        if let Some(place) = first {
            self.push(
                Diagnostic::info("dr-arp", "with DR every real server needs the VIP too, and must keep quiet about it")
                    .at(place, "packets reach the real server with the VIP as their destination")
                    .help("on each real server: the VIP as a /32 on `lo`, and sysctl net.ipv4.conf.all.arp_ignore=1 and arp_announce=2"),
            );
        }
    }
}

/// The prefix lengths of all addresses that virtual routers hold.
fn vips(root: &[Statement<'_>], config: &Config) -> BTreeMap<IpAddr, u8> {
    let mut vips = BTreeMap::new();
    for address in config.routers.iter().flat_map(|router| router.addresses.iter().chain(&router.excluded)) {
        vips.insert(address.address, address.prefix_len);
    }
    // Those of instances that could not be understood, and of `static_ipaddress`: known all the same.
    let instances = said::of(root, "vrrp_instance");
    let lists = instances.flat_map(|block| block.lines()).chain(said::of(root, "static_ipaddress"));
    for line in lists.flat_map(|list| list.lines()) {
        let (address, prefix) = line.word.text.split_once('/').unwrap_or((&line.word.text, ""));
        if let Ok(address) = address.parse::<IpAddr>() {
            vips.entry(address).or_insert(prefix.parse().unwrap_or(bits(address)));
        }
    }
    vips
}

/// The network that an address is part of: as it is written, or as it is usual (false).
fn segment(vip: IpAddr, vips: &BTreeMap<IpAddr, u8>) -> (IpAddr, u8, bool) {
    let written = vips.get(&vip).copied().filter(|prefix| *prefix < bits(vip));
    let usual = if vip.is_ipv4() { USUAL_PREFIX.0 } else { USUAL_PREFIX.1 };
    (vip, written.unwrap_or(usual), written.is_some())
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn same_segment(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let differ = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ >= u32::from(prefix)
}
