//! Everything that a director can ask for. Effects say what, not how; one that fails comes back as
//! [`crate::event::Event::EffectFailed`].

use crate::command::{Command, ScriptId};
use crate::datagram::Datagram;
use crate::decision::Decision;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName};
use crate::ipvs::Op;
use crate::lease::LeaseOp;
use crate::probe::{Probe, ProbeId};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What a machine wants done, in the order in which it wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Hear adverts on this interface, in this multicast group too if there is one. Repeating it is harmless.
    Listen {
        interface: InterfaceName,
        group: Option<IpAddr>,
    },
    /// Leave that group again.
    StopListening {
        interface: InterfaceName,
        group: Option<IpAddr>,
    },
    SendAdvert(Datagram),
    /// One gratuitous ARP request (RFC 826; RFC 9568 6.4.1) or unsolicited neighbour advertisement for `address`.
    Announce {
        interface: InterfaceName,
        address: IpAddr,
    },
    AddAddress(InterfaceAddress),
    RemoveAddress(AddressKey),
    /// Give these the lifetime that the configuration in force says, counted from now. No more than
    /// [`crate::vrrp::lifetime::BATCH`] at once.
    RenewAddresses {
        addresses: Arc<[InterfaceAddress]>,
    },
    /// Read every address; the answer is [`crate::event::Event::AddressesRead`].
    ReadAddresses,
    /// Change the IPVS table.
    Ipvs(Op),
    /// Read the IPVS table; the answer is [`crate::event::Event::IpvsRead`].
    ReadIpvs,
    /// Start one attempt of a checker; the answer is [`crate::event::Event::ProbeFinished`] with the same id.
    StartProbe {
        id: ProbeId,
        probe: Probe,
    },
    /// Nobody wants that answer any more.
    CancelProbe(ProbeId),
    /// Run a tracked script once; the answer is [`crate::event::Event::ScriptFinished`].
    RunScript {
        script: ScriptId,
        command: Command,
        timeout: Duration,
    },
    /// Run a notify script (`notify_master` and its kin). Those of one `queue` run one after the other, in order.
    Notify {
        queue: Arc<str>,
        command: Command,
    },
    /// Ask the quorum service; what it says comes as [`crate::event::Event::Lease`].
    Lease(LeaseOp),
    /// Something was decided, with its cause. Logs, timelines and `explain` read this stream.
    Decide(Decision),
}
