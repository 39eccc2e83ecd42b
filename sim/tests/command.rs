//! The command as people and scripts meet it: exit statuses, messages, formats.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

fn files() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files"))
}

fn run(arguments: &[&str]) -> Output {
    command("run", arguments)
}

fn command(name: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipward-sim")).current_dir(files()).arg(name).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const SCENARIOS: &str = "../../../scenarios";

#[test]
fn a_scenario_that_holds_is_one_line_and_status_0() {
    let output = run(&[&format!("{SCENARIOS}/deleted-address.toml")]);
    assert_eq!(output.status.code(), Some(0));
    let out = text(&output.stdout);
    assert!(out.starts_with("ok    deleted-address  "), "{out}");
    assert!(out.contains("1 of 1 scenarios held; 15.0 s simulated in "), "{out}");
    assert!(!out.contains("daemon started"), "no timeline without -v: {out}");
}

#[test]
fn verbose_prints_the_timeline() {
    let out = text(&run(&["-v", &format!("{SCENARIOS}/deleted-address.toml")]).stdout);
    assert!(out.contains("192.0.2.100/24 on eth0 was taken off, and not by this process: put back"), "{out}");
}

#[test]
fn every_kind_of_expectation_can_fail_and_names_its_line() {
    let output = run(&["disappointed.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let out = text(&output.stdout);
    let failures = &out[out.find("error[expectation]").unwrap()..out.find("\nFAIL").unwrap()];
    insta::assert_snapshot!("disappointed", failures);
}

#[test]
fn every_mistake_in_a_scenario_is_reported_at_its_place_and_status_2() {
    let output = run(&["mistakes.toml"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("mistakes", text(&output.stderr));
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let output = run(&["syntax.toml"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("syntax", text(&output.stderr));
}

#[test]
fn a_file_that_is_not_there_and_a_folder_without_scenarios_are_mistakes() {
    for (path, message) in [("nowhere.toml", "nowhere.toml"), ("../snapshots", "there is no scenario in")] {
        let output = run(&[path]);
        assert_eq!(output.status.code(), Some(2), "{path}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

#[test]
fn json_is_one_object_a_line_and_the_seed_can_be_chosen() {
    let scenario = format!("{SCENARIOS}/lossy-segment.toml");
    let json = |seed: &str| text(&run(&["--format", "json", "--seed", seed, &scenario]).stdout);
    let (first, again, other) = (json("3"), json("3"), json("4"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let value: serde_json::Value = serde_json::from_str(first.trim_end()).unwrap();
    assert_eq!(value["seed"], 3);
    assert_eq!(value["held"], true);
    assert!(value["events"].as_array().unwrap().iter().any(|event| event["kind"] == "decision"));
}

#[test]
fn several_at_a_time_print_in_the_order_of_the_files() {
    let order = |jobs: &str| {
        let names = ["wrong-status", "deleted-address", "graceful-stop"];
        let paths = names.map(|name| format!("{SCENARIOS}/{name}.toml"));
        let mut arguments = vec!["--jobs", jobs];
        arguments.extend(paths.iter().map(String::as_str));
        let out = text(&run(&arguments).stdout);
        out.lines()
            .filter_map(|line| Some(line.strip_prefix("ok    ")?.split(' ').next()?.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(order("3"), ["wrong-status", "deleted-address", "graceful-stop"]);
    assert_eq!(order("1"), order("3"));
}

#[test]
fn a_sweep_says_how_much_it_looked_at_and_the_same_every_time() {
    let page = tempfile::NamedTempFile::new().unwrap();
    let path = page.path().to_str().unwrap();
    let pair = ["lb1", "lb2"].map(|name| format!("{SCENARIOS}/two-directors/{name}.conf"));
    let explore = |jobs| {
        let options = ["--seeds", "4", "--base", "700", "--minutes", "1", "--jobs", jobs, "--html", path];
        command("explore", &[&[&*pair[0], &*pair[1]], &options[..]].concat())
    };
    let output = explore("1");
    assert_eq!(text(&output.stdout), "4 seeds from 700 on, 1 simulated minutes each: 0 failed\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "a pipe sees no progress");
    assert!(std::fs::read_to_string(path).unwrap().contains("Explored: 4 seeds from 700 on"));
    assert_eq!(explore("3").stdout, output.stdout);
}

#[test]
fn one_configuration_alone_is_no_cluster_to_explore() {
    let output = command("explore", &[&format!("{SCENARIOS}/two-directors/lb1.conf")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("lb1.conf` alone is no cluster"), "{}", text(&output.stderr));
}

#[test]
fn a_configuration_is_no_scenario_and_the_message_says_what_plays_it() {
    let output = run(&[&format!("{SCENARIOS}/two-directors/lb1.conf")]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("is a configuration of a director, not a scenario"), "{error}");
    assert!(error.contains("vipward-sim drill lb1.conf lb2.conf"), "{error}");
}

/// One document, whatever became of each file.
#[test]
fn junit_has_a_case_for_each_file() {
    let output =
        run(&["--format", "junit", &format!("{SCENARIOS}/deleted-address.toml"), "disappointed.toml", "syntax.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let out = text(&output.stdout);
    let expected = [
        "<testsuite name=\"scenarios\" tests=\"3\" disabled=\"0\" errors=\"1\" failures=\"1\">",
        "<testcase name=\"deleted-address\"",
        "<failure message=",
        "<error message=",
    ];
    for part in expected {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    assert!(out.trim_end().ends_with("</testsuites>"), "{out}");
}

/// What a sweep of a given scenario finds lands where `--out` says, and can be run there.
#[test]
fn failures_of_a_given_scenario_are_written_where_out_says() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    // The tutorial's files have two owners from the start.
    let scenario = format!("{SCENARIOS}/tutorial.toml");
    let output = command("explore", &[&scenario, "--seeds", "1", "--minutes", "1", "--out", &out]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let path = folder.path().join("tutorial-seed-1.toml");
    let again = run(&["--runner", "events", &path.display().to_string()]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
}
