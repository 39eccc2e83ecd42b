//! One virtual router or virtual server, all of it: what it is, since when, why, and what would change it.

use super::ages::words;
use super::overview::{decisions, drained, is_about, listed, told};
use super::table::{aligned, cut, wrapped};
use vipward_core::status::{
    CheckerStatus, ElectionStatus, RouterStatus, StaticsStatus, Status, TrackedStatus, VirtualServerStatus,
};

/// How many decisions about it are shown.
const LAST: usize = 10;

/// What static addresses, routes and rules are called together.
const STATIC: &str = "static";

/// The text about the virtual router or virtual server of that name, or about what is static.
///
/// # Errors
/// There is none, in a sentence that names those that are there.
pub fn explain(status: &Status, name: &str) -> Result<String, String> {
    let mut text = match named(status, name)? {
        Named::Router(election, router) => self::router(election, router),
        Named::Service(service) => self::service(service),
        Named::Statics(statics) => self::statics(statics),
    };
    let about: Vec<String> = decisions(status).iter().filter(|decision| is_about(decision, name)).map(told).collect();
    if !about.is_empty() {
        text += "\nLast decisions about it\n";
        about.iter().skip(about.len().saturating_sub(LAST)).for_each(|line| text += &(cut(line) + "\n"));
    }
    Ok(text)
}

/// The same for programs.
///
/// # Errors
/// There is none of that name.
pub fn json(status: &Status, name: &str) -> Result<String, String> {
    let json = match named(status, name)? {
        Named::Router(_, router) => serde_json::to_string_pretty(router),
        Named::Service(service) => serde_json::to_string_pretty(service),
        Named::Statics(statics) => serde_json::to_string_pretty(statics),
    };
    json.map(|json| json + "\n").map_err(|error| error.to_string())
}

/// What a name may stand for.
enum Named<'a> {
    Router(&'a ElectionStatus, &'a RouterStatus),
    Service(&'a VirtualServerStatus),
    /// [`STATIC`]
    Statics(&'a StaticsStatus),
}

fn named<'a>(status: &'a Status, name: &str) -> Result<Named<'a>, String> {
    let routers = || status.election.iter().flat_map(|election| &election.routers);
    let services = || status.balancer.iter().flat_map(|balancer| &balancer.services);
    if let (Some(election), Some(router)) = (&status.election, routers().find(|router| router.name == name)) {
        return Ok(Named::Router(election, router));
    }
    if let Some(election) = status.election.as_ref().filter(|_| name == STATIC) {
        return Ok(Named::Statics(&election.statics));
    }
    let service = services().find(|service| is_called(service, name)).map(Named::Service);
    service.ok_or_else(|| nothing(name, routers().map(|it| &*it.name).chain(services().map(|it| &*it.name)), status))
}

/// The name of the only virtual router, if there is no other.
pub fn only(status: &Status) -> Option<&String> {
    match status.election.as_ref()?.routers.as_slice() {
        [router] => Some(&router.name),
        _ => None,
    }
}

fn nothing<'a>(name: &str, known: impl Iterator<Item = &'a str>, status: &Status) -> String {
    const MOST: usize = 8;
    let known: Vec<&str> = known.collect();
    if status.election.is_none() || status.balancer.is_none() {
        return format!("nothing is known of {name}: a machine of this director does not answer");
    }
    let more = if known.len() > MOST { format!(" and {} more", known.len() - MOST) } else { String::new() };
    let list = known.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    format!("no virtual router or virtual server is called {name}: there are {list}{more}")
}

/// `TCP 192.0.2.100:80`, or the address alone; `TCP group web`, `group web`, or the group's name alone.
fn is_called(service: &VirtualServerStatus, name: &str) -> bool {
    let group = service.name.split_once("group ").is_some_and(|(_, group)| group == name);
    group || service.name == name || service.name.split_once(' ').is_some_and(|(_, address)| address == name)
}

fn statics(statics: &StaticsStatus) -> String {
    let all = listed(statics);
    if all.is_empty() {
        return "no static address, route or rule is configured\n".to_owned();
    }
    let mut text = "Static addresses, routes and rules, there as long as this director runs\n".to_owned();
    for (what, there) in all {
        let there = if there { "there" } else { "MISSING: its interface is not there, or the log says why" };
        text += &wrapped(&format!("{what}: {there}"), "  ");
    }
    text
}

fn router(election: &ElectionStatus, router: &RouterStatus) -> String {
    let lasts = router.since_ms.map(|ms| format!(" for {}", words(ms))).unwrap_or_default();
    let why = router.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let mut text = wrapped(&format!("{} is {}{lasts}{why}", router.name, router.role), "");
    text += "\n";
    let mut line = |words: String| text += &wrapped(&words, "  ");
    line(format!(
        "{}, VRID {}, VRRPv{} over {}, adverts every {}{}",
        router.interface,
        router.vrid,
        router.version,
        router.family,
        words(router.advert_int_ms),
        router.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default()
    ));
    line(priority(router));
    for address in &router.addresses {
        let there = match (address.there, router.role.as_str()) {
            (true, "MASTER") => "held",
            (false, "MASTER") => "MISSING",
            (true, _) => "there, though this director is not MASTER",
            (false, _) => "not here",
        };
        line(format!("{}/{} on {}: {there}", address.address, address.prefix_len, address.interface));
    }
    let routes = router.routes.iter().map(|it| ("route", &it.route, it.there));
    for (kind, what, there) in routes.chain(router.rules.iter().map(|it| ("rule", &it.rule, it.there))) {
        let there = match (there, router.role.as_str()) {
            (true, "MASTER") => "in the kernel",
            (false, "MASTER") => "MISSING: the log says why the kernel refuses it",
            (true, _) => "in the kernel, though this director is not MASTER",
            (false, _) => "not here",
        };
        line(format!("{kind} {what}: {there}"));
    }
    if let Some(group) = &router.group {
        line(format!("in sync group {group}: MASTER with all its members, or not at all"));
    }
    if let Some(lease) = &router.lease {
        let holder = match (&lease.token, &lease.held_by) {
            (Some(token), _) => format!("ours, token {token}"),
            (None, Some(by)) => format!("{by} has it"),
            (None, None) => "not known to be anybody's".to_owned(),
        };
        line(format!("lease ({}): {holder}", lease.mode));
    }
    line(format!("{} packets sent, {} heard{}", router.packets.sent, router.packets.heard, ignored(election, router)));
    text += "\nWhat would change it\n";
    changes(router).iter().for_each(|change| text += &wrapped(change, "  "));
    text
}

fn priority(router: &RouterStatus) -> String {
    let adds = router.tracked.iter().filter(|tracked| tracked.adds != 0);
    let adds: Vec<String> =
        adds.map(|tracked| format!("{:+} {} ({})", tracked.adds, tracked.what, tracked.reading)).collect();
    if adds.is_empty() {
        format!("priority {}", router.priority)
    } else {
        format!("priority {}: {} configured, {}", router.priority, router.configured_priority, adds.join(", "))
    }
}

fn ignored(election: &ElectionStatus, router: &RouterStatus) -> String {
    let its = election.ignored.iter().filter(|ignored| ignored.router.as_ref() == Some(&router.name));
    let its: Vec<String> = its.map(|ignored| format!("{} {}", ignored.packets, ignored.reason)).collect();
    if its.is_empty() { String::new() } else { format!(", of them ignored: {}", its.join(", ")) }
}

fn changes(router: &RouterStatus) -> Vec<String> {
    let mut all = Vec::new();
    match router.role.as_str() {
        "MASTER" => all.push(format!(
            "an advert with a priority above {}, or the same and a greater source address",
            router.priority
        )),
        "BACKUP" => {
            if let Some(next) = router.next.as_ref().filter(|next| next.what == "takes over") {
                let unless = match &router.heard {
                    Some(heard) if heard.priority.is_none() => format!("no advert of {} for", heard.source),
                    Some(_) | None => "nobody better heard for".to_owned(),
                };
                all.push(format!("{unless} {} from now: it becomes MASTER", words(next.in_ms)));
            }
        }
        "FAULT" => all.push("the end of what is named above".to_owned()),
        _ => {}
    }
    all.extend(router.tracked.iter().map(|tracked| turned(router, tracked)));
    all
}

/// What happens when one thing that is tracked says the opposite.
fn turned(router: &RouterStatus, tracked: &TrackedStatus) -> String {
    let TrackedStatus { what, reading, weight, reverse, adds } = tracked;
    let then = if reading == "up" { "down" } else { "up" };
    if *weight == 0 {
        let fault = (then == "up") == *reverse;
        return format!("{what} goes {then}: {}", if fault { "FAULT" } else { "no reason for FAULT any more" });
    }
    // A positive weight counts while it is up, a negative one while it is down.
    let counts = (then == "up") == (*weight > 0);
    let added = match (counts, reverse) {
        (false, _) => 0,
        (true, false) => i32::from(*weight),
        (true, true) => -i32::from(*weight),
    };
    let all: i32 = router.tracked.iter().map(|tracked| i32::from(tracked.adds)).sum();
    let priority = match router.configured_priority {
        255 => 255,
        configured => (i32::from(configured) + all - i32::from(*adds) + added).clamp(1, 254),
    };
    format!("{what} goes {then}: priority {priority}")
}

fn service(service: &VirtualServerStatus) -> String {
    let VirtualServerStatus { name, scheduler, quorum, sorry_server, suspended, entries, servers, .. } = service;
    let state = if quorum.up { "has quorum" } else { "HAS NO QUORUM" };
    let lasts = quorum.since_ms.map(|ms| format!(" for {}", words(ms))).unwrap_or_default();
    let mut text = wrapped(
        &format!(
            "{name} {state}{lasts}: weight {} of {} is up, {} is needed; {scheduler}",
            quorum.live, quorum.total, quorum.needed
        ),
        "",
    );
    if !entries.is_empty() {
        text += &wrapped(&format!("in the table: {}", entries.join(", ")), "  ");
    }
    if let Some(sorry) = sorry_server {
        let now = if quorum.up { "answers when there is no quorum" } else { "answers now" };
        text += &format!("  sorry server {sorry} {now}\n");
    }
    if *suspended {
        text += "  not checked: this host has not its address (ha_suspend)\n";
    }
    let mut rows = Vec::new();
    for server in servers {
        let weight = server.weight.map_or("not in the table".to_owned(), |weight| format!("weight {weight}"));
        let up = if server.up { "up" } else { "DOWN" };
        let lasts = server.since_ms.map(words).unwrap_or_default();
        rows.push(vec![server.address.clone(), up.to_owned(), lasts, format!("{}, {weight}", server.forwarding)]);
        if let Some(drain) = &server.drained {
            rows.push(vec!["  drained".to_owned(), String::new(), words(drain.since_ms), drained(drain)]);
        }
        for checker in &server.checkers {
            rows.push(vec![format!("  {}", checker.kind), String::new(), String::new(), result(checker)]);
        }
    }
    text + "\n" + &aligned(&["REAL SERVER", "IS", "FOR", ""], &rows)
}

fn result(checker: &CheckerStatus) -> String {
    let next = match checker.next_ms {
        Some(ms) => format!("next in {}", words(ms)),
        None => "asks now".to_owned(),
    };
    let Some(last) = &checker.last else { return format!("not asked yet, {next}") };
    let took = last.took_us.map(|us| format!(" in {}.{} ms", us / 1_000, us % 1_000 / 100)).unwrap_or_default();
    match &last.failure {
        None => format!("passed{took}, {} ago; {next}", words(last.ago_ms)),
        Some(failure) => format!("{failure}{took}, {} ago; {next}", words(last.ago_ms)),
    }
}
