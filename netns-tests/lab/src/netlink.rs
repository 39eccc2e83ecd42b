//! What `ip` does, done in the calling thread's network namespace.

use crate::node::Address;
use futures::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Opens a netlink socket here, talks, closes it.
fn talk<T>(conversation: impl AsyncFnOnce(&Handle) -> Result<T, rtnetlink::Error>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        conversation(&handle).await.map_err(|error| match error {
            rtnetlink::Error::NetlinkError(refusal) => refusal.to_io(),
            other => io::Error::other(other),
        })
    })
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let link = handle.link().get().match_name(name).execute().try_next().await?;
    link.map(|link| link.header.index)
        .ok_or_else(|| rtnetlink::Error::InvalidNla(format!("interface {name} does not exist")))
}

/// A bridge that forwards from its first packet on.
pub fn add_bridge(name: &str) -> io::Result<()> {
    talk(async |handle| handle.link().add(LinkBridge::new(name).build()).execute().await)
}

/// A cable: `port` on `bridge` here, `interface` in that other namespace.
pub fn add_cable(bridge: &str, port: &str, namespace: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    let far = LinkMessageBuilder::<LinkUnspec>::new().name(interface).setns_by_fd(namespace.as_raw_fd()).build();
    talk(async |handle| {
        let bridge = index(handle, bridge).await?;
        let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(port)
            .controller(bridge)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        handle.link().add(cable).execute().await
    })
}

/// Removes an interface; of a cable that removes both ends.
pub fn remove_link(name: &str) -> io::Result<()> {
    talk(async |handle| handle.link().del(index(handle, name).await?).execute().await)
}

/// Sets a bridge port's `isolated` flag: isolated ports don't reach each other.
pub fn isolate(port: &str, isolated: bool) -> io::Result<()> {
    talk(async |handle| {
        let port = LinkBridgePort::new(index(handle, port).await?).isolated(isolated);
        handle.link().set_port(port.build()).execute().await
    })
}

/// Takes a port off its bridge, or puts it on one again: what comes in there leads nowhere, and the far end keeps its
/// carrier.
pub fn join(port: &str, bridge: Option<&str>) -> io::Result<()> {
    talk(async |handle| {
        let bridge = match bridge {
            Some(bridge) => index(handle, bridge).await?,
            None => 0,
        };
        let port = LinkUnspec::new_with_index(index(handle, port).await?).controller(bridge);
        handle.link().set(port.build()).execute().await
    })
}

pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    talk(async |handle| {
        let link = LinkUnspec::new_with_index(index(handle, name).await?);
        handle.link().set(if up { link.up() } else { link.down() }.build()).execute().await
    })
}

pub fn add_address(interface: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
    talk(async |handle| {
        let index = index(handle, interface).await?;
        handle.address().add(index, address, prefix_len).execute().await
    })
}

pub fn remove_address(interface: &str, address: IpAddr) -> io::Result<()> {
    talk(async |handle| {
        let index = index(handle, interface).await?;
        let mut found = handle.address().get().set_link_index_filter(index).set_address_filter(address).execute();
        while let Some(message) = found.try_next().await? {
            handle.address().del(message).execute().await?;
        }
        Ok(())
    })
}

pub fn default_route(gateway: Ipv4Addr) -> io::Result<()> {
    talk(async |handle| {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        handle.route().add(route).replace().execute().await
    })
}

pub fn addresses() -> io::Result<Vec<Address>> {
    talk(async |handle| {
        let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
        let names: BTreeMap<u32, String> = links.iter().map(|link| (link.header.index, name_of(link))).collect();
        let all: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
        Ok(all
            .iter()
            .filter(|message| message.header.family == AddressFamily::Inet)
            .filter_map(|message| read_address(message, names.get(&message.header.index)?))
            .filter(|address| !address.address.is_loopback())
            .collect())
    })
}

fn name_of(link: &LinkMessage) -> String {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None, // a list of a hundred attributes that are not ours
    });
    name.unwrap_or_default()
}

/// An address out of a kernel message; of an IPv4 address the local one is what counts, not the peer's.
pub fn read_address(message: &AddressMessage, interface: &str) -> Option<Address> {
    let (mut local, mut remote, mut label, mut protocol) = (None, None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Protocol(number) => {
                protocol = match number {
                    AddressProtocol::Other(number) => *number,
                    known => u8::from(*known),
                }
            }
            _ => {} // flags and lifetimes
        }
    }
    Some(Address {
        interface: interface.to_owned(),
        address: local.or(remote)?,
        prefix_len: message.header.prefix_len,
        label: label.filter(|label| label != interface),
        protocol,
    })
}
