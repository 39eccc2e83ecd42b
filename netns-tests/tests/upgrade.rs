//! `vipward upgrade`, and what a director that died takes up again: nobody notices.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Process, Signal, wait_for};
use vipward_netns_tests::upgrading::Working;
use vipward_netns_tests::{Pair, Router, VIP, in_lab};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(30);

fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

/// The one that is left when those that retired have ended.
fn worker(director: &Process) -> u32 {
    let only = || match director.children().ok()?[..] {
        [worker] => Some(worker),
        _ => None,
    };
    wait_for(SOON, only).unwrap_or_else(|| panic!("{:?}: {}", director.children(), director.output()))
}

#[test]
fn upgrades_in_a_row_are_noticed_by_nobody() {
    in_lab("upgrades_in_a_row_are_noticed_by_nobody", &[], || {
        let mut working = Working::start("1", Duration::from_millis(5)).unwrap();
        let (since, said) = (now(), working.backup.lines(0).len());
        let first = worker(&working.master);
        for round in 0..5 {
            let old = worker(&working.master);
            let (content, text) = working.upgrade().unwrap();
            assert!(content, "round {round}: {text}\n{}", working.master.output());
            assert_eq!(text, "upgraded\n");
            assert_ne!(worker(&working.master), old, "another process works");
        }
        assert!(working.master.running(), "the first process is still there");
        assert_ne!(worker(&working.master), first);
        let seen = working.seen_since(since);
        assert_eq!(seen.failed, [""; 0], "of {}: {}", seen.asked, working.master.output());
        assert!(seen.asked > 0);
        assert_eq!(seen.strange_adverts, 0, "{seen:?}");
        assert!(working.in_place());
        let news: Vec<String> = working.backup.lines(said).into_iter().map(|line| line.text).collect();
        assert!(!news.iter().any(|line| line.contains("VI_1")), "{news:#?}");
        // The supervisor has become the new version each time, and still does all that it did.
        assert_eq!(working.master.output().matches("the supervisor is the new version's as well").count(), 5);
        let said = working.master.lines(0).len();
        working.master.signal(Signal::SIGHUP);
        working.master.wait_for_line_after(said, "was read again", SOON).unwrap();
        vipward_lab::signal(worker(&working.master), Signal::SIGKILL);
        working.backup.wait_for_line("stopped (priority 0)", SOON).unwrap();
        working.master.wait_for_line_after(said, "-> MASTER", SOON).unwrap();
        working.master.signal(Signal::SIGTERM);
        let ended = working.master.wait(SOON).unwrap();
        assert!(ended.status.success(), "{}", ended.output);
        assert!(!working.pair.lb1.has(VIP));
    });
}

/// The connections that the old process carries go on in it.
#[test]
fn a_download_goes_on_through_an_upgrade() {
    in_lab("a_download_goes_on_through_an_upgrade", &[], || {
        use std::io::{Read, Write};
        let working = Working::start("1", Duration::from_millis(50)).unwrap();
        let mut stream =
            working.pair.client.run(|| std::net::TcpStream::connect(vipward_netns_tests::service())).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let ask = |stream: &mut std::net::TcpStream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n").unwrap();
            let mut answer = String::new();
            while !answer.contains("web") {
                let mut some = [0; 512];
                let length = stream.read(&mut some).unwrap();
                assert!(length > 0, "cut after {answer:?}");
                answer.push_str(&String::from_utf8_lossy(&some[..length]));
            }
            answer
        };
        let before = ask(&mut stream);
        let old = worker(&working.master);
        for _ in 0..2 {
            let (content, text) = working.upgrade().unwrap();
            assert!(content, "{text}");
        }
        let body = |answer: &str| answer.rsplit("\r\n\r\n").next().map(str::to_owned);
        assert_eq!(body(&ask(&mut stream)), body(&before), "the same connection, the same web server");
        drop(stream);
        let gone = wait_for(SOON, || (!working.master.children().ok()?.contains(&old)).then_some(()));
        assert!(gone.is_some(), "the old process ends with its last connection: {}", working.master.output());
    });
}

#[test]
fn what_can_not_take_over_changes_nothing() {
    in_lab("what_can_not_take_over_changes_nothing", &[], || {
        let mut working = Working::start("1", Duration::from_millis(20)).unwrap();
        let since = now();
        let (file, text) = (working.pair.folder.path().join("lb1.conf"), working.master.output());
        assert!(text.contains("-> MASTER"));
        let right = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, right.replace("virtual_router_id 51", "virtual_router_id 951")).unwrap();
        let (content, text) = working.upgrade().unwrap();
        assert!(!content);
        assert!(
            text.contains("not upgraded: the new process exited with status 2: the configuration has errors"),
            "{text}"
        );
        std::fs::write(&file, &right).unwrap();
        // The very program that runs: no upgrade, but a reload, and its verdict.
        let (before, said) = (worker(&working.master), working.master.lines(0).len());
        let reload = || {
            let mut reload = Command::new(vipward_netns_tests::vipward());
            reload.args(["upgrade", "--if-replaced", "--control"]).arg(working.pair.control(&working.pair.lb1));
            working.pair.lb1.output(reload).unwrap()
        };
        assert!(reload().status.success());
        working.master.wait_for_line_after(said, "was read again", SOON).unwrap();
        std::fs::write(&file, right.replace("virtual_router_id 51", "virtual_router_id 951")).unwrap();
        let refused = reload();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains("lb1.conf:"), "{said}");
        std::fs::write(&file, &right).unwrap();
        assert_eq!(worker(&working.master), before);
        // Nobody is there.
        let mut nowhere = Command::new(vipward_netns_tests::vipward());
        nowhere.args(["upgrade", "--control", "/nowhere.sock"]);
        let output = working.pair.lb1.output(nowhere).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("no answer from a director at /nowhere.sock"), "{said}");
        let seen = working.seen_since(since);
        assert_eq!(seen.failed, [""; 0]);
        assert_eq!(seen.strange_adverts, 0);
        assert!(working.in_place() && working.master.running());
        let (content, text) = working.upgrade().unwrap();
        assert!(content, "{text}");
    });
}

/// A second virtual router beside VI_1, on this priority.
fn beside(priority: u8) -> String {
    format!(
        "vrrp_instance VI_2 {{\n    interface eth1\n    virtual_router_id 52\n    priority {priority}\n    advert_int 1\n    \
         virtual_ipaddress {{\n        198.51.100.100/24\n    }}\n}}\n"
    )
}

#[test]
fn fifty_reloads_of_one_virtual_router_leave_the_other_alone() {
    in_lab("fifty_reloads_of_one_virtual_router_leave_the_other_alone", &[], || {
        let pair = Pair::build().unwrap();
        let text = |priority| Router { blocks: beside(priority), ..Router::master() }.text();
        let mut master = pair.vipward_with(&pair.lb1, &text(101)).unwrap();
        master.wait_for_line("VI_1: BACKUP -> MASTER", SOON).unwrap();
        let mut backup = pair.vipward_with(&pair.lb2, &Router::backup().text()).unwrap();
        backup.wait_for_line("-> BACKUP", SOON).unwrap();
        let heard = Watch::start(&pair.lb2).unwrap();
        let said = backup.lines(0).len();
        for round in 0..50 {
            // Every tenth file has an error, and changes nothing.
            let text = if round % 10 == 9 {
                "vrrp_instance {".to_owned()
            } else {
                text(if round % 2 == 0 { 120 } else { 101 })
            };
            std::fs::write(pair.folder.path().join("lb1.conf"), text).unwrap();
            let before = master.lines(0).len();
            master.signal(Signal::SIGHUP);
            let end = if round % 10 == 9 { "the running configuration stays" } else { "was read again" };
            master.wait_for_line_after(before, end, SOON).unwrap();
        }
        // One more advert, after the last reload.
        let of = |vrid: u8| {
            let adverts = heard.seen().into_iter();
            adverts
                .filter(move |one| matches!(one.what, What::Advert { vrid: its, .. } if its == vrid))
                .collect::<Vec<_>>()
        };
        let before = of(51).len();
        wait_for(SOON, || (of(51).len() > before).then_some(())).unwrap();
        assert!(!of(52).is_empty(), "the other one is heard as well");
        assert!(of(51).iter().all(|one| matches!(one.what, What::Advert { priority: 150, sent: false, .. })));
        let news: Vec<String> = backup.lines(said).into_iter().map(|line| line.text).collect();
        assert!(!news.iter().any(|line| line.contains("VI_1")), "{news:#?}");
        assert!(!master.output().contains("VI_1: MASTER ->"), "{}", master.output());
    });
}

fn master(pair: &Pair) -> Process {
    let router = Router { version: 3, more: "nopreempt", ..Router::master() };
    pair.vipward_with(&pair.lb1, &router.text()).unwrap()
}

/// The first one first: it must not see the others go.
fn kill_all(process: Process) {
    process.signal(Signal::SIGSTOP);
    process.children().unwrap().into_iter().for_each(|child| vipward_lab::signal(child, Signal::SIGKILL));
    process.kill();
}

/// The Election's state files in this folder.
fn kept_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    files.filter(|path| path.to_string_lossy().ends_with("-election.state")).collect()
}

/// With `nopreempt` a director that began anew would become BACKUP.
#[test]
fn who_starts_again_in_time_is_what_it_was() {
    in_lab("who_starts_again_in_time_is_what_it_was", &[], || {
        let pair = Pair::build().unwrap();
        let mut first = master(&pair);
        first.wait_for_line("-> MASTER", SOON).unwrap();
        let mut backup = pair.vipward_with(&pair.lb2, &Router { version: 3, ..Router::backup() }.text()).unwrap();
        backup.wait_for_line("-> BACKUP", SOON).unwrap();
        let kept = pair.folder.path().join("state");
        wait_for(SOON, || kept_in(&kept).first().map(drop)).unwrap();
        kill_all(first);
        let mut second = master(&pair);
        second.wait_for_line("VI_1: goes on as MASTER", SOON).unwrap();
        assert!(pair.lb1.has(VIP));
    });
}

/// Each of them: a message, and VIPs as ever.
#[test]
fn a_state_that_can_not_be_used_or_kept_harms_no_vip() {
    in_lab("a_state_that_can_not_be_used_or_kept_harms_no_vip", &[], || {
        let pair = Pair::build().unwrap();
        let state = pair.folder.path().join("state");
        let mut first = master(&pair);
        first.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || kept_in(&state).first().map(drop)).unwrap();
        kill_all(first);
        for file in kept_in(&state) {
            std::fs::write(&file, "{\"no\": \"estate\"}\n").unwrap();
        }
        let mut second = master(&pair);
        second.wait_for_line("is left aside", SOON).unwrap();
        second.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap();
        // The disk is full, then it is not.
        let full = pair.folder.path().join("full");
        std::fs::create_dir(&full).unwrap();
        nix::mount::mount(Some("full"), &full, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=4k")).unwrap();
        std::fs::write(full.join("filler"), [0; 4096]).unwrap();
        second.signal(Signal::SIGTERM);
        second.wait(SOON).unwrap();
        let mut command = Command::new(vipward_netns_tests::vipward());
        command.args(["run", "--dataplane", "relay", "--control"]).arg(pair.control(&pair.lb1));
        command.arg("--state").arg(&full).arg("-f").arg(pair.folder.path().join("lb1.conf"));
        let mut third = pair.lb1.spawn(command).unwrap();
        third.wait_for_line("can't keep state in", SOON).unwrap();
        third.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap();
        std::fs::remove_file(full.join("filler")).unwrap();
        third.wait_for_line("state is kept in", SOON).unwrap();
        // Read-only.
        nix::mount::mount(
            None::<&str>,
            &full,
            None::<&str>,
            nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_RDONLY,
            None::<&str>,
        )
        .unwrap();
        let said = third.lines(0).len();
        third.signal(Signal::SIGHUP);
        third.wait_for_line_after(said, "was read again", SOON).unwrap();
        third.wait_for_line_after(said, "can't keep state in", SOON).unwrap();
        assert!(pair.lb1.has(VIP) && !third.output().contains("MASTER ->"), "{}", third.output());
        nix::mount::umount(&full).unwrap();
    });
}
