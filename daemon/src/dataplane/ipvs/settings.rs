//! What IPVS has once for all services, as messages, and back.

use super::Ipvs;
use super::message::{Attribute, Command, DaemonAttribute, IpvsMessage};
use netlink_packet_core::NLM_F_DUMP;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipward_core::interface::InterfaceName;
use vipward_core::ipvs::{Setting, Settings, SyncDaemon, SyncRole, Timeouts};
use vipward_core::seam::Refusal;

/// `IP_VS_STATE_*`.
const MASTER: u32 = 1;
const BACKUP: u32 = 2;

impl Ipvs {
    /// Carries it out. Stopping what does not run is as good.
    pub fn set(&self, setting: &Setting) -> Result<(), Refusal> {
        let request = std::iter::once((0, self.message(request(setting))));
        let refused = self.changes.ask(request).map_err(|error| error.to_string())?;
        let Some((_, error)) = refused.into_iter().next() else { return Ok(()) };
        match (setting, error.raw_os_error()) {
            (Setting::StopDaemon { .. }, Some(libc::ESRCH)) => Ok(()),
            (Setting::StartDaemon { .. }, Some(libc::EEXIST)) => Err("one runs already".to_owned()),
            (Setting::StartDaemon { daemon, .. }, Some(libc::ENODEV)) => {
                Err(format!("there is no interface {}", daemon.interface))
            }
            _ => Err(error.to_string()),
        }
    }

    pub(super) async fn settings(&self) -> io::Result<Settings> {
        let mut timeouts = Timeouts::default();
        for attribute in self.ask(Command::GetConfig, Vec::new(), 0).await?.iter().flat_map(|it| &it.attributes) {
            match attribute {
                Attribute::TimeoutTcp(seconds) => timeouts.tcp = *seconds,
                Attribute::TimeoutTcpFin(seconds) => timeouts.tcp_fin = *seconds,
                Attribute::TimeoutUdp(seconds) => timeouts.udp = *seconds,
                // Nothing else is in this answer.
                _ => {}
            }
        }
        let answers = self.ask(Command::GetDaemon, Vec::new(), NLM_F_DUMP).await?;
        let daemons = answers.iter().flat_map(|answer| &answer.attributes).filter_map(|attribute| match attribute {
            Attribute::Daemon(attributes) => daemon_of(attributes),
            // Nothing else is in this answer.
            _ => None,
        });
        Ok(Settings { timeouts, daemons: daemons.collect::<BTreeMap<_, _>>() })
    }
}

fn request(setting: &Setting) -> IpvsMessage {
    let state = |role: &SyncRole| {
        DaemonAttribute::State(match role {
            SyncRole::Master => MASTER,
            SyncRole::Backup => BACKUP,
        })
    };
    let (command, attributes) = match setting {
        Setting::Timeouts(Timeouts { tcp, tcp_fin, udp }) => (
            Command::SetConfig,
            vec![Attribute::TimeoutTcp(*tcp), Attribute::TimeoutTcpFin(*tcp_fin), Attribute::TimeoutUdp(*udp)],
        ),
        Setting::StartDaemon { role, daemon } => {
            let mut attributes = vec![
                state(role),
                DaemonAttribute::Interface(daemon.interface.as_str().to_owned()),
                DaemonAttribute::Id(daemon.id.into()),
                DaemonAttribute::Port(daemon.port),
                DaemonAttribute::Ttl(daemon.ttl),
                match daemon.group {
                    IpAddr::V4(group) => DaemonAttribute::Group(group.octets()),
                    IpAddr::V6(group) => DaemonAttribute::Group6(group.octets()),
                },
            ];
            attributes.extend(daemon.max_length.map(DaemonAttribute::MaxLength));
            (Command::NewDaemon, vec![Attribute::Daemon(attributes)])
        }
        // The kernel asks for all three, and looks at the state.
        Setting::StopDaemon { role } => (Command::DelDaemon, vec![Attribute::Daemon(vec![state(role)])]),
    };
    IpvsMessage { command, attributes }
}

/// None: of a state that has no word here.
fn daemon_of(attributes: &[DaemonAttribute]) -> Option<(SyncRole, SyncDaemon)> {
    use DaemonAttribute as A;
    let (mut state, mut interface, mut id, mut max_length) = (0, String::new(), 0, None);
    let (mut group, mut port, mut ttl) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, 0);
    for attribute in attributes {
        match attribute {
            A::State(value) => state = *value,
            A::Interface(name) => interface.clone_from(name),
            A::Id(value) => id = u8::try_from(*value).unwrap_or(u8::MAX),
            A::MaxLength(value) => max_length = Some(*value),
            A::Group(bytes) => group = Ipv4Addr::from(*bytes).into(),
            A::Group6(bytes) => group = Ipv6Addr::from(*bytes).into(),
            A::Port(value) => port = *value,
            A::Ttl(value) => ttl = *value,
            A::Other(_) => {}
        }
    }
    let role = match state {
        MASTER => SyncRole::Master,
        BACKUP => SyncRole::Backup,
        _ => return None,
    };
    Some((role, SyncDaemon { interface: InterfaceName::new(&interface), id, max_length, port, ttl, group }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_read_as_it_was_written() {
        for (role, group, max_length) in
            [(SyncRole::Master, "224.0.0.81", Some(1200)), (SyncRole::Backup, "ff02::81", None)]
        {
            let group = group.parse().unwrap();
            let interface = InterfaceName::new("eth0");
            let daemon = SyncDaemon { interface, id: 51, max_length, port: 8848, ttl: 4, group };
            let message = request(&Setting::StartDaemon { role, daemon: daemon.clone() });
            let [Attribute::Daemon(attributes)] = &message.attributes[..] else { panic!("{message:?}") };
            assert_eq!(daemon_of(attributes), Some((role, daemon)));
        }
    }
}
