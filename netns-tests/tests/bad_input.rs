//! What must not hurt: broken files, missing interfaces and privileges, what a predecessor left, packets from hell.

use std::process::Command;
use std::time::Duration;
use vipward_lab::{Signal, wait_for};
use vipward_netns_tests::forge::{advert_v3, send};
use vipward_netns_tests::{Pair, Router, VIP, in_lab, vipward};

const SOON: Duration = Duration::from_secs(30);
const FAST: Router =
    Router { name: "lb1", priority: 150, version: 3, advert_int: "0.1", more: "", blocks: String::new() };

#[test]
fn a_broken_file_is_exit_2_and_starts_nothing() {
    in_lab("a_broken_file_is_exit_2_and_starts_nothing", &[], || {
        let pair = Pair::build().unwrap();
        let broken = FAST.text().replace("virtual_router_id 51", "virtual_router_id 256").replace("eth0", "eth0 eth9");
        let ended = pair.vipward_with(&pair.lb1, &broken).unwrap().wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
        assert!(ended.output.lines().any(|line| line.starts_with("error[")), "{}", ended.output);
        assert!(ended.output.contains("lb1.conf:"), "the place: {}", ended.output);
        assert!(!pair.lb1.has(VIP));
    });
}

#[test]
fn a_missing_file_is_exit_2() {
    in_lab("a_missing_file_is_exit_2", &[], || {
        let pair = Pair::build().unwrap();
        let nowhere = pair.folder.path().join("nowhere.conf");
        let ended = pair.vipward(&pair.lb1, &nowhere).unwrap().wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
        assert!(ended.output.contains("nowhere.conf"), "{}", ended.output);
    });
}

#[test]
fn a_broken_file_at_sighup_leaves_the_running_one() {
    in_lab("a_broken_file_at_sighup_leaves_the_running_one", &[], || {
        let pair = Pair::build().unwrap();
        let mut process = pair.vipward_with(&pair.lb1, &FAST.text()).unwrap();
        process.wait_for_line("-> MASTER", SOON).unwrap();
        let before = process.lines(0).len();
        pair.file("lb1.conf", &FAST.text().replace("priority", "prioritty")).unwrap();
        process.signal(Signal::SIGHUP);
        process.wait_for_line_after(before, "prioritty", SOON).unwrap();
        assert!(pair.lb1.has(VIP) && process.running());
        // One that has nothing to run would take every address off.
        for emptied in ["", "# nothing\n", "global_defs {\n}\n"] {
            let before = process.lines(0).len();
            pair.file("lb1.conf", emptied).unwrap();
            process.signal(Signal::SIGHUP);
            process.wait_for_line_after(before, "the running configuration stays", SOON).unwrap();
            assert!(pair.lb1.has(VIP) && process.running(), "{emptied:?}: {}", process.output());
        }
        // And the mended one counts: another address comes, the first one stays.
        let mended = FAST.text().replace("192.0.2.100/24\n", "192.0.2.100/24\n        192.0.2.101/24\n");
        pair.file("lb1.conf", &mended).unwrap();
        process.signal(Signal::SIGHUP);
        let second = "192.0.2.101".parse().unwrap();
        wait_for(SOON, || pair.lb1.has(second).then_some(())).expect("the new address comes");
        assert!(pair.lb1.has(VIP));
        process.signal(Signal::SIGTERM);
        let ended = process.wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        assert!(!pair.lb1.has(VIP) && !pair.lb1.has(second), "{}", ended.output);
        let masters = ended.output.matches("-> MASTER").count();
        assert_eq!(masters, 1, "a reload is no restart: {}", ended.output);
    });
}

#[test]
fn a_missing_privilege_is_one_line_that_names_it() {
    in_lab("a_missing_privilege_is_one_line_that_names_it", &[], || {
        let pair = Pair::build().unwrap();
        let file = pair.file("lb1.conf", &FAST.text()).unwrap();
        for path in [pair.folder.path(), file.as_path()] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, mode).unwrap();
        }
        // In a user namespace only our own number is mapped, so what is taken away is not the user but what he may do.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"]);
        command.arg(vipward()).args(["run", "-f"]).arg(&file);
        let ended = pair.lb1.spawn(command).unwrap().wait(SOON).unwrap();
        assert_eq!(ended.status.code(), Some(4), "{}", ended.output);
        assert_eq!(ended.output.lines().count(), 1, "one line: {}", ended.output);
        assert!(ended.output.contains("CAP_NET_"), "{}", ended.output);
    });
}

#[test]
fn an_interface_that_is_missing_means_fault_until_it_appears() {
    in_lab("an_interface_that_is_missing_means_fault_until_it_appears", &[], || {
        let pair = Pair::build().unwrap();
        pair.front.detach(&pair.lb1, "eth0").unwrap();
        let mut process = pair.vipward_with(&pair.lb1, &FAST.text()).unwrap();
        process.wait_for_line("-> FAULT: eth0 does not exist", SOON).unwrap();
        pair.front.attach(&pair.lb1, "eth0", "192.0.2.11".parse().unwrap(), 24).unwrap();
        process.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("the VIP comes");
        let before = process.lines(0).len();
        pair.front.detach(&pair.lb1, "eth0").unwrap();
        process.wait_for_line_after(before, "-> FAULT", SOON).unwrap();
        assert!(process.running());
    });
}

#[test]
fn what_a_killed_predecessor_left_is_taken_off_before_the_election() {
    in_lab("what_a_killed_predecessor_left_is_taken_off_before_the_election", &[], || {
        let pair = Pair::build().unwrap();
        // With the lease its kernel would have taken it off by the time that the next one starts.
        pair.file("vipward.toml", "[vip]\nlifetime = false\n").unwrap();
        let mut first = pair.vipward_with(&pair.lb1, &FAST.text()).unwrap();
        first.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("the VIP comes");
        first.kill();
        assert!(pair.lb1.has(VIP), "left behind");
        let administrators = "192.0.2.77".parse().unwrap();
        pair.lb1.add_address("eth0", administrators, 24).unwrap();
        // The next one has another address in its file and never becomes MASTER: a better one is there.
        let better = Router { name: "lb2", priority: 200, ..FAST };
        let mut better = pair.vipward_with(&pair.lb2, &better.text()).unwrap();
        better.wait_for_line("-> MASTER", SOON).unwrap();
        let mut second = pair.vipward_with(&pair.lb1, &FAST.text()).unwrap();
        second.wait_for_line("192.0.2.100/24 on eth0 was left behind", SOON).unwrap();
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("the leftover goes");
        assert!(pair.lb1.has(administrators), "what somebody else owns is not touched");
        let lines = second.output();
        let (left, backup) = (lines.find("left behind").unwrap(), lines.find("-> BACKUP").unwrap_or(usize::MAX));
        assert!(left < backup, "first the leftovers, then the election: {lines}");
    });
}

#[test]
fn packets_from_hell_are_counted_and_do_not_hurt() {
    in_lab("packets_from_hell_are_counted_and_do_not_hurt", &[], || {
        let pair = Pair::build().unwrap();
        let mut process = pair.vipward_with(&pair.lb1, &FAST.text()).unwrap();
        process.wait_for_line("-> MASTER", SOON).unwrap();
        let good = advert_v3(51, 255, 10, &[VIP_OCTETS]);
        let wrong_checksum = [&good[..6], &[good[6] ^ 0xff, good[7]], &good[8..]].concat();
        let foreign = advert_v3(99, 255, 10, &[VIP_OCTETS]);
        let truncated = good[..7].to_vec();
        let version_7 = [&[0x71], &good[1..]].concat();
        let mut packets =
            vec![(wrong_checksum, 255), (foreign, 255), (truncated, 255), (version_7, 255), (good, 254), (vec![], 255)];
        // And a thousand of noise, of every length up to a full frame, always the same.
        let mut noise = 0x2545_f491_4f6c_dd1d_u64;
        for length in 0..1000 {
            let mut byte = || {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[3]
            };
            packets.push(((0..length).map(|_| byte()).collect(), 255));
        }
        send(&pair.client, packets).unwrap();
        process.wait_for_line("wrong checksum", SOON).unwrap();
        process.wait_for_line("TTL 254 instead of 255", SOON).unwrap();
        process.wait_for_line("virtual_router_id 99 is not configured on this interface", SOON).unwrap();
        process.wait_for_line("truncated", SOON).unwrap();
        process.wait_for_line("unknown VRRP version 7", SOON).unwrap();
        assert!(process.running() && pair.lb1.has(VIP));
        let output = process.output();
        assert!(output.lines().count() < 60, "each reason at most once a minute: {output}");
        assert!(!output.contains("MASTER -> BACKUP"), "{output}");
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait(SOON).unwrap().status.code(), Some(0));
    });
}

const VIP_OCTETS: [u8; 4] = [192, 0, 2, 100];
