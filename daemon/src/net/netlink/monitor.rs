//! News of links and addresses.

use super::Addresses;
use super::message::{interface, is_port_news, observed};
use crate::net::links::Links;
use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_proto::sys::{AsyncSocket, SocketAddr};
use netlink_sys::Socket;
use rtnetlink::MulticastGroup;
use socket2::SockFilter;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::interface::ObservedAddress;
use vipward_core::time::Duration;
use vipward_core::vrrp::{Event, Input};

/// Room for notifications that come while this process does not run.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Before the monitor opens its socket again after losing it.
const REOPEN: Duration = Duration::from_secs(1);

/// Tells of every change of links and addresses.
pub struct Monitor {
    addresses: Addresses,
    links: Rc<Links>,
    events: UnboundedSender<Input>,
    news: News,
    /// What was told of and is there.
    told: RefCell<BTreeSet<ObservedAddress>>,
}

type News = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

impl Monitor {
    /// Listens from now on, and sends the state as it is: [`Event::LinksRead`], [`Event::AddressesRead`].
    pub async fn open(addresses: Addresses, links: Rc<Links>, events: UnboundedSender<Input>) -> Result<Self, String> {
        let news = subscribe(&addresses).map_err(|error| format!("can't listen for changes of interfaces: {error}"))?;
        let monitor = Self { addresses, links, events, news, told: RefCell::default() };
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
        *self.told.borrow_mut() = addresses.iter().cloned().collect();
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
        let Some((address, usable)) = observed(&self.links, message) else { return Vec::new() };
        let present = present && usable;
        let mut told = self.told.borrow_mut();
        if present {
            // Our own renewals of IPv6 addresses, which the kernel sends in its own name: they get by `deaf_to`.
            if !told.insert(address.clone()) {
                return Vec::new();
            }
            told.remove(&ObservedAddress { ours: !address.ours, ..address.clone() });
        } else {
            for ours in [false, true] {
                told.remove(&ObservedAddress { ours, ..address.clone() });
            }
        }
        vec![Event::AddressChanged { address, present }]
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

/// Lets `monitor` hear nothing of the addresses that the socket with this port number adds or renews: thousands of
/// messages a second that say nothing new are dropped in the kernel and wake nobody.
fn deaf_to(monitor: &Socket, port: u32) -> io::Result<()> {
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets into `struct nlmsghdr`. Netlink speaks the machine's byte order, filters load the network's.
    let (kind, sender) = (4, 12);
    socket2::SockRef::from(monitor).attach_filter(&[
        SockFilter::new(LOAD_HALF, 0, 0, kind),
        SockFilter::new(IF_EQUAL, 0, 3, u32::from(libc::RTM_NEWADDR.to_be())),
        SockFilter::new(LOAD_WORD, 0, 0, sender),
        SockFilter::new(IF_EQUAL, 0, 1, port.to_be()),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}
