//! Links and addresses of this machine over rtnetlink: changes, and news of changes.
//!
//! Questions have a socket of their own, so that a storm of notifications that overflows the monitor's can't take an answer
//! with it; changes have another one ([`crate::net::requests`]).

use crate::net::adverts::PROTOCOL;
use crate::net::links::{Interface, Links};
use crate::net::requests::{Requests, deaf_to};
use crate::net::secondaries::{self, Secondaries};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_proto::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{Handle, MulticastGroup};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, Link, ObservedAddress, Scope};
use vipward_core::time::Duration;
use vipward_core::vrrp::{Event, Input};

/// Room for notifications that come while this process does not run.
const RECEIVE_BUFFER: usize = 1 << 20;

/// `INFINITY_LIFE_TIME`.
const FOREVER: u32 = u32::MAX;

/// Before the monitor opens its socket again after losing it.
const REOPEN: Duration = Duration::from_secs(1);

/// Changes and reads addresses.
#[derive(Clone)]
pub struct Addresses {
    handle: Handle,
    links: Rc<Links>,
    requests: Rc<Requests>,
    secondaries: Rc<Secondaries>,
    /// Of what is added and renewed; none: for ever.
    lifetime: Rc<Cell<Option<Duration>>>,
}

/// One change.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Add(&'a InterfaceAddress),
    Remove(&'a AddressKey),
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
        Some(Change::Remove(_)) | None => &[libc::EADDRNOTAVAIL, libc::ENODEV],
    };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
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
            requests: Rc::new(Requests::open()?),
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
            let (interface, address, prefix_len) = match change {
                Change::Add(address) => (&address.interface, address.address, address.prefix_len),
                Change::Remove(key) => (&key.interface, key.address, key.prefix_len),
            };
            let index = match (self.links.index(interface), change) {
                (Ok(index), _) => index,
                (Err(error), Change::Add(_)) => {
                    refused.push((place, error));
                    continue;
                }
                // It has taken its addresses along.
                (Err(_), Change::Remove(_)) => continue,
            };
            let may_lose = secondaries::may_have(address, prefix_len)
                && match change {
                    Change::Add(_) => self.secondaries.first(index),
                    Change::Remove(_) => true,
                };
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
            };
            asked.push((Asked::Change(place), flags, message));
        }
        for part in asked.chunks(AT_ONCE) {
            match self.requests.ask(part.iter().map(|(_, flags, message)| (*flags, message.clone()))) {
                Ok(answers) => {
                    for (place, error) in answers {
                        match part.get(place) {
                            Some((Asked::Change(place), ..)) if !as_good(changes.get(*place), &error) => {
                                refused.push((*place, error.to_string()));
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

    /// Removes one address.
    pub fn remove(&self, key: &AddressKey) -> Result<(), String> {
        self.change(&[Change::Remove(key)]).pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Every address on every interface.
    pub async fn read(&self) -> Result<Vec<ObservedAddress>, String> {
        let messages: Vec<AddressMessage> =
            self.handle.address().get().execute().try_collect().await.map_err(|error| os_error(&error).to_string())?;
        Ok(messages.iter().filter_map(|message| observed(&self.links, message)).collect())
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

/// Tells of every change of links and addresses.
pub struct Monitor {
    addresses: Addresses,
    links: Rc<Links>,
    events: UnboundedSender<Input>,
    news: News,
}

type News = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

impl Monitor {
    /// Listens from now on, and sends the state as it is: [`Event::LinksRead`], [`Event::AddressesRead`].
    pub async fn open(addresses: Addresses, links: Rc<Links>, events: UnboundedSender<Input>) -> Result<Self, String> {
        let news = subscribe(&addresses).map_err(|error| format!("can't listen for changes of interfaces: {error}"))?;
        let monitor = Self { addresses, links, events, news };
        monitor.read_all().await?;
        Ok(monitor)
    }

    /// Goes on until nobody wants its events any more.
    pub async fn run(mut self) {
        while !self.events.is_closed() {
            match self.news.next().await {
                Some((message, _)) => match message.payload {
                    NetlinkPayload::InnerMessage(message) => {
                        for event in self.events_of(message) {
                            let _ = self.events.send(event.into());
                        }
                    }
                    // ENOBUFS: the kernel had more to tell than the buffer holds.
                    NetlinkPayload::Overrun(_) => {
                        tracing::debug!("notifications were lost: reading links and addresses again");
                        self.read_again().await;
                    }
                    // Answers to requests never come here.
                    _ => {}
                },
                None => {
                    tracing::error!("lost the socket for changes of interfaces; opening it again");
                    tokio::time::sleep(REOPEN).await;
                    if let Ok(news) = subscribe(&self.addresses) {
                        self.news = news;
                        self.read_again().await;
                    }
                }
            }
        }
    }

    async fn read_again(&self) {
        while let Err(error) = self.read_all().await {
            tracing::error!("can't read links and addresses: {error}");
            tokio::time::sleep(REOPEN).await;
        }
    }

    async fn read_all(&self) -> Result<(), String> {
        let links = self.addresses.read_links().await?;
        self.links.clear();
        for message in &links {
            if let Some((index, interface)) = interface(message) {
                self.links.put(index, interface);
            }
        }
        let addresses = self.addresses.read().await?;
        let _ = self.events.send(Event::LinksRead(self.links.all()).into());
        let _ = self.events.send(Event::AddressesRead(addresses).into());
        Ok(())
    }

    fn events_of(&self, message: RouteNetlinkMessage) -> Vec<Event> {
        match message {
            RouteNetlinkMessage::NewLink(message) => self.link_changed(&message),
            RouteNetlinkMessage::DelLink(message) if !is_port_news(&message) => {
                let gone = self.links.remove(message.header.index);
                gone.map(|interface| Event::LinkGone(interface.link.name)).into_iter().collect()
            }
            RouteNetlinkMessage::NewAddress(message) => self.address_changed(&message, true),
            RouteNetlinkMessage::DelAddress(message) => self.address_changed(&message, false),
            // The groups joined bring links and addresses only.
            _ => Vec::new(),
        }
    }

    /// The kernel repeats itself; only what differs is an event. A new name is another interface to the machine.
    fn link_changed(&self, message: &LinkMessage) -> Vec<Event> {
        let Some((index, now)) = interface(message) else { return Vec::new() };
        let link = now.link.clone();
        match self.links.put(index, now) {
            Some(before) if before.link == link => Vec::new(),
            Some(before) if before.link.name != link.name => {
                vec![Event::LinkGone(before.link.name), Event::LinkChanged(link)]
            }
            Some(_) | None => vec![Event::LinkChanged(link)],
        }
    }

    fn address_changed(&self, message: &AddressMessage, present: bool) -> Vec<Event> {
        let address = observed(&self.links, message);
        address.map(|address| Event::AddressChanged { address, present }).into_iter().collect()
    }
}

fn subscribe(addresses: &Addresses) -> io::Result<News> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (mut connection, _, news) = rtnetlink::new_multicast_connection(&groups)?;
    let socket = connection.socket_mut().socket_mut();
    let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER);
    deaf_to(socket, addresses.requests.port())?;
    tokio::task::spawn_local(connection);
    Ok(news)
}

/// A bridge tells of its ports with link messages of its own family: the port left the bridge, not the machine.
fn is_port_news(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Bridge
}

fn interface(message: &LinkMessage) -> Option<(u32, Interface)> {
    if is_port_news(message) {
        return None;
    }
    let (mut name, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(InterfaceName::new(value)),
            LinkAttribute::Address(value) => mac = <[u8; 6]>::try_from(value.as_slice()).ok(),
            // A link has some sixty attributes more.
            _ => {}
        }
    }
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    Some((message.header.index, Interface { link: Link { name: name?, running }, mac }))
}

fn observed(links: &Links, message: &AddressMessage) -> Option<ObservedAddress> {
    let (mut local, mut address, mut ours) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(value) => local = Some(*value),
            AddressAttribute::Address(value) => address = Some(*value),
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            // The rest does not tell addresses apart.
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's; IPv6 has no IFA_LOCAL.
    let key = AddressKey {
        interface: links.name(message.header.index)?,
        address: local.or(address)?,
        prefix_len: message.header.prefix_len,
    };
    Some(ObservedAddress { key, ours })
}

/// What takes an address off.
pub fn removal(index: u32, key: &AddressKey) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(key.address);
    message.header.prefix_len = key.prefix_len;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(key.address), AddressAttribute::Address(key.address)];
    message
}

fn new_address(index: u32, address: &InterfaceAddress, lifetime: Option<Duration>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.address);
    message.header.prefix_len = address.prefix_len;
    message.header.index = index;
    message.header.scope = match address.scope {
        Scope::Global => AddressScope::Universe,
        Scope::Site => AddressScope::Site,
        Scope::Link => AddressScope::Link,
        Scope::Host => AddressScope::Host,
        Scope::Nowhere => AddressScope::Nowhere,
    };
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Local(address.address));
    attributes.push(AddressAttribute::Address(address.address));
    if let Some(broadcast) = address.broadcast {
        attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    if let Some(label) = &address.label {
        attributes.push(AddressAttribute::Label(label.to_string()));
    }
    // Both the same: an address is as good as any until it goes.
    let seconds = lifetime.map_or(FOREVER, |lifetime| u32::try_from(lifetime.as_secs()).unwrap_or(FOREVER));
    let mut cache_info = CacheInfo::default();
    (cache_info.ifa_valid, cache_info.ifa_preferred) = (seconds, seconds);
    attributes.push(AddressAttribute::CacheInfo(cache_info));
    let mut flags = AddressFlags::empty();
    if address.no_prefix_route {
        flags |= AddressFlags::Noprefixroute;
    }
    if address.address.is_ipv6() {
        // The old MASTER may hold it for a moment still: duplicate address detection would take it for another host's.
        flags |= AddressFlags::Nodad;
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    if !flags.is_empty() {
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    // Linux 5.18 and later keep it (IFA_PROTO); older ones ignore it, and then leftovers are not recognised.
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
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
mod tests {
    use super::*;
    use crate::testing::{in_network_namespace, ip, on_local_set};
    use std::net::Ipv4Addr;
    use tokio::sync::mpsc;

    struct World {
        addresses: Addresses,
        events: mpsc::UnboundedReceiver<Input>,
    }

    impl World {
        async fn start() -> Self {
            let links = Rc::new(Links::default());
            let addresses = Addresses::open(links.clone()).unwrap();
            let (sender, events) = mpsc::unbounded_channel();
            let monitor = Monitor::open(addresses.clone(), links, sender).await.unwrap();
            tokio::task::spawn_local(monitor.run());
            Self { addresses, events }
        }

        async fn next(&mut self) -> Event {
            let input = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await.unwrap().unwrap();
            input.event().cloned().unwrap()
        }

        /// Waits for an event; what comes before it is of no interest here.
        async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
            loop {
                let event = self.next().await;
                if wanted(&event) {
                    return event;
                }
            }
        }
    }

    fn vip(interface: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: InterfaceName::new(interface),
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)),
            prefix_len: 24,
            broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
            label: Some(format!("{interface}:vip").into()),
            scope: Scope::Link,
            no_prefix_route: true,
        }
    }

    #[test]
    fn an_address_comes_with_all_that_was_asked_for_and_goes_again() {
        in_network_namespace("netlink::tests::an_address_comes_with_all_that_was_asked_for_and_goes_again", || {
            ip("link add v0 type veth peer name v1");
            ip("link set v0 up");
            on_local_set(async {
                let mut world = World::start().await;
                assert!(matches!(world.next().await, Event::LinksRead(links) if links.len() == 3));
                assert!(matches!(world.next().await, Event::AddressesRead(_)));

                world.addresses.add(&vip("v0")).unwrap();
                let shown = ip("-d addr show dev v0");
                assert!(
                    shown.contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link noprefixroute proto 112 v0:vip")
                        || shown.contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link noprefixroute v0:vip")
                        || shown
                            .contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link proto 0x70 noprefixroute v0:vip"),
                    "{shown}"
                );
                let ours = ObservedAddress { key: vip("v0").key(), ours: true };
                assert!(world.addresses.read().await.unwrap().contains(&ours));
                world.addresses.add(&vip("v0")).expect("adding twice is harmless");

                world.addresses.remove(&vip("v0").key()).unwrap();
                world.until(|event| *event == Event::AddressChanged { address: ours.clone(), present: false }).await;
                assert!(!ip("addr show dev v0").contains("192.0.2.100"));
                world.addresses.remove(&vip("v0").key()).expect("removing twice is harmless");
            });
        });
    }

    const LEASE: Option<Duration> = Some(Duration::from_secs(2));

    /// One more in the subnet of [`vip`], and of its scope: the kernel takes no other.
    fn bare(last: u8) -> InterfaceAddress {
        let address = Ipv4Addr::new(192, 0, 2, last).into();
        InterfaceAddress { address, label: None, no_prefix_route: false, ..vip("v0") }
    }

    /// The addresses of v0 in the kernel's order, as `ip` shows them but for what is left of their lifetimes.
    fn shown() -> Vec<String> {
        let lines = ip("-o -4 addr show dev v0");
        lines.lines().filter_map(|line| Some(line.split_once('\\')?.0.trim().replace(" dynamic", ""))).collect()
    }

    async fn rest(millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[test]
    fn an_address_goes_by_itself_when_nobody_renews_it_and_stays_while_somebody_does() {
        in_network_namespace(
            "netlink::tests::an_address_goes_by_itself_when_nobody_renews_it_and_stays_while_somebody_does",
            || {
                ip("link add v0 type veth peer name v1");
                on_local_set(async {
                    let mut world = World::start().await;
                    world.addresses.set_lifetime(LEASE);
                    world.addresses.add(&vip("v0")).unwrap();
                    world.addresses.set_lifetime(None);
                    // In another subnet: a primary address takes its secondaries along.
                    let lasting = InterfaceAddress { address: [198, 51, 100, 7].into(), label: None, ..vip("v0") };
                    world.addresses.add(&lasting).unwrap();
                    world.addresses.set_lifetime(LEASE);
                    for _ in 0..12 {
                        rest(500).await;
                        world.addresses.renew(&[vip("v0")]).unwrap();
                    }
                    let ours = ObservedAddress { key: vip("v0").key(), ours: true };
                    let gone = Event::AddressChanged { address: ours, present: false };
                    while let Ok(event) = world.events.try_recv() {
                        assert_ne!(event.event(), Some(&gone), "three lifetimes, and never late by more than one");
                    }
                    let renewed = std::time::Instant::now();
                    world.until(|event| *event == gone).await;
                    // Less than its lifetime would be a fault; how much more depends on the machine.
                    assert!(renewed.elapsed() >= Duration::from_millis(1_900), "{:?}", renewed.elapsed());
                    let left = shown();
                    assert!(
                        left.len() == 1 && left[0].contains("198.51.100.7/24"),
                        "what has no lifetime stays: {left:?}"
                    );
                });
            },
        );
    }

    #[test]
    fn a_renewed_address_keeps_all_that_it_is_and_its_place() {
        in_network_namespace("netlink::tests::a_renewed_address_keeps_all_that_it_is_and_its_place", || {
            ip("link add v0 type veth peer name v1");
            ip("link set v0 up");
            ip("addr add 192.0.2.1/24 scope link dev v0");
            on_local_set(async {
                let world = World::start().await;
                world.addresses.set_lifetime(LEASE);
                let all = [bare(102), vip("v0"), bare(101)];
                for address in &all {
                    world.addresses.add(address).unwrap();
                }
                let before = shown();
                assert_eq!(before.len(), 4, "{before:?}");
                assert!(before[0].contains("192.0.2.1/24") && before[1].contains("secondary"), "{before:?}");
                for _ in 0..3 {
                    world.addresses.renew(&all).unwrap();
                }
                assert_eq!(shown(), before);
                assert!(ip("-d addr show dev v0").contains("192.0.2.100/24 brd 192.0.2.255 scope link"));
                // Off and on again, as a reload may want it.
                for lifetime in [None, LEASE] {
                    world.addresses.set_lifetime(lifetime);
                    world.addresses.renew(&all).unwrap();
                    let forever = ip("addr show dev v0").matches("valid_lft forever").count();
                    assert_eq!(forever, if lifetime.is_none() { 4 } else { 1 });
                    assert_eq!(shown(), before);
                }
            });
        });
    }

    /// What was renewed is no news, and what is renewed although it is gone is put on again.
    #[test]
    fn the_monitor_sleeps_through_what_this_process_adds_and_renews() {
        in_network_namespace("netlink::tests::the_monitor_sleeps_through_what_this_process_adds_and_renews", || {
            ip("link add v0 type veth peer name v1");
            on_local_set(async {
                let mut world = World::start().await;
                world.addresses.set_lifetime(LEASE);
                world.addresses.add(&vip("v0")).unwrap();
                world.until(|event| matches!(event, Event::AddressesRead(_))).await;
                let address = ObservedAddress { key: vip("v0").key(), ours: true };
                let gone = Event::AddressChanged { address, present: false };
                for _ in 0..1_000 {
                    world.addresses.renew(&[vip("v0")]).unwrap();
                }
                ip("addr del 192.0.2.100/24 dev v0");
                world.addresses.renew(&[vip("v0")]).unwrap();
                assert_eq!(shown().len(), 1);
                assert_eq!(world.next().await, gone, "nothing before it");
                ip("addr add 198.51.100.9/24 dev v0");
                let event = world.next().await;
                assert!(
                    matches!(&event, Event::AddressChanged { address, present: true }
                    if address.key.address == IpAddr::from([198, 51, 100, 9])),
                    "{event:?}"
                );
            });
        });
    }

    #[test]
    fn a_batch_says_what_of_it_failed_and_does_the_rest() {
        in_network_namespace("netlink::tests::a_batch_says_what_of_it_failed_and_does_the_rest", || {
            ip("link add v0 type veth peer name v1");
            on_local_set(async {
                let world = World::start().await;
                world.addresses.set_lifetime(LEASE);
                // The kernel takes no prefix longer than 32.
                let bad = |last| InterfaceAddress { prefix_len: 33, ..bare(last) };
                assert_eq!(world.addresses.renew(&[]), Ok(()));
                assert_eq!(
                    world.addresses.renew(&[bare(1), bad(2), bare(3)]),
                    Err("192.0.2.2/33 on v0: Invalid argument (os error 22)".to_owned())
                );
                assert_eq!(
                    world.addresses.renew(&[vip("nix0"), bad(2), bare(4)]),
                    Err("192.0.2.100/24 on nix0: interface nix0 does not exist; and 1 more".to_owned())
                );
                assert_eq!(shown().len(), 3);
                let all: Vec<InterfaceAddress> = (0..=255).map(bad).collect();
                let error = world.addresses.renew(&all).unwrap_err();
                assert!(error.ends_with("and 255 more"), "{error}");
            });
        });
    }

    #[test]
    fn thousands_of_addresses_are_held_over_many_lifetimes_without_one_missing() {
        in_network_namespace(
            "netlink::tests::thousands_of_addresses_are_held_over_many_lifetimes_without_one_missing",
            || {
                ip("link add v0 type veth peer name v1");
                on_local_set(async {
                    let mut world = World::start().await;
                    world.addresses.set_lifetime(LEASE);
                    let many: Vec<InterfaceAddress> = (0..5_000_u32)
                        .map(|n| InterfaceAddress {
                            address: Ipv4Addr::from(0x0a01_0000 + n).into(),
                            prefix_len: 32,
                            broadcast: None,
                            ..bare(0)
                        })
                        .collect();
                    let batches: Vec<&[InterfaceAddress]> = many.chunks(vipward_core::vrrp::lifetime::BATCH).collect();
                    batches.iter().for_each(|batch| world.addresses.renew(batch).unwrap());
                    let mut pace = tokio::time::interval(Duration::from_millis(500) / batches.len() as u32);
                    let end = std::time::Instant::now() + Duration::from_secs(7);
                    let mut longest = Duration::ZERO;
                    for batch in batches.iter().cycle() {
                        pace.tick().await;
                        let began = std::time::Instant::now();
                        world.addresses.renew(batch).unwrap();
                        longest = longest.max(began.elapsed());
                        if std::time::Instant::now() > end {
                            break;
                        }
                    }
                    println!("the longest of the batches took {longest:?}");
                    assert_eq!(shown().len(), 5_000);
                    let gone = std::iter::from_fn(|| world.events.try_recv().ok())
                        .filter(|input| matches!(input.event(), Some(Event::AddressChanged { present: false, .. })));
                    assert_eq!(gone.count(), 0);
                });
            },
        );
    }

    #[test]
    fn what_somebody_else_adds_is_not_ours() {
        in_network_namespace("netlink::tests::what_somebody_else_adds_is_not_ours", || {
            on_local_set(async {
                let mut world = World::start().await;
                ip("addr add 192.0.2.7/32 dev lo");
                let event = world.until(|event| matches!(event, Event::AddressChanged { .. })).await;
                let Event::AddressChanged { address, present: true } = event else { panic!("{event:?}") };
                assert_eq!(address.key.to_string(), "192.0.2.7/32 on lo");
                assert!(!address.ours);
            });
        });
    }

    #[test]
    fn an_interface_comes_loses_its_carrier_changes_its_name_and_goes() {
        in_network_namespace("netlink::tests::an_interface_comes_loses_its_carrier_changes_its_name_and_goes", || {
            on_local_set(async {
                let mut world = World::start().await;
                let link = |name: &str, running| Event::LinkChanged(Link { name: InterfaceName::new(name), running });
                ip("link add v0 type veth peer name v1");
                world.until(|event| *event == link("v0", false)).await;
                ip("link set v1 up");
                ip("link set v0 up");
                world.until(|event| *event == link("v0", true)).await;
                ip("link set v1 down");
                world.until(|event| *event == link("v0", false)).await;
                // Before Linux 6.2 only an interface that is down can have a new name.
                ip("link set v0 down");
                ip("link set v0 name w0");
                assert_eq!(
                    world.until(|event| matches!(event, Event::LinkGone(_))).await,
                    Event::LinkGone(InterfaceName::new("v0"))
                );
                assert_eq!(world.next().await, link("w0", false));
                ip("link del w0");
                world.until(|event| *event == Event::LinkGone(InterfaceName::new("w0"))).await;
            });
        });
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_still_there() {
        in_network_namespace("netlink::tests::a_port_that_leaves_its_bridge_is_still_there", || {
            ip("link add br0 type bridge");
            ip("link add v0 type veth peer name v1");
            ip("link set v0 master br0");
            on_local_set(async {
                let mut world = World::start().await;
                ip("link set v0 nomaster");
                ip("link del br0");
                let gone = world.until(|event| matches!(event, Event::LinkGone(_))).await;
                assert_eq!(gone, Event::LinkGone(InterfaceName::new("br0")));
            });
        });
    }

    #[test]
    fn lost_notifications_are_made_up_for_by_reading_all_again() {
        in_network_namespace("netlink::tests::lost_notifications_are_made_up_for_by_reading_all_again", || {
            on_local_set(async {
                let mut world = World::start().await;
                assert!(matches!(world.next().await, Event::LinksRead(_)));
                // Nothing runs on this thread meanwhile, so the kernel's queue overflows.
                let flood: String =
                    (0..12_000).map(|n| format!("addr add 10.1.{}.{}/32 dev lo\n", n / 250, n % 250)).collect();
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), flood).unwrap();
                ip(&format!("-batch {}", file.path().display()));
                world.until(|event| matches!(event, Event::LinksRead(_))).await;
                let read = world.next().await;
                assert!(matches!(read, Event::AddressesRead(addresses) if addresses.len() >= 12_000));
            });
        });
    }

    #[test]
    fn an_interface_that_does_not_exist_is_named() {
        in_network_namespace("netlink::tests::an_interface_that_does_not_exist_is_named", || {
            on_local_set(async {
                let world = World::start().await;
                assert_eq!(world.addresses.add(&vip("nix0")), Err("interface nix0 does not exist".to_owned()));
                assert_eq!(world.addresses.remove(&vip("nix0").key()), Ok(()));
            });
        });
    }
}
