//! `track_process` beside a real kernel: a process that is started, ended, killed and started again.
//!
//! In a network namespace the kernel tells nobody of processes, so this is what /proc says; `daemon/src/host/processes/` has a
//! test of what it tells on the host.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Daemon, Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(60);

/// Waits until `holder` alone has the VIP.
fn only(pair: &Pair, holder: &Node, master: &Process) {
    let settled = wait_for(SOON, || {
        let [one, two] = [&pair.lb1, &pair.lb2].map(|node| (node.name() == holder.name()) == node.has(VIP));
        (one && two).then_some(())
    });
    assert!(settled.is_some(), "{} alone should hold the VIP\n{}", holder.name(), master.output());
}

/// A process that ends with the test.
struct Ends(Child);

impl Ends {
    /// By SIGKILL; until somebody waits for it, it is a zombie with its old name.
    fn kill(&mut self) {
        self.0.kill().unwrap();
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_ends_moves_the_address() {
    in_lab("a_process_that_ends_moves_the_address", &[], || {
        let pair = Pair::build().unwrap();
        // A name that no other process has.
        let name = format!("p{}", std::process::id());
        let program = pair.folder.path().join(&name);
        fs::copy("/bin/sleep", &program).unwrap();
        let runs = |seconds: &str| Ends(Command::new(&program).arg(seconds).spawn().unwrap());
        let path = program.display();
        let blocks = format!(
            "vrrp_track_process named {{\n    process {name}\n    weight -60\n}}\n\
             vrrp_track_process whole {{\n    process {path} 2000\n    quorum_max 1\n}}\n"
        );
        let fast = |router: Router| Router { version: 3, advert_int: "0.1", ..router };
        let more = "track_process {\n        named\n        whole\n    }";
        let tracks = Router { more, blocks, ..fast(Router::master()) };
        let backup = Daemon::Vipward.start(&pair, &pair.lb2, &fast(Router::backup()).text()).unwrap();
        let mut first = runs("2000");
        let mut master = Daemon::Vipward.start(&pair, &pair.lb1, &tracks.text()).unwrap();
        only(&pair, &pair.lb1, &master);
        let second = runs("2000");
        master.wait_for_line("FAULT: track_process whole is down and has weight 0", SOON).unwrap();
        only(&pair, &pair.lb2, &master);
        drop(second);
        only(&pair, &pair.lb1, &master);
        // Another one of that name, but with other arguments.
        let other = runs("3000");
        first.kill();
        master.wait_for_line("track_process whole is down: none runs", SOON).unwrap();
        only(&pair, &pair.lb2, &master);
        drop((first, other));
        master.wait_for_line("track_process named is down: none runs", SOON).unwrap();
        let back = runs("2000");
        only(&pair, &pair.lb1, &master);
        drop((back, master, backup));
    });
}
