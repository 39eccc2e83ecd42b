//! The files that describe a random cluster: each draft becomes keepalived configurations and a scenario file, and only
//! these are run. So what fails can be written down as it is.

use super::draft::{Coordination, Director, Draft, Member, Router, VirtualServer};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use vipward_core::settings;

/// Files in memory, by name.
pub type Texts = BTreeMap<PathBuf, Vec<u8>>;

impl Draft {
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
                    let vips: Vec<String> = service.vips().map(|vip| format!("\"192.0.2.{vip}\"")).collect();
                    let _ = writeln!(text, "loopback = [{}]", vips.join(", "));
                }
            }
        }
        if let Some(Coordination { tick, drift, .. }) = &self.coordination {
            let _ = write!(text, "\n[quorum.zk]\naddress = \"192.0.2.250/24\"\ntick = \"{tick}ms\"\n");
            let _ = writeln!(text, "drift = \"{drift}ppm\"");
        }
        for (at, client) in self.clients.iter().enumerate() {
            let _ = writeln!(text, "\n[client.visitor{}]\naddress = \"192.0.2.{}/24 on {front}\"", at + 1, 200 + at);
            let _ = writeln!(
                text,
                "asks = \"192.0.2.{}:80\"\nevery = \"{}ms\"\nfrom = \"5s\"",
                client.vip, client.every_ms
            );
            if client.keeps > 0 {
                let _ = writeln!(text, "keeps = {}", client.keeps);
            }
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
        if router.routes {
            let first = router.vips.first().copied().unwrap_or(100);
            let _ = writeln!(text, "    virtual_routes {{\n        {} via 192.0.2.1\n    }}", router.route());
            let _ = write!(text, "    virtual_rules {{\n        from 192.0.2.{first} table {vrid} ");
            let _ = writeln!(text, "priority {}\n    }}", 1000 + u32::from(*vrid));
        }
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
        let head = if service.group {
            let (first, last) = (service.vip, service.vip + 1);
            let _ = writeln!(text, "\nvirtual_server_group G{first} {{\n    192.0.2.{first}-{last} 80\n}}");
            format!("group G{first}")
        } else {
            format!("192.0.2.{} 80", service.vip)
        };
        let _ = write!(
            text,
            "\nvirtual_server {head} {{\n    delay_loop {}\n    lb_algo rr\n    lb_kind {kind}\n    protocol TCP\n    \
             quorum {}\n",
            service.delay_loop, service.quorum
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

impl VirtualServer {
    /// Last bytes of its addresses.
    fn vips(&self) -> impl Iterator<Item = u8> {
        self.vip..=self.vip + u8::from(self.group)
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

/// Centiseconds as keepalived writes seconds.
fn seconds(centis: u16) -> String {
    match centis % 100 {
        0 => (centis / 100).to_string(),
        rest => format!("{}.{rest:02}", centis / 100),
    }
}
