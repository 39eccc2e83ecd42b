//! The only source of IPVS operations: what leads from the observed table to the desired one.
//!
//! Make before break. New services and destinations come first, then changes, then removals, so that a service which
//! has somebody to answer before and after has somebody to answer at every step between. Services that this
//! configuration neither names nor named are somebody else's and are never touched; nothing is flushed.

use super::table::{Destination, Op, ServiceEntry, ServiceKey, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The operations that make `observed` equal to `desired` on the services in `owned`, in the order in which they must
/// be carried out. A desired service that is not owned is left alone too.
pub fn reconcile(desired: &Table, observed: &Table, owned: &BTreeSet<ServiceKey>) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut removals = Vec::new();
    for key in owned {
        let service = reconcile_service(*key, desired.services.get(key), observed.services.get(key));
        let kept = service.iter().take_while(|op| !is_removal(op)).count();
        let mut service = service.into_iter();
        ops.extend(service.by_ref().take(kept));
        removals.extend(service);
    }
    ops.append(&mut removals);
    ops
}

/// The same for one service; `None` means that it is not wanted, or not there.
pub fn reconcile_service(key: ServiceKey, desired: Option<&ServiceEntry>, observed: Option<&ServiceEntry>) -> Vec<Op> {
    match (desired, observed) {
        (None, None) => Vec::new(),
        // Its destinations go with it.
        (None, Some(_)) => vec![Op::RemoveService { key }],
        (Some(desired), None) => {
            let mut ops = vec![Op::AddService { key, service: desired.service.clone() }];
            ops.extend(reconcile_destinations(key, &desired.destinations, &BTreeMap::new()));
            ops
        }
        (Some(desired), Some(observed)) => {
            let mut ops = Vec::new();
            if desired.service != observed.service {
                ops.push(Op::EditService { key, service: desired.service.clone() });
            }
            ops.extend(reconcile_destinations(key, &desired.destinations, &observed.destinations));
            ops
        }
    }
}

/// Whatever can take new connections is set up before whatever could is taken away: weight 0 is a removal in this.
fn reconcile_destinations(
    service: ServiceKey,
    desired: &BTreeMap<SocketAddr, Destination>,
    observed: &BTreeMap<SocketAddr, Destination>,
) -> Vec<Op> {
    let mut raised = Vec::new();
    let mut lowered = Vec::new();
    for (&address, &destination) in desired {
        let op = match observed.get(&address) {
            Some(there) if *there == destination => continue,
            Some(_) => Op::EditDestination { service, address, destination },
            None => Op::AddDestination { service, address, destination },
        };
        if destination.weight > 0 { raised.push(op) } else { lowered.push(op) }
    }
    let gone = observed.keys().filter(|address| !desired.contains_key(address));
    lowered.extend(gone.map(|&address| Op::RemoveDestination { service, address }));
    raised.append(&mut lowered);
    raised
}

fn is_removal(op: &Op) -> bool {
    match op {
        Op::RemoveService { .. } | Op::RemoveDestination { .. } => true,
        Op::AddService { .. } | Op::EditService { .. } | Op::AddDestination { .. } | Op::EditDestination { .. } => {
            false
        }
    }
}
