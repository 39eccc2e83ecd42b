//! What the Election sends and hears.

use crate::net::adverts::AdvertSocket;
use crate::net::announce::AnnounceSocket;
use crate::net::links::Links;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use vipward_core::datagram::Datagram;
use vipward_core::interface::InterfaceName;
use vipward_core::seam::Refusal;

/// The Election's network: adverts and announcements.
pub struct ElectionNetwork {
    adverts: AdvertSocket,
    announcer: AnnounceSocket,
    links: Rc<Links>,
}

impl ElectionNetwork {
    /// Needs CAP_NET_RAW.
    pub fn open(links: Rc<Links>) -> io::Result<Self> {
        Ok(Self { adverts: AdvertSocket::open(links.clone())?, announcer: AnnounceSocket::open()?, links })
    }

    /// The next packet of protocol 112.
    pub async fn advert(&self) -> Datagram {
        self.adverts.next().await
    }

    /// One that is already there.
    pub fn waiting_advert(&self) -> Option<Datagram> {
        self.adverts.waiting()
    }

    pub fn listen(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal> {
        let index = self.links.index(interface)?;
        match group {
            Some(group) => self.adverts.join(index, group).map_err(in_words),
            None => Ok(()),
        }
    }

    pub fn stop_listening(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal> {
        // The kernel forgets the groups of an interface that goes.
        let Ok(index) = self.links.index(interface) else { return Ok(()) };
        match group {
            Some(group) => self.adverts.leave(index, group).map_err(in_words),
            None => Ok(()),
        }
    }

    pub fn send_advert(&self, advert: &Datagram) -> Result<(), Refusal> {
        tracing::trace!("sending {advert:?}");
        self.adverts.send(advert).map_err(in_words)
    }

    /// One gratuitous ARP or neighbour advertisement.
    pub fn announce(&self, interface: &InterfaceName, address: IpAddr) -> Result<(), Refusal> {
        let index = self.links.index(interface)?;
        // Loopback, tunnels: nobody there resolves addresses.
        let Some(mac) = self.links.mac(index) else { return Ok(()) };
        self.announcer.announce(index, mac, address).map_err(in_words)
    }
}

fn in_words(error: io::Error) -> Refusal {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::arp;
    use crate::net::links::Interface;
    use crate::testing::{in_network_namespace, ip, on_local_set};
    use bytes::Bytes;
    use std::net::Ipv4Addr;
    use vipward_core::interface::Link;
    use vipward_core::time::Duration;

    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

    /// A veth pair in one namespace, both ends known.
    fn pair() -> Rc<Links> {
        ip("link add v0 address 02:00:00:00:00:01 type veth peer name v1");
        for (name, address) in [("v0", "192.0.2.1/24"), ("v1", "192.0.2.2/24")] {
            ip(&format!("link set {name} up"));
            ip(&format!("addr add {address} dev {name}"));
            // One machine that hears itself on the other end of the cable: not normal, so it must be allowed.
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/accept_local"), "1").unwrap();
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0").unwrap();
        }
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
        // Until the kernel has noticed the carrier, which takes up to a second, it drops what is sent.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let up = |name: &str| {
            let shown = std::process::Command::new("ip").args(["-o", "link", "show", name]).output().unwrap();
            String::from_utf8_lossy(&shown.stdout).contains("state UP")
        };
        while !(up("v0") && up("v1")) {
            assert!(std::time::Instant::now() < deadline, "the links do not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        let links = Links::default();
        for name in ["lo", "v0", "v1"] {
            let index = nix::net::if_::if_nametoindex(name).unwrap();
            let mac = (name == "v0").then_some([2, 0, 0, 0, 0, 1]);
            links.put(index, Interface { link: Link { name: InterfaceName::new(name), running: true }, mac });
        }
        Rc::new(links)
    }

    fn advert(interface: &str, source: [u8; 4]) -> Datagram {
        Datagram {
            interface: InterfaceName::new(interface),
            source: source.into(),
            destination: GROUP.into(),
            ttl: 255,
            payload: Bytes::from_static(b"advert"),
        }
    }

    async fn heard(network: &ElectionNetwork) -> Datagram {
        tokio::time::timeout(Duration::from_secs(20), network.advert()).await.unwrap()
    }

    #[test]
    fn an_advert_arrives_with_interface_source_destination_and_ttl() {
        in_network_namespace("network::tests::an_advert_arrives_with_interface_source_destination_and_ttl", || {
            let links = pair();
            on_local_set(async {
                let network = ElectionNetwork::open(links).unwrap();
                network.listen(&InterfaceName::new("v1"), Some(GROUP.into())).unwrap();
                network.listen(&InterfaceName::new("v1"), Some(GROUP.into())).expect("joining twice is harmless");

                network.send_advert(&advert("v0", [192, 0, 2, 1])).unwrap();
                let mut expected = advert("v0", [192, 0, 2, 1]);
                expected.interface = InterfaceName::new("v1");
                assert_eq!(heard(&network).await, expected);

                // The TTL of each packet is its own, and what the wire says is what is told.
                let mut near = advert("v0", [192, 0, 2, 1]);
                near.ttl = 254;
                network.send_advert(&near).unwrap();
                assert_eq!(heard(&network).await.ttl, 254);
            });
        });
    }

    /// The link-local address of an interface, once duplicate address detection is over.
    fn link_local(name: &str) -> std::net::Ipv6Addr {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let shown = ip(&format!("-6 -o address show dev {name} scope link"));
            let address = shown.split_whitespace().find_map(|word| word.strip_suffix("/64")?.parse().ok());
            match address {
                Some(address) if !shown.contains("tentative") => return address,
                _ => assert!(std::time::Instant::now() < deadline, "{shown}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_ipv6_advert_arrives_with_interface_source_destination_and_hop_limit() {
        let name = "net::network::tests::an_ipv6_advert_arrives_with_interface_source_destination_and_hop_limit";
        in_network_namespace(name, || {
            let links = pair();
            let source = link_local("v0");
            link_local("v1");
            let group = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]);
            on_local_set(async {
                let network = ElectionNetwork::open(links).unwrap();
                let v1 = InterfaceName::new("v1");
                network.listen(&v1, Some(group)).unwrap();
                network.listen(&v1, Some(group)).expect("joining twice is harmless");
                let advert = Datagram { source: source.into(), destination: group, ..advert("v0", [192, 0, 2, 1]) };
                network.send_advert(&advert).unwrap();
                assert_eq!(heard(&network).await, Datagram { interface: v1.clone(), ..advert.clone() });
                // Each packet's hop limit is its own, and both families are heard.
                network.send_advert(&Datagram { ttl: 254, ..advert.clone() }).unwrap();
                assert_eq!(heard(&network).await.ttl, 254);
                network.listen(&v1, Some(GROUP.into())).unwrap();
                network.send_advert(&super::tests::advert("v0", [192, 0, 2, 1])).unwrap();
                assert_eq!(heard(&network).await.destination, IpAddr::from(GROUP));
                // By unicast to a link-local address, which says nothing of the interface.
                let destination = link_local("v1").into();
                network.send_advert(&Datagram { destination, ..advert.clone() }).unwrap();
                assert_eq!(heard(&network).await, Datagram { interface: v1.clone(), destination, ..advert.clone() });
                // Who left hears nothing; what is no address of this host is no source.
                network.stop_listening(&v1, Some(group)).unwrap();
                network.stop_listening(&v1, Some(group)).expect("leaving twice is harmless");
                network.send_advert(&advert).unwrap();
                network.send_advert(&super::tests::advert("v0", [192, 0, 2, 1])).unwrap();
                assert_eq!(heard(&network).await.destination, IpAddr::from(GROUP));
                let foreign = Datagram { source: "fe80::99".parse().unwrap(), ..advert };
                assert!(network.send_advert(&foreign).is_err());
            });
        });
    }

    #[test]
    fn only_the_interface_that_listens_hears_the_group_and_nobody_hears_himself() {
        in_network_namespace(
            "network::tests::only_the_interface_that_listens_hears_the_group_and_nobody_hears_himself",
            || {
                let links = pair();
                on_local_set(async {
                    let network = ElectionNetwork::open(links).unwrap();
                    network.listen(&InterfaceName::new("v1"), Some(GROUP.into())).unwrap();
                    // Leaves by v1 and arrives at v0, which is not in the group; not looped back to v1 either.
                    network.send_advert(&advert("v1", [192, 0, 2, 2])).unwrap();
                    network.send_advert(&advert("v0", [192, 0, 2, 1])).unwrap();
                    assert_eq!(heard(&network).await.source, IpAddr::from([192, 0, 2, 1]));
                    assert_eq!(network.waiting_advert(), None);

                    network.stop_listening(&InterfaceName::new("v1"), Some(GROUP.into())).unwrap();
                    network.listen(&InterfaceName::new("v0"), Some(GROUP.into())).unwrap();
                    network.send_advert(&advert("v0", [192, 0, 2, 1])).unwrap();
                    network.send_advert(&advert("v1", [192, 0, 2, 2])).unwrap();
                    assert_eq!(heard(&network).await.interface, InterfaceName::new("v0"));
                });
            },
        );
    }

    #[test]
    fn what_the_kernel_holds_is_there_without_the_runtime_having_looked() {
        in_network_namespace(
            "network::tests::what_the_kernel_holds_is_there_without_the_runtime_having_looked",
            || {
                let links = pair();
                on_local_set(async {
                    let network = ElectionNetwork::open(links).unwrap();
                    network.listen(&InterfaceName::new("v1"), Some(GROUP.into())).unwrap();
                    for _ in 0..3 {
                        network.send_advert(&advert("v0", [192, 0, 2, 1])).unwrap();
                    }
                    // A veth delivers within the send, or soon after on another CPU. Nothing here yields to the runtime.
                    let deadline = std::time::Instant::now() + Duration::from_secs(20);
                    let mut count = 0;
                    while count < 3 && std::time::Instant::now() < deadline {
                        count += usize::from(network.waiting_advert().is_some());
                    }
                    assert_eq!(count, 3);
                    assert_eq!(network.waiting_advert(), None);
                    // And the runtime, which was passed by, still wakes for the next one.
                    network.send_advert(&advert("v0", [192, 0, 2, 1])).unwrap();
                    heard(&network).await;
                });
            },
        );
    }

    #[test]
    fn an_announcement_is_seen_on_the_wire() {
        in_network_namespace("network::tests::an_announcement_is_seen_on_the_wire", || {
            let links = pair();
            on_local_set(async {
                let network = ElectionNetwork::open(links).unwrap();
                let protocol = socket2::Protocol::from(i32::from((libc::ETH_P_ARP as u16).to_be()));
                let wire = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::DGRAM, Some(protocol)).unwrap();
                wire.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                network.announce(&InterfaceName::new("v0"), IpAddr::from([192, 0, 2, 100])).unwrap();
                let mut frame = [0; 64];
                let length = std::io::Read::read(&mut &wire, &mut frame).unwrap();
                let expected = arp::gratuitous_request([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 0, 2, 100));
                assert_eq!(frame[..length], expected);
                // No hardware address, nobody to tell.
                network.announce(&InterfaceName::new("lo"), IpAddr::from([192, 0, 2, 100])).unwrap();
            });
        });
    }

    #[test]
    fn what_cannot_be_done_is_said_in_words() {
        in_network_namespace("network::tests::what_cannot_be_done_is_said_in_words", || {
            let links = pair();
            on_local_set(async {
                let network = ElectionNetwork::open(links).unwrap();
                let nowhere = InterfaceName::new("nix0");
                assert_eq!(
                    network.listen(&nowhere, Some(GROUP.into())),
                    Err("interface nix0 does not exist".to_owned())
                );
                assert_eq!(network.stop_listening(&nowhere, Some(GROUP.into())), Ok(()));
                let foreign = advert("v0", [198, 51, 100, 1]);
                assert!(network.send_advert(&foreign).is_err(), "a source address that is not ours");
            });
        });
    }
}
