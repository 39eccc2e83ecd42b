//! The classic tutorial's two files, as people copy them: `vipward check` names the mistakes, both directors become
//! MASTER while their virtual_router_id differs, and mended the pair works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_lab::wait_for;
use vipward_netns_tests::{Pair, in_lab, vipward};

const SOON: Duration = Duration::from_secs(30);
const VIP: &str = "192.168.233.100";

fn tutorial(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/tutorial").join(name)
}

#[test]
fn check_names_every_mistake_once_a_file() {
    let mut check = Command::new(vipward());
    let output = check.arg("check").arg(tutorial("master.conf")).arg(tutorial("backup.conf")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let times = |start: &str| said.lines().filter(|line| line.starts_with(start)).count();
    // In both files.
    for mistake in [
        "warning[odd-space]",
        "error[slash-comment]",
        "warning[unclosed-block]",
        "warning[bad-value]: `persistence_timeout 0`",
        "warning[dead-word]: `nat_mask`",
        "warning[old-word]: `nb_get_retry`",
        "warning[dr-segment]: 192.168.150.12",
        "warning[public-password]",
        "info[dr-arp]",
    ] {
        assert_eq!(times(mistake), 2, "{mistake}: {said}");
    }
    // In one of them, or between them.
    for mistake in
        ["warning[other-interface]", "error[vrid-differs]", "warning[address-differs]", "info[same-router-id]"]
    {
        assert_eq!(times(mistake), 1, "{mistake}: {said}");
    }
}

#[test]
fn as_copied_neither_file_runs() {
    in_lab("as_copied_neither_file_runs", &[], || {
        let pair = Pair::build().unwrap();
        for name in ["master.conf", "backup.conf"] {
            let ended = pair.vipward(&pair.lb1, &tutorial(name)).unwrap().wait(SOON).unwrap();
            assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
        }
    });
}

/// The file with the language's mistakes mended; what it means is still the tutorial's.
fn readable(name: &str) -> String {
    let text = std::fs::read_to_string(tutorial(name)).unwrap();
    let without_comments: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).map(|line| format!("{line}\n")).collect();
    let mended = without_comments.replace("persistence_timeout 0", "").replace(" dev ens33 label  ens33:3", "");
    format!("{mended}}}\n")
}

#[test]
fn different_virtual_router_ids_make_two_masters_and_equal_ones_do_not() {
    in_lab("different_virtual_router_ids_make_two_masters_and_equal_ones_do_not", &[], || {
        let pair = Pair::build().unwrap();
        for (node, address) in [(&pair.lb1, "192.168.233.11"), (&pair.lb2, "192.168.233.12")] {
            node.add_address("eth0", address.parse().unwrap(), 24).unwrap();
        }
        let vip = VIP.parse().unwrap();
        let (master, backup) = (readable("master.conf"), readable("backup.conf"));
        {
            let mut lb1 = pair.vipward_with(&pair.lb1, &master).unwrap();
            let mut lb2 = pair.vipward_with(&pair.lb2, &backup).unwrap();
            lb1.wait_for_line("-> MASTER", SOON).unwrap();
            lb2.wait_for_line("-> MASTER", SOON).unwrap();
            assert!(pair.lb1.has(vip) && pair.lb2.has(vip), "both hold the address");
            lb1.wait_for_line("virtual_router_id 51 is not configured on this interface", SOON).unwrap();
        }
        let mended = master.replace("virtual_router_id 50", "virtual_router_id 51");
        let mut lb1 = pair.vipward_with(&pair.lb1, &mended).unwrap();
        let mut lb2 = pair.vipward_with(&pair.lb2, &backup.replacen(VIP, &format!("{VIP}/24"), 1)).unwrap();
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        let alone = wait_for(SOON, || (pair.lb1.has(vip) && !pair.lb2.has(vip)).then_some(()));
        let said = format!("{}---\n{}", lb1.output(), lb2.output());
        assert!(alone.is_some() && lb1.running() && lb2.running(), "lb1 alone holds it:\n{said}");
    });
}
