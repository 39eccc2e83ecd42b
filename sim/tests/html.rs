//! The page, as a browser draws it: headless Chromium loads it and prints what the script made of it.
//!
//! `VIPWARD_REQUIRE=chromium` turns "there is no Chromium here" into failure.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails here fails a test")]

#[path = "explore/planted.rs"]
#[expect(dead_code, reason = "one fault is enough here; tests/explore_planted.rs has them all")]
mod planted;

use planted::Fault;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vipward_sim::drill::{Options, drill};
use vipward_sim::explore::{Clusters, Found, Sweep};
use vipward_sim::report::Report;
use vipward_sim::{html, runner, scenario};

/// Chromium, or a loud word that this test can't run.
fn chromium(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|it| it.is_file());
    if found.is_none() {
        let required = std::env::var("VIPWARD_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|word| word.trim() == "chromium");
        assert!(!required, "{test}: VIPWARD_REQUIRE names chromium, but there is none");
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: {test}: needs chromium, but: there is none; apt-get install chromium"
        );
    }
    found
}

/// What the document is once its scripts have run.
fn dom(chromium: &Path, test: &str, address: &str) -> String {
    let profile = folder(test).join("profile");
    let _ = std::fs::remove_dir_all(&profile);
    let run = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // A page in a frame of another page is to be measured; both are files.
        .args(["--allow-file-access-from-files", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", address])
        .stderr(Stdio::null())
        .output()
        .expect("chromium starts");
    assert!(run.status.success(), "chromium: {}", run.status);
    String::from_utf8(run.stdout).expect("a document")
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("html").join(test);
    std::fs::create_dir_all(&folder).expect("a folder for this test");
    folder
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn page(scenario: &str) -> String {
    let loaded = scenario::load(&scenarios().join(format!("{scenario}.toml")));
    let run = runner::events::run(&loaded.scenario.expect("a scenario").into(), None).expect("a run");
    html::runs_page(&[(&Report::new(run), &loaded.sources)])
}

fn save(test: &str, page: &str) -> String {
    let path = folder(test).join("page.html");
    std::fs::write(&path, page).expect("the page is written");
    format!("file://{}", path.display())
}

/// What the script drew; the data and the script itself are not part of it.
fn drawn(dom: &str) -> &str {
    dom.split_once("<main>").map(|(_, main)| main).unwrap_or_default()
}

#[test]
fn the_page_fetches_nothing() {
    let page = page("frozen-master");
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "src=", "<link", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!addresses.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_run_is_drawn_with_its_roles_faults_and_causes() {
    let Some(chromium) = chromium("a_run_is_drawn") else { return };
    let dom = dom(&chromium, "run", &save("run", &page("frozen-master")));
    let main = drawn(&dom);
    for text in [
        "everything held",
        "A frozen master wakes up",
        "aria-label=\"lb1, VI_1 · VRID 51\"",
        "frozen as MASTER",
        "nothing from 192.0.2.11 for 3.805 s (Master_Down_Interval 3.804 s)",
        "lb1 FROZEN",
        "29 of 351 requests failed",
        "requests fail: no answer: lb1's relay does not run",
    ] {
        assert!(main.contains(text), "{text} is not in\n{main}");
    }
    // The fault is what the page opens with, and its line of the scenario is lit.
    assert!(main.contains("class=\"lit\" aria-current=\"true\""), "no line is lit");
    assert!(main.contains("{ at = \"10.5s\", freeze = \"lb1\" }"));
}

/// `#RUN.EVENT` chooses as a click does.
#[test]
fn a_chosen_decision_lights_the_line_that_it_comes_from() {
    let Some(chromium) = chromium("a_chosen_decision") else { return };
    let page = page("frozen-master");
    let address = save("chosen", &page);
    let data = page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>")).map(|(data, _)| data);
    let data: serde_json::Value = serde_json::from_str(data.expect("a data block")).expect("JSON");
    let events = data["runs"][0]["events"].as_array().expect("events");
    let text = "VI_1: BACKUP -> MASTER: nothing from";
    let at = events.iter().position(|event| event["text"].as_str().is_some_and(|it| it.starts_with(text)));
    let dom = dom(&chromium, "chosen", &format!("{address}#0.{}", at.expect("lb2 takes over")));
    let lit = drawn(&dom).split("class=\"lit\"").nth(1).and_then(|rest| rest.split("</span>").next());
    assert!(lit.is_some_and(|line| line.contains("advert_int 1")), "{lit:?}");
}

#[test]
fn what_a_sweep_found_is_drawn_and_so_is_that_it_found_nothing() {
    let Some(chromium) = chromium("what_a_sweep_found") else { return };
    let mut failures = Vec::new();
    let sweep = Sweep { base: 1, seeds: 30, seconds: 120, jobs: 2, clusters: Clusters::Any, most: 2 };
    let make = Fault::AddressKept;
    let take = |found: Found| found.case.report(&make).map(|report| failures.push(report));
    sweep.run(&make, |_| (), take).expect("a sweep");
    let found = dom(&chromium, "sweep", &save("sweep", &html::sweep_page("30 seeds", &[], &failures)));
    let main = drawn(&found);
    assert_eq!(main.matches("<tr class=\"broke\"").count(), 2, "{main}");
    for text in ["Explored: 30 seeds", "2 seeds broke an invariant", "✗ ", ">one-owner<"] {
        assert!(main.contains(text), "{text} is not in\n{main}");
    }

    let dom = dom(
        &chromium,
        "nothing",
        &save("nothing", &html::sweep_page("7 seeds", &["steps played: kill 2".to_owned()], &[])),
    );
    let main = drawn(&dom);
    assert!(main.contains("Explored: 7 seeds") && main.contains("nothing broke"), "{main}");
    assert!(main.contains("What was covered") && main.contains("<li>steps played: kill 2</li>"), "{main}");
    assert!(!main.contains("<table") && !main.contains("class=\"chart\"") && !main.contains("<aside"), "{main}");
}

#[test]
fn a_drill_is_drawn_with_its_table_and_its_findings() {
    let Some(chromium) = chromium("a_drill_is_drawn") else { return };
    let files = ["master.conf", "backup.conf"].map(|name| scenarios().join("tutorial").join(name));
    let drill = drill(&files, &Options::default(), |_, _| {});
    let dom = dom(&chromium, "drill", &save("drill", &html::drill_page(&drill)));
    let main = drawn(&dom);
    assert_eq!(main.matches("<tr class=\"broke\"").count(), drill.rows.len());
    for text in
        ["Fire drill of master and backup", "it breaks in 38", "master.conf:23", "backup.conf:23", "vrid-differs"]
    {
        assert!(main.contains(text), "{text}");
    }
}

/// Whatever a name says, it is text.
#[test]
fn a_hostile_name_stays_text() {
    let Some(chromium) = chromium("a_hostile_name") else { return };
    let name = "</script><img/src=x/onerror=document.title='owned'><b>";
    let file = |priority: u8| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id 5\n priority {priority}\n \
             virtual_ipaddress {{\n  192.0.2.1/24\n }}\n}}\n"
        )
    };
    let files = [("<i>one.conf", 100), ("two&lt;.conf", 50)].map(|(file_name, priority)| {
        let path = folder("hostile").join(file_name);
        std::fs::write(&path, file(priority)).expect("a file");
        path
    });
    let drill = drill(&files, &Options::default(), |_, _| {});
    assert!(!drill.rows.is_empty(), "{}", drill.text(false, vipward_sim::drill::WIDE));
    let dom = dom(&chromium, "hostile", &save("hostile", &html::drill_page(&drill)));
    let main = drawn(&dom);
    assert!(!dom.contains("<title>owned") && !main.contains("<img") && !main.contains("<i>one"), "{main}");
    assert!(main.contains("&lt;/script&gt;&lt;img/src=x/onerror=document.title='owned'&gt;"));
    assert!(main.contains("&lt;i&gt;one") && main.contains("two&amp;lt;"));
}

/// Nothing sticks out sideways, on a telephone and on a wide screen.
#[test]
fn the_page_fits_narrow_and_wide_windows() {
    let Some(chromium) = chromium("the_page_fits") else { return };
    let drill = drill(
        &["lb1.conf", "lb2.conf"].map(|name| scenarios().join("two-directors").join(name)),
        &Options::default(),
        |_, _| {},
    );
    save("fits", &html::drill_page(&drill));
    for width in [390, 1600] {
        let frame = format!(
            "<!doctype html><iframe src=page.html style='width:{width}px;height:900px;border:0'></iframe><p id=out>?</p>\
             <script>const frame = document.querySelector('iframe'); frame.onload = () => setTimeout(() => {{\
             const root = frame.contentDocument.documentElement;\
             const sideways = root.scrollWidth - root.clientWidth, charts = frame.contentDocument.querySelectorAll('.chart svg').length;\
             out.textContent = sideways === 0 && charts === 1 ? 'fits' : sideways + ' too wide, charts: ' + charts;\
             }}, 500)</script>"
        );
        let path = folder("fits").join("frame.html");
        std::fs::write(&path, frame).expect("the frame is written");
        let dom = dom(&chromium, "fits", &format!("file://{}", path.display()));
        assert!(dom.contains("<p id=\"out\">fits</p>"), "{width}: {dom}");
    }
}
