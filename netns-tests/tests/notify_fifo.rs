//! Notify FIFOs: the same lines as from keepalived, a reader that outlives an upgrade, and lines about real servers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vipward_lab::web::Server;
use vipward_lab::{Process, Signal, wait_for};
use vipward_netns_tests::{Daemon, Need, Pair, Router, in_lab, virtual_server};

const SOON: Duration = Duration::from_secs(30);

/// Reads a FIFO until everybody who writes into it has closed it.
#[derive(Clone)]
struct Reader(Arc<Mutex<Vec<String>>>);

impl Reader {
    /// When it is there.
    fn start(fifo: &Path, daemon: &Process) -> Self {
        let there = wait_for(SOON, || fs::symlink_metadata(fifo).ok());
        let there = there.unwrap_or_else(|| panic!("no {}: {}", fifo.display(), daemon.output()));
        assert!(there.file_type().is_fifo());
        assert_eq!(there.permissions().mode() & 0o7777, 0o600);
        let lines = Self(Arc::default());
        let (own, fifo) = (lines.clone(), fifo.to_owned());
        std::thread::spawn(move || {
            for line in BufReader::new(fs::File::open(fifo).unwrap()).lines() {
                own.0.lock().unwrap().push(line.unwrap());
            }
        });
        lines
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for a line behind the first `behind`; how many there are then.
    fn waits(&self, behind: usize, line: &str, daemon: &Process) -> usize {
        let found = wait_for(SOON, || {
            let lines = self.lines();
            lines.iter().skip(behind).any(|other| other == line).then_some(lines.len())
        });
        found.unwrap_or_else(|| panic!("no `{line}` behind {behind} of {:#?}\n{}", self.lines(), daemon.output()))
    }
}

fn group(priority: u8, global: &str) -> String {
    let instance = |name: &str, interface: &str, vrid: u8, vip: &str| {
        format!(
            "vrrp_instance {name} {{\n    state BACKUP\n    interface {interface}\n    virtual_router_id {vrid}\n    \
             priority {priority}\n    advert_int 1\n    virtual_ipaddress {{\n        {vip}/24\n    }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n{global}}}\nvrrp_sync_group G {{\n    group {{\n        A\n        B\n    }}\n}}\n{}{}",
        instance("A", "eth0", 51, "192.0.2.100"),
        instance("B", "eth1", 52, "198.51.100.100")
    )
}

/// Which of two members is told first is chance: each run of the same kind of line is put in order.
fn in_order(lines: &[String]) -> Vec<String> {
    let state = |line: &String| line.split(' ').skip(2).map(str::to_owned).collect::<Vec<_>>();
    let mut lines = lines.to_vec();
    lines.chunk_by_mut(|one, other| state(one) == state(other)).for_each(<[String]>::sort);
    lines
}

/// A start, MASTER, BACKUP by a better peer, MASTER, FAULT by a link, its end, MASTER, a stop.
fn life(daemon: Daemon, pair: &Pair) -> Vec<String> {
    let [roles, all] = ["roles", "all"].map(|name| pair.folder.path().join(name));
    let global = format!("    vrrp_notify_fifo {}\n    notify_fifo {}\n", roles.display(), all.display());
    let director = daemon.start(pair, &pair.lb1, &group(100, &global)).unwrap();
    let [roles, all] = [&roles, &all].map(|fifo| (Reader::start(fifo, &director), fifo.clone()));
    let waits = |behind, line: &str, daemon: &Process| roles.0.waits(behind, line, daemon);
    let at = waits(0, r#"GROUP "G" MASTER 0"#, &director);
    let peer = Daemon::Vipward.start(pair, &pair.lb2, &group(150, "")).unwrap();
    let at = waits(at, r#"GROUP "G" BACKUP 0"#, &director);
    peer.signal(Signal::SIGTERM);
    peer.wait(SOON).unwrap();
    let at = waits(at, r#"GROUP "G" MASTER 0"#, &director);
    pair.back.plug(&pair.lb1, "eth1", false).unwrap();
    let at = waits(at, r#"GROUP "G" FAULT 0"#, &director);
    pair.back.plug(&pair.lb1, "eth1", true).unwrap();
    let at = waits(at, r#"GROUP "G" MASTER 0"#, &director);
    director.signal(Signal::SIGTERM);
    waits(at, r#"GROUP "G" STOP 0"#, &director);
    director.wait(SOON).unwrap();
    for (reader, fifo) in [&roles, &all] {
        assert!(!fifo.exists(), "{daemon} removes what it made");
        assert_eq!(in_order(&reader.lines()), in_order(&roles.0.lines()), "{daemon}: both FIFOs get all lines");
    }
    in_order(&roles.0.lines())
}

#[test]
fn lines_about_roles_are_keepaliveds() {
    in_lab("lines_about_roles_are_keepaliveds", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let (own, other) = (life(Daemon::Vipward, &pair), life(Daemon::Keepalived, &pair));
        assert_eq!(own, other);
        assert_eq!(own[..3], [r#"GROUP "G" BACKUP 0"#, r#"INSTANCE "A" BACKUP 100"#, r#"INSTANCE "B" BACKUP 100"#]);
        println!("{own:#?}");
    });
}

/// A script that writes its number and what it reads beside the FIFO.
fn script(pair: &Pair) -> PathBuf {
    let text = "#!/bin/sh\necho \"began $$ $*\" >> $2.log\nexec 3< \"$2\"\n\
                while read -r line <&3; do echo \"$line\" >> $2.log; done\necho end >> $2.log\n";
    let script = pair.file("reader.sh", text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn an_upgrade_keeps_the_fifo_and_its_reader_and_a_reload_starts_another() {
    in_lab("an_upgrade_keeps_the_fifo_and_its_reader_and_a_reload_starts_another", &[], || {
        let pair = Pair::build().unwrap();
        let fifo = pair.folder.path().join("fifo");
        let log = pair.folder.path().join("fifo.log");
        let global = format!(
            "    vrrp_notify_fifo {}\n    vrrp_notify_fifo_script \"{} own\" root\n",
            fifo.display(),
            script(&pair).display()
        );
        let director = pair.vipward_with(&pair.lb1, &group(100, &global)).unwrap();
        let lines = || fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        let waits = |behind: usize, line: &str, director: &Process| {
            let found = wait_for(SOON, || {
                let lines = lines();
                lines.iter().skip(behind).any(|other| other.starts_with(line)).then_some(lines.len())
            });
            found.unwrap_or_else(|| panic!("no `{line}` behind {behind} of {:#?}\n{}", lines(), director.output()))
        };
        let at = waits(0, r#"GROUP "G" MASTER 0"#, &director);
        let output = upgrade(&pair);
        assert!(output.contains("upgraded"), "{output}\n{}", director.output());
        pair.back.plug(&pair.lb1, "eth1", false).unwrap();
        let at = waits(at, r#"GROUP "G" FAULT 0"#, &director);
        let began = || lines().into_iter().filter(|line| line.starts_with("began")).collect::<Vec<_>>();
        assert_eq!(began().len(), 1, "{:#?}\n{}", lines(), director.output());
        assert!(began()[0].ends_with(&format!("own {}", fifo.display())));
        director.signal(Signal::SIGHUP);
        let at = waits(at, "began", &director);
        pair.back.plug(&pair.lb1, "eth1", true).unwrap();
        waits(at, r#"GROUP "G" MASTER 0"#, &director);
        director.signal(Signal::SIGTERM);
        waits(at, r#"GROUP "G" STOP 0"#, &director);
        director.wait(SOON).unwrap();
        assert!(!fifo.exists());
        let number = |line: &String| line.split(' ').nth(1).map(str::to_owned).unwrap();
        let numbers: Vec<String> = began().iter().map(number).collect();
        assert_eq!(numbers.len(), 2);
        let lives = || numbers.iter().any(|number| Path::new(&format!("/proc/{number}")).exists());
        assert!(wait_for(SOON, || (!lives()).then_some(())).is_some(), "a reader is left");
    });
}

#[test]
fn lines_about_real_servers() {
    in_lab("lines_about_real_servers", &[], || {
        let pair = Pair::build().unwrap();
        let fifo = pair.folder.path().join("lvs");
        let any = "0.0.0.0:80".parse().unwrap();
        let (web1, _web2) = (Server::start(&pair.web1, any).unwrap(), Server::start(&pair.web2, any).unwrap());
        let blocks = format!("global_defs {{\n    lvs_notify_fifo {}\n}}\n{}", fifo.display(), virtual_server());
        let director = Daemon::Vipward.start(&pair, &pair.lb1, &Router { blocks, ..Router::master() }.text()).unwrap();
        let reader = Reader::start(&fifo, &director);
        let at = reader.waits(0, "VS [192.0.2.100]:tcp:80 UP", &director);
        drop(web1);
        let at = reader.waits(at, "RS [198.51.100.21]:tcp:80 [192.0.2.100]:tcp:80 DOWN", &director);
        let _web1 = Server::start(&pair.web1, any).unwrap();
        reader.waits(at, "RS [198.51.100.21]:tcp:80 [192.0.2.100]:tcp:80 UP", &director);
        assert_eq!(reader.lines().len(), 3, "{:#?}", reader.lines());
    });
}

fn upgrade(pair: &Pair) -> String {
    let mut command = Command::new(vipward_netns_tests::vipward());
    command.arg("upgrade").arg("--control").arg(pair.control(&pair.lb1));
    let output = pair.lb1.output(command).unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
