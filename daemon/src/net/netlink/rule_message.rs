//! What stands in rtnetlink's messages about policy rules.

use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{
    RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use netlink_packet_route::{AddressFamily, IpProtocol};
use std::net::IpAddr;
use vipward_core::interface::{Family, InterfaceName};
use vipward_core::route::{OURS, Rule, RuleAction};

/// The rule that a message is about, if it has our mark and is one that this program could have put in.
pub fn rule_of(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let family = match header.family {
        AddressFamily::Inet => Family::V4,
        AddressFamily::Inet6 => Family::V6,
        _ => return None,
    };
    let mut rule = Rule::new(family, 0, RuleAction::Nop);
    rule.invert = header.flags.contains(RuleFlags::Invert);
    rule.tos = header.tos;
    let (mut table, mut goto, mut ours, mut l3mdev) = (u32::from(header.table), 0, false, false);
    let (mut mark, mut mask) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(address) => rule.from = Some((*address, header.src_len)),
            RuleAttribute::Destination(address) => rule.to = Some((*address, header.dst_len)),
            RuleAttribute::Iifname(name) => rule.iif = Some(InterfaceName::new(name)),
            RuleAttribute::Oifname(name) => rule.oif = Some(InterfaceName::new(name)),
            RuleAttribute::Goto(priority) => goto = *priority,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::FwMark(number) => mark = Some(*number),
            RuleAttribute::FwMask(number) => mask = Some(*number),
            RuleAttribute::Table(number) => table = *number,
            // All bits: nothing is suppressed.
            RuleAttribute::SuppressPrefixLen(length) => rule.suppress_prefixlength = limited(*length),
            RuleAttribute::SuppressIfGroup(group) => rule.suppress_ifgroup = limited(*group),
            RuleAttribute::L3MDev(on) => l3mdev = *on,
            RuleAttribute::UidRange(range) => rule.users = Some((range.start, range.end)),
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == OURS,
            RuleAttribute::IpProtocol(protocol) => rule.protocol = u8::try_from(i32::from(*protocol)).ok(),
            RuleAttribute::SourcePortRange(range) => rule.sport = Some((range.start, range.end)),
            RuleAttribute::DestinationPortRange(range) => rule.dport = Some((range.start, range.end)),
            // Of a rule with a realm or a tunnel this program has put in none.
            _ => {}
        }
    }
    rule.mark = mark.or(mask.map(|_| 0)).map(|mark| (mark, mask.unwrap_or(u32::MAX)));
    rule.action = match header.action {
        Action::ToTable if l3mdev => RuleAction::LookupL3mdev,
        Action::ToTable => RuleAction::Lookup(table),
        Action::Goto => RuleAction::Goto(goto),
        Action::Nop => RuleAction::Nop,
        Action::Blackhole => RuleAction::Blackhole,
        Action::Unreachable => RuleAction::Unreachable,
        Action::Prohibit => RuleAction::Prohibit,
        _ => return None,
    };
    ours.then_some(rule)
}

fn limited(number: u32) -> Option<u32> {
    (number != u32::MAX).then_some(number)
}

/// What puts the rule in, and what takes it out.
pub fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match rule.family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message.header.tos = rule.tos;
    if rule.invert {
        message.header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(OURS)));
    let mut prefix = |prefix: Option<(IpAddr, u8)>, attribute: fn(IpAddr) -> RuleAttribute| {
        let (address, length) = prefix?;
        attributes.push(attribute(address));
        Some(length)
    };
    message.header.src_len = prefix(rule.from, RuleAttribute::Source).unwrap_or(0);
    message.header.dst_len = prefix(rule.to, RuleAttribute::Destination).unwrap_or(0);
    attributes.extend(rule.iif.as_ref().map(|name| RuleAttribute::Iifname(name.to_string())));
    attributes.extend(rule.oif.as_ref().map(|name| RuleAttribute::Oifname(name.to_string())));
    if let Some((mark, mask)) = rule.mark {
        attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask)]);
    }
    attributes.extend(rule.protocol.map(|number| RuleAttribute::IpProtocol(IpProtocol::from(i32::from(number)))));
    let range = |(start, end)| RulePortRange { start, end };
    attributes.extend(rule.sport.map(|ports| RuleAttribute::SourcePortRange(range(ports))));
    attributes.extend(rule.dport.map(|ports| RuleAttribute::DestinationPortRange(range(ports))));
    attributes.extend(rule.users.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
    attributes.extend(rule.suppress_prefixlength.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(rule.suppress_ifgroup.map(RuleAttribute::SuppressIfGroup));
    message.header.action = match rule.action {
        RuleAction::Lookup(table) => {
            attributes.push(RuleAttribute::Table(table));
            Action::ToTable
        }
        RuleAction::LookupL3mdev => {
            attributes.push(RuleAttribute::L3MDev(true));
            Action::ToTable
        }
        RuleAction::Goto(priority) => {
            attributes.push(RuleAttribute::Goto(priority));
            Action::Goto
        }
        RuleAction::Nop => Action::Nop,
        RuleAction::Blackhole => Action::Blackhole,
        RuleAction::Unreachable => Action::Unreachable,
        RuleAction::Prohibit => Action::Prohibit,
    };
    message
}
