//! Every state meets every event: one table, read like code when it changes.

use crate::timeline::*;
use std::fmt::Write;
use std::sync::Arc;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::door::News;
use vipward_core::estate::ElectionEstate;
use vipward_core::interface::{Family, Link};
use vipward_core::ipvs::{Protocol, ServiceKey, VirtualServerId};
use vipward_core::lease::LeaseEvent;
use vipward_core::machine::Machine;
use vipward_core::route::{RouteKey, Rule, RuleAction};
use vipward_core::vrrp::{Effect, Event, Input};

/// All start at 0 and stand at 4.2 seconds; a script with weight 0 is tracked.
fn states() -> Vec<(&'static str, Timeline)> {
    let tracked = || vec![tracking(router(), 0, false)];
    let start = || Timeline::with(config(tracked(), vec![script(1, 1)]));
    let mut waits = start();
    waits.until("4.2");
    let mut hears_nobody = start();
    hears_nobody.at("1").script_exits(0);
    hears_nobody.until("4.2");
    let mut hears_higher = start();
    hears_higher.script_exits(0).at("3").hears(peer(2, 200));
    hears_higher.until("4.2");
    let mut hears_lower = start();
    hears_lower.at("1").script_exits(0).hears(peer(2, 50));
    hears_lower.until("4.2");
    let mut follows = start();
    follows.at("2").script_exits(0).at("4").hears(peer(2, 0));
    follows.until("4.2");
    let mut master = start();
    master.script_exits(0);
    master.until("4.2");
    let mut overslept = start();
    overslept.script_exits(0);
    overslept.until("3.7");
    overslept.at("9");
    let mut fault = start();
    fault.script_exits(0).link(false);
    fault.until("4.2");
    let mut script_fault = start();
    script_fault.script_exits(1);
    script_fault.until("4.2");
    let mut stopped = start();
    stopped.script_exits(0).at("4.2").stops();
    let mut starting = Timeline::unstarted(&[observed(ME, false)]);
    starting.at("4.2").tells_links(&[(0, true)]);
    vec![
        ("starting", starting),
        ("INIT, script unknown", waits),
        ("BACKUP, heard nobody", hears_nobody),
        ("BACKUP, heard 200", hears_higher),
        ("BACKUP, heard 50", hears_lower),
        ("BACKUP, heard 0", follows),
        ("MASTER", master),
        ("MASTER, overslept", overslept),
        ("FAULT, link down", fault),
        ("FAULT, script down", script_fault),
        ("stopped", stopped),
    ]
}

pub fn events() -> Vec<(&'static str, Input)> {
    let event = |event: Event| Input::from(event);
    let advert = |peer: Peer| event(Event::AdvertReceived(peer.datagram()));
    let link = |running| event(Event::LinkChanged(Link { name: eth(0), running }));
    let script = |status| event(Event::ScriptFinished { script: "chk".into(), outcome: ScriptOutcome::Exited(status) });
    let load = |router| Input::ConfigLoaded {
        config: Arc::new(config(vec![router], vec![crate::timeline::script(1, 1)])),
        seed: 0,
    };
    let failed = |effect| Input::Failed { effect: Box::new(effect), error: "no".to_owned() };
    let address = |last, ours, present| event(Event::AddressChanged { address: observed(last, ours), present });
    let target = "10.0.0.200:80".parse().unwrap();
    let service = VirtualServerId::of_entry(ServiceKey::Address { protocol: Protocol::Tcp, address: target });
    let all = vec![
        ("advert 0", advert(peer(2, 0))),
        ("advert 50", advert(peer(2, 50))),
        ("advert 100, lower address", advert(peer(2, 100))),
        ("advert 100, greater address", advert(peer(9, 100))),
        ("advert 200", advert(peer(2, 200))),
        ("advert 255", advert(peer(2, 255))),
        ("advert 200, other list", advert(Peer { addresses: vec![100, 101], ..peer(2, 200) })),
        ("advert 200, other interval", advert(Peer { centis: 300, ..peer(2, 200) })),
        ("advert 200, a stranger's list", advert(Peer { addresses: vec![7], ..peer(2, 200) })),
        ("advert 200, TTL 1", advert(Peer { ttl: 1, ..peer(2, 200) })),
        ("wakeup", Input::Wakeup),
        ("link down", link(false)),
        ("link up", link(true)),
        ("link gone", event(Event::LinkGone(eth(0)))),
        ("links read, up", event(Event::LinksRead(vec![Link { name: eth(0), running: true }]))),
        ("links read, none", event(Event::LinksRead(vec![]))),
        ("own address gone", address(ME, false, false)),
        ("second address", address(6, false, true)),
        ("neighbours live", event(Event::NeighboursLive)),
        ("VIP gone", address(100, true, false)),
        ("VIP there, ours", address(100, true, true)),
        ("VIP there, not ours", address(100, false, true)),
        ("addresses read, none", event(Event::AddressesRead(vec![]))),
        ("addresses read, own", event(Event::AddressesRead(vec![observed(ME, false)]))),
        ("addresses read, own and VIP", event(Event::AddressesRead(vec![observed(ME, false), observed(100, true)]))),
        ("script succeeds", script(0)),
        ("script fails", script(1)),
        ("reload, same", load(tracking(router(), 0, false))),
        ("reload, priority 150", load(tracking(priority(150), 0, false))),
        ("reload, no script", load(router())),
        ("reload, other VRID", load(VirtualRouterConfig { vrid: 9.try_into().unwrap(), ..router() })),
        ("failed: advert", failed(Effect::SendAdvert(peer(ME, 100).datagram()))),
        ("failed: add", failed(Effect::AddAddress(vip(100)))),
        ("failed: remove", failed(Effect::RemoveAddress(vip(100).key()))),
        ("failed: listen", failed(Effect::Listen { interface: eth(0), group: Some(GROUP.into()) })),
        ("failed: announce", failed(Effect::Announce { interface: eth(0), address: ip(100).into() })),
        ("failed: read addresses", failed(Effect::ReadAddresses)),
        ("news: quorum lost", Input::News(News::QuorumChanged { service, quorum: false })),
        ("lease vacant", event(Event::Lease(LeaseEvent::Vacant { key: "VI_1".into() }))),
        ("tracked processes were counted", event(Event::ProcessesCounted(vec![("P".into(), 0)]))),
        ("a tracked file was read", event(Event::FilesRead(vec![("F".into(), -300)]))),
        ("routes were read", event(Event::RoutesRead { routes: Vec::new(), rules: Vec::new() })),
        (
            "a rule vanished",
            event(Event::RuleChanged { rule: Box::new(Rule::new(Family::V4, 1, RuleAction::Nop)), present: false }),
        ),
        ("a route vanished", event(Event::RouteChanged { route: RouteKey::to(ip(0).into(), 24), present: false })),
        ("stop", Input::Stop),
        ("hand over", Input::HandOver),
        ("take back", Input::TakeBack),
        ("inherited", Input::Inherited(ElectionEstate::default())),
    ];
    // A new kind of event belongs into the table: this does not compile until it is here, too.
    for (_, input) in &all {
        match input {
            Input::Event(
                Event::AdvertReceived(_)
                | Event::LinksRead(_)
                | Event::LinkChanged(_)
                | Event::LinkGone(_)
                | Event::AddressesRead(_)
                | Event::NeighboursLive
                | Event::AddressChanged { .. }
                | Event::ScriptFinished { .. }
                | Event::Lease(_)
                | Event::FilesRead(_)
                | Event::ProcessesCounted(_)
                | Event::RoutesRead { .. }
                | Event::RuleChanged { .. }
                | Event::RouteChanged { .. },
            )
            | Input::ConfigLoaded { .. }
            | Input::News(_)
            | Input::Failed { .. }
            | Input::Wakeup
            | Input::Stop
            | Input::HandOver
            | Input::TakeBack
            | Input::Inherited(_) => {}
        }
    }
    all
}

#[test]
fn every_state_meets_every_event() {
    let mut table = String::new();
    for (place, (state, t)) in states().into_iter().enumerate() {
        writeln!(table, "\n{state}").unwrap();
        drop(t);
        for (name, event) in events() {
            let (_, mut t) = states().swap_remove(place);
            let before = t.election.next_wakeup();
            // Through the machine itself: what it asks for is to be seen here, not answered.
            let effects = t.election.handle(event, t.now());
            let mut line = say(&effects).join("\n        ");
            let after = t.election.next_wakeup();
            if after != before {
                let next = after.map_or("never".to_owned(), |(at, why)| format!("{at:.9} {why:?}"));
                write!(line, "{}(next: {next})", if line.is_empty() { "" } else { "\n        " }).unwrap();
            }
            writeln!(table, "    {name}\n        {}", if line.is_empty() { "-" } else { &line }).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
