//! What a director answers, as metrics in the text format of OpenMetrics, which Prometheus reads.
//!
//! Made anew of each answer: what is no longer configured has no metric any more.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::AtomicU64;
use vipward_core::status::{BalancerStatus, ElectionStatus, Status};

/// Content type of what [`of`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label names with their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| (*name, value.as_str()).encode(encoder.encode_label()))
    }
}

type Numbers = Family<Labels, Gauge<f64, AtomicU64>>;
type Counts = Family<Labels, Counter>;

/// `None`: no director answers.
///
/// # Errors
/// The encoder fails.
pub fn of(status: Option<&Status>) -> Result<String, fmt::Error> {
    let mut metrics = Metrics(Registry::with_prefix("vipward"));
    let up = metrics.number("up", "A director answers on the control socket");
    up.get_or_create(&Labels(Vec::new())).set(yes(status.is_some()));
    if let Some(status) = status {
        metrics.about(status);
        status.election.iter().for_each(|election| metrics.election(election));
        status.balancer.iter().for_each(|balancer| metrics.balancer(balancer));
    }
    let mut text = String::new();
    encode(&mut text, &metrics.0)?;
    Ok(text)
}

fn yes(it: bool) -> f64 {
    f64::from(u8::from(it))
}

/// Of a number of milliseconds.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

/// keepalived's numbers, which its exporters show too.
fn state(role: &str) -> f64 {
    match role {
        "BACKUP" => 1.0,
        "MASTER" => 2.0,
        "FAULT" => 3.0,
        _ => 0.0,
    }
}

struct Metrics(Registry);

impl Metrics {
    fn number(&mut self, name: &str, help: &str) -> Numbers {
        let family = Numbers::default();
        self.0.register(name, help, family.clone());
        family
    }

    fn seconds(&mut self, name: &str, help: &str) -> Numbers {
        let family = Numbers::default();
        self.0.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }

    fn count(&mut self, name: &str, help: &str) -> Counts {
        let family = Counts::default();
        self.0.register(name, help, family.clone());
        family
    }

    fn about(&mut self, status: &Status) {
        let none = Labels(Vec::new());
        let info = vec![("director", status.director.clone()), ("version", status.version.clone())];
        self.number("build_info", "Which program runs, and as which director").get_or_create(&Labels(info)).set(1.0);
        self.seconds("worker_uptime", "For how long this worker has run: an upgrade or a death begins anew")
            .get_or_create(&none)
            .set(seconds(status.up_ms));
        let answers = self.number("machine_answers", "The Election and the Balancer answer within a second");
        for (machine, is) in [("election", status.election.is_some()), ("balancer", status.balancer.is_some())] {
            answers.get_or_create(&Labels(vec![("machine", machine.to_owned())])).set(yes(is));
        }
        if let Some(mail) = &status.mail {
            self.number("mail_waiting", "Mails that wait").get_or_create(&none).set(count(mail.waiting));
            self.count("mail_sent", "Mails that were delivered").get_or_create(&none).inc_by(mail.sent);
            self.count("mail_dropped", "Mails that were given up").get_or_create(&none).inc_by(mail.dropped);
        }
    }

    fn election(&mut self, election: &ElectionStatus) {
        let role = self.number("vrrp_state", "0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT");
        let since = self.seconds("vrrp_state_age", "For how long it has been in this state");
        let priority = self.number("vrrp_priority", "The effective priority");
        let configured = self.number("vrrp_configured_priority", "The priority of the configuration");
        let wanted = self.number("vrrp_addresses", "Addresses of the virtual router");
        let held = self.number("vrrp_addresses_here", "Of these, how many this host has");
        let sent = self.count("vrrp_adverts_sent", "Adverts that this worker sent");
        let heard = self.count("vrrp_packets_heard", "Packets with its VRID on its interface, ignored ones included");
        let lease = self.number("vrrp_lease_held", "The quorum service's lease is ours");
        for router in &election.routers {
            let labels = Labels(vec![
                ("vrrp_instance", router.name.clone()),
                ("interface", router.interface.clone()),
                ("vrid", router.vrid.to_string()),
                ("family", router.family.clone()),
            ]);
            role.get_or_create(&labels).set(state(&router.role));
            if let Some(age) = router.since_ms {
                since.get_or_create(&labels).set(seconds(age));
            }
            priority.get_or_create(&labels).set(f64::from(router.priority));
            configured.get_or_create(&labels).set(f64::from(router.configured_priority));
            wanted.get_or_create(&labels).set(count(router.addresses.len()));
            held.get_or_create(&labels).set(count(router.addresses.iter().filter(|it| it.there).count()));
            sent.get_or_create(&labels).inc_by(router.packets.sent);
            heard.get_or_create(&labels).inc_by(router.packets.heard);
            if let Some(of) = &router.lease {
                lease.get_or_create(&labels).set(yes(of.token.is_some()));
            }
        }
        let ignored = self.count("vrrp_ignored_packets", "Packets of protocol 112 that were ignored");
        for it in &election.ignored {
            let instance = it.router.clone().unwrap_or_default();
            let labels = Labels(vec![("vrrp_instance", instance), ("reason", it.reason.clone())]);
            ignored.get_or_create(&labels).inc_by(it.packets);
        }
        let tracker = self.number("tracker_up", "What is tracked is up; absent while that is not known");
        let number = self.number("tracker_number", "The number that a tracked file holds");
        for it in &election.trackers {
            let labels = Labels(vec![("tracker", it.what.clone())]);
            match (it.reading.as_str(), it.reading.parse::<f64>()) {
                ("up", _) => _ = tracker.get_or_create(&labels).set(1.0),
                ("down", _) => _ = tracker.get_or_create(&labels).set(0.0),
                (_, Ok(it)) => _ = number.get_or_create(&labels).set(it),
                (_, Err(_)) => {}
            }
        }
    }

    fn balancer(&mut self, balancer: &BalancerStatus) {
        let quorum = self.number("virtual_server_quorum_up", "The weights of its real servers reach the quorum");
        let live = self.number("virtual_server_live_weight", "Weights of the real servers that are up");
        let needed = self.number("virtual_server_quorum", "The quorum of the configuration");
        let suspended = self.number("virtual_server_suspended", "ha_suspend: its address is not here");
        let up = self.number("real_server_up", "All of its checkers pass");
        let since = self.seconds("real_server_state_age", "For how long it has been up or down");
        let weight = self.number("real_server_weight", "Its weight in the table; absent while it is not in it");
        let drained = self.number("real_server_drained", "An operator has drained it");
        let left = self.number("real_server_drained_connections", "Active connections that a drained one has left");
        let check = self.number("checker_up", "What this checker holds its target for");
        let took = self.seconds("checker_duration", "How long the last attempt took");
        for service in &balancer.services {
            let mine = vec![("virtual_server", service.name.clone())];
            let labels = Labels(mine.clone());
            quorum.get_or_create(&labels).set(yes(service.quorum.up));
            #[expect(clippy::cast_precision_loss, reason = "weights are small")]
            live.get_or_create(&labels).set(service.quorum.live as f64);
            needed.get_or_create(&labels).set(f64::from(service.quorum.needed));
            suspended.get_or_create(&labels).set(yes(service.suspended));
            for server in &service.servers {
                let mut mine = mine.clone();
                mine.push(("real_server", server.address.clone()));
                let labels = Labels(mine.clone());
                up.get_or_create(&labels).set(yes(server.up));
                if let Some(age) = server.since_ms {
                    since.get_or_create(&labels).set(seconds(age));
                }
                if let Some(it) = server.weight {
                    weight.get_or_create(&labels).set(f64::from(it));
                }
                drained.get_or_create(&labels).set(yes(server.drained.is_some()));
                if let Some(it) = server.drained.as_ref().and_then(|drain| drain.connections) {
                    left.get_or_create(&labels).set(f64::from(it));
                }
                for (place, checker) in server.checkers.iter().enumerate() {
                    let mut mine = mine.clone();
                    mine.push(("checker", checker.kind.clone()));
                    mine.push(("target", checker.target.clone()));
                    mine.push(("number", (place + 1).to_string()));
                    let labels = Labels(mine);
                    check.get_or_create(&labels).set(yes(checker.up));
                    if let Some(it) = checker.last.as_ref().and_then(|last| last.took_us) {
                        took.get_or_create(&labels).set(std::time::Duration::from_micros(it).as_secs_f64());
                    }
                }
            }
        }
    }
}

fn count(of: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nobody has so many")]
    let count = of as f64;
    count
}
