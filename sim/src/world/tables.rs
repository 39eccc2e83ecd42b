//! Kernel tables of directors: what [`vipward_core::seam::World`] changes and reads.

use super::World;
use super::addresses::Held;
use super::node::{Half, Mail};
use crate::scenario::NodeId;
use crate::trace::What;
use std::net::IpAddr;
use vipward_core::balancer;
use vipward_core::door::News;
use vipward_core::interface::{AddressKey, InterfaceAddress, Link, ObservedAddress};
use vipward_core::ipvs::{Op, Setting, Table};
use vipward_core::machine::{Input, ToBoth};
use vipward_core::vrrp::Event;

impl World {
    /// Every link of the node.
    pub fn links(&self, id: NodeId) -> Vec<Link> {
        let node = self.node(id);
        node.ports.iter().map(|port| Link { name: port.interface.clone(), running: node.runs(port) }).collect()
    }

    /// Every address of the node: its own, which nobody here ever takes off, and those in the kernel's table.
    pub fn addresses(&self, id: NodeId) -> Vec<ObservedAddress> {
        let own = self.node(id).ports.iter().filter_map(|port| {
            let (address, prefix_len) = port.address?;
            let key = AddressKey { interface: port.interface.clone(), address, prefix_len };
            Some(ObservedAddress { key, ours: false })
        });
        let added = self.director(id).into_iter().flat_map(|director| director.kernel.addresses.iter());
        own.chain(added.map(|(key, held)| ObservedAddress { key: key.clone(), ours: held.ours })).collect()
    }

    /// `ip address add`; the words of a refusal are the kernel's. That it is there already is as good, as to the daemon.
    pub fn add_address(&mut self, id: NodeId, address: &InterfaceAddress) -> Result<(), String> {
        if self.put_address(id, address)? {
            let address = ObservedAddress { key: address.key(), ours: true };
            self.tell_election(id, Event::AddressChanged { address, present: true });
        }
        Ok(())
    }

    /// The same, and nobody is told. False: it was there.
    pub(super) fn put_address(&mut self, id: NodeId, address: &InterfaceAddress) -> Result<bool, String> {
        if !self.node(id).ports.iter().any(|port| port.interface == address.interface) {
            return Err("No such device".to_owned());
        }
        let key = address.key();
        let there = self.node(id).own(address.address)
            || self.director(id).is_some_and(|director| director.kernel.addresses.contains(&key));
        if there {
            return Ok(false);
        }
        let lifetime = if address.permanent { super::Lifetime::Forever } else { self.lifetime(id) };
        if let Some(director) = self.director_mut(id) {
            director.kernel.addresses.insert(key.clone(), Held { ours: true, lifetime });
        }
        self.note(Some(id), What::AddressAdded(key));
        self.stir();
        Ok(true)
    }

    /// `ip address del`. That it is gone already is as good, as to the daemon.
    pub fn remove_address(&mut self, id: NodeId, key: &AddressKey) -> Result<(), String> {
        let removed = self.director_mut(id).and_then(|director| director.kernel.addresses.remove(key));
        let Some(Held { ours, .. }) = removed else { return Ok(()) };
        self.note(Some(id), What::AddressRemoved(key.clone()));
        self.routes_from(id, key.address);
        self.stir();
        let address = ObservedAddress { key: key.clone(), ours };
        self.tell_election(id, Event::AddressChanged { address, present: false });
        Ok(())
    }

    pub(super) fn delete_by_hand(&mut self, id: NodeId, address: IpAddr) {
        let keys: Vec<AddressKey> = self
            .director(id)
            .into_iter()
            .flat_map(|director| director.kernel.addresses.keys())
            .filter(|key| key.address == address)
            .cloned()
            .collect();
        for key in keys {
            // It was there a line ago.
            let _ = self.remove_address(id, &key);
        }
    }

    /// One change of the IPVS table.
    pub fn ipvs(&mut self, id: NodeId, op: &Op) -> Result<(), String> {
        let Some(director) = self.director_mut(id) else { return Err("no such director".to_owned()) };
        director.kernel.ipvs.apply(op).map_err(|error| error.to_string())?;
        self.note(Some(id), What::Ipvs(op.clone()));
        self.stir();
        Ok(())
    }

    /// Timeouts and sync daemons.
    pub fn set_ipvs(&mut self, id: NodeId, setting: &Setting) -> Result<(), String> {
        let Some(director) = self.director_mut(id) else { return Err("no such director".to_owned()) };
        let table = &mut director.kernel.ipvs;
        table.settings.get_or_insert_default();
        table.set(setting)?;
        self.note(Some(id), What::SetIpvs(setting.clone()));
        self.stir();
        Ok(())
    }

    pub fn ipvs_table(&self, id: NodeId) -> Table {
        let mut table = self.director(id).map(|director| director.kernel.ipvs.clone()).unwrap_or_default();
        table.settings.get_or_insert_default();
        if let Some(director) = self.director(id) {
            let quiet = table.services.iter().flat_map(|(key, entry)| {
                let quiet = entry.destinations.iter().filter(|(_, destination)| destination.weight == 0);
                quiet.map(|(address, _)| (*key, *address))
            });
            let counted = quiet.map(|(key, at)| ((key, at), director.kernel.connections.of(key, at).active));
            table.connections = counted.filter(|(_, active)| *active > 0).collect();
        }
        table
    }

    /// The mail of a director whose daemon is there, frozen or not.
    fn mail(&mut self, id: NodeId) -> Option<&mut Mail> {
        let director = self.director_mut(id).filter(|director| director.process != super::Process::Absent)?;
        Some(&mut director.mail)
    }

    /// The host tells both machines.
    pub(super) fn tell(&mut self, id: NodeId, told: &ToBoth) {
        if let Some(mail) = self.mail(id) {
            mail.tell(told);
        }
    }

    /// Of links and addresses it tells the Election.
    pub(super) fn tell_election(&mut self, id: NodeId, event: Event) {
        if let Some(mail) = self.mail(id) {
            mail.election.push_back(event.into());
        }
    }

    /// What concerns virtual servers it tells the Balancer.
    pub(super) fn tell_balancer(&mut self, id: NodeId, event: balancer::Event) {
        if let Some(mail) = self.mail(id) {
            mail.balancer.push_back(event.into());
        }
    }

    /// One machine tells the other.
    pub fn news(&mut self, id: NodeId, from: Half, news: &News) {
        let Some(mail) = self.mail(id) else { return };
        match from {
            Half::Election => mail.balancer.push_back(Input::News(news.clone())),
            Half::Balancer => mail.election.push_back(Input::News(news.clone())),
        }
    }
}
