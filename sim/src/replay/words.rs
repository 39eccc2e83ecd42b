//! Events, effects and times as people read them.

use crate::timeline::announcement;
use vipward_core::balancer;
use vipward_core::balancer::Carrier;
use vipward_core::check::Verdict;
use vipward_core::command::ScriptOutcome;
use vipward_core::datagram::Datagram;
use vipward_core::door::News;
use vipward_core::machine::{Input, Output};
use vipward_core::record::Step;
use vipward_core::vrrp;
use vipward_core::vrrp::packet::Advert;

/// What a step's machine was told, in one line.
pub fn told(step: &Step) -> String {
    match step {
        Step::Election(step) => step.input.in_words(),
        Step::Balancer(step) => step.input.in_words(),
    }
}

/// What it asked for, a line each.
pub fn asked(step: &Step) -> Vec<String> {
    match step {
        Step::Election(step) => step.output.iter().map(Words::in_words).collect(),
        Step::Balancer(step) => step.output.iter().map(Words::in_words).collect(),
    }
}

/// Something in one line.
pub trait Words {
    fn in_words(&self) -> String;
}

impl<E: Words, F: Words, S> Words for Input<E, F, S> {
    fn in_words(&self) -> String {
        match self {
            Self::ConfigLoaded { config, .. } => format!(
                "configuration loaded: {} virtual routers, {} virtual servers",
                config.routers.len(),
                config.services.len()
            ),
            Self::Event(event) => event.in_words(),
            Self::News(news) => format!("news: {}", news.in_words()),
            Self::Failed { effect, error } => format!("failed: {}: {error}", effect.in_words()),
            Self::Wakeup => "a timer".to_owned(),
            Self::Stop => "stop".to_owned(),
            Self::TakeBack => "nobody took it: goes on".to_owned(),
            Self::HandOver => "hand over to a new process".to_owned(),
            Self::Inherited(_) => "what the process before it left".to_owned(),
        }
    }
}

impl<F: Words> Words for Output<F> {
    fn in_words(&self) -> String {
        match self {
            Self::Effect(effect) => effect.in_words(),
            Self::Decide(decision) => decision.to_string(),
            Self::Notify { command, .. } => format!("notify: {}", command.argv.join(" ")),
            Self::Fifo { path, line } => format!("{path}: {line}"),
            Self::Mail(mail) => format!("mail {}", mail.subject),
            Self::News(news) => format!("tell the other machine: {}", news.in_words()),
        }
    }
}

impl Words for News {
    fn in_words(&self) -> String {
        let up = |up: &bool| if *up { "up" } else { "down" };
        match self {
            Self::RoleChanged { router, role } => format!("{router} is {role}"),
            Self::QuorumChanged { service, quorum: true } => format!("{service} has quorum"),
            Self::QuorumChanged { service, quorum: false } => format!("{service} has no quorum"),
            Self::FileNumber { file, number } => format!("{file} holds {number}"),
            Self::AddressHere { address, here: true } => format!("this host has {address}"),
            Self::AddressHere { address, here: false } => format!("this host has no {address}"),
            Self::BfdChanged { session, up: is } => format!("BFD session {session} is {}", up(is)),
        }
    }
}

impl Words for vrrp::Event {
    fn in_words(&self) -> String {
        match self {
            Self::AdvertReceived(datagram) => {
                format!("advert from {} on {}: {}", datagram.source, datagram.interface, advert(datagram))
            }
            Self::LinksRead(links) => {
                let links: Vec<String> = links
                    .iter()
                    .map(|link| format!("{} {}", link.name, if link.running { "up" } else { "down" }))
                    .collect();
                format!("links: {}", links.join(", "))
            }
            Self::LinkChanged(link) => format!("{} is {}", link.name, if link.running { "up" } else { "down" }),
            Self::LinkGone(name) => format!("{name} is gone"),
            Self::NeighboursLive => "other directors live on this host".to_owned(),
            Self::AddressesRead(addresses) => format!("{} addresses read", addresses.len()),
            Self::AddressChanged { address, present } => {
                format!("{} {}", address.key, if *present { "is there" } else { "is gone" })
            }
            Self::RoutesRead { routes, rules } => {
                format!("read with our mark: {} routes, {} rules", routes.len(), rules.len())
            }
            Self::RuleChanged { rule, present } => {
                format!("the rule {rule} {}", if *present { "is there" } else { "is gone" })
            }
            Self::RouteChanged { route, present } => {
                format!("the route {route} {}", if *present { "is there" } else { "is gone" })
            }
            Self::FilesRead(numbers) => {
                let holds: Vec<String> =
                    numbers.iter().map(|(file, number)| format!("{file} holds {number}")).collect();
                holds.join(", ")
            }
            Self::ProcessesCounted(counts) => {
                let runs: Vec<String> =
                    counts.iter().map(|(name, count)| format!("{count} of process {name}")).collect();
                runs.join(", ")
            }
            Self::ScriptFinished { script, outcome } => match outcome {
                ScriptOutcome::Exited(status) => format!("script {script} exited with {status}"),
                ScriptOutcome::Killed(signal) => format!("script {script} was killed by signal {signal}"),
                ScriptOutcome::TimedOut => format!("script {script} took too long"),
                ScriptOutcome::NotStarted(why) | ScriptOutcome::Short(why) => {
                    format!("script {script} could not be started: {why}")
                }
            },
            Self::Lease(said) => said.to_string(),
        }
    }
}

impl Words for vrrp::Effect {
    fn in_words(&self) -> String {
        match self {
            Self::Listen { interface, .. } => format!("listen on {interface}"),
            Self::StopListening { interface, .. } => format!("stop listening on {interface}"),
            Self::SendAdvert(datagram) => {
                format!("advert to {} on {}: {}", datagram.destination, datagram.interface, advert(datagram))
            }
            Self::Announce { interface, address } => {
                format!("{} for {address} on {interface}", announcement(*address).1)
            }
            Self::AddAddress(address) => format!("add {address}"),
            Self::RenewAddresses { addresses } => match addresses.as_ref() {
                [address] => format!("renew {address}"),
                many => format!("renew {} addresses", many.len()),
            },
            Self::RemoveAddress(key) => format!("remove {key}"),
            Self::ReadAddresses => "read the addresses".to_owned(),
            Self::AddRoute(route) => format!("put in the route {route}"),
            Self::RemoveRoute(key) => format!("take out the route {key}"),
            Self::AddRule(rule) => format!("put in the rule {rule}"),
            Self::RemoveRule(rule) => format!("take out the rule {rule}"),
            Self::ReadRoutes => "read the routes and rules".to_owned(),
            Self::RunScript { script, .. } => format!("run script {script}"),
            Self::WatchFiles(files) => format!("watch {} tracked files", files.len()),
            Self::WatchProcesses(processes) => format!("watch {} tracked processes", processes.len()),
            Self::Lease(op) => op.to_string(),
        }
    }
}

impl Words for balancer::Event {
    fn in_words(&self) -> String {
        match self {
            Self::Ordered { order, .. } => format!("an operator asks: {order}"),
            Self::CarriedBy(Carrier::Ipvs) => "virtual servers are carried by IPVS".to_owned(),
            Self::CarriedBy(Carrier::Relay { .. }) => "virtual servers are carried by the relay".to_owned(),
            Self::IpvsRead(table) => format!("IPVS table read: {} services", table.services.len()),
            Self::ProbeFinished { probe, verdict } => match verdict {
                Verdict::Passed => format!("probe of {} passed", probe.server),
                Verdict::Weighs(weight) => format!("probe of {} passed, with weight {weight}", probe.server),
                Verdict::Failed(failure) => format!("probe of {}: {failure}", probe.server),
                Verdict::NotAsked(shortage) => format!("probe of {} could not be made: {shortage}", probe.server),
            },
        }
    }
}

impl Words for balancer::Effect {
    fn in_words(&self) -> String {
        match self {
            Self::Ipvs(op) => op.to_string(),
            Self::SetIpvs(setting) => setting.to_string(),
            Self::ReadIpvs => "read the IPVS table".to_owned(),
            Self::StartProbe { id, .. } => format!("probe {} (attempt {})", id.server, id.attempt),
            Self::Answer { refused: None, .. } => "answer the operator: done".to_owned(),
            Self::Answer { refused: Some(why), .. } => format!("answer the operator: not done: {why}"),
            Self::CancelProbe(id) => format!("cancel the probe of {} (attempt {})", id.server, id.attempt),
        }
    }
}

/// VRID and priority, or why it is none.
fn advert(datagram: &Datagram) -> String {
    match decoded(datagram) {
        Some((vrid, priority)) => format!("VRID {vrid}, priority {priority}"),
        None => format!("{} bytes that are no advert", datagram.payload.len()),
    }
}

/// VRID and priority.
pub(super) fn decoded(datagram: &Datagram) -> Option<(u8, u8)> {
    let advert = Advert::decode(datagram.message(), datagram.source, datagram.destination).ok()?;
    Some((advert.vrid.get(), advert.priority))
}

/// A time on the wall: `2026-11-23 10:03:27.612 UTC`.
pub fn utc(nanos_since_1970: u64) -> String {
    let millis = i64::try_from(nanos_since_1970 / 1_000_000).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M:%S.%3f UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_calendars_have_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400, "2000-02-29 00:00:00.000 UTC"),
            (1_000_000_000, "2001-09-09 01:46:40.000 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59.000 UTC"),
        ] {
            assert_eq!(utc(seconds * 1_000_000_000), text);
        }
    }
}
