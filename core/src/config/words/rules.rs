//! `virtual_rules`: one policy rule each line, in `ip rule`'s words.

use super::addresses::parse_prefixed;
use super::routes::{Words, network, number};
use super::said::Lower;
use crate::config::StaticItem;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::interface::Family;
use crate::route::{MAIN, Rule, RuleAction, VirtualRule};
use crate::text::Diagnostic;
use std::net::IpAddr;

/// What keepalived gives the first rule of a family that says none; the next has one less.
const PRIORITY: u32 = 16_384;

const ACTIONS: [(&str, RuleAction); 4] = [
    ("nop", RuleAction::Nop),
    ("blackhole", RuleAction::Blackhole),
    ("unreachable", RuleAction::Unreachable),
    ("prohibit", RuleAction::Prohibit),
];
const PROTOCOLS: [(&str, u64); 7] =
    [("icmp", 1), ("tcp", 6), ("udp", 17), ("dccp", 33), ("ipv6-icmp", 58), ("icmpv6", 58), ("sctp", 132)];
/// The rule would be about other packets without these.
const ESSENTIAL: [&str; 2] = ["tunnel-id", "tun_id"];
/// Without these it is about the same packets.
const TUNING: [&str; 2] = ["realms", "protocol"];
const WORDS: [&str; 32] = [
    "from",
    "to",
    "not",
    "table",
    "lookup",
    "goto",
    "nop",
    "blackhole",
    "unreachable",
    "prohibit",
    "type",
    "iif",
    "dev",
    "oif",
    "tos",
    "dsfield",
    "fwmark",
    "preference",
    "priority",
    "order",
    "ipproto",
    "sport",
    "dport",
    "uidrange",
    "l3mdev",
    "suppress_prefixlength",
    "sup_pl",
    "suppress_ifgroup",
    "sup_group",
    "inet6",
    "no_track",
    "track_group",
];

/// What a line says before all of it is known.
struct Draft {
    rule: Rule,
    family: Option<Family>,
    priority: Option<u32>,
    action: Option<RuleAction>,
    no_track: bool,
}

impl Lower<'_> {
    /// Adds the rules of one list to those of the lists of its name before it. A line that says something wrong, or something
    /// that vipward can't do and that matters, makes no rule.
    pub(super) fn rules(&mut self, list: &Statement<'_>, places: &mut Places, rules: &mut Vec<VirtualRule>) {
        for line in list.lines() {
            self.memory.track_group = None;
            let Some(rule) = self.rule(line, &list.word.text) else { continue };
            let place = format!("rule {rule}");
            if rules.iter().any(|other| other.rule == rule.rule) {
                self.push(
                    Diagnostic::warning("duplicate-rule", format!("the rule `{rule}` stands here twice"))
                        .at(line.span(), "the second time")
                        .also(places.of(&place), "the first time")
                        .help("delete one of them"),
                );
                continue;
            }
            places.set(&place, line.span());
            self.is_tracked(|| StaticItem::Rule(rule.rule.clone()));
            rules.push(rule);
        }
    }

    fn rule(&mut self, line: &Statement<'_>, list: &str) -> Option<VirtualRule> {
        let mut words = Words::of(line);
        let rule = Rule::new(Family::V4, 0, RuleAction::Lookup(MAIN));
        let mut draft = Draft { rule, family: None, priority: None, action: None, no_track: false };
        let before = self.report.errors();
        while let Some(word) = words.take() {
            self.rule_word(word, &mut words, &mut draft, list)?;
        }
        if self.report.errors() > before {
            return None;
        }
        let Draft { mut rule, family, priority, action, no_track } = draft;
        let said: Vec<Family> =
            [rule.from, rule.to].into_iter().flatten().map(|it| Family::of(it.0)).chain(family).collect();
        rule.family = said.first().copied().unwrap_or_default();
        if said.iter().any(|other| *other != rule.family) {
            self.push(
                Diagnostic::error("family-mixed", "this rule has addresses of both families")
                    .at(line.span(), "no packet is of both")
                    .help("write one rule for each family"),
            );
            return None;
        }
        if let Some(action) = action {
            rule.action = action;
        }
        rule.priority = priority.unwrap_or_else(|| self.unnumbered(line, rule.family));
        Some(VirtualRule { rule, no_track })
    }

    fn unnumbered(&mut self, line: &Statement<'_>, family: Family) -> u32 {
        let before = self.memory.unnumbered_rules.entry(family).or_default();
        let priority = PRIORITY.saturating_sub(*before);
        *before += 1;
        self.push(
            Diagnostic::warning("rule-priority", "this rule has no `priority`")
                .at(
                    line.span(),
                    format!("gets {priority}, as from keepalived: each such rule stands before the one above it"),
                )
                .help("say where it stands among the others: `priority NUMBER`, the lowest first"),
        );
        priority
    }

    /// One word with its value. None: there will be no rule of this line.
    fn rule_word(&mut self, word: &Word<'_>, words: &mut Words<'_, '_>, draft: &mut Draft, list: &str) -> Option<()> {
        let line = words.line();
        let text = &*word.text;
        if let Some((_, action)) = ACTIONS.iter().find(|(name, _)| *name == text) {
            draft.action = Some(*action);
            return Some(());
        }
        match text {
            "inet" => draft.family = Some(Family::V4),
            "inet6" => draft.family = Some(Family::V6),
            "not" => draft.rule.invert = true,
            "no_track" => draft.no_track = true,
            "track_group" => {
                let value = self.value_of(word, words)?;
                self.says_track_group(list, word, value);
            }
            "l3mdev" => draft.action = Some(RuleAction::LookupL3mdev),
            "from" | "to" => {
                let value = self.value_of(word, words)?;
                let prefix = self.prefix(value, list)?;
                if text == "from" { draft.rule.from = prefix } else { draft.rule.to = prefix }
            }
            "type" => {
                let value = self.value_of(word, words)?;
                draft.action = Some(self.choice_of(line, value, &ACTIONS)?);
            }
            "table" | "lookup" => {
                let value = self.value_of(word, words)?;
                draft.action = Some(RuleAction::Lookup(self.table(value)?));
            }
            "goto" => {
                let value = self.value_of(word, words)?;
                draft.action = Some(RuleAction::Goto(self.within(word, value, 1, u64::from(u32::MAX))?));
            }
            "preference" | "priority" | "order" => {
                let value = self.value_of(word, words)?;
                draft.priority = Some(self.within(word, value, 0, u64::from(u32::MAX))?);
            }
            "iif" | "dev" => {
                let value = self.value_of(word, words)?;
                draft.rule.iif = Some(self.interface(line, value)?);
            }
            "oif" => {
                let value = self.value_of(word, words)?;
                draft.rule.oif = Some(self.interface(line, value)?);
            }
            "tos" | "dsfield" => {
                let value = self.value_of(word, words)?;
                draft.rule.tos = self.within(word, value, 0, 255)?;
            }
            "fwmark" => {
                let value = self.value_of(word, words)?;
                let (mark, mask) = value.text.split_once('/').unwrap_or((&value.text, "0xffffffff"));
                let both = number(mark).and_then(narrow).zip(number(mask).and_then(narrow));
                if both.is_none() {
                    self.not_a(word, value, "MARK or MARK/MASK");
                }
                draft.rule.mark = Some(both?);
            }
            "ipproto" => {
                let value = self.value_of(word, words)?;
                let known = PROTOCOLS.iter().find(|(name, _)| *name == value.text.to_ascii_lowercase());
                let found = known.map(|(_, number)| *number).or_else(|| number(&value.text));
                let found = found.and_then(|number| u8::try_from(number).ok()).filter(|number| *number != 0);
                if found.is_none() {
                    self.not_a(word, value, "tcp, udp, icmp, another protocol's name or a number from 1 to 255");
                }
                draft.rule.protocol = Some(found?);
            }
            "sport" | "dport" => {
                let value = self.value_of(word, words)?;
                let ports = self.range::<u16>(word, value)?;
                if text == "sport" { draft.rule.sport = Some(ports) } else { draft.rule.dport = Some(ports) }
            }
            "uidrange" => {
                let value = self.value_of(word, words)?;
                draft.rule.users = Some(self.range(word, value)?);
            }
            "suppress_prefixlength" | "sup_pl" => {
                let value = self.value_of(word, words)?;
                draft.rule.suppress_prefixlength = Some(self.within(word, value, 0, 128)?);
            }
            "suppress_ifgroup" | "sup_group" => {
                let value = self.value_of(word, words)?;
                draft.rule.suppress_ifgroup = Some(self.within(word, value, 0, 0x7fff_ffff)?);
            }
            _ if ESSENTIAL.contains(&text) => {
                self.push(
                    Diagnostic::warning("not-yet", format!("`{text}` of a rule is known, but vipward does not act on it yet"))
                        .at(word.span, "without it the rule would be about other packets: it is not set")
                        .help("set this rule by a `notify_master` script, and take it out by `notify_backup`, `notify_fault` and `notify_stop`"),
                );
                return None;
            }
            _ if TUNING.contains(&text) => {
                let value = self.value_of(word, words)?;
                self.report.once(&format!("rule {text}"), word.span, || {
                    Diagnostic::warning(
                        "not-yet",
                        format!("`{text}` of a rule is known, but vipward does not act on it yet"),
                    )
                    .at(word.span.to(value.span), "the rule is set without it")
                });
            }
            _ => {
                self.unknown_option(word, &WORDS, list);
                return None;
            }
        }
        Some(())
    }

    /// None within: all addresses.
    fn prefix(&mut self, word: &Word<'_>, list: &str) -> Option<Option<(IpAddr, u8)>> {
        if matches!(&*word.text, "default" | "any" | "all") {
            return Some(None);
        }
        let Ok((address, length)) = parse_prefixed(&word.text) else {
            self.bad_address(word, list);
            return None;
        };
        // The kernel takes it for no address at all.
        let prefix = (network(address, length), length);
        Some((length != 0).then_some(prefix))
    }

    /// `10-20`, or one number.
    fn range<T: TryFrom<u64> + PartialOrd>(&mut self, word: &Word<'_>, value: &Word<'_>) -> Option<(T, T)> {
        let (from, to) = value.text.split_once('-').unwrap_or((&value.text, &value.text));
        let part = |text: &str| T::try_from(number(text)?).ok();
        let range = part(from).zip(part(to)).filter(|(from, to)| from <= to);
        if range.is_none() {
            self.not_a(word, value, "a number or a range, like 10-20");
        }
        range
    }
}

fn narrow(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}
