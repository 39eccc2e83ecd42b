//! The whole director on one screen, and its last decisions.

use super::ages::{since, words};
use super::table::{aligned, cut};
use vipward_core::mail::MailStatus;
use vipward_core::status::{
    AddressStatus, BalancerStatus, DecisionStatus, DrainStatus, ElectionStatus, RealServerStatus, RouterStatus,
    StaticsStatus, Status, VirtualServerStatus,
};

/// How many of the last decisions the overview shows.
const LAST: usize = 5;

/// `vipward status`.
pub fn overview(status: &Status) -> String {
    let Status { director, version, pid, up_ms, file, .. } = status;
    let mut text = cut(&format!("{director}: vipward {version}, process {pid} for {}, {file}", words(*up_ms))) + "\n";
    match &status.election {
        None => text += &silent("election", "roles and addresses", status.waited_ms),
        Some(election) => {
            text += &routers(election);
            text += &trackers(election);
            text += &statics(&election.statics);
        }
    }
    match &status.balancer {
        None => text += &silent("balancer", "virtual servers", status.waited_ms),
        Some(balancer) => text += &services(balancer),
    }
    if let Some(mail) = &status.mail {
        text += &mails(mail);
    }
    let decisions = decisions(status);
    if !decisions.is_empty() {
        text += "\nLAST DECISIONS\n";
        let skipped = decisions.len().saturating_sub(LAST);
        decisions.iter().skip(skipped).for_each(|decision| text += &(cut(&told(decision)) + "\n"));
    }
    text
}

/// `vipward history`: all decisions that are kept, or those about one thing, the newest last.
pub fn history(status: &Status, name: Option<&str>) -> String {
    let about = |decision: &&DecisionStatus| name.is_none_or(|name| is_about(decision, name));
    let lines: Vec<String> = decisions(status).iter().filter(about).map(|decision| told(decision) + "\n").collect();
    match (lines.is_empty(), name) {
        (true, Some(name)) => format!("no decision about {name} is kept\n"),
        (true, None) => "no decision is kept\n".to_owned(),
        (false, _) => lines.concat(),
    }
}

/// Whether a decision is about the virtual router, virtual server or real server of that name, alone or with others:
/// `TCP 192.0.2.100:80 10.0.0.1:80` is about all three.
pub fn is_about(decision: &DecisionStatus, name: &str) -> bool {
    let whole = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let about = &decision.about;
    about.strip_prefix(name).is_some_and(whole) || about.split(' ').any(|word| word == name)
}

/// Of both machines, the oldest first.
pub fn decisions(status: &Status) -> Vec<DecisionStatus> {
    let election = status.election.iter().flat_map(|it| &it.decisions);
    let balancer = status.balancer.iter().flat_map(|it| &it.decisions);
    let mut all: Vec<DecisionStatus> = election.chain(balancer).cloned().collect();
    all.sort_by_key(|decision| std::cmp::Reverse(decision.ago_ms));
    all
}

/// `   3 min 5 s ago  VI_1: BACKUP -> MASTER: …`
pub fn told(decision: &DecisionStatus) -> String {
    let loud = match decision.level.as_str() {
        "error" => "ERROR ",
        "warning" => "warning ",
        _ => "",
    };
    format!("{:>12} ago  {loud}{}", words(decision.ago_ms), decision.text)
}

fn silent(machine: &str, what: &str, waited_ms: u64) -> String {
    format!("\nThe {machine} did not answer within {}: its {what} are not known.\n", words(waited_ms))
}

/// Nothing, if there never was any.
fn mails(mail: &MailStatus) -> String {
    let MailStatus { waiting, sent, dropped, last_error } = mail;
    if (*waiting, *sent, *dropped) == (0, 0, 0) {
        return String::new();
    }
    let dropped = if *dropped > 0 { format!(", {dropped} given up") } else { String::new() };
    let error = last_error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default();
    format!("\n{}\n", cut(&format!("mail: {waiting} waiting, {sent} sent{dropped}{error}")))
}

fn routers(election: &ElectionStatus) -> String {
    if election.routers.is_empty() {
        return String::new();
    }
    let row = |router: &RouterStatus| {
        vec![
            router.name.clone(),
            router.role.clone(),
            since(router.since_ms),
            router.interface.clone(),
            router.vrid.to_string(),
            router.priority.to_string(),
            standing(router),
        ]
    };
    let rows: Vec<Vec<String>> = election.routers.iter().map(row).collect();
    "\n".to_owned() + &aligned(&["ROUTER", "ROLE", "FOR", "INTERFACE", "VRID", "PRIORITY", ""], &rows)
}

/// What matters most of it.
fn standing(router: &RouterStatus) -> String {
    match router.role.as_str() {
        "MASTER" => held(&router.addresses) + &missing_routes(router),
        "BACKUP" => match &router.heard {
            Some(heard) => match (heard.priority, heard.ago_ms) {
                (Some(0), _) => format!("{} stopped", heard.source),
                (_, Some(ago)) => format!("MASTER is {}, heard {} ago", heard.source, words(ago)),
                (Some(priority), None) => format!("MASTER is {} with priority {priority}", heard.source),
                (None, None) => format!("MASTER is {}", heard.source),
            },
            None => match router.lease.as_ref().and_then(|lease| lease.held_by.as_ref()) {
                Some(by) => format!("{by} has the lease"),
                None => "hears no MASTER".to_owned(),
            },
        },
        _ => router.why.clone().unwrap_or_default(),
    }
}

/// `192.0.2.100/24 and 3 more`; what is not there comes first.
fn held(addresses: &[AddressStatus]) -> String {
    let missing: Vec<&AddressStatus> = addresses.iter().filter(|it| !it.there).collect();
    let list = |some: &[&AddressStatus]| {
        let first = some.first().map(|it| format!("{}/{}", it.address, it.prefix_len)).unwrap_or_default();
        if some.len() > 1 { format!("{first} and {} more", some.len() - 1) } else { first }
    };
    if missing.is_empty() {
        list(&addresses.iter().collect::<Vec<_>>())
    } else {
        format!("MISSING: {}", list(&missing))
    }
}

/// Of routes and rules; nothing if all of them are there.
fn missing_routes(router: &RouterStatus) -> String {
    let routes = router.routes.iter().filter(|route| !route.there).count();
    let rules = router.rules.iter().filter(|rule| !rule.there).count();
    let missing = [(routes, router.routes.len(), "routes"), (rules, router.rules.len(), "rules")];
    let missing = missing.iter().filter(|(missing, ..)| *missing > 0);
    missing.map(|(missing, of, what)| format!("; MISSING: {missing} of {of} {what}")).collect()
}

/// Those that say no, and how many there are.
fn trackers(election: &ElectionStatus) -> String {
    if election.trackers.is_empty() {
        return String::new();
    }
    let bad: Vec<_> = election.trackers.iter().filter(|tracker| tracker.reading != "up").collect();
    if bad.is_empty() {
        return format!("\nTRACKED: {} of {} up\n", election.trackers.len(), election.trackers.len());
    }
    let rows: Vec<Vec<String>> = bad
        .iter()
        .map(|tracker| {
            let why = tracker.why.clone().unwrap_or_default();
            vec![tracker.what.clone(), tracker.reading.clone(), since(tracker.since_ms), why]
        })
        .collect();
    "\n".to_owned() + &aligned(&["TRACKED", "READING", "FOR", ""], &rows)
}

/// Those that are not there, and how many there are.
fn statics(statics: &StaticsStatus) -> String {
    let all = listed(statics);
    if all.is_empty() {
        return String::new();
    }
    let missing: Vec<&String> = all.iter().filter(|(_, there)| !there).map(|(what, _)| what).collect();
    let mut text = cut(&format!("\nSTATIC: {} of {} there", all.len() - missing.len(), all.len())) + "\n";
    missing.iter().for_each(|what| text += &(cut(&format!("  MISSING: {what}")) + "\n"));
    text
}

/// Static addresses, routes and rules, and whether each is there.
pub fn listed(statics: &StaticsStatus) -> Vec<(String, bool)> {
    let StaticsStatus { addresses, routes, rules } = statics;
    let addresses =
        addresses.iter().map(|it| (format!("{}/{} on {}", it.address, it.prefix_len, it.interface), it.there));
    let routes = routes.iter().map(|it| (format!("route {}", it.route), it.there));
    addresses.chain(routes).chain(rules.iter().map(|it| (format!("rule {}", it.rule), it.there))).collect()
}

fn services(balancer: &BalancerStatus) -> String {
    let mut lines = String::new();
    lines.extend(balancer.timeouts.as_ref().map(|timeouts| format!("IPVS timeouts: {timeouts}\n")));
    lines.extend(balancer.sync_daemons.iter().map(|daemon| format!("sync daemon: {daemon}\n")));
    let lines = if lines.is_empty() { lines } else { format!("\n{lines}") };
    if balancer.services.is_empty() {
        return lines;
    }
    let mut rows = Vec::new();
    for service in &balancer.services {
        rows.push(service_row(service));
        rows.extend(service.servers.iter().filter(|server| !server.up || server.drained.is_some()).map(server_row));
    }
    let head = ["VIRTUAL SERVER", "UP", "FOR", ""];
    format!("{lines}\n{}", aligned(&head, &rows))
}

fn service_row(service: &VirtualServerStatus) -> Vec<String> {
    let up = service.servers.iter().filter(|server| server.up).count();
    let quorum = match (&service.sorry_server, service.quorum.up) {
        (_, true) => String::new(),
        (Some(sorry), false) => format!(", no quorum: {sorry} answers"),
        (None, false) => ", no quorum".to_owned(),
    };
    vec![
        service.name.clone(),
        format!("{up} of {}", service.servers.len()),
        since(service.quorum.since_ms),
        format!("{}{quorum}{}", service.scheduler, if service.suspended { ", not checked: no VIP here" } else { "" }),
    ]
}

fn server_row(server: &RealServerStatus) -> Vec<String> {
    let up = if server.up { "up" } else { "DOWN" };
    let why = server.why.clone().unwrap_or_default();
    let (state, age, why) = match &server.drained {
        Some(drain) if server.up => ("drained", Some(drain.since_ms), drained(drain)),
        Some(_) => (up, server.since_ms, format!("drained; {why}")),
        None => (up, server.since_ms, why),
    };
    vec![format!("  {}", server.address), state.to_owned(), since(age), why]
}

/// What is left of it, and what comes.
pub fn drained(drain: &DrainStatus) -> String {
    let DrainStatus { since_ms: _, connections, remove, limit_ms, out } = drain;
    let left = match connections {
        Some(1) => "1 connection left".to_owned(),
        Some(n) => format!("{n} connections left"),
        None => "connections not counted yet".to_owned(),
    };
    match (out, remove, limit_ms) {
        (true, ..) => format!("taken out, {left}"),
        (false, false, _) => left,
        (false, true, None) => format!("{left}, then it is taken out"),
        (false, true, Some(limit)) => format!("{left}, taken out in {} at the latest", words(*limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_about_what_it_names_and_not_about_longer_names() {
        let decision = |about: &str| DecisionStatus {
            ago_ms: 0,
            level: "info".to_owned(),
            code: "c".to_owned(),
            about: about.to_owned(),
            text: String::new(),
        };
        let server = decision("TCP 192.0.2.100:80 10.0.0.1:80");
        for name in ["TCP 192.0.2.100:80", "192.0.2.100:80", "10.0.0.1:80", "TCP 192.0.2.100:80 10.0.0.1:80"] {
            assert!(is_about(&server, name), "{name}");
        }
        assert!(!is_about(&server, "TCP 192.0.2.100:8") && !is_about(&server, "0.0.0.1:80"));
        assert!(is_about(&decision("VI_1 WrongTtl"), "VI_1"));
        assert!(!is_about(&decision("VI_10"), "VI_1") && !is_about(&decision(""), "VI_1"));
    }
}
