//! What the kernel does with one operation, errors included. The simulator's kernel and the user-space relay keep
//! their tables with it, and the reconciler is tested against it.

use super::table::{Destination, Op, Scheduler, Service, ServiceEntry, ServiceKey, Table};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;

/// Why the kernel refuses an operation, in the words that `ipvsadm` has for the same error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// `EEXIST` on adding a service.
    #[error("Service already exists")]
    ServiceExists,
    /// `ESRCH`.
    #[error("No such service")]
    NoSuchService,
    /// `EEXIST` on adding a destination.
    #[error("Destination already exists")]
    DestinationExists,
    /// `ENOENT` on editing or removing a destination.
    #[error("No such destination")]
    NoSuchDestination,
    /// `ENOENT` on adding or editing a service.
    #[error("Scheduler or persistence engine not found")]
    NoSuchScheduler,
    /// `ERANGE`: a weight of more than 31 bits, or a lower threshold above the upper one.
    #[error("Weight or threshold out of range")]
    OutOfRange,
}

impl Table {
    /// Carries out one operation; a refused one changes nothing.
    pub fn apply(&mut self, op: &Op) -> Result<(), ApplyError> {
        match op {
            Op::AddService { key, service } => {
                known(&service.scheduler)?;
                match self.services.entry(*key) {
                    Entry::Occupied(_) => return Err(ApplyError::ServiceExists),
                    Entry::Vacant(free) => {
                        free.insert(ServiceEntry { service: service.clone(), destinations: BTreeMap::new() })
                    }
                };
            }
            Op::EditService { key, service } => {
                let there = self.service(key)?;
                known(&service.scheduler)?;
                there.service = Service::clone(service);
            }
            Op::RemoveService { key } => {
                self.services.remove(key).ok_or(ApplyError::NoSuchService)?;
            }
            Op::AddDestination { service, address, destination } => {
                let there = self.destinations(service)?;
                in_range(destination)?;
                match there.entry(*address) {
                    Entry::Occupied(_) => return Err(ApplyError::DestinationExists),
                    Entry::Vacant(free) => free.insert(*destination),
                };
            }
            Op::EditDestination { service, address, destination } => {
                let there = self.destinations(service)?;
                in_range(destination)?;
                *there.get_mut(address).ok_or(ApplyError::NoSuchDestination)? = *destination;
            }
            Op::RemoveDestination { service, address } => {
                self.destinations(service)?.remove(address).ok_or(ApplyError::NoSuchDestination)?;
            }
        }
        Ok(())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<&mut ServiceEntry, ApplyError> {
        self.services.get_mut(key).ok_or(ApplyError::NoSuchService)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<&mut BTreeMap<SocketAddr, Destination>, ApplyError> {
        self.service(key).map(|entry| &mut entry.destinations)
    }
}

fn known(scheduler: &Scheduler) -> Result<(), ApplyError> {
    if Scheduler::KNOWN.contains(&&*scheduler.0) { Ok(()) } else { Err(ApplyError::NoSuchScheduler) }
}

fn in_range(destination: &Destination) -> Result<(), ApplyError> {
    let weight_fits = i32::try_from(destination.weight).is_ok();
    if weight_fits && destination.lower_threshold <= destination.upper_threshold {
        Ok(())
    } else {
        Err(ApplyError::OutOfRange)
    }
}
