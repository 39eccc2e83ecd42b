//! The quorum service of a coordinated cluster: where it stands in the drilled network, and how long what it does takes by
//! the files.

use super::files::DirectorFile;
use super::network::Network;
use super::topology::Topology;
use super::words;
use crate::scenario::*;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::coordination::vacancy::TURN;
use vipward_core::interface::InterfaceName;
use vipward_core::lease::{Coordination, Mode, OnLoss, surely};
use vipward_core::time::Duration;

/// `tickTime` of Debian's example `zoo.cfg`.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// How long an ensemble with Debian's example `zoo.cfg` needs to replace a leader that freezes: `syncLimit` 5 ticks of 2 s,
/// and half a second for the election.
pub(super) const LEADER_FROZEN: Duration = Duration::from_millis(10_500);

/// How long after the directors the service is there in one of the cold starts.
pub(super) const LATE: Duration = Duration::from_secs(30);

/// Host numbers: the service's where the files name none, and the directors' in a network of its own.
const NUMBER: u128 = 31;
const DIRECTORS: u128 = 11;

/// A network of its own, where no segment has all directors (RFC 2544's, which nobody's addresses are in).
const OWN: ([u8; 4], u8) = ([198, 18, 0, 0], 24);

/// How long things take where leases decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leases {
    /// The longest session timeout that a director is granted.
    pub session: Duration,
    /// The shortest one.
    pub shortest: Duration,
    /// For how long the service may fail to answer before a holder with the shortest one lets go.
    pub bears: Duration,
    /// Until a lease whose holder says nothing any more is another's, beyond what VRRP takes.
    pub ends: Duration,
    /// Until a director has a session again after the service was away, and its lease, beyond what VRRP takes.
    pub found: Duration,
    /// No address of the cluster is anybody's without the lease: each director coordinates and releases all of its routers.
    pub exclusive: bool,
    /// Some address is nobody's while the service can't be asked.
    pub released: bool,
    /// Some address is nobody's when the cluster starts without the service, for as long as that can't be asked.
    pub needed: bool,
}

/// What these configurations say of leases; none: VRRP alone.
pub(super) fn leases(configs: &[&Config]) -> Option<Leases> {
    let tables: Vec<&Coordination> = configs.iter().filter_map(|config| config.coordination.as_ref()).collect();
    // What ZooKeeper grants is between 2 and 20 ticks.
    let granted = |table: &&Coordination| table.service.session_timeout.clamp(TICK * 2, TICK * 20);
    let session = tables.iter().map(granted).max()?;
    let shortest = tables.iter().map(granted).min()?;
    let parts = || tables.iter().flat_map(|table| table.routers.values());
    let elects = parts().any(|part| part.mode == Mode::Elect);
    let others = u32::try_from(configs.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let turns = if elects { TURN.saturating_mul(others) } else { Duration::ZERO };
    let released = parts().any(|part| part.on_loss == OnLoss::Release);
    let coordinated = |config: &&Config| config.routers.iter().all(|router| config.coordinates(&router.name));
    Some(Leases {
        session,
        shortest,
        bears: surely::bears(shortest),
        ends: session + TICK + turns,
        // It gives a silent server up after an eighth of its session, and tries twice for a second.
        found: session / 8 + Duration::from_secs(3) + surely::ASK_EVERY + turns,
        exclusive: configs.iter().all(coordinated) && parts().all(|part| part.on_loss == OnLoss::Release),
        released,
        needed: released || elects,
    })
}

/// What a scenario's directors bear, if that is less than one of its changes of the ensemble's leader takes.
pub(super) fn bears_too_little(scenario: &Scenario) -> Option<String> {
    let lasts = scenario.steps.iter().filter_map(|step| match &step.action {
        Action::LeaderChange { lasts, .. } => Some(*lasts),
        _ => None,
    });
    let lasts = lasts.max()?;
    let configs: Vec<&Config> =
        scenario.directors().filter_map(|(_, director)| director.config.config.as_deref()).collect();
    let leases = leases(&configs).filter(|leases| leases.bears < lasts)?;
    let (session, bears) = (words::seconds(leases.shortest), words::seconds(leases.bears));
    let lasts = words::seconds(lasts);
    Some(format!(
        "a session of {session} bears {bears} without an answer, and a frozen leader is replaced after {lasts}"
    ))
}

/// The node of the quorum service.
pub(super) fn node(scenario: &Scenario) -> Option<NodeId> {
    scenario.ids().find(|id| matches!(scenario.node(*id).kind, NodeKind::Quorum(_)))
}

/// Adds the service to a network whose directors take part in one, and says what was assumed.
pub(super) fn add(files: &[DirectorFile], topology: &mut Topology) {
    let coordinated: Vec<NodeId> = (files.iter().enumerate())
        .filter(|(_, file)| file.config.coordination.is_some())
        .map(|(at, _)| NodeId(at))
        .collect();
    if coordinated.is_empty() {
        return;
    }
    let hosts = hosts(files);
    let scenario = &mut topology.scenario;
    let name = free_name(scenario, &hosts);
    let mut taken: BTreeSet<IpAddr> = addresses(scenario).map(|(address, _)| address).collect();
    let held =
        files.iter().flat_map(|file| &file.config.routers).flat_map(|it| it.addresses.iter().chain(&it.excluded));
    taken.extend(held.map(|it| it.address));
    let place = shared(scenario, &coordinated, &hosts, &mut taken);
    let (segment, address) = match place {
        Some(place) => place,
        None => of_its_own(scenario, &coordinated, &mut taken, &mut topology.assumptions),
    };
    let place = scenario.segments.get(segment.0).map(|segment| segment.name.to_string()).unwrap_or_default();
    let stands = address.map(|(address, _)| format!("{address} in {place}")).unwrap_or(place);
    let port = PortPlan { interface: InterfaceName::new("eth0"), segment, address };
    let kind = NodeKind::Quorum(QuorumPlan { tick: TICK, drift_ppm: 0 });
    let plan = NodePlan { name: name.clone(), ports: vec![port], kind };
    // Where a scenario file would have it: before the clients.
    let at = scenario.nodes.iter().position(|it| matches!(it.kind, NodeKind::Client(_) | NodeKind::Router));
    scenario.nodes.insert(at.unwrap_or(scenario.nodes.len()), plan);
    topology.assumptions.push(format!(
        "{name} is the quorum service: one node stands for the ensemble {}, {stands}; tickTime {}, and a leader that freezes \
         is replaced after {}, as with Debian's example zoo.cfg",
        words::list(&hosts),
        words::seconds(TICK),
        words::seconds(LEADER_FROZEN)
    ));
}

/// Every `hosts` of the files, each once, in their order.
fn hosts(files: &[DirectorFile]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for host in files.iter().filter_map(|file| file.config.coordination.as_ref()).flat_map(|it| &it.service.hosts) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// `zk` of `zk1.example.com:2181`.
fn free_name(scenario: &Scenario, hosts: &[String]) -> Arc<str> {
    let first = hosts.first().map(String::as_str).unwrap_or_default();
    let named = match literal(first) {
        Some(_) => "",
        None => first.split([':', '.']).next().unwrap_or_default(),
    };
    let named = named.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_']);
    let names = [named, "zookeeper", "quorum-service"].map(str::to_owned).into_iter();
    let mut names = names.chain((2_u32..).map(|number| format!("zookeeper-{number}")));
    let free = |name: &String| !name.is_empty() && scenario.by_name(name).is_none();
    names.find(free).unwrap_or_default().into()
}

/// The address of a host that is written as one.
fn literal(host: &str) -> Option<IpAddr> {
    let address = host.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(|| host.parse().ok())
}

/// All addresses of machines, with their prefixes.
fn addresses(scenario: &Scenario) -> impl Iterator<Item = (IpAddr, u8)> {
    scenario.nodes.iter().flat_map(|node| &node.ports).filter_map(|port| port.address)
}

/// A segment that every one of these directors is on, one that a host's address lies in before others, and an address there.
fn shared(
    scenario: &Scenario,
    directors: &[NodeId],
    hosts: &[String],
    taken: &mut BTreeSet<IpAddr>,
) -> Option<(SegmentId, Option<(IpAddr, u8)>)> {
    let segments = (0..scenario.segments.len()).map(SegmentId);
    let network = |id: NodeId, segment: SegmentId| {
        let ports = scenario.node(id).ports.iter().filter(move |port| port.segment == segment);
        ports.filter_map(|port| port.address).map(|(address, len)| Network::of(address, len)).collect::<Vec<_>>()
    };
    let all = |segment: &SegmentId| directors.iter().all(|id| !network(*id, *segment).is_empty());
    let first = *directors.first()?;
    let mut networks = Vec::new();
    for segment in segments.filter(all) {
        networks.extend(network(first, segment).into_iter().map(|network| (segment, network)));
    }
    for address in hosts.iter().filter_map(|host| literal(host)) {
        let home = networks.iter().find(|(_, network)| network.contains(address) && !taken.contains(&address));
        if let Some((segment, network)) = home {
            return Some((*segment, Some((address, network.len()))));
        }
    }
    networks.into_iter().find_map(|(segment, network)| {
        let address = network.take(NUMBER, taken)?;
        Some((segment, Some((address, network.len()))))
    })
}

/// A segment that only the service and the directors are on, by an interface that no file names.
fn of_its_own(
    scenario: &mut Scenario,
    directors: &[NodeId],
    taken: &mut BTreeSet<IpAddr>,
    assumptions: &mut Vec<String>,
) -> (SegmentId, Option<(IpAddr, u8)>) {
    let network = Network::of(IpAddr::from(OWN.0), OWN.1);
    let segment = SegmentId(scenario.segments.len());
    scenario.segments.push(SegmentPlan { name: network.to_string().into(), delay: Duration::ZERO, loss: Share(0) });
    for id in directors {
        let Some(node) = scenario.nodes.get_mut(id.0) else { continue };
        let used: BTreeSet<&str> = node.ports.iter().map(|port| port.interface.as_str()).collect();
        let free = (0_u32..).map(|number| format!("eth{number}")).find(|name| !used.contains(name.as_str()));
        let interface = InterfaceName::new(&free.unwrap_or_default());
        let address = network.take(DIRECTORS + id.0 as u128, taken).map(|address| (address, network.len()));
        assumptions.push(format!("{} reaches the quorum service on {interface}", node.name));
        node.ports.push(PortPlan { interface, segment, address });
    }
    (segment, network.take(NUMBER, taken).map(|address| (address, network.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use vipward_core::lease::{Part, QuorumService};

    fn coordinated(mode: Mode, on_loss: OnLoss, session_timeout: u64) -> Config {
        let mut config = crate::testing::config(100);
        let service = QuorumService {
            hosts: vec!["zk1:2181".to_owned()],
            path: "/vipward".to_owned(),
            session_timeout: Duration::from_secs(session_timeout),
            auth_file: None,
        };
        let parts = config.routers.iter().map(|router| (router.name.clone(), Part { mode, on_loss }));
        let routers: BTreeMap<_, _> = parts.collect();
        config.coordination =
            Some(Coordination { service: Arc::new(service), director: "lb1".into(), routers, spread: Vec::new() });
        config
    }

    #[test]
    fn a_lease_ends_with_its_session_and_candidates_wait_for_their_turn() {
        let of = |mode| {
            let config = coordinated(mode, OnLoss::Release, 16);
            leases(&[&config, &config]).unwrap()
        };
        assert_eq!((of(Mode::Fence).ends.as_secs(), of(Mode::Elect).ends.as_secs()), (16 + 2, 16 + 2 + 3));
        assert_eq!(of(Mode::Fence).bears.as_millis(), 12_250);
        assert!(of(Mode::Fence).exclusive && of(Mode::Fence).released && of(Mode::Elect).needed);
    }

    #[test]
    fn a_session_is_as_long_as_the_service_grants() {
        let (long, short) =
            (coordinated(Mode::Fence, OnLoss::Release, 90), coordinated(Mode::Fence, OnLoss::Release, 10));
        let both = leases(&[&long, &short]).unwrap();
        assert_eq!((both.session.as_secs(), both.shortest.as_secs(), both.bears.as_millis()), (40, 10, 6_250));
    }

    #[test]
    fn an_address_is_exclusive_where_every_director_needs_the_lease() {
        let (fence, keep) = (coordinated(Mode::Fence, OnLoss::Release, 16), coordinated(Mode::Fence, OnLoss::Keep, 16));
        let plain = crate::testing::config(50);
        assert!(!leases(&[&fence, &plain]).unwrap().exclusive && !leases(&[&fence, &keep]).unwrap().exclusive);
        let kept = leases(&[&keep, &keep]).unwrap();
        assert!(!kept.released && !kept.needed);
        assert_eq!(leases(&[&plain, &plain]), None);
    }
}
