//! What a drill says about the files: beside the configuration reader's own messages, what only shows when the files are
//! seen together with what they did. All of it points at lines.

use super::files::DirectorFile;
use super::pace::Notice;
use super::quorum;
use super::row::Row;
use super::topology::Topology;
use super::wires::routers;
use super::words::{self, seconds};
use crate::scenario::invariant;
use crate::scenario::{NodeId, NodeKind, serves};
use crate::trace::What;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use vipward_core::config::{CheckerConfig, RealServer, VirtualRouterConfig, VirtualServer};
use vipward_core::decision::Decision;
use vipward_core::ipvs::{Forwarding, ServiceKey, VirtualServerId};
use vipward_core::text::Diagnostic;
use vipward_core::time::Duration;

/// A real server that is dead for longer than this and still gets connections is a story that users tell.
const SLOW_REFUSED: Duration = Duration::from_secs(10);
const SLOW_SILENT: Duration = Duration::from_secs(20);

/// Files of one cluster that disagree in one of these can't hear each other's adverts.
const DEAF: [&str; 6] =
    ["vrid-differs", "version-differs", "authentication-differs", "unicast-differs", "group-differs", "missing-peer"];

/// What the files alone show.
pub(super) fn before(files: &[DirectorFile], topology: &Topology) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    services_differ(files, &mut found);
    slow_checkers(files, &mut found);
    stuck_gateways(files, topology, &mut found);
    found
}

/// What the cases showed.
pub(super) fn after(files: &[DirectorFile], rows: &[Row], known: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    unheard(files, rows, known, &mut found);
    not_served(files, rows, &mut found);
    nobody_takes_over(files, rows, &mut found);
    untracked_links(files, rows, &mut found);
    no_quorum(files, rows, &mut found);
    broken(files, rows, known, &mut found);
    found
}

/// One virtual server, on all directors that are to serve it: after a takeover another list counts.
fn services_differ(files: &[DirectorFile], found: &mut Vec<Diagnostic>) {
    let mut by_key: BTreeMap<ServiceKey, Vec<(usize, &VirtualServer)>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate() {
        for service in &file.config.services {
            for key in service.keys() {
                by_key.entry(key).or_default().push((at, service));
            }
        }
    }
    let holders = |address: IpAddr| -> BTreeSet<usize> {
        let holds = routers(files)
            .filter(|(_, router)| router.addresses.iter().chain(&router.excluded).any(|held| held.address == address));
        holds.map(|(at, _)| at).collect()
    };
    // The entries of a group are told of once.
    let (mut told_missing, mut told_other) = (BTreeSet::new(), BTreeSet::new());
    for (key, services) in by_key {
        let ids: Vec<(usize, VirtualServerId)> = services.iter().map(|(at, service)| (*at, service.id())).collect();
        let named: BTreeSet<usize> = services.iter().map(|(at, _)| *at).collect();
        // A mark belongs to no holder.
        let address = key.address().map(|address| address.ip());
        let held_by = address.map(holders).unwrap_or_default();
        let lacking: Vec<&DirectorFile> = held_by.difference(&named).filter_map(|at| files.get(*at)).collect();
        let name = |at: usize| files.get(at).map_or("", |file| &*file.name);
        if let Some((at, service)) =
            services.first().filter(|_| !lacking.is_empty() && told_missing.insert(ids.clone()))
        {
            let names: Vec<&str> = lacking.iter().map(|file| &*file.name).collect();
            let message = format!("virtual_server {key} is missing on {}", words::list(&names));
            let finding =
                Diagnostic::error("service-missing", message).at(service.places.of(""), format!("{}: here", name(*at)));
            let finding = lacking.iter().fold(finding, |finding, file| {
                let holder = file
                    .config
                    .routers
                    .iter()
                    .find(|router| router.addresses.iter().any(|it| Some(it.address) == address));
                match holder.zip(address) {
                    Some((router, address)) => {
                        finding.at(router.places.of(&address.to_string()), format!("{}: holds the address", file.name))
                    }
                    None => finding,
                }
            });
            found.push(
                finding
                    .note(format!("when {} takes the address over, it refuses every connection", words::list(&names)))
                    .help("write the same `virtual_server` on every director"),
            );
        }
        let list = |service: &VirtualServer| {
            service.real_servers.iter().map(|server| server.address).collect::<BTreeSet<SocketAddr>>()
        };
        let all = services.iter().map(|(_, service)| list(service));
        let everywhere = all.reduce(|all, other| &all & &other).unwrap_or_default();
        if services.iter().any(|(_, service)| list(service) != everywhere) && told_other.insert(ids) {
            let mut finding = Diagnostic::warning(
                "real-servers-differ",
                format!("virtual_server {key} has other real servers on each director"),
            );
            for (at, service) in &services {
                let own: Vec<&RealServer> =
                    service.real_servers.iter().filter(|server| !everywhere.contains(&server.address)).collect();
                match own.first() {
                    Some(first) => {
                        let addresses: Vec<String> = own.iter().map(|server| server.address.to_string()).collect();
                        finding = finding
                            .at(first.places.of(""), format!("{}: only here: {}", name(*at), words::list(&addresses)));
                    }
                    None => finding = finding.at(service.places.of(""), format!("{}: without", name(*at))),
                }
            }
            found.push(
                finding
                    .note("which real servers clients reach depends on who is MASTER")
                    .help("write the same `real_server`s on every director"),
            );
        }
    }
}

/// What makes two checkers equally slow.
type Alike = (Notice, Duration, u32, Duration, Duration);

/// A checker, and where it stands.
type Written<'a> = (usize, &'a VirtualServer, &'a RealServer, &'a CheckerConfig);

/// A checker as slow as others is told with them.
fn slow_checkers(files: &[DirectorFile], found: &mut Vec<Diagnostic>) {
    let mut alike: BTreeMap<Alike, Vec<Written<'_>>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate() {
        for service in &file.config.services {
            for server in &service.real_servers {
                for checker in &server.checkers {
                    let notice = Notice::of(checker);
                    if notice.refused > SLOW_REFUSED || notice.silent > SLOW_SILENT {
                        let key = (
                            notice,
                            checker.delay_loop,
                            checker.retry,
                            checker.connect_timeout,
                            checker.delay_before_retry,
                        );
                        alike.entry(key).or_default().push((at, service, server, checker));
                    }
                }
            }
        }
    }
    for ((notice, delay_loop, retry, connect_timeout, delay_before_retry), members) in alike {
        let Some((at, service, server, checker)) = members.first() else { continue };
        let name = files.get(*at).map_or("", |file| &*file.name);
        let message = format!("a checker needs {} to notice that {} is dead", seconds(notice.refused), server.address);
        let mut finding =
            Diagnostic::warning("slow-checker", message).at(checker.places.of(""), format!("{name}: this one"));
        let place = |word: &str| {
            let own = checker.places.has(word).then(|| checker.places.of(word));
            let servers = server.places.has(word).then(|| server.places.of(word));
            own.or(servers).or_else(|| service.places.has(word).then(|| service.places.of(word)))
        };
        let tries = if retry == 1 { "1 more try".to_owned() } else { format!("{retry} more tries") };
        let labels = [
            ("delay_loop", format!("up to {} until the next probe", seconds(delay_loop))),
            ("retry", tries),
            ("delay_before_retry", format!("{} before each of them", seconds(delay_before_retry))),
            ("connect_timeout", format!("{} a try, if nothing answers", seconds(connect_timeout))),
        ];
        for (word, text) in labels {
            if let Some(span) = place(word) {
                finding = finding.also(span, text);
            }
        }
        let more = members.len() - 1;
        if more > 0 {
            finding =
                finding.note(format!("{more} more {} as slow", if more == 1 { "checker is" } else { "checkers are" }));
        }
        found.push(
            finding
                .note(format!(
                    "delay_loop {} + {retry} x delay_before_retry {} = {}",
                    seconds(delay_loop),
                    seconds(delay_before_retry),
                    seconds(notice.refused)
                ))
                .note(format!(
                    "and {} x connect_timeout {} when it says nothing at all: {}",
                    retry.saturating_add(1),
                    seconds(connect_timeout),
                    seconds(notice.silent)
                ))
                .note("all that time connections are sent to it")
                .help("`delay_loop 2`, `retry 1` and `delay_before_retry 1` notice within 3 s"),
        );
    }
}

fn stuck_gateways(files: &[DirectorFile], topology: &Topology, found: &mut Vec<Diagnostic>) {
    let stuck = |server: &&RealServer| {
        topology.stuck_gateways.contains(&server.address.ip()) && server.forwarding == Forwarding::Nat
    };
    let servers: Vec<(&DirectorFile, &VirtualServer, &RealServer)> = files
        .iter()
        .flat_map(|file| file.config.services.iter().map(move |service| (file, service)))
        .flat_map(|(file, service)| {
            service.real_servers.iter().filter(stuck).map(move |server| (file, service, server))
        })
        .collect();
    let Some((file, service, server)) = servers.first() else { return };
    found.push(
        Diagnostic::warning("nat-gateway", format!("answers of {} do not follow a takeover", server.address.ip()))
            .at(server.places.of(""), format!("{}: no virtual router holds an address in its network", file.name))
            .also(service.places.of("lb_kind"), "NAT: its answers must come back through the MASTER")
            .note("its gateway is the first director here, whoever is MASTER")
            .help("add an address of its network to `virtual_ipaddress` and make that the gateway, or use `--dataplane relay`"),
    );
}

/// Adverts that were sent and not taken while nothing was wrong with the network.
fn unheard(files: &[DirectorFile], rows: &[Row], known: &[Diagnostic], found: &mut Vec<Diagnostic>) {
    if known.iter().any(|finding| DEAF.contains(&finding.code)) {
        return;
    }
    let Some(calm) = rows.first() else { return };
    let mut told = BTreeSet::new();
    for entry in &calm.run.trace {
        let (Some(node), What::Decided(Decision::AdvertsIgnored { router, source, reason, .. })) =
            (entry.node, &entry.what)
        else {
            continue;
        };
        let speaker = calm.run.scenario.directors().find(|(id, _)| {
            calm.run.scenario.node(*id).ports.iter().any(|port| port.address.is_some_and(|(own, _)| own == *source))
        });
        let Some((speaker, _)) = speaker.filter(|(id, _)| told.insert((node, *id, reason.word()))) else { continue };
        let (Some(listener), Some(speaker)) = (files.get(node.0), files.get(speaker.0)) else { continue };
        let mut finding = Diagnostic::error(
            "unheard",
            format!("{} does not take {}'s adverts: {reason}", listener.name, speaker.name),
        );
        let here = listener.config.routers.iter().find(|it| router.as_deref().is_none_or(|name| *it.name == *name));
        if let Some(here) = here {
            finding = finding.at(here.places.of(""), format!("{}: listens here", listener.name));
        }
        for there in
            speaker.config.routers.iter().filter(|there| here.is_none_or(|here| here.vrid == there.vrid)).take(1)
        {
            finding = finding.at(there.places.of(""), format!("{}: sent from here", speaker.name));
        }
        found.push(finding.note("each becomes MASTER and holds the address").help("write both instances alike"));
    }
}

/// Outages that do not end: when nothing happens at all, or when the fault is over.
fn not_served(files: &[DirectorFile], rows: &[Row], found: &mut Vec<Diagnostic>) {
    let open = |row: &&Row| row.outage.as_ref().is_some_and(|outage| !outage.over);
    let point = |finding, cause: &str| files.iter().fold(finding, |finding, file| point_at(finding, file, cause));
    if let Some(outage) = rows.first().filter(open).and_then(|row| row.outage.as_ref()) {
        let message = format!("clients are not served even when nothing happens: {}", outage.cause);
        found.push(point(Diagnostic::error("not-served", message), &outage.cause));
        return;
    }
    // A service that stays dead is another matter.
    let stuck: Vec<&Row> = rows.iter().filter(|row| open(row) && row.nobody_takes_over.is_none()).collect();
    let Some((first, outage)) = stuck.first().and_then(|row| Some((row, row.outage.as_ref()?))) else { return };
    let message = format!("clients are not served again when it is over that {}: {}", first.fault, outage.cause);
    let faults: Vec<&str> = stuck.iter().take(4).map(|row| row.fault.as_str()).collect();
    let mut finding = point(Diagnostic::warning("not-served-again", message), &outage.cause).note(format!(
        "in {} of {} cases: {}",
        stuck.len(),
        rows.len(),
        faults.join("; ")
    ));
    if outage.cause.contains("holds") {
        finding = finding
            .note("the one that keeps the address never heard that there was another, and announces nothing; neighbours believe the other one until their entry expires")
            .help("`vrrp_garp_master_refresh 10` in global_defs announces the address every 10 s");
    }
    found.push(finding);
}

/// Directors whose service can fail with nobody to take over, each once, with the lines of its scripts and processes.
fn nobody_takes_over(files: &[DirectorFile], rows: &[Row], found: &mut Vec<Diagnostic>) {
    let stuck: Vec<(NodeId, &Row)> = rows
        .iter()
        .filter(|row| row.nobody_takes_over.is_some() && row.link.is_none())
        .filter_map(|row| Some((row.fails_on?, row)))
        .collect();
    let nodes: BTreeSet<NodeId> = stuck.iter().map(|(node, _)| *node).collect();
    for node in nodes {
        let own: Vec<&Row> = stuck.iter().filter(|(other, _)| *other == node).map(|(_, row)| *row).collect();
        let (Some(first), Some(file)) = (own.first(), files.get(node.0)) else { continue };
        let why = first.nobody_takes_over.as_deref().unwrap_or_default();
        let message = format!("{}, its clients are not served, and {why}", first.fault);
        let mut finding = Diagnostic::error("nobody-takes-over", message);
        let tracks = match &first.run.scenario.node(node).kind {
            NodeKind::Director(plan) => plan.tracks.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => BTreeMap::new(),
        };
        for script in file.config.scripts.values().filter(|script| tracks.contains_key(&script.name)) {
            finding = finding.at(script.places.of("weight"), format!("{}: all that its failure does", file.name));
        }
        let listens: &[u16] = match &first.run.scenario.node(node).kind {
            NodeKind::Director(plan) => &plan.listens,
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => &[],
        };
        for process in file.config.tracked_processes().filter(|it| serves(&it.pattern, listens).is_some()) {
            finding = finding.at(process.places.of("weight"), format!("{}: all that its end does", file.name));
        }
        found.push(finding.note(format!("in {} of {} cases", own.len(), rows.len())));
    }
}

/// Interfaces whose lost link leaves clients without service while the address stays, each once, with the virtual routers
/// that go on.
fn untracked_links(files: &[DirectorFile], rows: &[Row], found: &mut Vec<Diagnostic>) {
    for row in rows.iter().filter(|row| row.nobody_takes_over.is_some()) {
        let (Some(node), Some(link)) = (row.fails_on, &row.link) else { continue };
        let Some(file) = files.get(node.0) else { continue };
        let message = format!("{}, its clients are not served, and nobody takes over", row.fault);
        let mut finding = Diagnostic::error("untracked-link", message);
        let tracks = |router: &&VirtualRouterConfig| router.tracking.interfaces().any(|interface| interface == link);
        let (tracking, blind): (Vec<_>, Vec<_>) = file.config.routers.iter().partition(tracks);
        for router in &blind {
            let text = format!("{}: {} does not track {link}", file.name, router.name);
            finding = finding.at(router.places.of("interface"), text);
        }
        for router in &tracking {
            finding = finding.at(router.places.of("track_interface"), format!("{}: all that its loss does", file.name));
        }
        if !blind.is_empty() {
            let word = format!("`track_interface {{ {link} }}`");
            finding = finding
                .note("a director stays MASTER when an interface that it does not track loses its link")
                .help(format!("{word} in the vrrp_instance, on every director, gives the address away with the link"));
        }
        found.push(finding);
    }
}

/// Faults of the quorum service that sessions were to bear and did not.
fn no_quorum(files: &[DirectorFile], rows: &[Row], found: &mut Vec<Diagnostic>) {
    let calm = rows.first().is_some_and(|row| row.outage.as_ref().is_some_and(|outage| !outage.over));
    for row in rows.iter().filter(|row| !row.held() && !row.unserved && !calm) {
        let Some(why) = &row.no_quorum else { continue };
        let finding = Diagnostic::warning("no-quorum", format!("{}: {why}", row.fault));
        let mut finding = files.iter().fold(finding, |finding, file| point_at(finding, file, why));
        if let Some(bears) = quorum::bears_too_little(&row.run.scenario) {
            finding = finding
                .note(bears)
                .note("as with Debian's example zoo.cfg: `syncLimit` * `tickTime` and half a second")
                .help(
                    "leave `session_timeout` at its default, 16, or make `syncLimit` and `tickTime` of the ensemble smaller",
                );
        }
        found.push(finding);
    }
}

/// What the reader knows of why a failed script of this director moves nothing.
pub(super) fn why_nothing_moves<'a>(known: &'a [Diagnostic], director: &str, script: &str) -> Option<&'a str> {
    let codes = ["failure-moves-nothing", "nopreempt-weight", "failure-needs-others"];
    let about = |it: &&Diagnostic| names(&it.message, director) && names(&it.message, script);
    let mut found = known.iter().filter(|it| codes.contains(&it.code)).filter(about);
    found.next()?.notes.first().map(String::as_str)
}

/// Each broken invariant once, with the lines of those it names.
fn broken(files: &[DirectorFile], rows: &[Row], known: &[Diagnostic], found: &mut Vec<Diagnostic>) {
    for name in invariant::ALL {
        let broke: Vec<&Row> = rows.iter().filter(|row| row.broken.contains(&name)).collect();
        let Some(first) = broke.first() else { continue };
        let Some(violation) = first.run.violations.iter().find(|violation| violation.invariant == name) else {
            continue;
        };
        let mut finding = Diagnostic::error(name, format!("{}: {}", means(name), violation.text));
        for (at, file) in files.iter().enumerate() {
            let director = first.run.scenario.nodes.get(at).map(|node| &node.kind);
            if !matches!(director, Some(NodeKind::Director(_))) || !names(&violation.text, &file.name) {
                continue;
            }
            finding = point_at(finding, file, &violation.text);
        }
        let faults: Vec<&str> = broke.iter().take(4).map(|row| row.fault.as_str()).collect();
        let more = if broke.len() > faults.len() {
            format!(" and {} more", broke.len() - faults.len())
        } else {
            String::new()
        };
        finding = finding.note(format!("in {} of {} cases: {}{more}", broke.len(), rows.len(), faults.join("; ")));
        let causes: BTreeSet<&str> =
            known.iter().filter(|it| it.is_error() && causes(name).contains(&it.code)).map(|it| it.code).collect();
        if !causes.is_empty() {
            let causes: Vec<&str> = causes.into_iter().collect();
            finding = finding.help(format!("mend {} first", words::list(&causes)));
        }
        found.push(finding);
    }
}

/// The lines of a file that a broken invariant's text is about: the virtual router whose name or address it names, else
/// the checker whose server it names.
fn point_at(mut finding: Diagnostic, file: &DirectorFile, text: &str) -> Diagnostic {
    for router in &file.config.routers {
        let held = router.addresses.iter().chain(&router.excluded).find(|held| names(text, &held.address.to_string()));
        let label = format!("{}: virtual router {}, priority {}", file.name, router.vrid, router.priority);
        if let Some(held) = held {
            finding = finding
                .at(router.places.of(&held.address.to_string()), format!("{}: this address", file.name))
                .also(router.places.of("virtual_router_id"), label);
        } else if names(text, &router.name) {
            finding = finding.at(router.places.of(""), label);
        }
    }
    for server in file.config.services.iter().flat_map(|service| &service.real_servers) {
        if names(text, &server.address.to_string()) {
            return finding.at(server.places.of(""), format!("{}: this real server", file.name));
        }
    }
    finding
}

/// Whether a sentence names something as a whole word: `lb1` is not in `lb10`.
fn names(text: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        !part(before) && !part(after)
    })
}

/// An invariant in a user's words.
fn means(invariant: &str) -> &'static str {
    match invariant {
        "one-owner" | "one-holder" => "two directors held one address at the same time",
        "address-served" => "nobody held an address that somebody could have taken",
        "no-dead-destination" => "connections went to a dead real server for longer than its checker needs",
        "tables-settle" => "a kernel table stayed wrong",
        "bounded-role-changes" => "a virtual router kept changing its role",
        "group-whole" => "of a sync group one member was MASTER and another one not",
        "fault-has-cause" => "a director stayed in FAULT with nothing wrong any more",
        "lease-taken" => "nobody took a lease that was free",
        "silent-after-stop" => "a stopped director went on acting",
        _ => "an invariant broke",
    }
}

/// Findings that explain a broken invariant.
fn causes(invariant: &str) -> &'static [&'static str] {
    match invariant {
        "one-owner" | "bounded-role-changes" => &[
            "vrid-differs",
            "version-differs",
            "authentication-differs",
            "unicast-differs",
            "group-differs",
            "missing-peer",
            "addresses-differ",
            "interval-differs",
            "unheard",
        ],
        "address-served" => &["addresses-differ", "unheard", "service-missing"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_within_another_is_not_named() {
        assert!(names("lb1 and lb2 both hold 192.0.2.1", "lb1"));
        assert!(!names("lb10 holds 192.0.2.1", "lb1") && !names("192.0.2.100", "192.0.2.10"));
        assert!(!names("xlb1", "lb1") && names("of lb1's", "lb1"));
    }
}
