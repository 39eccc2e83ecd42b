//! Which virtual routers the configurations in force name, found by what they are asked for: by address, by name, by VRID.

use super::World;
use crate::scenario::{NodeId, SegmentId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::config::{Config, VirtualRouterConfig};
use vipward_core::interface::Family;
use vipward_core::quantity::Version;
use vipward_core::time::Duration;

/// A virtual router as the network sees it. The number tells those apart that have a VRID in common and no address: they are
/// of different clusters, and ignore each other.
pub type RouterKey = (u8, SegmentId, Family, Version, usize);

/// A virtual router of a director: where it stands among the configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    config: usize,
    router: usize,
}

/// All virtual routers of directors that have a configuration.
#[derive(Debug, Default)]
pub struct Layout {
    configs: Vec<(NodeId, Arc<Config>)>,
    /// The longest advert interval of those that name an address.
    intervals: BTreeMap<IpAddr, Duration>,
    /// Without those that name it as excluded.
    by_address: BTreeMap<IpAddr, Vec<Place>>,
    by_name: BTreeMap<Arc<str>, Vec<Place>>,
    by_key: BTreeMap<RouterKey, Vec<Place>>,
    keys: BTreeMap<Place, RouterKey>,
}

impl World {
    /// Worked out anew when a director's configuration is another one.
    pub fn layout(&self) -> Rc<Layout> {
        let mut known = self.layout.borrow_mut();
        if !known.holds(self) {
            *known = Rc::new(Layout::of(self));
        }
        known.clone()
    }

    fn configs(&self) -> impl Iterator<Item = (NodeId, &Arc<Config>)> {
        self.directors().filter_map(|(id, director)| Some((id, director.config.as_ref()?)))
    }
}

impl Layout {
    fn holds(&self, world: &World) -> bool {
        let mut known = self.configs.iter();
        world.configs().all(|(id, config)| known.next().is_some_and(|it| it.0 == id && Arc::ptr_eq(&it.1, config)))
            && known.next().is_none()
    }

    fn of(world: &World) -> Self {
        let mut layout = Self::default();
        for (at, (id, config)) in world.configs().enumerate() {
            for (position, router) in config.routers.iter().enumerate() {
                let place = Place { config: at, router: position };
                for address in router.addresses.iter().chain(&router.excluded) {
                    let interval = layout.intervals.entry(address.address).or_default();
                    *interval = router.adverts.interval.duration().max(*interval);
                }
                for address in &router.addresses {
                    layout.by_address.entry(address.address).or_default().push(place);
                }
                layout.by_name.entry(router.name.clone()).or_default().push(place);
                if let Some(port) =
                    world.node(id).ports.iter().find(|port| port.interface == router.interfaces.heard_on)
                {
                    let key = (router.vrid.get(), port.segment, router.family, router.version, 0);
                    layout.by_key.entry(key).or_default().push(place);
                }
            }
            layout.configs.push((id, config.clone()));
        }
        for (key, places) in std::mem::take(&mut layout.by_key) {
            for (number, cluster) in layout.clusters(places).into_iter().enumerate() {
                let key = (key.0, key.1, key.2, key.3, number);
                layout.keys.extend(cluster.iter().map(|place| (*place, key)));
                layout.by_key.insert(key, cluster);
            }
        }
        layout
    }

    /// Those that hear each other's adverts as their own: what each of them has in common with another one.
    fn clusters(&self, places: Vec<Place>) -> Vec<Vec<Place>> {
        let mut clusters: Vec<(BTreeSet<IpAddr>, Vec<Place>)> = Vec::new();
        for place in places {
            let Some((_, router)) = self.at(&place) else { continue };
            let own: BTreeSet<IpAddr> = router.addresses.iter().map(|it| it.address).collect();
            let (meant, others): (Vec<_>, Vec<_>) = clusters
                .into_iter()
                .partition(|(addresses, _)| !own.is_disjoint(addresses) || (own.is_empty() && addresses.is_empty()));
            let (mut addresses, mut all) = (own, Vec::new());
            for (more, members) in meant {
                addresses.extend(more);
                all.extend(members);
            }
            all.push(place);
            clusters = others;
            clusters.push((addresses, all));
        }
        let mut clusters: Vec<Vec<Place>> = clusters.into_iter().map(|(_, members)| members).collect();
        // In the order of directors and of their files, whatever was joined.
        clusters.iter_mut().for_each(|cluster| cluster.sort());
        clusters.sort();
        clusters
    }

    fn at(&self, place: &Place) -> Option<(NodeId, &VirtualRouterConfig)> {
        let (id, config) = self.configs.get(place.config)?;
        Some((*id, config.routers.get(place.router)?))
    }

    fn all<'l>(&'l self, places: Option<&'l Vec<Place>>) -> impl Iterator<Item = (NodeId, &'l VirtualRouterConfig)> {
        places.into_iter().flatten().filter_map(|place| self.at(place))
    }

    /// Every virtual address, also those that adverts do not name.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.intervals.keys().copied()
    }

    /// The slowest pace at which somebody advertises the address.
    pub fn longest_interval(&self, address: IpAddr) -> Duration {
        self.intervals.get(&address).copied().unwrap_or_default()
    }

    /// The virtual routers that advertise the address, in the order of directors and of their files.
    pub fn naming(&self, address: IpAddr) -> impl Iterator<Item = (NodeId, &VirtualRouterConfig)> {
        self.all(self.by_address.get(&address))
    }

    /// A director's virtual router by its name.
    pub fn router(&self, id: NodeId, name: &str) -> Option<&VirtualRouterConfig> {
        self.all(self.by_name.get(name)).find(|(of, _)| *of == id).map(|(_, router)| router)
    }

    /// The parts of one virtual router, in the order of directors and of their files.
    pub fn parts(&self, key: RouterKey) -> impl Iterator<Item = (NodeId, &VirtualRouterConfig)> {
        self.all(self.by_key.get(&key))
    }

    /// The virtual router of which a director's is a part; none: it is on no segment.
    pub fn key_of(&self, id: NodeId, name: &str) -> Option<RouterKey> {
        let places = self.by_name.get(name).into_iter().flatten();
        let own = places.filter(|place| self.configs.get(place.config).is_some_and(|(of, _)| *of == id));
        own.filter_map(|place| self.keys.get(place).copied()).next()
    }

    /// The virtual routers with this VRID, of this family.
    pub fn keys(&self, vrid: u8, family: Family) -> impl Iterator<Item = RouterKey> {
        let from = (vrid, SegmentId(0), Family::V4, Version::V2, 0);
        let keys = self.by_key.range(from..).map(|(key, _)| *key).take_while(move |key| key.0 == vrid);
        keys.filter(move |key| key.2 == family)
    }
}
