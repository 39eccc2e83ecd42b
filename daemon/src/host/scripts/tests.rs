use super::program::PATH;
use super::*;
use crate::testing::on_local_set;
use std::os::unix::fs::PermissionsExt;

const PLENTY: Duration = Duration::from_secs(60);

fn scripts() -> Scripts {
    Scripts::start(means(PLENTY)).unwrap()
}

pub fn means(longest: Duration) -> Means {
    Means { launcher: launcher(), longest }
}

/// The process that starts scripts: this test binary, which runs [`the_process_that_starts_scripts`] on its only thread.
fn launcher() -> Launcher {
    Launcher::start_by(process("the_process_that_starts_scripts")).unwrap()
}

fn process(test: &str) -> std::process::Command {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(["--exact", &format!("host::scripts::tests::{test}"), "--ignored", "--test-threads=1"]);
    command
}

/// These tests have no configuration.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct All;

impl commands::Commands for All {
    fn learn(&mut self, All: Self) {}

    fn allow(&self, _: &Start) -> bool {
        true
    }

    fn allow_fifo(&self, _: &wire::Fifo) -> bool {
        true
    }
}

#[test]
#[ignore = "other tests run it"]
fn the_process_that_starts_scripts() {
    let _ = server::run(|| All);
    // A child that could not become a script must not come back into the test binary.
    std::process::exit(0);
}

fn name() -> Arc<str> {
    "check".into()
}

fn command(argv: &[&str]) -> Command {
    Command { argv: argv.iter().map(ToString::to_string).collect(), user: None }
}

fn shell(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

async fn until(condition: impl Fn() -> bool) {
    let all = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PLENTY, all).await.expect("it never came true");
}

/// The programs in the file of this name.
const NAMED: &str = "VIPWARD_TEST_NAMED";

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Named(BTreeSet<String>);

impl commands::Commands for Named {
    fn learn(&mut self, Self(others): Self) {
        self.0.extend(others);
    }

    fn allow(&self, start: &Start) -> bool {
        start.argv.first().is_some_and(|program| self.0.contains(program))
    }

    fn allow_fifo(&self, fifo: &wire::Fifo) -> bool {
        self.0.contains(&fifo.path)
    }
}

#[test]
#[ignore = "another test runs it"]
fn the_process_that_starts_what_is_named() {
    let read = || std::fs::read_to_string(std::env::var_os(NAMED).unwrap()).unwrap();
    let _ = server::run(|| Named(read().lines().map(str::to_owned).collect()));
    std::process::exit(0);
}

#[test]
fn what_is_not_named_is_not_started_and_what_a_reload_names_is() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named");
    std::fs::write(&named, "/bin/true\n").unwrap();
    let mut process = process("the_process_that_starts_what_is_named");
    process.env(NAMED, &named);
    let launcher = Launcher::start_by(process).unwrap();
    on_local_set(async {
        let scripts = Scripts::start(Means { launcher, longest: PLENTY }).unwrap();
        let run = async |program: &str| scripts.run(&program.into(), &command(&[program]), PLENTY).await;
        assert_eq!(run("/bin/true").await, ScriptOutcome::Exited(0));
        let refused = ScriptOutcome::NotStarted("the configuration does not name it".to_owned());
        assert_eq!(run("/bin/false").await, refused);
        std::fs::write(&named, "/bin/false\n").unwrap();
        // All at once, as at a reload.
        let both = tokio::join!(run("/bin/false"), run("/bin/echo"));
        assert_eq!(both, (ScriptOutcome::Exited(1), refused));
        assert_eq!(run("/bin/true").await, ScriptOutcome::Exited(0), "a worker may run with an older text");
    });
}

#[test]
fn a_script_tells_how_it_ended() {
    on_local_set(async {
        let scripts = scripts();
        assert_eq!(scripts.run(&name(), &command(&["true"]), PLENTY).await, ScriptOutcome::Exited(0));
        assert_eq!(scripts.run(&name(), &shell("exit 7"), PLENTY).await, ScriptOutcome::Exited(7));
        assert_eq!(scripts.run(&name(), &shell("kill -9 $$"), PLENTY).await, ScriptOutcome::Killed(9));
        assert_eq!(
            scripts.run(&name(), &command(&["no-such-program"]), PLENTY).await,
            ScriptOutcome::NotStarted(format!("no-such-program is not in {PATH}"))
        );
        assert!(matches!(scripts.run(&name(), &command(&["/nowhere/x"]), PLENTY).await, ScriptOutcome::NotStarted(_)));
        assert!(matches!(scripts.run(&name(), &command(&[]), PLENTY).await, ScriptOutcome::NotStarted(_)));
    });
}

#[test]
fn a_script_gets_a_clean_environment_and_nothing_to_read() {
    on_local_set(async {
        let scripts = scripts();
        let clean = shell("test -z \"$CARGO$HOME$USER\" && test \"$PWD\" = / && test -z \"$(cat)\"");
        assert_eq!(scripts.run(&name(), &clean, PLENTY).await, ScriptOutcome::Exited(0));
    });
}

#[test]
fn a_script_that_takes_too_long_is_killed_with_all_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    on_local_set(async {
        let slow = shell(&format!("sleep 1000 & echo $! > {}; wait", pid.display()));
        // On a busy machine it may be killed before it has written the child's number.
        for seconds in [1, 4, 16, 64] {
            let outcome = scripts().run(&name(), &slow, Duration::from_secs(seconds)).await;
            assert_eq!(outcome, ScriptOutcome::TimedOut);
            if std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
                break;
            }
        }
        let child = std::fs::read_to_string(&pid).unwrap();
        until(|| gone(child.trim())).await;
    });
}

#[test]
fn a_script_that_nobody_waits_for_any_more_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    on_local_set(async {
        let slow = shell(&format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display()));
        let scripts = scripts();
        tokio::select! {
            outcome = scripts.run(&name(), &slow, PLENTY) => panic!("{outcome:?}"),
            () = until(|| pid.exists()) => {}
        }
        let child = std::fs::read_to_string(&pid).unwrap();
        until(|| gone(child.trim())).await;
    });
}

/// No process, or a dead one that nobody has reaped yet.
fn gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

#[test]
fn notify_scripts_of_one_queue_run_in_order_and_queues_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (log, go) = (folder.path().join("log"), folder.path().join("go"));
    on_local_set(async {
        let scripts = scripts();
        let say = |word: &str| shell(&format!("echo {word} >> {}", log.display()));
        scripts.notify("A", &shell(&format!("while ! test -e {}; do sleep 0.01; done", go.display())));
        scripts.notify("A", &say("first"));
        scripts.notify("A", &command(&["/nowhere/x"]));
        scripts.notify("A", &say("second"));
        scripts.notify("B", &say("meanwhile"));
        until(|| std::fs::read_to_string(&log).is_ok_and(|text| text == "meanwhile\n")).await;
        std::fs::write(&go, "").unwrap();
        scripts.idle().await;
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "meanwhile\nfirst\nsecond\n");
    });
}

#[test]
fn a_script_runs_as_the_user_it_was_given() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT RUN: changing the user needs root");
        return;
    }
    on_local_set(async {
        let scripts = scripts();
        let mut who =
            shell("test \"$(id -u):$(id -g):$(id -G)\" = \"$(id -u nobody):$(id -g nobody):$(id -g nobody)\"");
        who.user = Some(ScriptUser { user: "nobody".to_owned(), group: None });
        assert_eq!(scripts.run(&name(), &who, PLENTY).await, ScriptOutcome::Exited(0));
        who.user = Some(ScriptUser { user: "no-such-user".to_owned(), group: None });
        assert_eq!(
            scripts.run(&name(), &who, PLENTY).await,
            ScriptOutcome::NotStarted("there is no user no-such-user".to_owned())
        );
    });
}

#[test]
fn what_others_may_write_does_not_run_as_root() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT RUN: who may write a file of root's only matters to root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("check");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    let mut secure = Config::default();
    secure.global.script_security = true;
    let allow = |mode| std::fs::set_permissions(&script, std::fs::Permissions::from_mode(mode)).unwrap();
    on_local_set(async {
        let scripts = scripts();
        let run = command(&[script.to_str().unwrap()]);
        allow(0o757);
        assert_eq!(scripts.run(&name(), &run, PLENTY).await, ScriptOutcome::Exited(0), "security is off by default");
        scripts.loaded(&secure);
        let ScriptOutcome::NotStarted(why) = scripts.run(&name(), &run, PLENTY).await else { panic!("it ran") };
        assert!(why.starts_with("enable_script_security: "), "{why}");
        allow(0o755);
        assert_eq!(scripts.run(&name(), &run, PLENTY).await, ScriptOutcome::Exited(0));
        // A folder on the way counts as well.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(scripts.run(&name(), &run, PLENTY).await, ScriptOutcome::NotStarted(_)));
        // As somebody else it may run all the same.
        let nobody = Command { user: Some(ScriptUser { user: "nobody".to_owned(), group: None }), ..run };
        assert_eq!(scripts.run(&name(), &nobody, PLENTY).await, ScriptOutcome::Exited(0));
    });
}

fn slow(_: &ScriptUser) -> accounts::Ids {
    std::thread::sleep(PLENTY * 10);
    Err("too late".to_owned())
}

#[test]
fn a_name_service_that_does_not_answer_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    on_local_set(async {
        let scripts = Scripts::start_with(means(PLENTY), slow).unwrap();
        let user = Some(ScriptUser { user: "far-away".to_owned(), group: None });
        let mut config = Config::default();
        let whose = Command { user, ..command(&["true"]) };
        config.routers.clear();
        scripts.loaded(&config);
        let outcome = scripts.run(&"far".into(), &whose, Duration::from_millis(50)).await;
        assert!(matches!(&outcome, ScriptOutcome::NotStarted(why) if why.contains("user")), "{outcome:?}");
        // Neither the thread of the machine, nor any script of a known user.
        scripts.notify("A", &whose);
        scripts.notify("B", &shell(&format!("echo B > {}", log.display())));
        until(|| std::fs::read_to_string(&log).is_ok_and(|text| text == "B\n")).await;
        assert_eq!(scripts.run(&name(), &command(&["true"]), PLENTY).await, ScriptOutcome::Exited(0));
    });
}

#[test]
fn what_was_looked_up_is_remembered_and_a_failure_is_asked_about_again() {
    use std::sync::atomic::AtomicU32;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    fn second_time(_: &ScriptUser) -> accounts::Ids {
        match ASKED.fetch_add(1, Ordering::AcqRel) {
            1 => Ok((nix::unistd::geteuid(), nix::unistd::getegid())),
            _ => Err("the name service is away".to_owned()),
        }
    }
    on_local_set(async {
        let scripts = Scripts::start_with(means(PLENTY), second_time).unwrap();
        let user = Some(ScriptUser { user: "root".to_owned(), group: None });
        let run = Command { user, ..command(&["true"]) };
        let first = scripts.run(&name(), &run, PLENTY).await;
        assert_eq!(first, ScriptOutcome::NotStarted("the name service is away".to_owned()));
        for _ in 0..3 {
            assert_eq!(scripts.run(&name(), &run, PLENTY).await, ScriptOutcome::Exited(0));
        }
        assert_eq!(ASKED.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_script_of_a_user_does_not_become_roots_because_the_worker_says_so() {
    fn root(_: &ScriptUser) -> accounts::Ids {
        Ok((nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0)))
    }
    on_local_set(async {
        let scripts = Scripts::start_with(means(PLENTY), root).unwrap();
        let user = Some(ScriptUser { user: "nobody".to_owned(), group: None });
        let outcome = scripts.run(&name(), &Command { user, ..command(&["true"]) }, PLENTY).await;
        assert_eq!(outcome, ScriptOutcome::NotStarted("nobody is somebody else".to_owned()));
    });
}

#[test]
fn of_the_states_that_wait_the_newest_is_told_and_one_that_was_begun_is_told_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (log, go) = (folder.path().join("log"), folder.path().join("go"));
    on_local_set(async {
        let scripts = scripts();
        let router: Arc<str> = "A".into();
        let say = |word: &str| shell(&format!("echo {word} >> {}", log.display()));
        let told = |role: &'static str, first: Command| {
            scripts.entered(router.clone(), role);
            scripts.notify("A", &first);
            scripts.notify("A", &say(role));
        };
        told("BACKUP", shell(&format!("while ! test -e {}; do sleep 0.01; done", go.display())));
        told("MASTER", say("master"));
        told("FAULT", say("fault"));
        told("MASTER", say("master"));
        std::fs::write(&go, "").unwrap();
        scripts.idle().await;
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "BACKUP\nmaster\nMASTER\n");
    });
}

#[test]
fn a_notify_script_that_does_not_end_is_ended_with_its_children_and_the_next_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, log) = (folder.path().join("pid"), folder.path().join("log"));
    on_local_set(async {
        let scripts = Scripts::start(means(Duration::from_secs(2))).unwrap();
        // The shell itself goes on after SIGTERM.
        let slow = format!("trap '' TERM; sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; sleep 1000", pid.display());
        scripts.notify("A", &shell(&slow));
        scripts.notify("A", &shell(&format!("echo next > {}", log.display())));
        until(|| std::fs::read_to_string(&log).is_ok_and(|text| text == "next\n")).await;
        if let Ok(child) = std::fs::read_to_string(&pid) {
            until(|| gone(child.trim())).await;
        }
    });
}

#[test]
fn at_the_end_the_last_state_is_told_though_a_script_before_it_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    on_local_set(async {
        let scripts = scripts();
        let router: Arc<str> = "A".into();
        scripts.entered(router.clone(), "MASTER");
        scripts.notify("A", &command(&["sleep", "1000"]));
        scripts.entered(router, "STOP");
        scripts.notify("A", &shell(&format!("echo STOP > {}", log.display())));
        tokio::time::timeout(PLENTY, scripts.idle()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "STOP\n");
    });
}

#[test]
fn a_script_that_says_much_is_not_stopped_by_it() {
    on_local_set(async {
        let much = shell("i=0; while test $i -lt 20000; do echo this is line number $i of many >&2; i=$((i+1)); done");
        assert_eq!(scripts().run(&name(), &much, PLENTY).await, ScriptOutcome::Exited(0));
    });
}
