//! The top level: which blocks there are, and in which order they are read.

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::{Acted, Dead, NotYet};
use super::row::{FOREVER, Row, Table, flag, named, opens, row, seconds, text, texts};
use super::said::{self, Lower, Memory};
use super::{
    garp_group, global_defs, server_group, ssl_get, statics, sync_group, track_file, track_group, track_process,
    virtual_server, vrrp_instance, vrrp_script,
};
use crate::check::ssl::Material;
use crate::config::tree::Statement;
use crate::config::{
    Config, GarpGroup, GlobalDefs, NotifyScripts, Statics, SyncGroup, VirtualRouterConfig, VirtualServer,
};
use crate::text::report::Report;
use std::collections::BTreeMap;

/// What is understood so far.
#[derive(Clone, Debug, std::default::Default)]
pub(in crate::config) struct Draft {
    routers: Vec<VirtualRouterConfig>,
    services: Vec<VirtualServer>,
    groups: Vec<SyncGroup>,
    garp_groups: Vec<GarpGroup>,
    /// `SSL`
    material: Material,
    statics: Statics,
    track_groups: track_group::Groups,
}

impl said::Draft for Draft {}

pub(super) const TABLE: Table<Draft> = Table { block: Block::Root, rows: &[ROWS, LATER] };

/// In this order they are read, wherever they stand: `global_defs` hands down to virtual routers, those track
/// scripts, and groups are of virtual routers.
#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("global_defs", opens(Block::GlobalDefs), Nothing, Acted(|said, _| {
        let mut global = std::mem::take(&mut said.lower.memory.global);
        global_defs::read(said, &mut global);
        said.lower.memory.global = global;
    }), "settings of the whole director"),
    row("static_ipaddress", opens(Block::Addresses), Nothing, Acted(|said, draft| {
        statics::addresses(said, &mut draft.statics);
    }), "addresses that this host has as long as the director runs; without `dev` on `default_interface`"),
    row("static_routes", opens(Block::Lines), Nothing, Acted(|said, draft| {
        statics::routes(said, &mut draft.statics);
    }), "routes that are there as long as the director runs; `no_track`: not put back"),
    row("static_rules", opens(Block::Lines), Nothing, Acted(|said, draft| {
        statics::rules(said, &mut draft.statics);
    }), "policy rules that are there as long as the director runs; `no_track`: not put back"),
    row("vrrp_script", named(Block::VrrpScript, "NAME"), Nothing, Acted(|said, _| vrrp_script::read(said)), "a command that is run again and again and decides about priority or FAULT"),
    row("track_file", named(Block::TrackFile, "NAME"), Nothing, Acted(|said, _| track_file::read(said)), "a file whose number changes priorities and weights"),
    row("vrrp_track_file", named(Block::TrackFile, "NAME"), Nothing, Acted(|said, _| track_file::read(said)), "old name of track_file"),
    row("vrrp_track_process", named(Block::TrackProcess, "NAME"), Nothing, Acted(|said, _| track_process::read(said)), "processes whose absence changes priorities or means FAULT"),
    row("vrrp_instance", named(Block::VrrpInstance, "NAME"), Nothing, Acted(|said, draft| {
        vrrp_instance::read(said, &mut draft.routers);
    }), "one virtual router"),
    row("vrrp_sync_group", named(Block::SyncGroup, "NAME"), Nothing, Acted(|said, draft| {
        sync_group::read(said, &mut draft.groups, &mut draft.routers);
    }), "virtual routers that change their roles together"),
    row("track_group", named(Block::TrackGroup, "NAME"), Nothing, Acted(|said, draft| {
        track_group::read(said, &mut draft.track_groups, &draft.routers);
    }), "virtual routers that go to FAULT while a static address, route or rule that names it is away and can't be put back"),
    row("garp_group", texts(0, 1, "").opens(Block::GarpGroup), Nothing, Acted(|said, draft| {
        garp_group::read(said, &mut draft.garp_groups);
    }), "interfaces that keep the pauses between their announcements together"),
    row("virtual_server_group", named(Block::Lines, "NAME"), Nothing, Acted(|said, _| server_group::read(said)), "addresses (`IP PORT`, `IP-LAST PORT`, `IP/PREFIX PORT`) and marks (`fwmark MARK [inet | inet6]`) of one virtual server"),
    row("virtual_server", texts(1, 2, "IP PORT | fwmark MARK | group NAME").opens(Block::VirtualServer), Nothing, Acted(|said, draft| {
        virtual_server::read(said, &mut draft.services);
    }), "one IPVS service and its real servers"),
];

/// Not acted on yet, or any more.
#[rustfmt::skip]
const LATER: &[Row<Draft>] = &[
    row("bfd_instance", named(Block::Bfd, "NAME"), Nothing, NotYet(""), "one BFD session (RFC 5880)"),
    row("linkbeat_interfaces", opens(Block::Lines), Nothing, NotYet(""), "interfaces whose link is asked instead of heard"),
    row("interface_up_down_delays", opens(Block::Lines), Nothing, NotYet(""), "how long a link must be up or down before it counts"),
    row("SSL", opens(Block::Ssl), Nothing, Acted(|said, draft| draft.material = ssl_get::files(said)), "the client's certificate for SSL_GET"),
    row("net_namespace", text("NAME"), Nothing, NotYet("start vipward with `ip netns exec NAME`"), "network namespace of the daemon"),
    row("net_namespace_ipvs", text("NAME").optional(), Nothing, NotYet(""), "network namespace of the IPVS table"),
    row("namespace_with_ipsets", flag(), Nothing, NotYet(""), "ipsets within a namespace on old kernels"),
    row("use_pid_dir", flag(), Nothing, NotYet(""), "pid files under /run/keepalived"),
    row("instance", text("NAME"), Nothing, NotYet(""), "name of this daemon beside others on the host"),
    row("child_wait_time", seconds(0, FOREVER), Nothing, Dead("vipward has no child processes to wait for"), "how long the stop waits for children"),
    row("linkbeat_use_polling", flag(), Nothing, NotYet(""), "ask for every link's state instead of hearing it"),
];

/// Turns blocks into a configuration while the file is still being read.
#[derive(std::default::Default)]
pub(in crate::config) struct Meaning<'t> {
    memory: Memory,
    draft: Draft,
    /// What can't be understood before all of the file is known.
    waiting: Vec<Statement<'t>>,
    /// Virtual servers by group, and how many others stand before each.
    of_groups: Vec<(usize, Statement<'t>)>,
}

impl<'t> Meaning<'t> {
    /// `tables`: what the host calls its routing tables.
    pub fn new(tables: &BTreeMap<String, u32>) -> Self {
        let mut meaning = Self::default();
        meaning.memory.tables.clone_from(tables);
        meaning
    }

    /// Takes a whole block or line of the top level. A virtual server hears from no other block, unless it is one of a group,
    /// so it is read at once and its text forgotten: there are the most of them.
    pub fn take(&mut self, line: Statement<'t>, report: &mut Report) {
        if line.keyword.is_none_or(|keyword| keyword.takes.block != Some(Block::VirtualServer)) {
            self.waiting.push(line);
        } else if line.args.first().is_some_and(|word| word.text == "group") {
            self.of_groups.push((self.draft.services.len(), line));
        } else {
            let mut lower = Lower { report, memory: &mut self.memory };
            lower.fill(&TABLE, std::slice::from_ref(&line), &mut self.draft);
        }
    }

    /// After the last line.
    pub fn finish(mut self, report: &mut Report) -> Config {
        let mut lower = Lower { report, memory: &mut self.memory };
        lower.memory.global = lower.fresh(&global_defs::TABLE);
        lower.fill(&TABLE, &self.waiting, &mut self.draft);
        for (inserted, (place, line)) in self.of_groups.iter().enumerate() {
            let mut draft = Draft::default();
            lower.fill(&TABLE, std::slice::from_ref(line), &mut draft);
            let services = &mut self.draft.services;
            let place = (place + inserted).min(services.len());
            services.splice(place..place, draft.services);
        }
        lower.track_statics(&self.draft.track_groups, &mut self.draft.statics);
        lower.unused_server_groups();
        lower.users_of_checks(&mut self.draft.services);
        let mut global = GlobalDefs { garp_groups: self.draft.garp_groups, ..lower.memory.global.global.clone() };
        lower.fifos(&mut global);
        let fifos = &global.fifos;
        lower.of_notifies(&fifos.of_health(), &mut self.draft.services);
        for notify in notifies(&mut self.draft.routers, &mut self.draft.groups) {
            notify.fifos = fifos.of_roles();
        }
        lower.tracked_by_servers(&mut self.draft.services);
        lower.files_of_checks(&self.draft.material, &mut self.draft.services);
        lower.synchronised(&mut global, &self.draft.routers);
        let config = Config {
            global,
            scripts: std::mem::take(&mut lower.memory.scripts),
            files: std::mem::take(&mut lower.memory.files),
            processes: std::mem::take(&mut lower.memory.processes),
            routers: self.draft.routers,
            services: self.draft.services,
            groups: self.draft.groups,
            statics: self.draft.statics,
            ..Config::default()
        };
        lower.afterwards(&self.waiting, &config);
        config
    }
}

fn notifies<'a>(
    routers: &'a mut [VirtualRouterConfig],
    groups: &'a mut [SyncGroup],
) -> impl Iterator<Item = &'a mut NotifyScripts> {
    routers.iter_mut().map(|router| &mut router.notify).chain(groups.iter_mut().map(|group| &mut group.notify))
}
