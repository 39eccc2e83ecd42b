//! What a sweep went through: how often each fault was played and each change of roles happened, and what never did.

use crate::scenario::words::STEPS;
use crate::trace::{Entry, What};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::quantity::Role;

/// Sums over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// By the verb of a step.
    faults: BTreeMap<String, u64>,
    changes: BTreeMap<(Role, Role, &'static str), u64>,
}

impl Covered {
    /// Of one run: its steps by their verbs, and its record.
    pub fn of<'a>(verbs: impl Iterator<Item = &'a str>, trace: &[Entry]) -> Self {
        let mut covered = Self::default();
        verbs.for_each(|verb| *covered.faults.entry(verb.to_owned()).or_default() += 1);
        for entry in trace {
            if let What::Decided(Decision::RoleChanged { from, to, cause, .. }) = &entry.what {
                *covered.changes.entry((*from, *to, kind(cause))).or_default() += 1;
            }
        }
        covered
    }

    pub fn add(&mut self, other: &Self) {
        other.faults.iter().for_each(|(verb, count)| *self.faults.entry(verb.clone()).or_default() += count);
        other.changes.iter().for_each(|(change, count)| *self.changes.entry(*change).or_default() += count);
    }

    /// In sentences, as a page and a terminal show them.
    pub fn sentences(&self) -> Vec<String> {
        let counted = |counts: Vec<(String, u64)>| {
            let each = counts.into_iter().map(|(what, count)| format!("{what} {count}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let faults = self.faults.iter().map(|(verb, count)| (verb.clone(), *count)).collect();
        let changes =
            self.changes.iter().map(|((from, to, cause), count)| (format!("{from} -> {to} ({cause})"), *count));
        let mut said = vec![
            format!("steps played: {}", counted(faults)),
            format!("changes of roles: {}", counted(changes.collect())),
        ];
        let never: Vec<&str> =
            STEPS.iter().map(|word| word.word).filter(|word| !self.faults.contains_key(*word)).collect();
        if !never.is_empty() {
            said.push(format!("steps that were never played: {}", never.join(", ")));
        }
        let mut none = String::new();
        for cause in KINDS.iter().filter(|cause| !self.changes.keys().any(|(_, _, seen)| seen == *cause)) {
            let _ = write!(none, "{}{cause}", if none.is_empty() { "" } else { ", " });
        }
        if !none.is_empty() {
            said.push(format!("reasons that never changed a role: {none}"));
        }
        said
    }
}

/// What a reason is called here, and the list of all.
macro_rules! kinds {
    ($($cause:ident => $name:literal),* $(,)?) => {
        const KINDS: &[&str] = &[$($name),*];

        fn kind(cause: &RoleCause) -> &'static str {
            match cause {
                $(RoleCause::$cause { .. } => $name),*
            }
        }
    };
}

kinds! {
    Startup => "start",
    Owner => "address owner",
    MasterDown => "Master_Down_Interval",
    MasterStopped => "Skew_Time after a stop",
    Preempts => "preempts",
    HigherPriority => "higher priority heard",
    SamePriorityGreaterAddress => "same priority, greater address heard",
    Overslept => "overslept",
    LinkDown => "link down",
    LinkGone => "link gone",
    NoSourceAddress => "no source address",
    NoLinkLocalAddress => "no link-local address",
    SourceAddressGone => "source address gone",
    Tracked => "tracked",
    FileHolds => "tracked file",
    NoQuorum => "no quorum",
    SessionTooShort => "session too short",
    QuorumOnTrial => "quorum on trial",
    Elected => "elected",
    Outranked => "outranked",
    LeaseElsewhere => "lease elsewhere",
    SpreadElsewhere => "spread elsewhere",
    Recovered => "recovered",
    Reconfigured => "reconfigured",
    Stop => "stop",
    SyncGroup => "with its sync group",
    StaticGone => "static item gone",
}

#[cfg(test)]
mod tests {
    use super::*;
    use vipward_core::quantity::Vrid;
    use vipward_core::time::Instant;

    #[test]
    fn what_happened_is_counted_and_what_never_did_is_named() {
        let changed = |cause: RoleCause| Entry {
            at: Instant::ZERO,
            node: None,
            what: What::Decided(Decision::RoleChanged {
                router: "VI_1".into(),
                vrid: Vrid::new(1).unwrap(),
                from: Role::Init,
                to: Role::Backup,
                cause,
            }),
        };
        let mut covered = Covered::of(["kill", "kill"].into_iter(), &[changed(RoleCause::Startup)]);
        covered.add(&Covered::of(["stop"].into_iter(), &[changed(RoleCause::Startup), changed(RoleCause::Stop)]));
        let said = covered.sentences();
        assert_eq!(said[0], "steps played: kill 2, stop 1");
        assert_eq!(said[1], "changes of roles: INIT -> BACKUP (start) 2, INIT -> BACKUP (stop) 1");
        assert!(said[2].starts_with("steps that were never played: kill_worker, hang_worker, "), "{}", said[2]);
        assert!(said[3].contains("overslept") && !said[3].contains("start,"), "{}", said[3]);
    }
}
