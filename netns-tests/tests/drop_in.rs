//! What calls keepalived calls vipward: `vipward keepalived …`, and vipward by the name `keepalived`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_lab::{Signal, signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab, vipward};

const SOON: Duration = Duration::from_secs(30);

/// `-t` about a file: its exit status, and what it said.
fn tested(program: &Path, file: &Path) -> (Option<i32>, String) {
    let output = Command::new(program).args(["-t", "-f"]).arg(file).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// keepalived(8) names 0 and 3. (2.2.7 itself ends with 5 for each of these files.)
#[test]
fn a_configuration_test_has_the_statuses_of_keepaliveds_manual() {
    in_lab("a_configuration_test_has_the_statuses_of_keepaliveds_manual", &[], || {
        let pair = Pair::build().unwrap();
        let called = called_keepalived(&pair);
        let good = Router::master().text();
        let cases = [
            ("good", good.clone(), 0),
            ("a warning", good.replace("    interface eth0\n", "    interface eth0\n    frobnicate\n"), 0),
            ("a VRID out of range", good.replace("virtual_router_id 51", "virtual_router_id 300"), 3),
            ("no VRID", good.replace("    virtual_router_id 51\n", ""), 3),
        ];
        for (what, text, status) in cases {
            let file = pair.file("tested.conf", &text).unwrap();
            let (ended, said) = tested(&called, &file);
            assert_eq!(ended, Some(status), "{what}: {said}");
        }
        assert_eq!(tested(&called, &pair.folder.path().join("absent.conf")).0, Some(3));
        // Into a file, as `-t` can.
        let said = pair.folder.path().join("said");
        let file = pair.file("tested.conf", &good.replace("virtual_router_id 51", "virtual_router_id 300")).unwrap();
        let option = format!("--config-test={}", said.display());
        let output = Command::new(&called).arg(option).arg("-f").arg(&file).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(3), &b""[..]));
        assert!(std::fs::read_to_string(&said).unwrap().contains("`virtual_router_id` can't be `300`"));
    });
}

/// A link to vipward that has keepalived's name.
fn called_keepalived(pair: &Pair) -> PathBuf {
    let link = pair.folder.path().join("keepalived");
    std::os::unix::fs::symlink(vipward(), &link).unwrap();
    link
}

#[test]
fn a_director_runs_by_keepaliveds_options_and_its_pid_file_leads_to_it() {
    in_lab("a_director_runs_by_keepaliveds_options_and_its_pid_file_leads_to_it", &[], || {
        let pair = Pair::build().unwrap();
        let file = pair.file("lb1.conf", &Router::master().text()).unwrap();
        let pid_file = pair.folder.path().join("keepalived.pid");
        let mut command = Command::new(called_keepalived(&pair));
        command.args(["-n", "-l", "-P", "-p"]).arg(&pid_file).arg("-f").arg(&file).arg("--");
        command.arg("--control").arg(pair.control(&pair.lb1)).arg("--state").arg(pair.folder.path().join("state"));
        let mut director = pair.lb1.spawn(command).unwrap();
        director.wait_for_line("BACKUP -> MASTER", SOON).unwrap();
        let held = wait_for(SOON, || pair.lb1.has(VIP).then_some(()));
        assert!(held.is_some(), "{}", director.output());
        let number = || std::fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok();
        let pid = number().unwrap();
        std::fs::write(&file, Router { priority: 77, ..Router::master() }.text()).unwrap();
        signal(pid, Signal::SIGHUP);
        director.wait_for_line("priority 150 -> 77: reload", SOON).unwrap();
        signal(pid, Signal::SIGTERM);
        let ended = director.wait(SOON).unwrap();
        assert!(ended.status.success(), "{}", ended.output);
        assert_eq!(number(), None, "the pid file is gone with the director");
        assert!(!pid_file.exists());
    });
}
