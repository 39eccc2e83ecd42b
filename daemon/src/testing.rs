//! What the tests of this package share.

use std::future::Future;

/// Runs a future as the daemon's threads do: one thread, one `LocalSet`.
pub fn on_local_set<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Runs `test` in a network namespace of its own, as root there. `name` is the test's full path, as `cargo test` shows
/// it: without root the test binary runs that one test again in a user namespace.
///
/// Where namespaces are forbidden the test says so and ends; with `netns` in `VIPWARD_REQUIRE` it fails.
pub fn in_network_namespace(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "VIPWARD_TEST_INSIDE_NAMESPACE";
    if nix::unistd::geteuid().is_root() || std::env::var_os(INSIDE).is_some() {
        // Namespaces belong to a thread, and every test has its own.
        match nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            Ok(()) => return test(),
            Err(error) => return cannot(name, &error.to_string()),
        }
    }
    let again = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match again {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "there is no test {name}: {said}");
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).starts_with("unshare:") => {
            cannot(name, &String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!(
            "{name} failed in its namespace:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => cannot(name, &error.to_string()),
    }
}

/// Whether `VIPWARD_REQUIRE` names what a test needs: then not having it is a failure.
pub fn required(what: &str) -> bool {
    std::env::var("VIPWARD_REQUIRE").is_ok_and(|list| list.split([',', ' ']).any(|word| word == what))
}

fn cannot(name: &str, why: &str) {
    let required =
        std::env::var("VIPWARD_REQUIRE").is_ok_and(|list| list.split([',', ' ']).any(|word| word == "netns"));
    assert!(!required, "{name} needs a network namespace: {why}");
    eprintln!("NOT RUN: {name} needs a network namespace: {why}");
}

/// Runs `ip` with these words; panics when it fails.
pub fn ip(words: &str) -> String {
    let output = std::process::Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `test` in another process, which it may confine: the test binary runs that one test again. `name` is the test's full
/// path, as `cargo test` shows it.
pub fn in_a_process_of_its_own(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "VIPWARD_TEST_INSIDE_PROCESS";
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && out.contains("1 passed"), "{name} failed in its process:\n{out}{err}");
}
