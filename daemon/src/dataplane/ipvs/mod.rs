//! The kernel's IPVS table over generic netlink.

mod message;

use futures::StreamExt;
use message::{Attribute, Command, DestAttribute, IpvsMessage, ServiceAttribute, address, union};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_proto::ConnectionHandle;
use netlink_proto::sys::{SocketAddr as NetlinkAddress, protocols::NETLINK_GENERIC};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use vipward_core::ipvs::{
    Destination, Forwarding, Op, Persistence, Protocol, Scheduler, Service, ServiceEntry, ServiceKey, Table,
};
use vipward_core::seam::Refusal;
use vipward_core::time::Duration;

/// The kernel answers within microseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// `IP_VS_SVC_F_PERSISTENT`.
const PERSISTENT: u32 = 1;

/// `IP_VS_CONN_F_FWD_MASK`.
const FORWARDING_BITS: u32 = 7;

/// Why there is no IPVS.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("this kernel has no IPVS (module ip_vs)")]
    Absent,
    /// In a container: the kernel has it, but only for its own root.
    #[error("the kernel's IPVS may not be used from here (it needs CAP_NET_ADMIN over the whole machine)")]
    Forbidden,
    #[error("can't talk to IPVS: {0}")]
    Failed(io::Error),
}

/// The kernel's IPVS.
pub struct Ipvs {
    connection: ConnectionHandle<GenlMessage<IpvsMessage>>,
    /// The family's number in this kernel.
    family: u16,
}

impl Ipvs {
    /// Finds IPVS, in the current `LocalSet`. Asking for the family makes the kernel load `ip_vs` if it has it.
    pub async fn open() -> Result<Self, Unavailable> {
        let family = family().await?;
        let connection = connect().map_err(Unavailable::Failed)?;
        let ipvs = Self { connection, family };
        match ipvs.services().await {
            Ok(_) => Ok(ipvs),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unavailable::Forbidden),
            Err(error) => Err(Unavailable::Failed(error)),
        }
    }

    /// One change. Adding what is there sets it as wanted; removing what is gone is as good.
    pub async fn apply(&self, op: &Op) -> Result<(), Refusal> {
        let done = match op {
            Op::AddService { key, service } => {
                let wanted = vec![service_attribute(key, Some(service))];
                match self.change(Command::NewService, wanted.clone()).await {
                    Err(error) if is(&error, libc::EEXIST) => self.change(Command::SetService, wanted).await,
                    done => done,
                }
            }
            Op::EditService { key, service } => {
                self.change(Command::SetService, vec![service_attribute(key, Some(service))]).await
            }
            Op::RemoveService { key } => {
                match self.change(Command::DelService, vec![service_attribute(key, None)]).await {
                    Err(error) if is(&error, libc::ESRCH) => Ok(()),
                    done => done,
                }
            }
            Op::AddDestination { service, address, destination } => {
                let wanted = vec![service_attribute(service, None), dest_attribute(*address, Some(destination))];
                match self.change(Command::NewDest, wanted.clone()).await {
                    Err(error) if is(&error, libc::EEXIST) => self.change(Command::SetDest, wanted).await,
                    done => done,
                }
            }
            Op::EditDestination { service, address, destination } => {
                let wanted = vec![service_attribute(service, None), dest_attribute(*address, Some(destination))];
                self.change(Command::SetDest, wanted).await
            }
            Op::RemoveDestination { service, address } => {
                let which = vec![service_attribute(service, None), dest_attribute(*address, None)];
                match self.change(Command::DelDest, which).await {
                    Err(error) if is(&error, libc::ESRCH) || is(&error, libc::ENOENT) => Ok(()),
                    done => done,
                }
            }
        };
        done.map_err(|error| in_words(op, &error))
    }

    /// The whole table. Services by firewall mark are not ours to know.
    pub async fn read(&self) -> Result<Table, Refusal> {
        let mut table = Table::default();
        for (key, service) in self.services().await.map_err(|error| error.to_string())? {
            let destinations = self.destinations(&key).await.map_err(|error| error.to_string())?;
            table.services.insert(key, ServiceEntry { service, destinations });
        }
        Ok(table)
    }

    async fn services(&self) -> io::Result<Vec<(ServiceKey, Service)>> {
        let messages = self.ask(Command::GetService, Vec::new(), NLM_F_DUMP).await?;
        let attributes = messages.iter().flat_map(|message| &message.attributes);
        Ok(attributes
            .filter_map(|attribute| match attribute {
                Attribute::Service(attributes) => service_of(attributes),
                Attribute::Dest(_) | Attribute::Other(_) => None,
            })
            .collect())
    }

    async fn destinations(&self, service: &ServiceKey) -> io::Result<BTreeMap<SocketAddr, Destination>> {
        let messages = self.ask(Command::GetDest, vec![service_attribute(service, None)], NLM_F_DUMP).await?;
        let attributes = messages.iter().flat_map(|message| &message.attributes);
        Ok(attributes
            .filter_map(|attribute| match attribute {
                Attribute::Dest(attributes) => destination_of(service, attributes),
                Attribute::Service(_) | Attribute::Other(_) => None,
            })
            .collect())
    }

    async fn change(&self, command: Command, attributes: Vec<Attribute>) -> io::Result<()> {
        self.ask(command, attributes, NLM_F_ACK).await.map(drop)
    }

    async fn ask(&self, command: Command, attributes: Vec<Attribute>, flags: u16) -> io::Result<Vec<IpvsMessage>> {
        let mut message = GenlMessage::from_payload(IpvsMessage { command, attributes });
        message.set_resolved_family_id(self.family);
        let answers = ask(&self.connection, message, flags).await?;
        Ok(answers.into_iter().map(|message| message.into_parts().1).collect())
    }
}

/// The number that this kernel gave the family.
async fn family() -> Result<u16, Unavailable> {
    let connection = connect::<GenlMessage<GenlCtrl>>().map_err(Unavailable::Failed)?;
    let name = GenlCtrlAttrs::FamilyName(IpvsMessage::family_name().to_owned());
    let question = GenlMessage::from_payload(GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![name] });
    let answers = match ask(&connection, question, 0).await {
        Ok(answers) => answers,
        Err(error) if is(&error, libc::ENOENT) => return Err(Unavailable::Absent),
        Err(error) => return Err(Unavailable::Failed(error)),
    };
    let attributes = answers.iter().flat_map(|answer| &answer.payload.nlas);
    let mut number = attributes.filter_map(|attribute| match attribute {
        GenlCtrlAttrs::FamilyId(number) => Some(*number),
        // The answer describes the family at length.
        _ => None,
    });
    number.next().ok_or(Unavailable::Absent)
}

fn connect<M>() -> io::Result<ConnectionHandle<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug + Unpin + 'static,
{
    let (connection, handle, _) = netlink_proto::new_connection::<M>(NETLINK_GENERIC)?;
    tokio::task::spawn_local(connection);
    Ok(handle)
}

/// Sends a request and collects its answers; the kernel's refusal is the error.
async fn ask<M>(connection: &ConnectionHandle<M>, message: M, flags: u16) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug + Clone + Into<NetlinkPayload<M>>,
{
    let mut request = NetlinkMessage::new(NetlinkHeader::default(), message.into());
    request.header.flags = NLM_F_REQUEST | flags;
    let collect = async {
        let mut answers = connection.request(request, NetlinkAddress::new(0, 0)).map_err(io::Error::other)?;
        let mut collected = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => collected.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                // Acknowledgements, ends of dumps.
                _ => {}
            }
        }
        Ok(collected)
    };
    tokio::time::timeout(PATIENCE, collect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is(error: &io::Error, code: i32) -> bool {
    error.raw_os_error() == Some(code)
}

/// The kernel's terse codes, as what they mean for this operation.
fn in_words(op: &Op, error: &io::Error) -> Refusal {
    match (op, error.raw_os_error()) {
        (Op::AddService { service, .. } | Op::EditService { service, .. }, Some(libc::ENOENT)) => {
            format!("this kernel has no scheduler {0} (module ip_vs_{0})", service.scheduler)
        }
        (_, Some(libc::ESRCH)) => "there is no such service".to_owned(),
        (_, Some(libc::ENOENT)) => "there is no such destination".to_owned(),
        _ => error.to_string(),
    }
}

/// Which service, and how it is to be; `None`: only which.
fn service_attribute(key: &ServiceKey, service: Option<&Service>) -> Attribute {
    let (family, bytes) = union(key.address.ip());
    let protocol = match key.protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
    };
    let mut attributes = vec![
        ServiceAttribute::Family(family),
        ServiceAttribute::Protocol(protocol as u16),
        ServiceAttribute::Address(bytes),
        ServiceAttribute::Port(key.address.port()),
    ];
    if let Some(service) = service {
        let netmask = match (key.address.ip(), service.persistence) {
            (IpAddr::V4(_), Some(persistence)) => persistence.netmask.octets(),
            (IpAddr::V4(_), None) => [255; 4],
            // Each client by itself: the mask that a service of ours has is IPv4's.
            (IpAddr::V6(_), _) => 128u32.to_ne_bytes(),
        };
        attributes.extend([
            ServiceAttribute::Scheduler(service.scheduler.0.to_string()),
            ServiceAttribute::Flags {
                flags: if service.persistence.is_some() { PERSISTENT } else { 0 },
                mask: u32::MAX,
            },
            ServiceAttribute::Timeout(service.persistence.map_or(0, |persistence| persistence.timeout_secs)),
            ServiceAttribute::Netmask(netmask),
        ]);
    }
    Attribute::Service(attributes)
}

fn dest_attribute(at: SocketAddr, destination: Option<&Destination>) -> Attribute {
    let (family, bytes) = union(at.ip());
    let mut attributes =
        vec![DestAttribute::Family(family), DestAttribute::Address(bytes), DestAttribute::Port(at.port())];
    if let Some(destination) = destination {
        attributes.extend([
            DestAttribute::Forwarding(match destination.forwarding {
                Forwarding::Nat => 0,
                Forwarding::Tun => 2,
                Forwarding::Dr => 3,
            }),
            DestAttribute::Weight(destination.weight),
            DestAttribute::UpperThreshold(destination.upper_threshold),
            DestAttribute::LowerThreshold(destination.lower_threshold),
        ]);
    }
    Attribute::Dest(attributes)
}

/// `None` for services by firewall mark and for protocols that we have no word for.
fn service_of(attributes: &[ServiceAttribute]) -> Option<(ServiceKey, Service)> {
    use ServiceAttribute as A;
    let (mut family, mut protocol, mut bytes, mut port) = (None, None, None, None);
    let (mut scheduler, mut persistent, mut timeout, mut netmask) = (String::new(), false, 0, [255; 4]);
    for attribute in attributes {
        match attribute {
            A::Family(value) => family = Some(*value),
            A::Protocol(value) => protocol = Some(i32::from(*value)),
            A::Address(value) => bytes = Some(*value),
            A::Port(value) => port = Some(*value),
            A::FirewallMark(mark) if *mark != 0 => return None,
            A::Scheduler(name) => scheduler.clone_from(name),
            A::Flags { flags, .. } => persistent = flags & PERSISTENT != 0,
            A::Timeout(value) => timeout = *value,
            A::Netmask(value) => netmask = *value,
            A::FirewallMark(_) | A::Other(_) => {}
        }
    }
    let protocol = match protocol? {
        libc::IPPROTO_TCP => Protocol::Tcp,
        libc::IPPROTO_UDP => Protocol::Udp,
        libc::IPPROTO_SCTP => Protocol::Sctp,
        _ => return None,
    };
    let ip = address(family?, bytes?)?;
    let key = ServiceKey { protocol, address: SocketAddr::new(ip, port?) };
    // The mask of an IPv6 service is a prefix length; ours is always the whole address.
    let netmask = if ip.is_ipv4() { Ipv4Addr::from(netmask) } else { Ipv4Addr::BROADCAST };
    let persistence = persistent.then_some(Persistence { timeout_secs: timeout, netmask });
    Some((key, Service { scheduler: Scheduler(scheduler.into()), persistence }))
}

fn destination_of(service: &ServiceKey, attributes: &[DestAttribute]) -> Option<(SocketAddr, Destination)> {
    use DestAttribute as A;
    // Kernels before 3.18 do not tell the family: it is the service's.
    let mut family = union(service.address.ip()).0;
    let (mut bytes, mut port, mut method) = (None, None, 0);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
    for attribute in attributes {
        match attribute {
            A::Address(value) => bytes = Some(*value),
            A::Port(value) => port = Some(*value),
            A::Forwarding(value) => method = value & FORWARDING_BITS,
            A::Weight(value) => weight = *value,
            A::UpperThreshold(value) => upper_threshold = *value,
            A::LowerThreshold(value) => lower_threshold = *value,
            A::Family(value) => family = *value,
            A::Other(_) => {}
        }
    }
    let forwarding = match method {
        0 => Forwarding::Nat,
        2 => Forwarding::Tun,
        3 => Forwarding::Dr,
        // 1: the director itself, 4: past IPVS. Nobody asks for those, and as NAT they show up as not what was wanted.
        _ => Forwarding::Nat,
    };
    let at = SocketAddr::new(address(family, bytes?)?, port?);
    Some((at, Destination { weight, forwarding, upper_threshold, lower_threshold }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_network_namespace, ip, on_local_set, required};
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = ServiceKey> {
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
        (protocol, any::<(IpAddr, u16)>())
            .prop_map(|(protocol, (ip, port))| ServiceKey { protocol, address: SocketAddr::new(ip, port) })
    }

    fn any_destination() -> impl Strategy<Value = Destination> {
        let forwarding = prop_oneof![Just(Forwarding::Nat), Just(Forwarding::Dr), Just(Forwarding::Tun)];
        (forwarding, any::<(u32, u32, u32)>()).prop_map(|(forwarding, (weight, upper_threshold, lower_threshold))| {
            Destination { weight, forwarding, upper_threshold, lower_threshold }
        })
    }

    proptest! {
        #[test]
        fn a_service_is_read_as_it_was_written(key in any_key(), name in "[a-z]{1,8}", persistence: Option<(u32, u32)>) {
            let persistence = persistence.map(|(timeout_secs, mask)| Persistence {
                timeout_secs,
                netmask: if key.address.is_ipv4() { Ipv4Addr::from(mask) } else { Ipv4Addr::BROADCAST },
            });
            let service = Service { scheduler: Scheduler(name.as_str().into()), persistence };
            let Attribute::Service(attributes) = service_attribute(&key, Some(&service)) else { unreachable!() };
            prop_assert_eq!(service_of(&attributes), Some((key, service)));
        }

        #[test]
        fn a_destination_is_read_as_it_was_written(
            key in any_key(),
            at: (IpAddr, u16),
            destination in any_destination(),
        ) {
            let at = SocketAddr::new(at.0, at.1);
            let Attribute::Dest(attributes) = dest_attribute(at, Some(&destination)) else { unreachable!() };
            prop_assert_eq!(destination_of(&key, &attributes), Some((at, destination)));
        }
    }

    fn key(protocol: Protocol, address: &str) -> ServiceKey {
        ServiceKey { protocol, address: address.parse().unwrap() }
    }

    fn service(scheduler: &str, persistence: Option<(u32, [u8; 4])>) -> Service {
        let persistence =
            persistence.map(|(timeout_secs, mask)| Persistence { timeout_secs, netmask: Ipv4Addr::from(mask) });
        Service { scheduler: Scheduler(scheduler.into()), persistence }
    }

    fn destination(weight: u32, forwarding: Forwarding) -> Destination {
        Destination { weight, forwarding, upper_threshold: 0, lower_threshold: 0 }
    }

    fn ipvsadm() -> Vec<String> {
        let output = std::process::Command::new("ipvsadm").arg("-Sn").output().unwrap();
        // It does not save thresholds.
        let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Against the kernel itself. Runs where there is one with IPVS, so in the guest; with `ipvs` in
    /// `VIPWARD_REQUIRE` it must.
    #[test]
    fn the_kernel_takes_every_operation_and_shows_it_again() {
        in_network_namespace("ipvs::tests::the_kernel_takes_every_operation_and_shows_it_again", || {
            on_local_set(async {
                match Ipvs::open().await {
                    Ok(ipvs) => {
                        // Without any route the kernel takes every destination for a broadcast address.
                        ip("link set lo up");
                        with_the_kernel(ipvs).await;
                    }
                    Err(why) => {
                        assert!(!required("ipvs"), "{why}");
                        eprintln!("NOT RUN: {why}");
                    }
                }
            });
        });
    }

    async fn with_the_kernel(ipvs: Ipvs) {
        let web = key(Protocol::Tcp, "192.0.2.1:80");
        let dns = key(Protocol::Udp, "192.0.2.1:53");
        let six = key(Protocol::Tcp, "[2001:db8::1]:443");
        let ops = [
            Op::AddService { key: web, service: service("wrr", Some((300, [255, 255, 255, 0]))) },
            Op::AddService { key: dns, service: service("rr", None) },
            Op::AddService { key: six, service: service("wlc", None) },
            Op::AddDestination {
                service: web,
                address: "10.0.0.1:8080".parse().unwrap(),
                destination: Destination {
                    upper_threshold: 20,
                    lower_threshold: 10,
                    ..destination(3, Forwarding::Nat)
                },
            },
            Op::AddDestination {
                service: web,
                address: "10.0.0.2:80".parse().unwrap(),
                destination: destination(0, Forwarding::Dr),
            },
            Op::AddDestination {
                service: web,
                address: "10.0.0.3:80".parse().unwrap(),
                destination: destination(65535, Forwarding::Tun),
            },
            // The director itself: what is asked for comes back, and not "local".
            Op::AddDestination {
                service: dns,
                address: "127.0.0.1:53".parse().unwrap(),
                destination: destination(1, Forwarding::Nat),
            },
            Op::AddDestination {
                service: six,
                address: "[2001:db8::2]:443".parse().unwrap(),
                destination: destination(1, Forwarding::Dr),
            },
        ];
        let mut wanted = Table::default();
        for op in &ops {
            ipvs.apply(op).await.unwrap_or_else(|error| panic!("{op:?}: {error}"));
            wanted.apply(op).unwrap();
            assert_eq!(ipvs.read().await.unwrap(), wanted, "after {op:?}");
        }
        assert_eq!(
            ipvsadm(),
            [
                "-A -t 192.0.2.1:80 -s wrr -p 300 -M 255.255.255.0",
                "-A -t [2001:db8::1]:443 -s wlc",
                "-A -u 192.0.2.1:53 -s rr",
                "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3",
                "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0",
                "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 65535 --tun-type ipip",
                "-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -g -w 1",
                "-a -u 192.0.2.1:53 -r 127.0.0.1:53 -m -w 1",
            ]
        );

        let edits = [
            Op::EditService { key: web, service: service("sh", None) },
            Op::EditDestination {
                service: web,
                address: "10.0.0.1:8080".parse().unwrap(),
                destination: destination(7, Forwarding::Nat),
            },
            Op::RemoveDestination { service: web, address: "10.0.0.2:80".parse().unwrap() },
            Op::RemoveService { key: dns },
        ];
        for op in &edits {
            ipvs.apply(op).await.unwrap_or_else(|error| panic!("{op:?}: {error}"));
            wanted.apply(op).unwrap();
            assert_eq!(ipvs.read().await.unwrap(), wanted, "after {op:?}");
        }

        // What is as wanted already is no failure; what can't be is one, in words.
        ipvs.apply(&edits[2]).await.unwrap();
        ipvs.apply(&edits[3]).await.unwrap();
        ipvs.apply(&ops[0]).await.unwrap();
        assert_eq!(ipvs.read().await.unwrap().services[&web].service, service("wrr", Some((300, [255, 255, 255, 0]))));
        let refused = ipvs.apply(&Op::AddService { key: dns, service: service("nonsense", None) }).await;
        assert_eq!(refused, Err("this kernel has no scheduler nonsense (module ip_vs_nonsense)".to_owned()));
        let refused = ipvs.apply(&ops[6]).await;
        assert_eq!(refused, Err("there is no such service".to_owned()));

        for key in [web, six] {
            ipvs.apply(&Op::RemoveService { key }).await.unwrap();
        }
        assert_eq!(ipvs.read().await.unwrap(), Table::default());
    }

    #[test]
    fn a_service_by_firewall_mark_is_not_ours_to_know() {
        let attributes = [ServiceAttribute::Family(2), ServiceAttribute::FirewallMark(7)];
        assert_eq!(service_of(&attributes), None);
    }
}
