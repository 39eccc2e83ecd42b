//! Which decisions are of one kind: whoever limits or counts them needs to know.

use super::Decision;
use crate::interface::AddressKey;

/// What a decision is, and what it is about. Two of one kind say the same of the same thing, later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// A name that does not change from version to version.
    pub code: &'static str,
    /// The virtual router, address, real server or other thing. Empty: the director.
    pub about: String,
}

impl Decision {
    pub fn kind(&self) -> Kind {
        let address = |key: &AddressKey| format!("{} {}/{}", key.interface, key.address, key.prefix_len);
        let (code, about) = match self {
            Self::RoleChanged { router, .. } => ("role-changed", router.to_string()),
            Self::RoleInherited { router, .. } => ("role-inherited", router.to_string()),
            Self::PriorityChanged { router, .. } => ("priority-changed", router.to_string()),
            Self::AdvertsIgnored { router, reason, .. } => {
                let router = router.as_deref().unwrap_or_default();
                // The reason without what changes from packet to packet.
                let reason = format!("{reason:?}");
                let reason = reason.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
                ("adverts-ignored", format!("{router} {reason}"))
            }
            Self::RivalMaster { router, .. } => ("rival-master", router.to_string()),
            Self::RivalStays { router, .. } => ("rival-stays", router.to_string()),
            Self::ChecksumLearned { router, .. } => ("checksum-learned", router.to_string()),
            Self::AddressListDiffers { router, .. } => ("address-list-differs", router.to_string()),
            Self::IntervalDiffers { router, .. } => ("interval-differs", router.to_string()),
            Self::SecondOwner { router, .. } => ("second-owner", router.to_string()),
            Self::AddressNotOurs { address: key } => ("address-not-ours", address(key)),
            Self::LeftoverRemoved { address: key } => ("leftover-removed", address(key)),
            Self::AddressRestored { address: it } => ("address-restored", address(&it.key())),
            Self::ScriptChanged { script, .. } => ("script-changed", script.to_string()),
            Self::ProbeFailed { service, server, .. } => ("probe-failed", format!("{service} {server}")),
            Self::ProbeNotAsked { shortage, .. } => ("probe-not-asked", format!("{shortage:?}")),
            Self::ProbesAskedAgain { shortage, .. } => ("probes-asked-again", format!("{shortage:?}")),
            Self::WeightChanged { service, server, .. } => ("weight-changed", format!("{service} {server}")),
            Self::ServerUp { service, server } => ("server-up", format!("{service} {server}")),
            Self::ServerDown { service, server, .. } => ("server-down", format!("{service} {server}")),
            Self::ServerStartsDown { service, server } => ("server-starts-down", format!("{service} {server}")),
            Self::VerdictsInherited { .. } => ("verdicts-inherited", String::new()),
            Self::QuorumGained { service, .. } => ("quorum-gained", service.to_string()),
            Self::QuorumLost { service, .. } => ("quorum-lost", service.to_string()),
            Self::TableRepaired { .. } => ("table-repaired", String::new()),
            Self::SettingNotServed { word, .. } => ("setting-not-served", word.clone()),
            Self::ServiceNotServed { service, .. } => ("service-not-served", service.to_string()),
            Self::EffectFailed { what, .. } => ("effect-failed", what.clone()),
            Self::SessionOpened { .. } => ("session-opened", String::new()),
            Self::SessionTooShort { .. } => ("session-too-short", String::new()),
            Self::SessionLost => ("session-lost", String::new()),
            Self::ServiceUnreachable { .. } => ("service-unreachable", String::new()),
            Self::ServiceAnswers { .. } => ("service-answers", String::new()),
            Self::LeaseGranted { router, .. } => ("lease-granted", router.to_string()),
            Self::LeaseHeld { router, .. } => ("lease-held", router.to_string()),
            Self::LeaseGone { router } => ("lease-gone", router.to_string()),
            Self::LeaseNotYet { router, .. } => ("lease-not-yet", router.to_string()),
            Self::KeptWithoutQuorum { router } => ("kept-without-quorum", router.to_string()),
            Self::ChecksSuspended { service, .. } => ("checks-suspended", service.to_string()),
            Self::ChecksResumed { service } => ("checks-resumed", service.to_string()),
            Self::ProcessChanged { process, .. } => ("process-changed", process.to_string()),
            Self::RouteLeftoverRemoved { route } => ("route-leftover-removed", route.to_string()),
            Self::RouteRestored { route } => ("route-restored", route.key.to_string()),
            Self::RuleLeftoverRemoved { rule } => ("rule-leftover-removed", rule.to_string()),
            Self::RuleRestored { rule } => ("rule-restored", rule.to_string()),
            Self::ServerDrained { service, server, .. } => ("server-drained", format!("{service} {server}")),
            Self::ServerUndrained { service, server } => ("server-undrained", format!("{service} {server}")),
            Self::ServerTakenOut { service, server, .. } => ("server-taken-out", format!("{service} {server}")),
            Self::SlowStart { service, server, .. } => ("slow-start", format!("{service} {server}")),
            Self::DrainsInherited { .. } => ("drains-inherited", String::new()),
            Self::OrderRefused { .. } => ("order-refused", String::new()),
            Self::ConfigApplied { .. } => ("config-applied", String::new()),
        };
        Kind { code, about }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::IgnoreReason;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn what_changes_from_one_to_the_next_is_no_kind_of_its_own() {
        let source = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let ignored = |last, reason| Decision::AdvertsIgnored {
            router: Some("VI_1".into()),
            source: source(last),
            reason,
            count: u64::from(last),
        };
        let one = ignored(1, IgnoreReason::WrongTtl { ttl: 1 }).kind();
        assert_eq!(one, ignored(2, IgnoreReason::WrongTtl { ttl: 64 }).kind());
        assert_eq!((one.code, one.about.as_str()), ("adverts-ignored", "VI_1 WrongTtl"));
        assert_ne!(one, ignored(1, IgnoreReason::WrongChecksum).kind());
    }
}
