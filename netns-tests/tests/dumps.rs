//! Dumps in keepalived's formats, beside those of keepalived itself for the same file.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vipward_lab::{Process, wait_for};
use vipward_netns_tests::{Need, Pair, Router, VIP, in_lab, program, vipward};

const SOON: Duration = Duration::from_secs(30);

const MORE: &str = "preempt_delay 3
    garp_master_delay 7
    garp_master_refresh 60
    garp_lower_prio_repeat 2
    unicast_src_ip 192.0.2.11
    unicast_peer {
        192.0.2.12
    }
    authentication {
        auth_type PASS
        auth_pass secret
    }
    track_script {
        good
        bad
    }
    virtual_ipaddress_excluded {
        192.0.2.101 label eth0:1
        2001:db8::1/64
    }";

fn file() -> String {
    let script = |name: &str| {
        format!("vrrp_script {name} {{\n    script /bin/{}\n    interval 1\n    weight -20\n}}\n", name == "good")
    };
    let blocks =
        "vrrp_sync_group G {\n    group {\n        VI_1\n    }\n    sync_group_tracking_weight\n}\n".to_owned();
    // keepalived wants to have read a script before it is tracked.
    script("good") + &script("bad") + &Router { more: MORE, blocks, ..Router::master() }.text()
}

/// The number of a signal, as a program called `keepalived` says it.
fn number(program: &Path, of: &str) -> String {
    let output = Command::new(program).arg(format!("--signum={of}")).output().unwrap();
    let number = String::from_utf8(output.stdout).unwrap();
    assert!(number.trim().parse::<u8>().is_ok(), "{of}: {number:?}");
    number.trim().to_owned()
}

/// Sends each signal until its file is there, as whoever reads dumps does.
fn dumped(process: &Process, program: &Path, folder: &Path) -> [String; 3] {
    [("DATA", "keepalived.data"), ("STATS", "keepalived.stats"), ("JSON", "keepalived.json")].map(|(what, name)| {
        let number = format!("-{}", number(program, what));
        let path = folder.join(name);
        let text = wait_for(SOON, || {
            let killed = Command::new("kill").args([&number, &process.pid().to_string()]).status().unwrap();
            assert!(killed.success());
            wait_for(Duration::from_secs(2), || {
                let text = std::fs::read_to_string(&path).ok()?;
                // keepalived writes them little by little.
                let whole = match what {
                    "DATA" => text.starts_with("------< VRRP Topology") || text.contains("------< Interfaces >"),
                    "STATS" => text.ends_with('\n') && text.matches("Sent:").count() == 2,
                    _ => serde_json::from_str::<Value>(&text).is_ok(),
                };
                whole.then_some(text)
            })
        });
        text.unwrap_or_else(|| panic!("{name} does not appear: {}", process.output()))
    })
}

/// `in_tmp` is what the program finds at `/tmp`, where keepalived 2.2.7 writes whatever its file says.
fn keepalived(pair: &Pair, in_tmp: &Path) -> (Process, PathBuf) {
    let program = program("keepalived").expect("there is no keepalived");
    std::fs::write(in_tmp.join("lb1.conf"), file()).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /tmp && exec \"$1\" -n -l -P -f /tmp/lb1.conf -p /tmp/a.pid -r /tmp/b.pid");
    command.arg(in_tmp).arg(&program);
    (pair.lb1.spawn(command).unwrap(), program)
}

fn with_times_masked(stats: &str) -> Vec<String> {
    let counted = ["Sent: ", "Received: "];
    let mask = |line: &str| counted.iter().find(|it| line.contains(*it)).map_or(line.to_owned(), |it| (*it).to_owned());
    stats.lines().map(mask).collect()
}

#[test]
fn dumps_are_keepaliveds_for_the_same_file() {
    in_lab("dumps_are_keepaliveds_for_the_same_file", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let theirs_at = pair.folder.path().join("theirs");
        let ours_at = pair.folder.path().join("ours");
        for folder in [&theirs_at, &ours_at] {
            std::fs::create_dir(folder).unwrap();
        }
        let (process, program) = keepalived(&pair, &theirs_at);
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap_or_else(|| panic!("{}", process.output()));
        // Both scripts have ended once.
        wait_for(SOON, || dumped(&process, &program, &theirs_at)[0].contains("Status = BAD").then_some(()))
            .unwrap_or_else(|| panic!("{}", process.output()));
        let theirs = dumped(&process, &program, &theirs_at);
        let theirs_signals = ["STOP", "RELOAD", "DATA", "STATS", "JSON"].map(|it| number(&program, it));
        process.signal(vipward_lab::Signal::SIGTERM);
        process.wait(SOON).unwrap();
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("keepalived takes the VIP along");

        let link = pair.folder.path().join("keepalived");
        std::os::unix::fs::symlink(vipward(), &link).unwrap();
        assert_eq!(["STOP", "RELOAD", "DATA", "STATS", "JSON"].map(|it| number(&link, it)), theirs_signals);
        let at = |name: &str| ours_at.join(name).display().to_string();
        let places = format!(
            "global_defs {{\n    state_dump_file {}\n    stats_dump_file {}\n    json_dump_file {}\n}}\n",
            at("keepalived.data"),
            at("keepalived.stats"),
            at("keepalived.json")
        );
        let path = pair.file("lb1.conf", &(places.clone() + &file())).unwrap();
        let process = pair.vipward(&pair.lb1, &path).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap_or_else(|| panic!("{}", process.output()));
        wait_for(SOON, || dumped(&process, &link, &ours_at)[0].contains("Status = BAD").then_some(()))
            .unwrap_or_else(|| panic!("{}", process.output()));
        let ours = dumped(&process, &link, &ours_at);

        assert_eq!(with_times_masked(&ours[1]), with_times_masked(&theirs[1]));
        same_json(&ours[2], &theirs[2]);
        same_data(&ours[0], &theirs[0]);

        // Read again: the other layout, and another place.
        std::fs::write(&path, places.replace("global_defs {\n", "global_defs {\n    json_version 2\n") + &file())
            .unwrap();
        process.signal(vipward_lab::Signal::SIGHUP);
        wait_for(SOON, || {
            let json: Value = serde_json::from_str(&dumped(&process, &link, &ours_at)[2]).unwrap();
            json.pointer("/vrrp/0/data/iname").map(|name| assert_eq!(name, "VI_1"))
        })
        .unwrap_or_else(|| panic!("{}", process.output()));
        process.signal(vipward_lab::Signal::SIGTERM);
        assert!(process.wait(SOON).unwrap().status.success());
    });
}

fn same_json(ours: &str, theirs: &str) {
    let [ours, theirs]: [Value; 2] = [ours, theirs].map(|text| serde_json::from_str(text).unwrap());
    let [ours, theirs] = [&ours, &theirs].map(|json| json.pointer("/0/data").and_then(Value::as_object).unwrap());
    for (field, value) in ours {
        let Some(their) = theirs.get(field) else { panic!("keepalived has no field `{field}`") };
        if field == "last_transition" {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let ago = now - value.as_f64().unwrap();
            assert!((0.0..600.0).contains(&ago), "{value}");
        } else if field == "evips" {
            // keepalived writes how long it prefers an IPv6 address.
            let text = their.to_string().replace(" preferred_lft forever", "").replace(" deprecated", "");
            assert_eq!(value.to_string(), text);
        } else {
            assert_eq!(value, their, "{field}");
        }
    }
    let without: BTreeSet<&str> = theirs.keys().map(String::as_str).filter(|it| !ours.contains_key(*it)).collect();
    let named = [
        "accept",
        "auth_data",
        "higher_prio_send_advert",
        "master_adver_int",
        "master_priority",
        "notify_deleted",
        "promote_secondaries",
        "smtp_alert",
        "strict_mode",
        "track_script",
    ];
    assert_eq!(without, BTreeSet::from(named), "docs/differences.md lists them");
}

/// Every line of ours that is about virtual routers, sync groups or scripts is one of theirs.
fn same_data(ours: &str, theirs: &str) {
    let theirs: BTreeSet<String> = theirs.lines().map(|line| line.replace(" preferred_lft forever", "")).collect();
    let mine = ours.lines().filter(|line| !line.contains("Last transition"));
    let strange: Vec<&str> =
        mine.filter(|line| !theirs.contains(*line) && !line.starts_with("     192.0.2.12")).collect();
    assert_eq!(strange, Vec::<&str>::new(), "{ours}");
}
