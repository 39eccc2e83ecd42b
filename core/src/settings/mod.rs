//! `vipward.toml`: what only vipward has, beside keepalived's file. It need not exist.
//!
//! One file a table. What a machine decides by goes into [`crate::config::Config`]; the rest is the daemon's.

mod coordination;
mod front;
mod reader;
mod record;
mod relay;
mod run;
mod scripts;
mod slow_start;
mod state;
mod vip;

use crate::config::Vip;
pub use coordination::CoordinationTable;
pub use record::Record;
pub use relay::{Relay, RelayLimits};
pub use run::Run;
pub use scripts::Scripts;
pub use slow_start::SlowStartTable;
pub use state::State;

use crate::config::Config;
use crate::text::{Diagnostic, Files, Sources};
use reader::{Key, Reader, Value};
use std::io;
use std::path::Path;
use toml::de::DeTable;

/// The file's name, beside the configuration.
pub const NAME: &str = "vipward.toml";

/// Everything that the file can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub run: Run,
    pub record: Record,
    pub state: State,
    pub scripts: Scripts,
    pub relay: Relay,
    pub vip: Vip,
    pub coordination: CoordinationTable,
    pub slow_start: SlowStartTable,
}

impl Settings {
    /// Completes keepalived's file with what a machine decides by. The messages are about `vipward.toml`, and `config` is
    /// not to be run if one is an error. `director`: the name that this director runs under.
    pub fn complete(&self, config: &mut Config, director: &str) -> Vec<Diagnostic> {
        let (coordination, mut diagnostics) = self.coordination.resolve(config, self.vip, director);
        config.coordination = coordination;
        config.vip = self.vip;
        config.slow_start = self.slow_start.config();
        diagnostics.extend(self.relay.unknown_services(config));
        diagnostics.extend(self.slow_start.unknown_services(config));
        diagnostics
    }
}

/// Reads one key of a table.
type ReadKey = fn(&mut Settings, &mut Reader<'_>, &Key<'_>, &Value<'_>);

/// Tables, the keys of each, and who reads them.
const TABLES: &[(&str, &[&str], ReadKey)] = &[
    ("run", run::KEYS, |settings, reader, key, value| settings.run.read(reader, key, value)),
    ("record", record::KEYS, |settings, reader, key, value| settings.record.read(reader, key, value)),
    ("state", state::KEYS, |settings, reader, key, value| settings.state.read(reader, key, value)),
    ("scripts", scripts::KEYS, |settings, reader, key, value| settings.scripts.read(reader, key, value)),
    ("relay", relay::KEYS, |settings, reader, key, value| settings.relay.read(reader, key, value)),
    ("coordination", coordination::KEYS, |settings, reader, key, value| settings.coordination.read(reader, key, value)),
    ("slow_start", slow_start::KEYS, |settings, reader, key, value| settings.slow_start.read(reader, key, value)),
    ("vip", vip::KEYS, |settings, reader, key, value| vip::read(&mut settings.vip, reader, key, value)),
];

/// Every word of the file: tables and their keys.
pub fn words() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLES.iter().map(|(table, keys, _)| (*table, *keys))
}

/// Reads the settings beside `config`, or those at `given`, which must then exist. `None`: they have errors, which are
/// among the messages.
pub fn load(
    sources: &mut Sources,
    files: &dyn Files,
    config: &Path,
    given: Option<&Path>,
) -> (Option<Settings>, Vec<Diagnostic>) {
    let path = given.map_or_else(|| config.with_file_name(NAME), Path::to_owned);
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("can't read `{}`: {error}", path.display());
        (None, vec![Diagnostic::error("unreadable-file", message)])
    };
    match files.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => read(sources, &path, &text),
        Ok(Err(error)) => unreadable(&error),
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
            (Some(Settings::default()), Vec::new())
        }
        Err(error) => unreadable(&error),
    }
}

fn read(sources: &mut Sources, path: &Path, text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
    let mut reader = Reader {
        file: sources.add(path.display().to_string(), text),
        folder: path.parent().unwrap_or(Path::new("")),
        diagnostics: Vec::new(),
    };
    let mut settings = Settings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.wrong("toml-syntax", error.message(), error.span().unwrap_or(0..0));
    }
    for (key, value) in root.get_ref() {
        let Some((name, _, read_key)) = TABLES.iter().find(|(name, ..)| *name == key.get_ref().as_ref()) else {
            let tables: Vec<&str> = TABLES.iter().map(|(name, ..)| *name).collect();
            reader.unknown(key, &tables);
            continue;
        };
        for (key, value) in reader.table(name, value).into_iter().flatten() {
            read_key(&mut settings, &mut reader, key, value);
        }
    }
    reader.diagnostics.sort_by_key(Diagnostic::span);
    let failed = reader.diagnostics.iter().any(Diagnostic::is_error);
    ((!failed).then_some(settings), reader.diagnostics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Mode;
    use crate::text::render;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut sources = Sources::default();
        let (settings, diagnostics) = read(&mut sources, Path::new("/etc/keepalived/vipward.toml"), text);
        settings.ok_or_else(|| render(&sources, &diagnostics, false))
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(settings(""), Ok(Settings::default()));
        assert!(settings("").unwrap().vip.lifetime);
    }

    #[test]
    fn every_key_is_read() {
        let read = settings("[record]\nfile = \"lb1.pcapng\"\nmax_bytes = 1_000_000\nfiles = 3\n").unwrap();
        let file = Some(PathBuf::from("/etc/keepalived/lb1.pcapng"));
        assert_eq!(read.record, Record { file, max_bytes: 1_000_000, files: 3 });
        assert_eq!(settings("[record]\nfile = \"/a\"").unwrap().record.file, Some(PathBuf::from("/a")));
        assert_eq!(settings("[state]\ndir = \"s\"").unwrap().state.dir, PathBuf::from("/etc/keepalived/s"));
        assert!(settings("[run]\nallow_empty = true").unwrap().run.allow_empty);
        let scripts = settings("[scripts]\nnotify_timeout = 5").unwrap().scripts;
        assert_eq!(scripts.notify_timeout, crate::time::Duration::from_secs(5));
        assert!(settings("[scripts]\nnotify_timeout = 0").is_err());
        assert!(!settings("[vip]\nlifetime = false").unwrap().vip.lifetime);
    }

    #[test]
    fn every_mistake_is_shown_at_its_place() {
        let text = "recrod = 1\n[record]\nfile = 7\nmax_byte = 1\nfiles = 0\nmax_bytes = -1\nwhatever = true\n\
                    [vip]\nlifetime = 1\n";
        insta::assert_snapshot!(settings(text).unwrap_err());
        insta::assert_snapshot!(settings("[record\nfile = \"a\"").unwrap_err());
    }

    #[test]
    fn only_a_file_that_was_asked_for_must_exist() {
        let mut files = BTreeMap::new();
        let config = Path::new("/etc/keepalived/keepalived.conf");
        assert_eq!(load(&mut Sources::default(), &files, config, None), (Some(Settings::default()), Vec::new()));
        let (settings, diagnostics) = load(&mut Sources::default(), &files, config, Some(Path::new("/x.toml")));
        assert_eq!(settings, None);
        assert!(diagnostics[0].message.contains("x.toml"), "{diagnostics:?}");
        files.insert(config.with_file_name(NAME), b"[record]\nfiles = 2\n".to_vec());
        assert_eq!(load(&mut Sources::default(), &files, config, None).0.unwrap().record.files, 2);
    }

    #[test]
    fn nothing_to_run_is_an_error_unless_it_is_meant() {
        let empty = Config::default();
        let said = Settings::default().nothing_to_run(&empty).unwrap();
        assert!(said.is_error() && said.code == "nothing-to-run");
        assert_eq!(settings("[run]\nallow_empty = true").unwrap().nothing_to_run(&empty), None);
        assert_eq!(Settings::default().nothing_to_run(&completed("").0), None);
    }

    #[test]
    fn a_table_of_a_virtual_server_says_what_differs_from_the_usual() {
        use crate::time::Duration;
        let text = "[relay]\nidle_timeout = 900\nconnections = 100\n[relay.services.\"192.0.2.100:80\"]\nstall_timeout = 5\n\
                    connections = 10\n[relay.services.\"[2001:db8::1]:80\"]\nhalf_close_timeout = 7\n";
        let relay = settings(text).unwrap().relay;
        let usual = RelayLimits {
            connections: Some(100),
            idle: Duration::from_secs(900),
            half_close: Duration::from_secs(120),
            stall: Duration::from_secs(120),
        };
        assert_eq!(relay.limits("192.0.2.100:81".parse().ok()), usual);
        let one = RelayLimits { connections: Some(10), stall: Duration::from_secs(5), ..usual };
        assert_eq!(relay.limits("192.0.2.100:80".parse().ok()), one);
        let other = RelayLimits { half_close: Duration::from_secs(7), ..usual };
        assert_eq!(relay.limits("[2001:db8::1]:80".parse().ok()), other);
        assert_eq!(settings("").unwrap().relay.limits("192.0.2.100:80".parse().ok()), RelayLimits::default());
        for (range, inside, outside) in [
            ("connections", [1, 1_000_000], [0, 1_000_001]),
            ("idle_timeout", [1, 604_800], [0, 604_801]),
            ("half_close_timeout", [1, 86_400], [0, 86_401]),
            ("stall_timeout", [1, 86_400], [0, 86_401]),
        ] {
            assert!(inside.iter().all(|it| settings(&format!("[relay]\n{range} = {it}")).is_ok()), "{range}");
            assert!(outside.iter().all(|it| settings(&format!("[relay]\n{range} = {it}")).is_err()), "{range}");
        }
    }

    #[test]
    fn mistakes_of_the_relay_are_shown_at_their_place() {
        insta::assert_snapshot!(
            settings(
                "[relay]\nidle_timeout = 0\nservice = 1\n[relay.services.\"192.0.2.100\"]\n[relay.services.\"192.0.2.100:80\"]\n\
                 stall_timeout = \"2m\"\nconnection = 7\n[relay.services.\"[2001:db8::1]:80\"]\n\
                 [relay.services.\"[2001:db8:0::1]:80\"]\n"
            )
            .unwrap_err()
        );
        let (_, said) = completed("[relay.services.\"192.0.2.100:80\"]\nconnections = 1\n");
        insta::assert_snapshot!(said);
    }

    #[test]
    fn a_slow_start_is_of_all_virtual_servers_or_of_one() {
        let keepalived = "virtual_server 192.0.2.100 80 {\n protocol TCP\n real_server 10.0.0.1 80 {\n }\n}\n\
                          virtual_server fwmark 5 {\n real_server 10.0.0.1 80 {\n }\n}\n";
        let lasts = |text: &str| {
            let (config, said) = beside(keepalived, text);
            assert!(!said.contains("error"), "{said}");
            config.services.iter().map(|service| config.slow_start.of(&service.id()).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(lasts(""), [0, 0]);
        assert_eq!(lasts("[slow_start]\nseconds = 30\n"), [30, 30]);
        let one = "[slow_start]\nseconds = 30\n[slow_start.services]\n";
        assert_eq!(lasts(&format!("{one}\"192.0.2.100:80\" = 0\n")), [0, 30]);
        assert_eq!(lasts(&format!("{one}\"TCP 192.0.2.100:80\" = 5\n\"fwmark 5\" = 3600\n")), [5, 3600]);
        let (_, said) = beside(keepalived, "[slow_start.services]\n\"192.0.2.101:80\" = 5\n");
        assert!(said.contains("warning[unknown-service]: there is no virtual_server `192.0.2.101:80`"), "{said}");
        for wrong in ["seconds = 3601", "seconds = -1", "second = 1", "services = 7", "services.\"a\" = 3601"] {
            assert!(settings(&format!("[slow_start]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    const TWO_ROUTERS: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress { 10.0.0.100/24 }\n}\n\
                               vrrp_instance VI_2 {\n interface eth0\n virtual_router_id 52\n virtual_ipaddress { 10.0.0.101 }\n}\n";

    /// What the settings mean beside a file with `VI_1` and `VI_2`, and the messages.
    fn completed(text: &str) -> (Config, String) {
        beside(TWO_ROUTERS, text)
    }

    fn beside(keepalived: &str, text: &str) -> (Config, String) {
        let mut sources = Sources::default();
        let files = BTreeMap::from([(PathBuf::from("k.conf"), keepalived.as_bytes().to_vec())]);
        let loaded = crate::config::load(&mut sources, &files, Path::new("k.conf"), &Default::default());
        let mut config = loaded.config.unwrap();
        let (settings, mut diagnostics) = read(&mut sources, Path::new("vipward.toml"), text);
        if let Some(settings) = settings {
            diagnostics.extend(settings.complete(&mut config, "lb1"));
        }
        (config, render(&sources, &diagnostics, false))
    }

    #[test]
    fn coordination_is_completed_with_keepalived_s_routers() {
        let (config, messages) = completed(
            "[coordination]\nhosts = [\"zk1:2181\"]\ndefault = \"fence\"\n[coordination.routers.VI_2]\nmode = \"elect\"\n\
             [coordination.spread.all]\nrouters = [\"VI_2\"]\nlimit = 1\n",
        );
        assert_eq!(messages, "");
        let coordination = config.coordination.unwrap();
        assert_eq!((&*coordination.director, &*coordination.service.path), ("lb1", "/vipward"));
        let modes: Vec<_> = coordination.routers.iter().map(|(name, part)| (&**name, part.mode)).collect();
        assert_eq!(modes, [("VI_1", Mode::Fence), ("VI_2", Mode::Elect)]);
        assert_eq!(coordination.spread[0].limit, Some(1));
        assert_eq!(completed("[coordination]\nhosts = [\"zk1:2181\"]\n").0.coordination, None, "off is the default");
    }

    #[test]
    fn mistakes_of_coordination_are_shown_at_their_place() {
        insta::assert_snapshot!(settings(
            "[coordination]\nhosts = [\"zk1\"]\npath = \"vipward/\"\nsession_timeout = 7\ndefault = \"fenced\"\n\
             auth = \"user:password\"\n[coordination.routers.VI_1]\non_loss = \"hold\"\nmodes = 1\n[coordination.spread]\na = 1\n"
        )
        .unwrap_err());
        insta::assert_snapshot!(
            completed(
                "[vip]\nlifetime = false\n[coordination]\ndefault = \"fence\"\n[coordination.routers.VI_1]\non_loss = \"keep\"\n\
                 [coordination.routers.VI_3]\nmode = \"off\"\n[coordination.spread.all]\nrouters = [\"VI_1\", \"VI_4\"]\n"
            )
            .1
        );
    }

    #[test]
    fn a_service_in_another_network_needs_a_script_that_watches_this_one() {
        let said = |host: &str| {
            let text =
                format!("[coordination]\nhosts = [\"{host}:2181\", \"198.51.100.32:2181\"]\ndefault = \"fence\"\n");
            completed(&text).1
        };
        insta::assert_snapshot!(said("198.51.100.31"));
        assert_eq!(said("zk1"), "", "a name may be anywhere");
        assert_eq!(said("10.0.0.31"), "");
    }

    #[test]
    fn a_member_of_a_sync_group_takes_no_lease() {
        let grouped = format!("{TWO_ROUTERS}vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n");
        let said = |modes: &str| beside(&grouped, &format!("[coordination]\nhosts = [\"zk1:2181\"]\n{modes}"));
        for modes in ["default = \"fence\"\n", "[coordination.routers.VI_2]\nmode = \"elect\"\n"] {
            let (config, messages) = said(modes);
            assert!(messages.contains("error[group-coordinated]: `VI_2` is in sync group `G`"), "{messages}");
            assert_eq!(config.coordination, None);
        }
        assert_eq!(said("").1, "", "off is the default");
    }

    #[test]
    fn what_looks_like_a_server_of_zookeeper_and_is_none() {
        for (line, message) in [
            ("hosts = [\"tcp+tls://zk1:2281\"]", "expected `host:port`"),
            ("hosts = [\"zk1:2181/vipward\"]", "expected `host:port`"),
            ("hosts = [\"zk1:2181,zk2:2181\"]", "expected `host:port`"),
            ("tls = true", "error[no-tls]: connections to ZooKeeper are not encrypted"),
        ] {
            let said = settings(&format!("[coordination]\n{line}\n")).unwrap_err();
            assert!(said.contains(message), "{line}: {said}");
        }
        assert!(settings("[coordination]\nhosts = [\"[2001:db8::1]:2181\", \"zk-1.example:2181\"]\n").is_ok());
    }
}
