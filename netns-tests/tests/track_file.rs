//! `track_file` beside a real kernel: the number is changed in place, by another file in its place, and taken away.

use std::fs;
use std::time::Duration;
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Daemon, Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(30);

/// Waits until `holder` alone has the VIP.
fn only(pair: &Pair, holder: &Node, master: &Process) {
    let settled = wait_for(SOON, || {
        let [one, two] = [&pair.lb1, &pair.lb2].map(|node| (node.name() == holder.name()) == node.has(VIP));
        (one && two).then_some(())
    });
    assert!(settled.is_some(), "{} alone should hold the VIP\n{}", holder.name(), master.output());
}

#[test]
fn a_number_in_a_file_moves_the_address() {
    in_lab("a_number_in_a_file_moves_the_address", &[], || {
        let pair = Pair::build().unwrap();
        let path = pair.folder.path().join("health");
        let file = path.display();
        let blocks = format!("track_file health {{\n    file {file}\n    weight 2\n    init_file -10\n}}\n");
        let fast = |router: Router| Router { version: 3, advert_int: "0.1", ..router };
        let tracks = Router { more: "track_file {\n        health\n    }", blocks, ..fast(Router::master()) };
        let backup = Daemon::Vipward.start(&pair, &pair.lb2, &fast(Router::backup()).text()).unwrap();
        let mut master = Daemon::Vipward.start(&pair, &pair.lb1, &tracks.text()).unwrap();
        // 150 - 2 * 10 is still more than 100.
        only(&pair, &pair.lb1, &master);
        assert_eq!(fs::read_to_string(&path).unwrap(), "-10\n", "init_file");
        fs::write(&path, "-40\n").unwrap();
        only(&pair, &pair.lb2, &master);
        let new = pair.folder.path().join("new");
        fs::write(&new, "0\n").unwrap();
        fs::rename(&new, &path).unwrap();
        only(&pair, &pair.lb1, &master);
        fs::write(&path, "-127\n").unwrap();
        master.wait_for_line("FAULT: track_file health holds -127 and has weight 2", SOON).unwrap();
        only(&pair, &pair.lb2, &master);
        fs::remove_file(&path).unwrap();
        only(&pair, &pair.lb1, &master);
        drop((master, backup));
    });
}
