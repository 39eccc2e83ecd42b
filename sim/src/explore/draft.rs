//! A random cluster, and the files that describe it: each draft becomes keepalived configurations and a scenario file,
//! and only these are run. So what fails can be written down as it is.

use super::dice::Dice;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use vipward_core::settings;

/// Files in memory, by name.
pub type Texts = BTreeMap<PathBuf, Vec<u8>>;

/// A cluster as it was drawn.
#[derive(Clone, Debug)]
pub struct Draft {
    /// A front and a back segment, and the daemon carries connections; else one segment, IPVS and direct routing.
    pub split: bool,
    pub routers: Vec<Router>,
    pub directors: Vec<Director>,
    pub services: Vec<VirtualServer>,
    pub client: Option<Client>,
    /// `[vip] lifetime`.
    pub lifetime: bool,
    /// `ha_suspend`, in every virtual server.
    pub suspend: bool,
    /// A quorum service, and who may have an address by it.
    pub coordination: Option<Coordination>,
}

/// Leases of a quorum service.
#[derive(Clone, Debug)]
pub struct Coordination {
    /// Seconds.
    pub session: u64,
    /// Milliseconds.
    pub tick: u64,
    /// Of the service's clock, in parts per million.
    pub drift: i32,
    /// VRIDs of the virtual routers that know no VRRP; the others are fenced.
    pub elected: Vec<u8>,
    /// The elected ones are spread, at most so many a director.
    pub spread: Option<u32>,
}

/// A virtual router of the cluster.
#[derive(Clone, Debug)]
pub struct Router {
    pub vrid: u8,
    pub version: u8,
    /// Centiseconds.
    pub interval: u16,
    /// Last bytes of its addresses.
    pub vips: Vec<u8>,
    pub unicast: bool,
    pub password: bool,
}

#[derive(Clone, Debug)]
pub struct Director {
    /// 1 for `lb1`.
    pub number: usize,
    /// Parts per million.
    pub drift: i32,
    /// By VRID: its part in each virtual router.
    pub members: BTreeMap<u8, Member>,
    /// The weight of a tracked script.
    pub script: Option<Weight>,
    /// The weight of a tracked file.
    pub file: Option<Weight>,
    /// The weight of a tracked process, and how many seconds it must have ended before that counts.
    pub process: Option<(Weight, u32)>,
    /// The weight of its interface on the back segment, where there is one and it is tracked.
    pub back: Option<Weight>,
}

/// Of something tracked; none: while it is down, the virtual router is in FAULT.
pub type Weight = Option<i16>;

#[derive(Clone, Debug)]
pub struct Member {
    pub priority: u8,
    /// In the file for reloads.
    pub reloaded: u8,
    pub nopreempt: bool,
    /// Seconds.
    pub preempt_delay: u32,
    pub master: bool,
}

/// A virtual server on a virtual router's first address.
#[derive(Clone, Debug)]
pub struct VirtualServer {
    pub vip: u8,
    pub delay_loop: u32,
    pub quorum: u32,
    pub sorry: bool,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug)]
pub struct Server {
    /// 1 for `web1`.
    pub number: usize,
    pub weight: u32,
    pub http: bool,
    pub alpha: bool,
    pub inhibit: bool,
    pub connect_timeout: u32,
    pub retry: u32,
    pub delay_before_retry: u32,
    /// The file for reloads lacks it.
    pub dropped: bool,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub vip: u8,
    pub every_ms: u64,
}

/// How much a sweep draws: the same proportions for all seeds.
impl Draft {
    pub fn draw(dice: &mut Dice, settings: &mut Dice) -> Self {
        let mut draft = Self::draw_plain(dice, settings);
        draft.directors.iter_mut().for_each(|director| director.track(draft.split, settings));
        draft.suspend = settings.one_in(6);
        draft
    }

    fn draw_plain(dice: &mut Dice, settings: &mut Dice) -> Self {
        let split = dice.one_in(3);
        let routers: Vec<Router> = (0..dice.among(&[1, 1, 1, 2, 2, 3, 4])).map(|at| Router::draw(at, dice)).collect();
        let directors: Vec<usize> = (1..=dice.among(&[2, 2, 2, 3, 3, 4, 5])).collect();
        let mut directors: Vec<Director> = directors.into_iter().map(|number| Director::draw(number, dice)).collect();
        for router in &routers {
            let (equal, nopreempt) = (dice.one_in(4), dice.one_in(4));
            let delay = if dice.one_in(5) { dice.up_to(10) } else { 0 };
            let base = dice.between(1, 254);
            for (at, director) in directors.iter_mut().enumerate() {
                if at >= 2 && dice.one_in(6) {
                    continue;
                }
                let priority = if equal { base } else { dice.between(1, 254) };
                let member = Member {
                    priority: byte(priority),
                    reloaded: byte(dice.between(1, 254)),
                    nopreempt,
                    preempt_delay: u32::try_from(delay).unwrap_or(0),
                    master: false,
                };
                director.members.insert(router.vrid, member);
            }
            // As a user would write it: the best one says MASTER. Elsewhere the reader calls it a mistake.
            let parts = directors.iter_mut().filter_map(|director| director.members.get_mut(&router.vrid));
            if let Some(best) = parts.max_by_key(|member| member.priority)
                && dice.one_in(2)
            {
                best.master = !nopreempt && delay == 0;
            }
        }
        let mut left = dice.up_to(8);
        let mut services = Vec::new();
        let mut number = 0;
        for router in &routers {
            let vip = router.vips.first().copied().unwrap_or(100);
            let count = dice.up_to(4).min(left);
            if count == 0 {
                continue;
            }
            left -= count;
            let servers = (0..count).map(|_| {
                number += 1;
                Server::draw(number, dice)
            });
            services.push(VirtualServer {
                vip,
                servers: servers.collect(),
                delay_loop: small(dice.between(1, 10)),
                quorum: small(dice.among(&[1, 1, 1, 2, 3])),
                sorry: dice.one_in(3),
            });
        }
        let vip = routers.first().and_then(|router| router.vips.first()).copied().unwrap_or(100);
        let vip = services.first().map_or(vip, |service| service.vip);
        let client = dice.one_in(2).then(|| Client { vip, every_ms: dice.among(&[1000, 2000, 5000]) });
        Self {
            split,
            routers,
            directors,
            services,
            client,
            lifetime: !settings.one_in(8),
            suspend: false,
            coordination: None,
        }
    }

    /// A cluster that is all about leases: no real servers, and adverts of everyday pace, since session timeouts are what
    /// everything waits for.
    pub fn draw_fenced(dice: &mut Dice, settings: &mut Dice) -> Self {
        let mut draft = Self::draw_plain(dice, settings);
        // A lease of the quorum service rests on the kernel's.
        draft.lifetime = true;
        (draft.split, draft.services, draft.client) = (false, Vec::new(), None);
        draft.directors.truncate(4);
        draft.routers.truncate(3);
        for router in &mut draft.routers {
            router.interval = if router.version == 2 { 100 } else { dice.among(&[50, 100, 100, 100, 200]) };
        }
        let alike: BTreeMap<u8, Member> = draft.directors.first().map(|it| it.members.clone()).unwrap_or_default();
        for director in &mut draft.directors {
            director.drift = i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500;
            // One `vipward.toml` names the routers of all directors, so that each has all of them.
            for (vrid, member) in &alike {
                let priority = byte(dice.between(1, 254));
                director.members.entry(*vrid).or_insert(Member { priority, ..member.clone() });
            }
            director.members.retain(|vrid, _| draft.routers.iter().any(|router| router.vrid == *vrid));
            director.members.values_mut().for_each(|member| member.master = false);
        }
        let session = dice.among(&[8, 8, 10, 10, 12, 15]);
        let elected = draft.routers.iter().map(|router| router.vrid).filter(|_| dice.one_in(3)).collect();
        draft.coordination = Some(Coordination {
            session,
            tick: dice.among(&[500, 1000, 2000, 500 * session]),
            drift: i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500,
            // The last one alive must have room for all.
            spread: dice.one_in(3).then(|| small(dice.between(3, 6))),
            elected,
        });
        draft
    }

    /// The configurations, and the scenario without its steps.
    pub fn texts(&self) -> (Texts, String) {
        let mut texts = Texts::new();
        for director in &self.directors {
            texts.insert(director.file(false), self.configuration(director, false).into_bytes());
            texts.insert(director.file(true), self.configuration(director, true).into_bytes());
        }
        // Also where it says what is the default: nothing outside these files counts.
        let coordination = self.coordination.as_ref().map(|it| it.settings(&self.routers)).unwrap_or_default();
        let text = format!("[vip]\nlifetime = {}\n{coordination}", self.lifetime);
        texts.insert(PathBuf::from(settings::NAME), text.into_bytes());
        (texts, self.network())
    }

    fn network(&self) -> String {
        let mut text = String::new();
        let (front, back) = if self.split { ("front", "back") } else { ("lan", "lan") };
        let _ = writeln!(text, "[segment.{front}]");
        if self.split {
            let _ = writeln!(text, "[segment.{back}]");
        }
        for director in &self.directors {
            let n = director.number;
            let _ = writeln!(text, "\n[director.lb{n}]\nconfig = {:?}", director.file(false).display().to_string());
            let _ = writeln!(text, "interfaces.eth0 = \"192.0.2.{}/24 on {front}\"", 10 + n);
            if self.split {
                let _ = writeln!(text, "interfaces.eth1 = \"198.51.100.{}/24 on {back}\"", 10 + n);
                let _ = writeln!(text, "dataplane = \"relay\"");
            }
            // Without a virtual server the director itself answers, and its script, if it has one, checks that.
            if self.services.is_empty() {
                text.push_str("listens = 80\n");
                if director.script.is_some() {
                    text.push_str("tracks = { watch = 80 }\n");
                }
            }
            if director.drift != 0 {
                let _ = writeln!(text, "drift = \"{}ppm\"", director.drift);
            }
        }
        for service in &self.services {
            for server in &service.servers {
                let _ = writeln!(text, "\n[real_server.web{}]", server.number);
                let _ = writeln!(text, "address = \"{}/24 on {back}\"", self.server(server.number));
                if !self.split {
                    let _ = writeln!(text, "loopback = \"192.0.2.{}\"", service.vip);
                }
            }
        }
        if let Some(Coordination { tick, drift, .. }) = &self.coordination {
            let _ = write!(text, "\n[quorum.zk]\naddress = \"192.0.2.250/24\"\ntick = \"{tick}ms\"\n");
            let _ = writeln!(text, "drift = \"{drift}ppm\"");
        }
        if let Some(client) = &self.client {
            let _ = writeln!(text, "\n[client.visitor]\naddress = \"192.0.2.200/24 on {front}\"");
            let _ = writeln!(
                text,
                "asks = \"192.0.2.{}:80\"\nevery = \"{}ms\"\nfrom = \"5s\"",
                client.vip, client.every_ms
            );
        }
        text
    }

    fn server(&self, number: usize) -> String {
        let net = if self.split { "198.51.100" } else { "192.0.2" };
        format!("{net}.{}", 20 + number)
    }

    fn configuration(&self, director: &Director, reloaded: bool) -> String {
        let mut text = format!("global_defs {{\n    router_id lb{}\n", director.number);
        if director.script.is_some() {
            text.push_str("    enable_script_security\n    script_user root\n");
        }
        text.push_str("}\n");
        if let Some(weight) = director.script {
            let weight = weight.map(|weight| format!("    weight {weight}\n")).unwrap_or_default();
            let _ = write!(
                text,
                "\nvrrp_script watch {{\n    script \"/usr/bin/true\"\n    interval 1\n{weight}    fall 2\n    rise 2\n}}\n"
            );
        }
        if let Some(weight) = director.file {
            // Without the word it is 1.
            let weight = weight.unwrap_or(0);
            let _ = write!(text, "\ntrack_file load {{\n    file \"/run/load\"\n    weight {weight}\n}}\n");
        }
        if let Some((weight, delay)) = director.process {
            let weight = weight.map(|weight| format!("    weight {weight}\n")).unwrap_or_default();
            let _ = write!(
                text,
                "\nvrrp_track_process proxy {{\n    process proxy\n{weight}    terminate_delay {delay}\n}}\n"
            );
        }
        for router in &self.routers {
            if let Some(member) = director.members.get(&router.vrid) {
                self.instance(&mut text, director, router, member, reloaded);
            }
        }
        for service in &self.services {
            self.virtual_server(&mut text, service, reloaded);
        }
        text
    }

    fn instance(&self, text: &mut String, director: &Director, router: &Router, member: &Member, reloaded: bool) {
        let Router { vrid, version, interval, .. } = router;
        let state = if member.master { "MASTER" } else { "BACKUP" };
        let priority = if reloaded { member.reloaded } else { member.priority };
        let _ = write!(
            text,
            "\nvrrp_instance R{vrid} {{\n    state {state}\n    interface eth0\n    virtual_router_id {vrid}\n    version \
             {version}\n    priority {priority}\n    advert_int {}\n",
            seconds(*interval)
        );
        if member.nopreempt {
            text.push_str("    nopreempt\n");
        }
        if member.preempt_delay > 0 {
            let _ = writeln!(text, "    preempt_delay {}", member.preempt_delay);
        }
        if router.password {
            text.push_str("    authentication {\n        auth_type PASS\n        auth_pass secret\n    }\n");
        }
        if router.unicast {
            let _ = write!(text, "    unicast_src_ip 192.0.2.{}\n    unicast_peer {{\n", 10 + director.number);
            let peers = self.directors.iter().filter(|it| it.number != director.number);
            for peer in peers.filter(|it| it.members.contains_key(vrid)) {
                let _ = writeln!(text, "        192.0.2.{}", 10 + peer.number);
            }
            text.push_str("    }\n");
        }
        text.push_str("    virtual_ipaddress {\n");
        for vip in &router.vips {
            let _ = writeln!(text, "        192.0.2.{vip}/24");
        }
        text.push_str("    }\n");
        if director.script.is_some() {
            text.push_str("    track_script {\n        watch\n    }\n");
        }
        if director.file.is_some() {
            text.push_str("    track_file {\n        load\n    }\n");
        }
        if director.process.is_some() {
            text.push_str("    track_process {\n        proxy\n    }\n");
        }
        if let Some(weight) = director.back {
            let weight = weight.map(|weight| format!(" weight {weight}")).unwrap_or_default();
            let _ = write!(text, "    track_interface {{\n        eth1{weight}\n    }}\n");
        }
        text.push_str("}\n");
    }

    fn virtual_server(&self, text: &mut String, service: &VirtualServer, reloaded: bool) {
        let kind = if self.split { "NAT" } else { "DR" };
        let _ = write!(
            text,
            "\nvirtual_server 192.0.2.{} 80 {{\n    delay_loop {}\n    lb_algo rr\n    lb_kind {kind}\n    protocol TCP\n    \
             quorum {}\n",
            service.vip, service.delay_loop, service.quorum
        );
        if self.suspend {
            text.push_str("    ha_suspend\n");
        }
        if service.sorry {
            let net = if self.split { "198.51.100" } else { "192.0.2" };
            let _ = writeln!(text, "    sorry_server {net}.99 80");
        }
        for server in service.servers.iter().filter(|server| !(reloaded && server.dropped)) {
            let _ = write!(
                text,
                "    real_server {} 80 {{\n        weight {}\n",
                self.server(server.number),
                server.weight
            );
            if server.inhibit {
                text.push_str("        inhibit_on_failure\n");
            }
            let common = format!(
                "            connect_timeout {}\n            retry {}\n            delay_before_retry {}\n{}",
                server.connect_timeout,
                server.retry,
                server.delay_before_retry,
                if server.alpha { "            alpha\n" } else { "" }
            );
            if server.http {
                let url = "            url {\n                path /\n                status_code 200\n            }\n";
                let _ = write!(text, "        HTTP_GET {{\n{url}{common}        }}\n    }}\n");
            } else {
                let _ = write!(text, "        TCP_CHECK {{\n{common}        }}\n    }}\n");
            }
        }
        text.push_str("}\n");
    }
}

impl Coordination {
    /// `vipward.toml`, the same for all directors.
    fn settings(&self, routers: &[Router]) -> String {
        let mut text = format!(
            "[coordination]\nhosts = [\"zk:2181\"]\npath = \"/vipward/explored\"\nsession_timeout = {}\ndefault = \
             \"fence\"\n",
            self.session
        );
        let elected = self.elected.iter().filter(|vrid| routers.iter().any(|router| router.vrid == **vrid));
        let elected: Vec<&u8> = elected.collect();
        for vrid in &elected {
            let _ = write!(text, "\n[coordination.routers.R{vrid}]\nmode = \"elect\"\n");
        }
        if let Some(limit) = self.spread.filter(|_| !elected.is_empty()) {
            let routers: Vec<String> = elected.iter().map(|vrid| format!("\"R{vrid}\"")).collect();
            let _ = write!(text, "\n[coordination.spread.all]\nrouters = [{}]\nlimit = {limit}\n", routers.join(", "));
        }
        text
    }
}

impl Router {
    fn draw(at: u64, dice: &mut Dice) -> Self {
        let version = if dice.one_in(2) { 2 } else { 3 };
        // Short intervals make a seed cost a hundred times as much as one of a second, so they are rare, not absent.
        let interval = match version {
            2 => dice.among(&[100, 100, 100, 200, 300, 1000]),
            _ => dice
                .among(&[1, 2, 5, 10, 10, 20, 25, 50, 50, 50, 100, 100, 100, 100, 100, 100, 130, 200, 300, 500, 1000]),
        };
        let first = byte(100 + 10 * at);
        Self {
            vrid: byte(51 + at),
            version,
            interval: u16::try_from(interval).unwrap_or(100),
            vips: if dice.one_in(4) { vec![first, first + 1] } else { vec![first] },
            unicast: dice.one_in(4),
            password: version == 2 && dice.one_in(4),
        }
    }
}

/// What a tracker adds to a priority, or takes from it.
const WEIGHTS: [i16; 5] = [-120, -40, -10, 10, 60];

impl Director {
    fn draw(number: usize, dice: &mut Dice) -> Self {
        let drift = if dice.one_in(3) { 0 } else { i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500 };
        let script = dice.one_in(4).then(|| Some(dice.among(&WEIGHTS)));
        Self { number, drift, members: BTreeMap::new(), script, file: None, process: None, back: None }
    }

    /// Trackers without a weight, and the interface on the back segment.
    fn track(&mut self, split: bool, dice: &mut Dice) {
        if self.script.is_some() && dice.one_in(2) {
            self.script = Some(None);
        }
        self.back = (split && dice.one_in(2)).then(|| (!dice.one_in(2)).then(|| dice.among(&WEIGHTS)));
        let weight = |dice: &mut Dice| (!dice.one_in(3)).then(|| dice.among(&WEIGHTS));
        self.file = dice.one_in(5).then(|| (!dice.one_in(3)).then(|| dice.among(&[-1, 1, 1, 2])));
        self.process = dice.one_in(5).then(|| (weight(dice), small(dice.among(&[0, 0, 1, 3]))));
    }

    /// The name of its configuration.
    pub fn file(&self, reloaded: bool) -> PathBuf {
        PathBuf::from(format!("lb{}{}.conf", self.number, if reloaded { "-reloaded" } else { "" }))
    }
}

impl Server {
    fn draw(number: usize, dice: &mut Dice) -> Self {
        Self {
            number,
            weight: small(dice.among(&[1, 1, 1, 2, 3])),
            http: dice.one_in(2),
            alpha: dice.one_in(6),
            inhibit: dice.one_in(6),
            connect_timeout: small(dice.between(1, 5)),
            retry: small(dice.up_to(3)),
            delay_before_retry: small(dice.between(1, 3)),
            dropped: dice.one_in(4),
        }
    }
}

/// Centiseconds as keepalived writes seconds.
fn seconds(centis: u16) -> String {
    match centis % 100 {
        0 => (centis / 100).to_string(),
        rest => format!("{}.{rest:02}", centis / 100),
    }
}

fn byte(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
