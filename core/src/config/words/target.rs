//! What a virtual server is about: what stands behind the word, and the entries that it becomes when its block is read.

use super::said::{self, Lower};
use super::server_group::{Line, MOST_ENTRIES};
use super::virtual_server::Draft;
use crate::config::tree::Statement;
use crate::config::{Entries, Member};
use crate::interface::Family;
use crate::ipvs::{Forwarding, GroupName, Protocol, ServiceKey};
use crate::text::{Diagnostic, Span, nearest_name};
use std::net::{IpAddr, SocketAddr};

/// `IP PORT`, `fwmark MARK`, `group NAME`.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Address(SocketAddr),
    Mark(u32),
    Group { name: GroupName, lines: Vec<(Line, Span)>, place: Span },
}

impl Target {
    /// What real servers that name no port have. One of a group has none of its own: it gets packets of every port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Mark(_) | Self::Group { .. } => 0,
        }
    }

    /// One address of each range.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Address(address) => vec![*address],
            Self::Mark(_) => Vec::new(),
            Self::Group { lines, .. } => {
                let addresses = lines.iter().filter_map(|(line, _)| match line {
                    Line::Range { first, port, .. } => Some(SocketAddr::new(*first, *port)),
                    Line::Mark { .. } => None,
                });
                addresses.collect()
            }
        }
    }

    /// Nothing but marks, which need no protocol.
    pub fn only_marks(&self) -> bool {
        self.addresses().is_empty()
    }
}

impl Lower<'_> {
    pub(super) fn target(&mut self, block: &Statement<'_>) -> Option<Target> {
        let first = block.args.first()?;
        match &*first.text {
            "fwmark" => match block.args.get(1) {
                Some(mark) => Some(Target::Mark(self.mark_of(block, mark)?)),
                None => {
                    self.no_second(block, "fwmark MARK", "a virtual server by mark needs the mark");
                    None
                }
            },
            "group" => match block.args.get(1) {
                Some(name) => self.group_of_servers(&name.text, name.span),
                None => {
                    self.no_second(block, "group NAME", "a virtual server of a group needs the group's name");
                    None
                }
            },
            _ => {
                let address = self.ip(block, first)?;
                let port = match block.args.get(1) {
                    Some(port) => self.number_of(block, port, 0..=65535)?,
                    None => {
                        self.push(
                            Diagnostic::error("missing-value", "`virtual_server` needs a port")
                                .at(block.span().after(), "expected PORT")
                                .help(format!("write `virtual_server {address} PORT {{`; 0 stands for all ports")),
                        );
                        return None;
                    }
                };
                Some(Target::Address(SocketAddr::new(address, port)))
            }
        }
    }

    fn no_second(&mut self, block: &Statement<'_>, syntax: &str, message: &str) {
        self.push(
            Diagnostic::error("missing-value", message)
                .at(block.span().after(), format!("expected {}", syntax.rsplit(' ').next().unwrap_or_default()))
                .help(format!("write `virtual_server {syntax} {{`")),
        );
    }

    fn group_of_servers(&mut self, name: &str, span: Span) -> Option<Target> {
        let groups = &mut self.memory.server_groups;
        if let Some(group) = groups.get_mut(name) {
            group.used = true;
            let target = Target::Group { name: group.name, lines: group.lines.clone(), place: group.place };
            // Empty, or nothing in it is right: that is said there.
            return (!group.lines.is_empty()).then_some(target);
        }
        let message = format!("there is no virtual_server_group called `{name}`");
        let diagnostic = Diagnostic::error("unknown-group", message).at(span, "this virtual server would not exist");
        let diagnostic = match nearest_name(name, groups.keys().map(|name| &**name)) {
            Some(near) => {
                let place = groups.get(near).map(|group| group.place).unwrap_or_default();
                diagnostic.also(place, "is this one meant?").help(format!("write `virtual_server group {near} {{`"))
            }
            None => diagnostic.help(format!("define `virtual_server_group {name} {{ ... }}`")),
        };
        // Of a name that is too long the group itself tells.
        if GroupName::new(name).is_some() {
            self.push(diagnostic);
        }
        None
    }

    /// The entries in the table, when all of the block is known.
    pub(super) fn entries(&mut self, block: &Statement<'_>, target: Target, draft: &Draft) -> Option<Entries> {
        match target {
            Target::Address(address) => {
                self.no_family(block, "its address says which family it is");
                let protocol = draft.protocol.unwrap_or(Protocol::Tcp);
                Some(Entries::One(ServiceKey::Address { protocol, address }))
            }
            Target::Mark(mark) => {
                for line in said::of(block.lines(), "protocol") {
                    self.push(
                        Diagnostic::warning("no-protocol", "a virtual server by mark has no protocol")
                            .at(line.span(), "ignored, as in keepalived: the packet filter says which packets it gets")
                            .help("delete the line"),
                    );
                }
                let family = self.family_of_marks(draft);
                self.behind_marks(family, draft);
                Some(Entries::One(ServiceKey::Mark { mark, family }))
            }
            Target::Group { name, lines, place } => {
                self.no_family(block, "write it behind the mark: `fwmark MARK inet6`");
                self.entries_of_group(block, (name, &lines, place), draft)
            }
        }
    }

    fn entries_of_group(
        &mut self,
        block: &Statement<'_>,
        (group, lines, place): (GroupName, &[(Line, Span)], Span),
        draft: &Draft,
    ) -> Option<Entries> {
        let of = |wanted: Family| {
            lines.iter().any(|(line, _)| matches!(line, Line::Range { first, .. } if Family::of(*first) == wanted))
        };
        let marks = match (of(Family::V4), of(Family::V6)) {
            (true, false) => Some(Family::V4),
            (false, true) => Some(Family::V6),
            (false, false) => Some(self.family_of_marks(draft)),
            (true, true) => None,
        };
        let mut members = Vec::new();
        for (line, span) in lines {
            match *line {
                Line::Range { first, last, port } => members.push(Member::Range { first, last, port }),
                Line::Mark { mark, family } => match family.or(marks) {
                    Some(family) => members.push(Member::Mark { mark, family }),
                    None => {
                        self.push(
                            Diagnostic::error("mark-family", format!("which family is `fwmark {mark}`?"))
                                .at(*span, "this group has IPv4 and IPv6: keepalived leaves out all of it")
                                .help(format!("write `fwmark {mark} inet` or `fwmark {mark} inet6`")),
                        );
                        return None;
                    }
                },
            }
        }
        // What can't be reached from an address was said at the real server.
        for family in [Family::V4, Family::V6] {
            let marked = members.iter().any(|it| matches!(it, Member::Mark { family: of, .. } if *of == family));
            if marked && !of(Family::V4) && !of(Family::V6) {
                self.behind_marks(family, draft);
            }
        }
        let count = members.iter().fold(0u128, |sum, member| sum.saturating_add(member.count()));
        self.memory.group_entries = self.memory.group_entries.saturating_add(count);
        if self.memory.group_entries > MOST_ENTRIES {
            self.push(
                Diagnostic::error("too-many-entries", format!("more than {MOST_ENTRIES} entries in the IPVS table"))
                    .at(block.span(), format!("{count} by this one: each address of each range is one"))
                    .also(place, "the group")
                    .help("use smaller ranges, or mark the packets in a packet filter and write `fwmark MARK`"),
            );
            return None;
        }
        let ranges = members.iter().any(|member| matches!(member, Member::Range { .. }));
        let protocol = ranges.then_some(draft.protocol.unwrap_or(Protocol::Tcp));
        Some(Entries::Group { group, protocol, members })
    }

    /// `ip_family`, else what the real servers are. Tunnels carry either, so they decide only when they agree and the
    /// granularity does not say it (as in keepalived).
    fn family_of_marks(&mut self, draft: &Draft) -> Family {
        let servers = || draft.servers();
        let plain = servers().find(|(_, forwarding, _)| forwarding.tunnel().is_none()).map(|(ip, ..)| Family::of(ip));
        let all = |family| servers().all(|(ip, ..)| Family::of(ip) == family);
        let tunnels = if all(Family::V6) && servers().next().is_some() { Family::V6 } else { Family::V4 };
        draft.ip_family.or(plain).or(draft.granularity.family()).unwrap_or(tunnels)
    }

    /// Real servers that packets with a mark of this family can't be sent to.
    fn behind_marks(&mut self, family: Family, draft: &Draft) {
        let other = |(ip, forwarding, _): &(IpAddr, Forwarding, Span)| {
            forwarding.tunnel().is_none() && Family::of(*ip) != family
        };
        for (_, forwarding, span) in draft.servers().filter(other) {
            self.push(
                Diagnostic::error("mixed-families", format!("{forwarding} can't turn IPv4 into IPv6 or back"))
                    .at(span, format!("the virtual server is {family}"))
                    .help("use an address of the same family, or `lb_kind TUN`"),
            );
        }
    }

    /// `ip_family` where it says nothing.
    fn no_family(&mut self, block: &Statement<'_>, why: &str) {
        for line in said::of(block.lines(), "ip_family") {
            self.push(
                Diagnostic::warning("no-family", "`ip_family` is about `virtual_server fwmark MARK`")
                    .at(line.span(), "it does nothing here")
                    .help(format!("delete it: {why}")),
            );
        }
    }

    /// Groups that nobody uses.
    pub(in crate::config) fn unused_server_groups(&mut self) {
        let unused = self.memory.server_groups.values().filter(|group| !group.used);
        let unused: Vec<(GroupName, Span)> = unused.map(|group| (group.name, group.place)).collect();
        for (name, place) in unused {
            self.push(
                Diagnostic::warning("unused-group", format!("no virtual_server uses the group `{name}`"))
                    .at(place, "it does nothing")
                    .help(format!("add `virtual_server group {name} {{ ... }}`, or delete it")),
            );
        }
    }
}
