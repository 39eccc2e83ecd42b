//! The built `vipward` command in network namespaces, against real peers: keepalived, nginx, ZooKeeper, the kernel's
//! IPVS.
//!
//! A test calls [`in_lab`] with what it needs. The first time that runs the test again in a lab (the `in-lab` command
//! of this package), the second time, inside, it runs the body.

pub mod calibrate;
mod daemon;
pub mod dying;
mod example;
pub mod forge;
pub mod hostile;
pub mod kernel;
pub mod measure;
pub mod owners;
mod pair;
pub mod quorate;
pub mod quorum_faults;
mod require;
mod router;
pub mod scale;
pub mod slow;
pub mod stall;
pub mod upgrading;
pub mod zookeeper;

pub use daemon::Daemon;
pub use example::example;
pub use pair::{BACK, FRONT, Pair, VIP, service};
pub use require::{Need, met, program, required};
pub use router::{Router, virtual_server};

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Runs `body` in a lab of its own if `needs` are met; says so loudly if they are not, and fails when
/// `VIPWARD_REQUIRE` names what is missing.
///
/// # Panics
/// When the body does, or when something required is missing: this is for tests.
pub fn in_lab(test: &str, needs: &[Need], body: impl FnOnce()) {
    if vipward_lab::inside() {
        return body();
    }
    if !met(test, Need::Netns) || !needs.iter().all(|need| met(test, *need)) {
        return;
    }
    let Ok(this) = std::env::current_exe() else { panic!("a test does not find itself") };
    let output = Command::new(companion("in-lab"))
        .arg(this)
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("VIPWARD_COMMAND", vipward())
        .output();
    let output = output.unwrap_or_else(|error| panic!("in-lab: {error}"));
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in the lab, see above");
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran, "{test}: no test of that name ran in the lab");
}

/// The `vipward` command, built from this tree if need be.
///
/// # Panics
/// When it does not build: this is for tests.
pub fn vipward() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(given) = std::env::var_os("VIPWARD_COMMAND") {
                return PathBuf::from(given);
            }
            // `cargo test -p vipward-netns-tests` builds no other package's command.
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            // With `--workspace` the dependencies have the features that they had for the tests: nothing is built twice.
            build.args(["build", "--quiet", "--workspace", "--bin", "vipward"]);
            if companion("vipward").components().any(|part| part.as_os_str() == "release") {
                build.arg("--release");
            }
            match build.status() {
                Ok(status) if status.success() => companion("vipward"),
                Ok(status) => panic!("building vipward: {status}"),
                Err(error) => panic!("building vipward: {error}"),
            }
        })
        .clone()
}

/// A command that cargo puts beside the folder in which test programs lie.
fn companion(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_else(|error| panic!("a test does not find itself: {error}"));
    let mut folder = this.parent();
    if folder.is_some_and(|folder| folder.ends_with("deps") || folder.ends_with("examples")) {
        folder = folder.and_then(|folder| folder.parent());
    }
    folder.map(|folder| folder.join(name)).unwrap_or_else(|| PathBuf::from(name))
}
