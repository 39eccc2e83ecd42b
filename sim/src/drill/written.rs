//! The network of a drill in the words of a scenario file: for whoever plays something else on it.

use super::topology::Topology;
use crate::scenario::{ClientPlan, Dataplane, DirectorPlan, NodeKind, NodePlan, PortPlan, Scenario, ServerPlan};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

/// Segments and nodes. Configurations are named by their whole paths.
pub(super) fn written(topology: &Topology) -> Result<String, String> {
    let scenario = &topology.scenario;
    let mut text = String::new();
    let routed = scenario.routed.iter().filter_map(|id| scenario.segments.get(id.0));
    let routed: Vec<String> = routed.map(|segment| quoted(&segment.name)).collect();
    if !routed.is_empty() {
        let _ = writeln!(text, "routed = [{}]", routed.join(", "));
    }
    for assumption in &topology.assumptions {
        let _ = writeln!(text, "# assumed: {assumption}");
    }
    for segment in &scenario.segments {
        let _ = writeln!(text, "\n[segment.{}]", quoted(&segment.name));
    }
    for node in &scenario.nodes {
        match &node.kind {
            NodeKind::Director(plan) => director(&mut text, scenario, node, plan)?,
            NodeKind::RealServer(plan) => server(&mut text, scenario, node, plan),
            NodeKind::Client(plan) => client(&mut text, scenario, node, plan),
            NodeKind::Quorum(plan) => {
                let _ = writeln!(text, "\n[quorum.{}]", quoted(&node.name));
                address(&mut text, scenario, node);
                let _ = writeln!(text, "tick = \"{}ms\"", plan.tick.as_millis());
            }
            // `routed` makes it.
            NodeKind::Router => {}
        }
    }
    Ok(text)
}

fn director(text: &mut String, scenario: &Scenario, node: &NodePlan, plan: &DirectorPlan) -> Result<(), String> {
    let path = &plan.config.path;
    let path = std::path::absolute(path).map_err(|error| format!("can't read `{}`: {error}", path.display()))?;
    let _ = writeln!(text, "\n[director.{}]\nconfig = {}", quoted(&node.name), quoted(&path.to_string_lossy()));
    let mut interfaces: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for port in &node.ports {
        interfaces.entry(port.interface.as_str()).or_default().push(quoted(&place(scenario, port)));
    }
    for (interface, places) in interfaces {
        let _ = writeln!(text, "interfaces.{} = [{}]", quoted(interface), places.join(", "));
    }
    listens(text, &plan.listens);
    loopback(text, &plan.loopback);
    tracks(text, plan);
    if plan.dataplane == Dataplane::Relay {
        text.push_str("dataplane = \"relay\"\n");
    }
    Ok(())
}

fn server(text: &mut String, scenario: &Scenario, node: &NodePlan, plan: &ServerPlan) {
    // An address can't be a node's name in a scenario file.
    let _ = writeln!(text, "\n[real_server.{}]", quoted(&format!("server {}", node.name)));
    address(text, scenario, node);
    listens(text, &plan.listens);
    loopback(text, &plan.loopback);
    if let Some(gateway) = plan.gateway {
        let _ = writeln!(text, "gateway = {}", quoted(&gateway.to_string()));
    }
    if plan.tunnel {
        text.push_str("tunnel = true\n");
    }
}

fn loopback(text: &mut String, addresses: &[IpAddr]) {
    if !addresses.is_empty() {
        let loopback: Vec<String> = addresses.iter().map(|ip| quoted(&ip.to_string())).collect();
        let _ = writeln!(text, "loopback = [{}]", loopback.join(", "));
    }
}

fn client(text: &mut String, scenario: &Scenario, node: &NodePlan, plan: &ClientPlan) {
    let _ = writeln!(text, "\n[client.{}]", quoted(&node.name));
    address(text, scenario, node);
    let _ = writeln!(text, "asks = {}", quoted(&plan.target.to_string()));
    if plan.keeps > 0 {
        let _ = writeln!(text, "keeps = {}", plan.keeps);
    }
}

fn address(text: &mut String, scenario: &Scenario, node: &NodePlan) {
    for port in &node.ports {
        let _ = writeln!(text, "address = {}", quoted(&place(scenario, port)));
    }
}

fn listens(text: &mut String, ports: &[u16]) {
    if !ports.is_empty() {
        let _ = writeln!(text, "listens = {ports:?}");
    }
}

/// Also where there is none, so that nobody guesses again.
fn tracks(text: &mut String, plan: &DirectorPlan) {
    let scripts =
        plan.config.config.iter().flat_map(|config| config.scripts.keys()).filter(|_| !plan.listens.is_empty());
    let tracks = scripts.map(|script| {
        let port = plan.tracks.get(script).map_or("false".to_owned(), |checks| checks.port.to_string());
        format!("{} = {port}", quoted(script))
    });
    let tracks: Vec<String> = tracks.collect();
    if !tracks.is_empty() {
        let _ = writeln!(text, "tracks = {{ {} }}", tracks.join(", "));
    }
}

/// `ADDRESS/LEN on SEGMENT`.
fn place(scenario: &Scenario, port: &PortPlan) -> String {
    let segment = scenario.segments.get(port.segment.0).map(|segment| &*segment.name).unwrap_or_default();
    port.address.map_or(format!("on {segment}"), |(address, len)| format!("{address}/{len} on {segment}"))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
