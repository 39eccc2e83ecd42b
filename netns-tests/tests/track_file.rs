//! `track_file` beside a real kernel: the number is changed in place, by another file in its place, and taken away.

use std::fs;
use std::time::Duration;
use vipward_lab::client::ask;
use vipward_lab::web::Server;
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Daemon, Pair, Router, VIP, in_lab, service};

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

/// FILE_CHECK, whose file no virtual router tracks.
#[test]
fn a_number_in_a_file_takes_a_real_server_out() {
    in_lab("a_number_in_a_file_takes_a_real_server_out", &[], || {
        let pair = Pair::build().unwrap();
        let any = "0.0.0.0:80".parse().unwrap();
        let (_web1, _web2) = (Server::start(&pair.web1, any).unwrap(), Server::start(&pair.web2, any).unwrap());
        let [load, closed] = ["load", "closed"].map(|name| pair.folder.path().join(name));
        let blocks = format!(
            "track_file load {{\n    file {}\n}}\ntrack_file closed {{\n    file {}\n    weight 0\n}}\n\
             virtual_server 192.0.2.100 80 {{\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n    \
             real_server 198.51.100.21 80 {{\n        weight 3\n        FILE_CHECK {{\n            track_file load\n        }}\n        \
             FILE_CHECK {{\n            track_file closed\n        }}\n    }}\n    \
             real_server 198.51.100.22 80 {{\n        TCP_CHECK {{\n        }}\n    }}\n}}\n",
            load.display(),
            closed.display()
        );
        let router = Router { version: 3, advert_int: "0.1", blocks, ..Router::master() };
        fs::write(&load, "2\n").unwrap();
        let mut director = Daemon::Vipward.start(&pair, &pair.lb1, &router.text()).unwrap();
        director.wait_for_line("198.51.100.21:80 has weight 5 from now on, and had 3", SOON).unwrap();
        fs::write(&closed, "1\n").unwrap();
        director.wait_for_line("198.51.100.21:80 is down: track_file closed holds 1", SOON).unwrap();
        let asked = || ask(&pair.client, service(), Duration::from_secs(2)).ok();
        let only = |name: &str| wait_for(SOON, || (0..6).all(|_| asked().as_deref() == Some(name)).then_some(()));
        assert!(only("web2").is_some(), "{}", director.output());
        fs::write(&closed, "0\n").unwrap();
        director.wait_for_line("198.51.100.21:80 is up", SOON).unwrap();
        assert!(wait_for(SOON, || (asked()? == "web1").then_some(())).is_some(), "{}", director.output());
        fs::write(&load, "-3\n").unwrap();
        director.wait_for_line("198.51.100.21:80 has weight 0 from now on, and had 5", SOON).unwrap();
        assert!(only("web2").is_some(), "{}", director.output());
    });
}
