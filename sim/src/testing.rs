//! A classic pair of directors, built in code: for tests of the simulator that are not about files.

use crate::scenario::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use vipward_core::check::http;
use vipward_core::config::Vip;
use vipward_core::config::{
    Adverts, CheckerConfig, Config, GlobalDefs, InitialState, Interfaces, Places, Preemption, RealServer, Tracking,
    Transport, UrlCheck, VirtualRouterConfig, VirtualServer,
};
use vipward_core::interface::{Family, InterfaceAddress, InterfaceName, Scope};
use vipward_core::ipvs::{Forwarding, Protocol, Scheduler, ServiceKey};
use vipward_core::quantity::{AdvertInterval, Priority, Version, Vrid};
use vipward_core::time::{Duration, Instant};

pub(crate) const VIP: &str = "192.0.2.100";
pub(crate) const LB1: NodeId = NodeId(0);
pub(crate) const LB2: NodeId = NodeId(1);
pub(crate) const WEB1: NodeId = NodeId(2);
pub(crate) const VISITOR: NodeId = NodeId(4);

/// lb1 (priority 150) and lb2 (100) before web1 and web2, DR, checked every two seconds; one visitor.
pub(crate) fn pair() -> Scenario {
    let node = |name: &str, address: &str, kind| NodePlan {
        name: name.into(),
        ports: vec![PortPlan {
            interface: InterfaceName::new("eth0"),
            segment: SegmentId(0),
            address: Some((address.parse().unwrap(), 24)),
        }],
        kind,
    };
    let director = |priority| {
        let config = ConfigFile {
            path: PathBuf::from("built.conf"),
            config: Some(Arc::new(config(priority))),
            codes: Vec::new(),
            settings: None,
        };
        NodeKind::Director(DirectorPlan {
            config,
            listens: Vec::new(),
            loopback: Vec::new(),
            tracks: BTreeMap::new(),
            starts: true,
            dataplane: Dataplane::Ipvs,
            drift_ppm: 0,
        })
    };
    let web = || {
        NodeKind::RealServer(ServerPlan {
            listens: vec![80],
            loopback: vec![VIP.parse().unwrap()],
            gateway: None,
            tunnel: false,
        })
    };
    let visitor = NodeKind::Client(ClientPlan {
        target: SocketAddr::new(VIP.parse().unwrap(), 80),
        every: Duration::from_millis(100),
        timeout: Duration::from_secs(1),
        from: Duration::from_secs(5),
        keeps: 0,
    });
    Scenario {
        name: "built".to_owned(),
        title: "a pair built in code".to_owned(),
        seed: 1,
        duration: Duration::from_secs(20),
        segments: vec![SegmentPlan { name: "lan".into(), delay: Duration::ZERO, loss: Share(0) }],
        routed: Vec::new(),
        nodes: vec![
            node("lb1", "192.0.2.11", director(150)),
            node("lb2", "192.0.2.12", director(100)),
            node("web1", "192.0.2.21", web()),
            node("web2", "192.0.2.22", web()),
            node("visitor", "192.0.2.200", visitor),
        ],
        codes: Vec::new(),
        steps: Vec::new(),
        expectations: Vec::new(),
    }
}

pub(crate) fn at(seconds: f64, action: Action) -> Step {
    Step { at: Instant::from_millis((seconds * 1000.0) as u64), action, span: Default::default() }
}

/// Without `lifetime`: where no machine runs nobody renews.
pub(crate) fn config(priority: u8) -> Config {
    let vip: IpAddr = VIP.parse().unwrap();
    let router = VirtualRouterConfig {
        name: "VI_1".into(),
        initial_state: InitialState::Backup,
        interfaces: Interfaces::all(InterfaceName::new("eth0")),
        vrid: Vrid::new(51).unwrap(),
        family: Family::V4,
        version: Version::V2,
        priority: Priority::new(priority).unwrap(),
        preemption: Preemption { on: true, delay: Duration::ZERO },
        adverts: Adverts::every(AdvertInterval::DEFAULT),
        transport: Transport::Multicast { group: "224.0.0.18".parse().unwrap() },
        source: None,
        unicast_ttl: 255,
        password: None,
        ah: false,
        addresses: vec![InterfaceAddress {
            interface: InterfaceName::new("eth0"),
            address: vip,
            prefix_len: 24,
            broadcast: None,
            label: None,
            scope: Scope::Global,
            no_prefix_route: false,
            permanent: false,
        }],
        excluded: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        tracking: Tracking::default(),
        announcements: Default::default(),
        notify: Default::default(),
        places: Places::default(),
    };
    let service = VirtualServer {
        entries: ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::new(vip, 80) }.into(),
        scheduler: Scheduler("rr".into()),
        persistence_timeout: None,
        persistence_granularity: std::net::Ipv4Addr::BROADCAST,
        persistence_prefix: 128,
        persistence_engine: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        flags: Default::default(),
        ha_suspend: false,
        notify: None,
        omega: false,
        real_servers: ["192.0.2.21:80", "192.0.2.22:80"].map(|address| real_server(address.parse().unwrap())).into(),
        places: Places::default(),
    };
    let vip = Vip { lifetime: false };
    Config { global: GlobalDefs::default(), routers: vec![router], services: vec![service], vip, ..Config::default() }
}

fn real_server(address: SocketAddr) -> RealServer {
    let url =
        UrlCheck { path: "/".to_owned(), status: vec![(200, 200)], digest: None, virtualhost: None, pattern: None };
    let checker = CheckerConfig {
        kind: http::Settings { urls: vec![url], ..http::Settings::default() }.into(),
        target: address,
        from: Default::default(),
        connect_timeout: Duration::from_secs(1),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        delay_loop: Duration::from_secs(2),
        warmup: Duration::from_secs(2),
        alpha: false,
        places: Places::default(),
    };
    RealServer {
        address,
        weight: 1,
        forwarding: Forwarding::Dr,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        notify: None,
        checkers: vec![checker],
        files: Vec::new(),
        places: Places::default(),
    }
}

/// `pair()` with `lifetime`.
pub(crate) fn with_lifetimes() -> Scenario {
    let mut scenario = pair();
    for node in &mut scenario.nodes {
        if let NodeKind::Director(director) = &mut node.kind {
            let config = director.config.config.as_deref().cloned().unwrap_or_default();
            director.config.config = Some(Arc::new(Config { vip: Vip::default(), ..config }));
        }
    }
    scenario
}
