//! Links, addresses and routes of this machine over rtnetlink: changes, and news of changes.
//!
//! Questions have a socket of their own, so that a storm of notifications that overflows the monitor's can't take an answer
//! with it; changes have another one ([`crate::system::requests`]), known by its port number: the kernel tells everybody of
//! an address that was added or renewed, and [`monitor`] lets our own sleep through it.

mod message;
mod monitor;
pub mod route_message;
mod routes;
pub mod rule_message;

pub use message::removal;
pub use monitor::Monitor;
pub use routes::Routes;

use self::message::{new_address, observed};
use crate::net::links::Links;
use crate::net::secondaries::{self, Secondaries};
use crate::system::requests::Requests;
use futures::TryStreamExt;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_proto::sys::protocols::NETLINK_ROUTE;
use rtnetlink::Handle;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, ObservedAddress};
use vipward_core::route::{Route, RouteKey, Rule};
use vipward_core::time::Duration;

/// Changes and reads addresses.
#[derive(Clone)]
pub struct Addresses {
    handle: Handle,
    links: Rc<Links>,
    requests: Rc<Requests<RouteNetlinkMessage>>,
    secondaries: Rc<Secondaries>,
    /// Of what is added and renewed; none: for ever.
    lifetime: Rc<Cell<Option<Duration>>>,
}

/// One change.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Add(&'a InterfaceAddress),
    Remove(&'a AddressKey),
    PutRoute(&'a Route),
    TakeRoute(&'a RouteKey),
    PutRule(&'a Rule),
    TakeRule(&'a Rule),
}

/// What a message to the kernel is for.
enum Asked<'a> {
    /// The change at this place.
    Change(usize),
    /// That the other addresses of this interface stay.
    Promote(u32, &'a InterfaceName),
}

/// Whether an error says that there is nothing to do.
fn as_good(change: Option<&Change<'_>>, error: &io::Error) -> bool {
    let codes: &[i32] = match change {
        Some(Change::Add(_)) => &[libc::EEXIST],
        Some(Change::PutRoute(route)) if route_message::exists_is_good(route) => &[libc::EEXIST],
        Some(Change::PutRoute(_)) => &[],
        Some(Change::TakeRoute(_)) => &[libc::ESRCH, libc::ENODEV],
        Some(Change::PutRule(_)) => &[],
        Some(Change::TakeRule(_)) => &[libc::ENOENT],
        Some(Change::Remove(_)) | None => &[libc::EADDRNOTAVAIL, libc::ENODEV],
    };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Why a change was refused.
fn words(change: Option<&Change<'_>>, error: &io::Error) -> String {
    match (change, error.raw_os_error()) {
        (Some(Change::PutRoute(route)), Some(libc::EEXIST)) => {
            format!("somebody else has a route to {}, which stays; with another `metric` there can be both", route.key)
        }
        (Some(Change::PutRoute(route)), Some(libc::EINVAL)) if let Some(source) = route.source => {
            format!("{error}: is {source}, its `src`, an address of this host?")
        }
        (Some(Change::PutRoute(_)), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
            format!("{error}: no network of this host has its gateway")
        }
        _ => error.to_string(), // The kernel's own words say enough.
    }
}

/// How many changes one message to the kernel holds: what the socket's buffer takes.
const AT_ONCE: usize = 256;

impl Addresses {
    /// Opens the sockets for requests in the current `LocalSet`.
    pub fn open(links: Rc<Links>) -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::task::spawn_local(connection);
        Ok(Self {
            handle,
            links,
            requests: Rc::new(Requests::open(NETLINK_ROUTE)?),
            secondaries: Rc::default(),
            lifetime: Rc::default(),
        })
    }

    /// How long what is added or renewed from now on stays.
    pub fn set_lifetime(&self, lifetime: Option<Duration>) {
        self.lifetime.set(lifetime);
    }

    /// Gives all of these their lifetime anew.
    pub fn renew(&self, addresses: &[InterfaceAddress]) -> Result<(), String> {
        let lifetime = self.lifetime.get();
        let mut refused: Vec<(&InterfaceAddress, String)> = Vec::new();
        let mut asked = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.links.index(&address.interface) {
                Ok(index) => asked.push((index, address)),
                Err(error) => refused.push((address, error)),
            }
        }
        let messages = asked.iter().map(|(index, address)| new_address(*index, address, lifetime));
        let messages = messages.map(|message| (NLM_F_REPLACE, RouteNetlinkMessage::NewAddress(message)));
        // An address that is there keeps its place, its label and its flags; one that is not is added.
        for (place, error) in self.requests.ask(messages).map_err(|error| error.to_string())? {
            refused.extend(asked.get(place).map(|(_, address)| (*address, error.to_string())));
        }
        match refused.as_slice() {
            [] => Ok(()),
            [(address, error)] => Err(format!("{address}: {error}")),
            [(address, error), others @ ..] => Err(format!("{address}: {error}; and {} more", others.len())),
        }
    }

    /// Carries these out in order, and says which were refused, by their places. That an added address is there already,
    /// or a removed one, or its whole interface, gone already, is as good.
    pub fn change(&self, changes: &[Change<'_>]) -> Vec<(usize, String)> {
        let mut refused = Vec::new();
        let mut asked = Vec::with_capacity(changes.len());
        let mut promoted = BTreeSet::new();
        for (place, change) in changes.iter().enumerate() {
            let (interface, address, prefix_len, adds) = match change {
                Change::Add(address) => (&address.interface, address.address, address.prefix_len, true),
                Change::Remove(key) => (&key.interface, key.address, key.prefix_len, false),
                Change::PutRoute(route) => {
                    match route_message::addition(&self.links, route) {
                        Ok(message) => {
                            let message = RouteNetlinkMessage::NewRoute(message);
                            asked.push((Asked::Change(place), route_message::flags(route), message));
                        }
                        Err(error) => refused.push((place, error)),
                    }
                    continue;
                }
                Change::TakeRoute(key) => {
                    let message = RouteNetlinkMessage::DelRoute(route_message::removal(key));
                    asked.push((Asked::Change(place), 0, message));
                    continue;
                }
                Change::PutRule(rule) => {
                    let message = RouteNetlinkMessage::NewRule(rule_message::message(rule));
                    // Beside one of somebody else, as keepalived: each is known by its mark.
                    asked.push((Asked::Change(place), NLM_F_CREATE, message));
                    continue;
                }
                Change::TakeRule(rule) => {
                    let message = RouteNetlinkMessage::DelRule(rule_message::message(rule));
                    asked.push((Asked::Change(place), 0, message));
                    continue;
                }
            };
            let index = match self.links.index(interface) {
                Ok(index) => index,
                Err(error) => {
                    // One that is not there has taken its addresses along.
                    refused.extend(adds.then_some((place, error)));
                    continue;
                }
            };
            let may_lose = secondaries::may_have(address, prefix_len) && (!adds || self.secondaries.first(index));
            if may_lose && promoted.insert(index) {
                asked.push((
                    Asked::Promote(index, interface),
                    0,
                    RouteNetlinkMessage::SetLink(secondaries::promote(index)),
                ));
            }
            let (flags, message) = match change {
                Change::Add(address) => {
                    let message = new_address(index, address, self.lifetime.get());
                    (NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewAddress(message))
                }
                Change::Remove(key) => (0, RouteNetlinkMessage::DelAddress(removal(index, key))),
                // Above.
                Change::PutRoute(_) | Change::TakeRoute(_) | Change::PutRule(_) | Change::TakeRule(_) => continue,
            };
            asked.push((Asked::Change(place), flags, message));
        }
        for part in asked.chunks(AT_ONCE) {
            match self.requests.ask(part.iter().map(|(_, flags, message)| (*flags, message.clone()))) {
                Ok(answers) => {
                    for (place, error) in answers {
                        match part.get(place) {
                            Some((Asked::Change(place), ..)) if !as_good(changes.get(*place), &error) => {
                                refused.push((*place, words(changes.get(*place), &error)));
                            }
                            Some((Asked::Promote(index, name), ..)) => {
                                self.secondaries.refused(*index, name.as_str(), &error);
                            }
                            Some((Asked::Change(_), ..)) | None => {}
                        }
                    }
                }
                Err(error) => refused.extend(part.iter().filter_map(|(asked, ..)| match asked {
                    Asked::Change(place) => Some((*place, error.to_string())),
                    Asked::Promote(..) => None,
                })),
            }
        }
        refused
    }

    /// Adds one address.
    pub fn add(&self, address: &InterfaceAddress) -> Result<(), String> {
        self.change(&[Change::Add(address)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Puts one route in.
    pub fn put_route(&self, route: &Route) -> Result<(), String> {
        self.change(&[Change::PutRoute(route)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Takes one route out.
    pub fn take_route(&self, key: &RouteKey) -> Result<(), String> {
        self.change(&[Change::TakeRoute(key)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Puts one policy rule in.
    pub fn put_rule(&self, rule: &Rule) -> Result<(), String> {
        self.change(&[Change::PutRule(rule)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Takes one policy rule out.
    pub fn take_rule(&self, rule: &Rule) -> Result<(), String> {
        self.change(&[Change::TakeRule(rule)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// What the kernel puts into its news of what this did.
    pub fn port(&self) -> u32 {
        self.requests.port()
    }

    /// Removes one address.
    pub fn remove(&self, key: &AddressKey) -> Result<(), String> {
        self.change(&[Change::Remove(key)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Every address on every interface.
    pub async fn read(&self) -> Result<Vec<ObservedAddress>, String> {
        let messages: Vec<AddressMessage> =
            self.handle.address().get().execute().try_collect().await.map_err(|error| os_error(&error).to_string())?;
        let observed = messages.iter().filter_map(|message| observed(&self.links, message));
        Ok(observed.filter(|(_, usable)| *usable).map(|(address, _)| address).collect())
    }

    async fn read_links(&self) -> Result<Vec<LinkMessage>, String> {
        self.handle.link().get().execute().try_collect().await.map_err(|error| os_error(&error).to_string())
    }

    /// Whether addresses may be changed: tries to remove one from an interface that can't exist.
    pub async fn may_change(&self) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 32;
        message.header.index = i32::MAX.unsigned_abs();
        message.attributes = vec![AddressAttribute::Local(IpAddr::from([127, 0, 0, 1]))];
        match self.handle.address().del(message).execute().await.map_err(|error| os_error(&error)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The kernel's own error, without the library's packaging.
fn os_error(error: &rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ipv6;
