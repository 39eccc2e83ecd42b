//! Policy rules, as `virtual_rules` asks for them.

use super::MAIN;
use crate::interface::{Family, InterfaceName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What becomes of a packet that a rule is about (`FR_ACT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RuleAction {
    /// `table`, `lookup`.
    Lookup(u32),
    /// `l3mdev`: the table of the packet's VRF.
    LookupL3mdev,
    /// The rule of this priority is next.
    Goto(u32),
    Nop,
    Blackhole,
    Unreachable,
    Prohibit,
}

/// A rule, all of which tells it from others to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    pub family: Family,
    /// `priority`, `preference`, `order`: the lowest number comes first.
    pub priority: u32,
    /// `not`: it is about all packets that it would not be about otherwise.
    pub invert: bool,
    pub from: Option<(IpAddr, u8)>,
    pub to: Option<(IpAddr, u8)>,
    pub tos: u8,
    /// `fwmark MARK/MASK`.
    pub mark: Option<(u32, u32)>,
    pub iif: Option<InterfaceName>,
    pub oif: Option<InterfaceName>,
    /// `ipproto`.
    pub protocol: Option<u8>,
    /// From and to.
    pub sport: Option<(u16, u16)>,
    pub dport: Option<(u16, u16)>,
    /// `uidrange`, from and to.
    pub users: Option<(u32, u32)>,
    /// `suppress_prefixlength`: routes of the table that are no longer than this don't count.
    pub suppress_prefixlength: Option<u32>,
    /// `suppress_ifgroup`.
    pub suppress_ifgroup: Option<u32>,
    pub action: RuleAction,
}

impl Rule {
    /// About every packet of the family.
    pub fn new(family: Family, priority: u32, action: RuleAction) -> Self {
        Self {
            family,
            priority,
            invert: false,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            iif: None,
            oif: None,
            protocol: None,
            sport: None,
            dport: None,
            users: None,
            suppress_prefixlength: None,
            suppress_ifgroup: None,
            action,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.priority)?;
        if self.invert {
            f.write_str("not ")?;
        }
        match &self.from {
            Some((address, length)) => write!(f, "from {address}/{length}")?,
            None if self.family == Family::V6 => f.write_str("from all (IPv6)")?,
            None => f.write_str("from all")?,
        }
        if let Some((address, length)) = &self.to {
            write!(f, " to {address}/{length}")?;
        }
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}")?;
            if mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(name) = &self.iif {
            write!(f, " iif {name}")?;
        }
        if let Some(name) = &self.oif {
            write!(f, " oif {name}")?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, " ipproto {protocol}")?;
        }
        for (word, ports) in [("sport", self.sport), ("dport", self.dport)] {
            match ports {
                Some((from, to)) if from == to => write!(f, " {word} {from}")?,
                Some((from, to)) => write!(f, " {word} {from}-{to}")?,
                None => {}
            }
        }
        if let Some((from, to)) = self.users {
            write!(f, " uidrange {from}-{to}")?;
        }
        match self.action {
            RuleAction::Lookup(MAIN) => f.write_str(" lookup main")?,
            RuleAction::Lookup(table) => write!(f, " lookup {table}")?,
            RuleAction::LookupL3mdev => f.write_str(" lookup [l3mdev-table]")?,
            RuleAction::Goto(priority) => write!(f, " goto {priority}")?,
            RuleAction::Nop => f.write_str(" nop")?,
            RuleAction::Blackhole => f.write_str(" blackhole")?,
            RuleAction::Unreachable => f.write_str(" unreachable")?,
            RuleAction::Prohibit => f.write_str(" prohibit")?,
        }
        if let Some(length) = self.suppress_prefixlength {
            write!(f, " suppress_prefixlength {length}")?;
        }
        if let Some(group) = self.suppress_ifgroup {
            write!(f, " suppress_ifgroup {group}")?;
        }
        Ok(())
    }
}

/// A rule to be put into the kernel: one line of `virtual_rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualRule {
    pub rule: Rule,
    /// Whoever takes it out is left his way until the virtual router is MASTER again.
    pub no_track: bool,
}

impl fmt::Display for VirtualRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}
