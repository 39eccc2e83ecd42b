//! The kernel's IPVS table over generic netlink.

mod attributes;
mod message;
mod settings;

use crate::system::requests::Requests;
use attributes::{connections_of, dest_attribute, destination_of, service_attribute, service_of};
use futures::StreamExt;
use message::{Attribute, Command, IpvsMessage};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_proto::ConnectionHandle;
use netlink_proto::sys::{SocketAddr as NetlinkAddress, protocols::NETLINK_GENERIC};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use vipward_core::ipvs::{Destination, Op, Service, ServiceEntry, ServiceKey, Table};
use vipward_core::seam::Refusal;
use vipward_core::time::Duration;

/// The kernel answers within microseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many changes one call of the kernel carries out at most.
const AT_ONCE: usize = 256;

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
    /// For questions.
    connection: ConnectionHandle<GenlMessage<IpvsMessage>>,
    changes: Requests<GenlMessage<IpvsMessage>>,
    /// The family's number in this kernel.
    family: u16,
}

impl Ipvs {
    /// Finds IPVS, in the current `LocalSet`. Asking for the family makes the kernel load `ip_vs` if it has it.
    pub async fn open() -> Result<Self, Unavailable> {
        let family = family().await?;
        let connection = connect().map_err(Unavailable::Failed)?;
        let changes = Requests::open(NETLINK_GENERIC).map_err(Unavailable::Failed)?;
        let ipvs = Self { connection, changes, family };
        match ipvs.services().await {
            Ok(_) => Ok(ipvs),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unavailable::Forbidden),
            Err(error) => Err(Unavailable::Failed(error)),
        }
    }

    /// Carries these out in order, and says which were refused, by their places. Adding what is there sets it as wanted;
    /// removing what is gone is as good.
    pub fn change(&self, ops: &[&Op]) -> Vec<(usize, Refusal)> {
        let all: Vec<(usize, &Op)> = ops.iter().copied().enumerate().collect();
        let (mut refused, mut there) = (Vec::new(), Vec::new());
        for (place, op, error) in self.ask_all(&all, request) {
            match (op, error.raw_os_error()) {
                (Op::AddService { .. } | Op::AddDestination { .. }, Some(libc::EEXIST)) => there.push((place, op)),
                (Op::RemoveService { .. }, Some(libc::ESRCH)) => {}
                (Op::RemoveDestination { .. }, Some(libc::ESRCH | libc::ENOENT)) => {}
                _ => refused.push((place, in_words(op, &error))),
            }
        }
        let failed = self.ask_all(&there, set_as_wanted);
        refused.extend(failed.into_iter().map(|(place, op, error)| (place, in_words(op, &error))));
        refused
    }

    /// Those that failed, and why.
    fn ask_all<'a>(&self, ops: &[(usize, &'a Op)], request: fn(&Op) -> IpvsMessage) -> Vec<(usize, &'a Op, io::Error)> {
        let mut failed = Vec::new();
        for part in ops.chunks(AT_ONCE) {
            match self.changes.ask(part.iter().map(|(_, op)| (0, self.message(request(op))))) {
                Ok(answers) => {
                    let of = |(at, error)| part.get(at).map(|(place, op)| (*place, *op, error));
                    failed.extend(answers.into_iter().filter_map(of));
                }
                // Nobody knows how much of it was done.
                Err(error) => {
                    let same = || error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
                    failed.extend(part.iter().map(|(place, op)| (*place, *op, same())));
                }
            }
        }
        failed
    }

    fn message(&self, message: IpvsMessage) -> GenlMessage<IpvsMessage> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(self.family);
        message
    }

    /// The whole table.
    pub async fn read(&self) -> Result<Table, Refusal> {
        let mut table = Table::default();
        for (key, service) in self.services().await.map_err(|error| error.to_string())? {
            let destinations = self.destinations(&key).await.map_err(|error| error.to_string())?;
            let quiet = destinations.iter().filter(|(_, (it, carried))| it.weight == 0 && *carried > 0);
            table.connections.extend(quiet.map(|(at, (_, carried))| ((key, *at), *carried)));
            let destinations = destinations.into_iter().map(|(at, (it, _))| (at, it)).collect();
            table.services.insert(key, ServiceEntry { service, destinations });
        }
        table.settings = Some(self.settings().await.map_err(|error| error.to_string())?);
        Ok(table)
    }

    async fn services(&self) -> io::Result<Vec<(ServiceKey, Service)>> {
        let messages = self.ask(Command::GetService, Vec::new(), NLM_F_DUMP).await?;
        let attributes = messages.iter().flat_map(|message| &message.attributes);
        Ok(attributes
            .filter_map(|attribute| match attribute {
                Attribute::Service(attributes) => service_of(attributes),
                // Nothing else is in this answer.
                _ => None,
            })
            .collect())
    }

    /// With the connections that each has to carry.
    async fn destinations(&self, service: &ServiceKey) -> io::Result<BTreeMap<SocketAddr, (Destination, u32)>> {
        let messages = self.ask(Command::GetDest, vec![service_attribute(service, None)], NLM_F_DUMP).await?;
        let attributes = messages.iter().flat_map(|message| &message.attributes);
        Ok(attributes
            .filter_map(|attribute| match attribute {
                Attribute::Dest(attributes) => {
                    let (at, destination) = destination_of(service, attributes)?;
                    Some((at, (destination, connections_of(service, attributes))))
                }
                // Nothing else is in this answer.
                _ => None,
            })
            .collect())
    }

    async fn ask(&self, command: Command, attributes: Vec<Attribute>, flags: u16) -> io::Result<Vec<IpvsMessage>> {
        let message = self.message(IpvsMessage { command, attributes });
        let answers = ask(&self.connection, message, flags).await?;
        Ok(answers.into_iter().map(|message| message.into_parts().1).collect())
    }
}

/// What carries an operation out.
fn request(op: &Op) -> IpvsMessage {
    let (command, attributes) = match op {
        Op::AddService { key, service } => (Command::NewService, vec![service_attribute(key, Some(service))]),
        Op::EditService { key, service } => (Command::SetService, vec![service_attribute(key, Some(service))]),
        Op::RemoveService { key } => (Command::DelService, vec![service_attribute(key, None)]),
        Op::AddDestination { service, address, destination } => {
            (Command::NewDest, vec![service_attribute(service, None), dest_attribute(*address, Some(destination))])
        }
        Op::EditDestination { service, address, destination } => {
            (Command::SetDest, vec![service_attribute(service, None), dest_attribute(*address, Some(destination))])
        }
        Op::RemoveDestination { service, address } => {
            (Command::DelDest, vec![service_attribute(service, None), dest_attribute(*address, None)])
        }
    };
    IpvsMessage { command, attributes }
}

/// What makes that which is there already what an operation would have added.
fn set_as_wanted(op: &Op) -> IpvsMessage {
    let added = request(op);
    let command = match added.command {
        Command::NewService => Command::SetService,
        Command::NewDest => Command::SetDest,
        other => other,
    };
    IpvsMessage { command, ..added }
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
            let lacks = format!("this kernel has no scheduler {0} (module ip_vs_{0})", service.scheduler);
            match &service.persistence_engine {
                None => lacks,
                Some(name) => format!("{lacks}, or no persistence engine {name} (module ip_vs_pe_{name})"),
            }
        }
        (_, Some(libc::ESRCH)) => "there is no such service".to_owned(),
        (_, Some(libc::ENOENT)) => "there is no such destination".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
