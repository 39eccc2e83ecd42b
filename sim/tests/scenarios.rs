//! Every scenario of `scenarios/`: it holds, one seed gives the same bytes twice, and its timeline is as reviewed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::text::render;
use vipward_sim::report::Report;
use vipward_sim::{runner, scenario, timeline};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn check(name: &str) {
    let loaded = scenario::load(&folder().join(format!("{name}.toml")));
    let mistakes = render(&loaded.sources, &loaded.diagnostics, false);
    let scenario = Arc::new(loaded.scenario.unwrap_or_else(|| panic!("{mistakes}")));
    let run = || Report::new(runner::run(&scenario, None).unwrap());
    let (first, second) = (run(), run());
    let bytes = |report: &Report| serde_json::to_string(&report.json()).unwrap();
    assert!(bytes(&first) == bytes(&second), "the same seed gave two different runs");
    assert!(first.held(), "{}", first.text(&loaded.sources, false));
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, timeline::render(&first.run));
    });
}

macro_rules! scenarios {
    ($($test:ident $file:literal)*) => {
        $(#[test]
        fn $test() {
            check($file);
        })*

        /// A scenario that nobody runs here would have no reviewed timeline.
        #[test]
        fn every_file_is_here() {
            let listed: BTreeSet<String> = [$($file),*].map(str::to_owned).into();
            let files = scenario::scenario_files(&folder()).unwrap();
            let found = files.iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
            assert_eq!(found.collect::<BTreeSet<String>>(), listed);
        }
    };
}

scenarios! {
    authenticated "authenticated"
    active_active "active-active"
    all_real_servers_dead "all-real-servers-dead"
    all_real_servers_dead_sorry_server "all-real-servers-dead-sorry-server"
    crash_within_lifetime "crash-within-lifetime"
    check_scripts "check-scripts"
    datagrams "datagrams"
    dead_master "dead-master"
    dead_master_returns "dead-master-returns"
    dead_master_returns_nopreempt "dead-master-returns-nopreempt"
    deleted_address "deleted-address"
    dozing_master "dozing-master"
    drain "drain"
    drain_limit "drain-limit"
    elect_nopreempt "elect-nopreempt"
    elect_without_vrrp "elect-without-vrrp"
    forged_advert "forged-advert"
    starved_worker "starved-worker"
    false_takeover "false-takeover"
    false_takeover_later "false-takeover-later"
    fence_frozen_master "fence-frozen-master"
    fence_leader_change "fence-leader-change"
    fence_partition "fence-partition"
    fence_quorum_away_keep "fence-quorum-away-keep"
    fence_quorum_away_release "fence-quorum-away-release"
    fence_stopped_in_order "fence-stopped-in-order"
    fence_wiped_tree "fence-wiped-tree"
    flapping_real_server "flapping-real-server"
    frozen_backup "frozen-backup"
    frozen_master "frozen-master"
    frozen_master_lifetime_off "frozen-master-lifetime-off"
    graceful_stop "graceful-stop"
    ha_suspend "ha-suspend"
    ipv6 "ipv6"
    isolated_master "isolated-master"
    killed_master "killed-master"
    killed_master_lifetime_off "killed-master-lifetime-off"
    lossy_segment "lossy-segment"
    mail "mail"
    mail_servers "mail-servers"
    name_servers "name-servers"
    mute_and_deaf_master "mute-and-deaf-master"
    reload "reload"
    restart_after_lifetime "restart-after-lifetime"
    server_group "server-group"
    short_interval_killed_master "short-interval-killed-master"
    slow_real_server "slow-real-server"
    slow_start "slow-start"
    split_brain "split-brain"
    spread_three_directors "spread-three-directors"
    static_addresses "static-addresses"
    sync_group "sync-group"
    takeovers_in_a_row "takeovers-in-a-row"
    three_directors "three-directors"
    tracked_file "tracked-file"
    tracked_process "tracked-process"
    tracked_interface "tracked-interface"
    tracked_script "tracked-script"
    tutorial "tutorial"
    unplugged_master "unplugged-master"
    foreign_vrid "foreign-vrid"
    same_address "same-address"
    kept_connections "kept-connections"
    two_boxes "two-boxes"
    upgrade_after_freeze "upgrade-after-freeze"
    upgrade_backup "upgrade-backup"
    upgrade_master "upgrade-master"
    virtual_routes "virtual-routes"
    wrong_status "wrong-status"
    weighed_by_file "weighed-by-file"
    weight_too_small "weight-too-small"
    worker_hangs "worker-hangs"
    worker_killed "worker-killed"
}
