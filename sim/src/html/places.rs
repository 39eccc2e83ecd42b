//! The line of a configuration that an event goes back to.

use crate::runner::Run;
use crate::scenario::{Action, NodeId, NodeKind};
use crate::trace::{Entry, What};
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::config::{Config, Places, TrackerId, VirtualRouterConfig};
use vipward_core::decision::{Decision, IgnoreReason, PriorityCause, RoleCause};
use vipward_core::interface::Family;
use vipward_core::ipvs::VirtualServerId;
use vipward_core::route::{RouteKey, Rule};
use vipward_core::text::Span;
use vipward_core::time::Instant;

/// Where it is written what made this happen; none when no line says it.
pub(super) fn of(run: &Run, entry: &Entry) -> Option<Span> {
    match &entry.what {
        What::Step { .. } => {
            let step =
                run.scenario.steps.iter().find(|step| step.at == entry.at && describes(&step.action, entry.node))?;
            // A step that was made in code stands nowhere.
            Some(step.span).filter(|span| *span != Span::default())
        }
        What::Decided(decision) => decision_place(&*config_at(run, entry.node?, entry.at)?, decision),
        What::AddressAdded(key) | What::AddressRemoved(key) | What::AddressExpired(key) => {
            address_place(&*config_at(run, entry.node?, entry.at)?, key.address)
        }
        What::RouteAdded(key) | What::RouteRemoved(key) => route_place(&*config_at(run, entry.node?, entry.at)?, key),
        What::RuleAdded(rule) | What::RuleRemoved(rule) => rule_place(&*config_at(run, entry.node?, entry.at)?, rule),
        What::Announced { address } => address_place(&*config_at(run, entry.node?, entry.at)?, *address),
        What::Advert { vrid, destination, .. } => {
            let key = (*vrid, Family::of(*destination));
            let config = config_at(run, entry.node?, entry.at)?;
            let router = config.routers.iter().find(|router| (router.vrid.get(), router.family) == key)?;
            place(&router.places, "advert_int")
        }
        What::Started
        | What::TakenUp
        | What::Found { .. }
        | What::Ended { .. }
        | What::KernelForgot
        | What::Supervisor(_)
        | What::Stopped
        | What::Ipvs(_)
        | What::SetIpvs(_)
        | What::Notified { .. }
        | What::WroteLine { .. }
        | What::Mailed { .. }
        | What::Delivered { .. }
        | What::BufferFull
        | What::ServerUp { .. }
        | What::ServerDown { .. }
        | What::TroubleBegan { .. }
        | What::TroubleEnded { .. }
        | What::ConnectionBroke { .. }
        | What::ConnectedAgain { .. }
        | What::Violated { .. } => None,
    }
}

/// The configuration in force: the first one, or that of the last reload.
fn config_at(run: &Run, node: NodeId, at: Instant) -> Option<Arc<Config>> {
    let reloaded = run.scenario.steps.iter().rev().filter(|step| step.at <= at).find_map(|step| match &step.action {
        Action::Reload { node: of, file } if *of == node => file.config.clone(),
        _ => None,
    });
    let first = match &run.scenario.node(node).kind {
        NodeKind::Director(director) => director.config.config.clone(),
        NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
    };
    reloaded.or(first)
}

fn describes(action: &Action, node: Option<NodeId>) -> bool {
    match action {
        Action::Kill(id)
        | Action::KillWorker(id)
        | Action::HangWorker(id)
        | Action::PowerOff(id)
        | Action::Upgrade(id)
        | Action::Stop(id)
        | Action::Start(id)
        | Action::Freeze(id)
        | Action::Resume(id)
        | Action::ServerDies(id)
        | Action::Wipe(id)
        | Action::EndSession(id) => node == Some(*id),
        Action::Reload { node: id, .. }
        | Action::Unplug { node: id, .. }
        | Action::Plug { node: id, .. }
        | Action::Script { node: id, .. }
        | Action::File { node: id, .. }
        | Action::Process { node: id, .. }
        | Action::LeaderChange { node: id, .. }
        | Action::StarveWorker { node: id, .. }
        | Action::DeleteAddress { node: id, .. }
        | Action::Order { node: id, .. }
        | Action::DeleteRoute { node: id, .. } => node == Some(*id),
        Action::Down(who)
        | Action::Up(who)
        | Action::Hang(who)
        | Action::Slow { who, .. }
        | Action::Status { who, .. }
        | Action::Flap { who, .. } => node == Some(who.node),
        Action::Impair { .. } | Action::Heal(_) | Action::DropGarp(_) | Action::Forge(_) => true,
    }
}

/// A word's place, the block's when the word was not written, nothing when the block was not read from a file.
fn place(places: &Places, word: &str) -> Option<Span> {
    (places.has(word) || places.has("")).then(|| places.of(word))
}

fn address_place(config: &Config, address: IpAddr) -> Option<Span> {
    let holds =
        |router: &&VirtualRouterConfig| router.addresses.iter().chain(&router.excluded).any(|it| it.address == address);
    let places = config.routers.iter().find(holds).map(|router| &router.places);
    let is_static = config.statics.addresses.iter().any(|it| it.address == address);
    place(places.or(is_static.then_some(&config.statics.places))?, &address.to_string())
}

fn route_place(config: &Config, route: &RouteKey) -> Option<Span> {
    let wants = |router: &&VirtualRouterConfig| router.routes.iter().any(|it| it.key == *route);
    let places = config.routers.iter().find(wants).map(|router| &router.places);
    let is_static = config.statics.routes.iter().any(|it| it.key == *route);
    place(places.or(is_static.then_some(&config.statics.places))?, &format!("route {route}"))
}

fn rule_place(config: &Config, rule: &Rule) -> Option<Span> {
    let wants = |router: &&VirtualRouterConfig| router.rules.iter().any(|it| it.rule == *rule);
    let places = config.routers.iter().find(wants).map(|router| &router.places);
    let is_static = config.statics.rules.iter().any(|it| it.rule == *rule);
    place(places.or(is_static.then_some(&config.statics.places))?, &format!("rule {rule}"))
}

fn decision_place(config: &Config, decision: &Decision) -> Option<Span> {
    let router = |name: &str, word: &str| {
        let router = config.routers.iter().find(|router| *router.name == *name)?;
        place(&router.places, word)
    };
    let script = |name: &str, word: &str| place(&config.scripts.get(name)?.places, word);
    let file = |name: &str| place(&config.files.get(name)?.places, "");
    let process = |name: &str, word: &str| place(&config.processes.get(name)?.places, word);
    let service = |id: &VirtualServerId| config.services.iter().find(|service| service.id() == *id);
    match decision {
        Decision::RoleInherited { router: name, .. } => router(name, ""),
        Decision::RoleChanged { router: name, cause, .. } => match cause {
            RoleCause::Startup => router(name, "state"),
            RoleCause::MasterDown { .. } | RoleCause::Overslept { .. } => router(name, "advert_int"),
            RoleCause::Owner
            | RoleCause::MasterStopped { .. }
            | RoleCause::Preempts { .. }
            | RoleCause::HigherPriority { .. }
            | RoleCause::SamePriorityGreaterAddress { .. } => router(name, "priority"),
            RoleCause::LinkDown { .. }
            | RoleCause::LinkGone { .. }
            | RoleCause::NoSourceAddress { .. }
            | RoleCause::NoLinkLocalAddress { .. } => router(name, "interface"),
            RoleCause::Tracked { what: TrackerId::Script(of), .. } => script(of, ""),
            RoleCause::Tracked { what: TrackerId::Interface(of), .. } => router(name, of.as_str()),
            RoleCause::FileHolds { file: of, .. } | RoleCause::Tracked { what: TrackerId::File(of), .. } => file(of),
            RoleCause::Tracked { what: TrackerId::Process(of), .. } => process(of, ""),
            // Whatever else there is names no line of its own.
            _ => router(name, ""),
        },
        Decision::PriorityChanged { router: name, cause, .. } => match cause {
            PriorityCause::Tracked { what: TrackerId::Script(of), .. } => script(of, "weight"),
            PriorityCause::Tracked { what: TrackerId::Process(of), .. } => process(of, "weight"),
            PriorityCause::Tracked { what: TrackerId::Interface(of), .. } => router(name, of.as_str()),
            PriorityCause::FileHolds { file: of, .. } | PriorityCause::Tracked { what: TrackerId::File(of), .. } => {
                file(of)
            }
            PriorityCause::Reload => router(name, "priority"),
        },
        Decision::AdvertsIgnored { router: name, reason, .. } => {
            let word = match reason {
                IgnoreReason::UnknownVrid { .. } => "virtual_router_id",
                IgnoreReason::UnknownVersion { .. } | IgnoreReason::VersionDiffers { .. } => "version",
                IgnoreReason::AuthTypeDiffers { .. }
                | IgnoreReason::PasswordDiffers
                | IgnoreReason::AuthenticationFailed
                | IgnoreReason::Replayed { .. } => "authentication",
                IgnoreReason::AddressListDiffers => "virtual_ipaddress",
                IgnoreReason::WrongDestination { .. } | IgnoreReason::NotAPeer => "unicast_peer",
                // The rest is about the packet, not about a word of the file.
                _ => "",
            };
            match name {
                Some(name) => router(name, word),
                None => place(&config.routers.first()?.places, word),
            }
        }
        Decision::RivalMaster { router: name, .. } | Decision::SecondOwner { router: name, .. } => {
            router(name, "priority")
        }
        Decision::AddressListDiffers { router: name, .. } => router(name, "virtual_ipaddress"),
        Decision::IntervalDiffers { router: name, .. } => router(name, "advert_int"),
        Decision::AddressNotOurs { address } | Decision::LeftoverRemoved { address } => {
            address_place(config, address.address)
        }
        Decision::AddressRestored { address } => address_place(config, address.address),
        Decision::RouteRestored { route } => route_place(config, &route.key),
        Decision::RuleRestored { rule } => rule_place(config, rule),
        Decision::ScriptChanged { script: of, .. } => script(of, ""),
        Decision::ProcessChanged { process: of, .. } => process(of, ""),
        Decision::ProbeFailed { service: id, server, .. } | Decision::ProbeNotAsked { service: id, server, .. } => {
            let server = service(id)?.real_servers.iter().find(|it| it.address == *server)?;
            server.checkers.first().and_then(|checker| place(&checker.places, "")).or_else(|| place(&server.places, ""))
        }
        Decision::ServerUp { service: id, server }
        | Decision::WeightChanged { service: id, server, .. }
        | Decision::ServerDown { service: id, server, .. }
        | Decision::ServerStartsDown { service: id, server } => {
            place(&service(id)?.real_servers.iter().find(|it| it.address == *server)?.places, "")
        }
        Decision::QuorumGained { service: id, .. } | Decision::QuorumLost { service: id, .. } => {
            place(&service(id)?.places, "quorum")
        }
        // What is about no line, and what comes with later decisions.
        _ => None,
    }
}
