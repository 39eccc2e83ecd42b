//! What is calibrated: clusters, at two paces, each with the whole battery of the drill.

use super::model::{asked_later, cold, later};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vipward_sim::drill::{self, Case};
use vipward_sim::scenario::{Action, Dataplane, NodeKind, NodePlan, PortPlan, Scenario, ServerPlan};

/// Where a cluster's connections are carried, and so where it can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// No kernel IPVS is needed: namespaces on this machine.
    Here,
    /// IPVS: namespaces in the guest.
    Guest,
}

/// How fast a cluster advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// VRRPv2, every second.
    Usual,
    /// VRRPv3, ten times a second.
    Quick,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "v2, 1 s",
            Self::Quick => "v3, 0.1 s",
        })
    }
}

/// A pair of directors, from a folder of `scenarios/calibration/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: &'static str,
    pub kernel: Kernel,
    pub pace: Pace,
}

/// What a cluster is made of.
struct Recipe {
    name: &'static str,
    /// In `scenarios/calibration/`.
    folder: &'static str,
    kernel: Kernel,
    instead: Option<Instead>,
    /// The cases that are played.
    only: fn(&Case) -> bool,
    /// How much longer its cases last.
    longer: Duration,
    /// A host that is no director has this address as well.
    stranger: Option<IpAddr>,
}

/// What its files say differently.
struct Instead {
    written: &'static str,
    reads: &'static str,
}

const fn as_written(name: &'static str, kernel: Kernel) -> Recipe {
    Recipe { name, folder: name, kernel, instead: None, only: |_| true, longer: Duration::ZERO, stranger: None }
}

const RECIPES: [Recipe; 11] = [
    as_written("service", Kernel::Here),
    Recipe {
        name: "same address",
        folder: "service",
        kernel: Kernel::Here,
        instead: None,
        only: about_neighbours,
        longer: Duration::ZERO,
        stranger: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100))),
    },
    as_written("relay", Kernel::Here),
    Recipe {
        name: "relay, untracked",
        folder: "relay",
        kernel: Kernel::Here,
        instead: Some(Instead { written: "    track_interface {\n        eth1\n    }\n", reads: "" }),
        only: |case| case.link.is_some(),
        longer: Duration::ZERO,
        stranger: None,
    },
    as_written("two-links", Kernel::Here),
    as_written("active-active", Kernel::Here),
    Recipe {
        name: "tracked",
        folder: "tracked",
        kernel: Kernel::Here,
        instead: None,
        only: about_what_is_tracked,
        longer: Duration::ZERO,
        stranger: None,
    },
    as_written("nat", Kernel::Guest),
    Recipe {
        name: "nat, wlc",
        folder: "nat",
        kernel: Kernel::Guest,
        instead: Some(Instead { written: "lb_algo rr\n", reads: "lb_algo wlc\n" }),
        only: about_real_servers,
        // A server that was away has fewer entries, and gets all new connections for about as long as it was away.
        longer: Duration::from_secs(20),
        stranger: None,
    },
    as_written("dr", Kernel::Guest),
    Recipe {
        name: "two boxes",
        folder: "../two-boxes",
        kernel: Kernel::Guest,
        instead: None,
        only: |case| case.scenario.steps.is_empty(),
        longer: Duration::ZERO,
        stranger: None,
    },
];

/// Whether it is about who answers for an address.
fn about_neighbours(case: &Case) -> bool {
    let told = ["nothing happens", "lb1 loses power", "lb1 is killed", "cold start"];
    told.iter().any(|words| case.fault.starts_with(words))
}

/// A host that is no director, and has this address and the service there.
fn add_stranger(scenario: &mut Scenario, address: IpAddr) {
    let clients = scenario.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Client(client) => Some((node.ports.first()?.clone(), client.target.port())),
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
    });
    let Some((port, service)) = clients.into_iter().next() else { return };
    let port = PortPlan { address: Some((address, 24)), ..port };
    let kind =
        NodeKind::RealServer(ServerPlan { listens: vec![service], loopback: Vec::new(), gateway: None, tunnel: false });
    scenario.nodes.push(NodePlan { name: "stranger".into(), ports: vec![port], kind });
}

/// Whether real servers alone fail in it.
fn about_real_servers(case: &Case) -> bool {
    let real = |id| matches!(case.scenario.node(id).kind, NodeKind::RealServer(_));
    case.scenario.steps.iter().all(|step| match &step.action {
        Action::Down(who) | Action::Up(who) | Action::Hang(who) | Action::Flap { who, .. } => real(who.node),
        Action::Slow { who, .. } | Action::Status { who, .. } => real(who.node),
        // All else is about directors and networks.
        _ => false,
    })
}

/// Whether it is about a file or a process.
fn about_what_is_tracked(case: &Case) -> bool {
    let about = |action: &Action| matches!(action, Action::File { .. } | Action::Process { .. });
    !case.scenario.steps.is_empty() && case.scenario.steps.iter().all(|step| about(&step.action))
}

/// Every cluster at both paces. The guest is emulated: a tenth of a second is nothing there, so it plays the usual pace.
pub fn all() -> Vec<Cluster> {
    let paced = RECIPES
        .iter()
        .flat_map(|it| [Pace::Usual, Pace::Quick].map(|pace| Cluster { name: it.name, kernel: it.kernel, pace }));
    paced.filter(|cluster| cluster.kernel == Kernel::Here || cluster.pace == Pace::Usual).collect()
}

/// One case of one cluster, and where its files are.
#[derive(Clone, Debug)]
pub struct Calibrated {
    pub cluster: Cluster,
    pub case: Case,
}

impl Calibrated {
    /// `relay, v2, 1 s: lb1 loses power`.
    pub fn name(&self) -> String {
        format!("{}, {}: {}", self.cluster.name, self.cluster.pace, self.case.fault)
    }

    /// Whether it can be played in namespaces; the error says why not.
    pub fn playable(&self) -> Result<(), String> {
        if self.cluster.kernel == Kernel::Guest && cold(&self.case) {
            return Err("a daemon takes seconds to start in an emulated guest".to_owned());
        }
        super::play::playable(&self.case.scenario)
    }
}

/// The cases of a cluster. Its files are written into `folder`, which the cases name.
///
/// # Errors
/// What is wrong with the files, or with the folder.
pub fn cases(cluster: Cluster, folder: &Path) -> Result<Vec<Calibrated>, String> {
    let files = write(cluster, folder).map_err(|error| format!("{}: {error}", cluster.name))?;
    let dataplane = match cluster.kernel {
        Kernel::Here => Dataplane::Relay,
        Kernel::Guest => Dataplane::Ipvs,
    };
    let mut cases = drill::cases(&files, Some(dataplane))?;
    let recipe = recipe(cluster);
    cases.retain(recipe.only);
    for case in &mut cases {
        for scenario in std::iter::once(&mut case.scenario).chain(&mut case.later) {
            let scenario = Arc::make_mut(scenario);
            scenario.duration += recipe.longer;
            if let Some(address) = recipe.stranger {
                add_stranger(scenario, address);
            }
        }
    }
    let slow = |case: &Case| cluster.kernel == Kernel::Guest && !cold(case);
    let paused = |case: Case| match slow(&case) {
        true => asked_later(&later(&case, SLOW_START), |_| SLOW_START),
        false => case,
    };
    Ok(cases.into_iter().map(|case| Calibrated { cluster, case: paused(case) }).collect())
}

/// How long a cluster in the emulated guest may take until it works.
const SLOW_START: Duration = Duration::from_secs(15);

fn recipe(cluster: Cluster) -> &'static Recipe {
    let recipe = RECIPES.iter().find(|it| it.name == cluster.name);
    recipe.expect("clusters are made of recipes")
}

fn write(cluster: Cluster, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let recipe = recipe(cluster);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/calibration").join(recipe.folder);
    let into = folder.join(format!("{}-{}", cluster.name, u8::from(cluster.pace == Pace::Quick)));
    std::fs::create_dir_all(&into)?;
    let mut files = Vec::new();
    for name in ["lb1.conf", "lb2.conf"] {
        let mut text = std::fs::read_to_string(from.join(name))?;
        if let Some(Instead { written, reads }) = recipe.instead {
            if !text.contains(written) {
                return Err(io::Error::other(format!("{}/{name} has no `{written}`", recipe.folder)));
            }
            text = text.replace(written, reads);
        }
        if cluster.pace == Pace::Quick {
            text = text.replace("advert_int 1\n", "advert_int 0.1\n    version 3\n");
        }
        std::fs::write(into.join(name), text)?;
        files.push(into.join(name));
    }
    Ok(files)
}
