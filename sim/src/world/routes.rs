//! Routes and policy rules of a director's kernel (`virtual_routes`, `virtual_rules`).

use super::World;
use crate::scenario::NodeId;
use crate::trace::What;
use std::net::IpAddr;
use vipward_core::route::{Route, RouteKey, Rule};
use vipward_core::vrrp::Event;

impl World {
    /// `ip route prepend`; the words of a refusal are the kernel's. That it is there already is as good, as to the daemon.
    pub fn add_route(&mut self, id: NodeId, route: &Route) -> Result<(), String> {
        let ports = &self.node(id).ports;
        if !route.interfaces().all(|name| ports.iter().any(|port| port.interface == *name)) {
            return Err("No such device".to_owned());
        }
        if route.source.is_some_and(|source| !self.has_address(id, source)) {
            return Err("Invalid argument".to_owned());
        }
        let Some(director) = self.director_mut(id) else { return Ok(()) };
        if director.kernel.routes.insert(route.key.clone(), route.clone()).is_none() {
            self.note(Some(id), What::RouteAdded(route.key.clone()));
            self.stir();
        }
        Ok(())
    }

    /// `ip route del`. That it is gone already is as good.
    pub fn remove_route(&mut self, id: NodeId, key: &RouteKey) -> bool {
        let removed = self.director_mut(id).and_then(|director| director.kernel.routes.remove(key)).is_some();
        if removed {
            self.note(Some(id), What::RouteRemoved(key.clone()));
            self.stir();
        }
        removed
    }

    /// Those with our mark: nobody else has any here.
    pub fn routes(&self, id: NodeId) -> Vec<RouteKey> {
        self.director(id).map(|director| director.kernel.routes.keys().cloned().collect()).unwrap_or_default()
    }

    /// `ip rule add`. That it is there already is as good.
    pub fn add_rule(&mut self, id: NodeId, rule: &Rule) {
        if self.director_mut(id).is_some_and(|director| director.kernel.rules.insert(rule.clone())) {
            self.note(Some(id), What::RuleAdded(rule.clone()));
            self.stir();
        }
    }

    pub fn remove_rule(&mut self, id: NodeId, rule: &Rule) {
        if self.director_mut(id).is_some_and(|director| director.kernel.rules.remove(rule)) {
            self.note(Some(id), What::RuleRemoved(rule.clone()));
            self.stir();
        }
    }

    pub fn rules(&self, id: NodeId) -> Vec<Rule> {
        self.director(id).map(|director| director.kernel.rules.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn delete_route_by_hand(&mut self, id: NodeId, destination: IpAddr, prefix_len: u8) {
        let fits = |key: &RouteKey| (key.destination, key.prefix_len) == (destination, prefix_len);
        for route in self.routes(id).into_iter().filter(fits) {
            self.remove_route(id, &route);
            self.tell_election(id, Event::RouteChanged { route, present: false });
        }
    }

    /// Linux takes a route out with the address that it names as its source, and before 6.6 without a word.
    pub(super) fn routes_from(&mut self, id: NodeId, address: IpAddr) {
        if self.has_address(id, address) {
            return;
        }
        let Some(director) = self.director(id) else { return };
        let routes = director.kernel.routes.values().filter(|route| route.source == Some(address));
        for key in routes.map(|route| route.key.clone()).collect::<Vec<_>>() {
            self.remove_route(id, &key);
        }
    }

    fn has_address(&self, id: NodeId, address: IpAddr) -> bool {
        self.node(id).own(address) || self.director(id).is_some_and(|director| director.kernel.addresses.holds(address))
    }
}
