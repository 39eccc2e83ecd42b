//! keepalived's own command line, so that what calls keepalived can call vipward: `vipward keepalived …`, or vipward by the
//! name `keepalived`.

use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Nobody should take it for keepalived's.
const VERSION: &str = concat!("(vipward ", env!("CARGO_PKG_VERSION"), ")");

/// keepalived(8)'s options. Its `-v` and `-h` are clap's own.
#[derive(Clone, Debug, Parser)]
#[command(name = "keepalived", version = VERSION, disable_version_flag = true)]
#[command(about = "vipward by keepalived's command line", long_about = None)]
#[command(
    after_help = "Exit status: 0 fine, 3 with --config-test: the configuration can't be run; else as `vipward run`."
)]
pub struct Keepalived {
    /// The configuration
    #[arg(short = 'f', long = "use-file", value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    pub file: PathBuf,
    /// Only say what is wrong with the configuration, to standard error or to this file
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub config_test: Option<Option<PathBuf>>,
    /// Run in the foreground; needed
    #[arg(short = 'n', long)]
    pub dont_fork: bool,
    /// Which `@ID` lines count; default: the host's name up to the first dot
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Option<String>,
    /// Where the process's number is written
    #[arg(short = 'p', long, value_name = "FILE", default_value = "/run/keepalived.pid")]
    pub pid: PathBuf,
    /// Say more in the log
    #[arg(short = 'D', long)]
    pub log_detail: bool,
    /// Print the number of this signal
    #[arg(long, value_name = "SIGFUNC", value_enum, ignore_case = true)]
    pub signum: Option<SigFunc>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Virtual routers only: refused if the file has a virtual_server
    #[arg(short = 'P', long)]
    pub vrrp: bool,
    /// Virtual servers only: refused if the file has a vrrp_instance
    #[arg(short = 'C', long)]
    pub check: bool,

    /// Without effect: there is no BFD
    #[arg(short = 'B', long = "no_bfd")]
    no_bfd: bool,
    /// Without effect: the log goes to standard error
    #[arg(short = 'l', long)]
    log_console: bool,
    /// Without effect: the log goes to standard error, and what reads that has facilities of its own
    #[arg(short = 'S', long, value_name = "FACILITY")]
    log_facility: Option<String>,
    /// Without effect
    #[arg(short = 'G', long)]
    no_syslog: bool,
    /// Without effect: `vipward status` shows the configuration that runs
    #[arg(short = 'd', long)]
    dump_conf: bool,
    /// Without effect: addresses that somebody adds or removes are logged where they concern a virtual router
    #[arg(short = 'a', long)]
    address_monitoring: bool,
    /// Without effect: a missing file is an error anyway
    #[arg(short = 'e', long)]
    all_config: bool,
    /// Without effect: addresses go when a MASTER is left
    #[arg(short = 'X', long)]
    release_vips: bool,
    /// Without effect: there is one process's number, that of --pid
    #[arg(short = 'r', long = "vrrp_pid", value_name = "FILE")]
    vrrp_pid: Option<PathBuf>,
    /// Without effect, as --vrrp_pid
    #[arg(short = 'c', long = "checkers_pid", value_name = "FILE")]
    checkers_pid: Option<PathBuf>,
    /// Without effect, as --vrrp_pid
    #[arg(short = 'b', long = "bfd_pid", value_name = "FILE")]
    bfd_pid: Option<PathBuf>,
    /// Without effect: core files are the service manager's to allow
    #[arg(short = 'm', long)]
    core_dump: bool,
    /// Without effect
    #[arg(short = 'u', long, value_name = "NUMBER")]
    umask: Option<String>,

    /// Refused: the service manager writes files of logs
    #[arg(short = 'g', long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Refused: a stop takes the addresses off; `vipward upgrade` is the restart that moves none
    #[arg(short = 'V', long)]
    dont_release_vrrp: bool,
    /// Refused: a stop takes the virtual servers out; `vipward upgrade` is the restart that ends no connection
    #[arg(short = 'I', long)]
    dont_release_ipvs: bool,
    /// Refused: a worker that ends is replaced
    #[arg(short = 'R', long)]
    dont_respawn: bool,
    /// Refused: start it there, with `ip netns exec`
    #[arg(short = 's', long, value_name = "NAME")]
    namespace: Option<String>,
    /// Refused: `vipward serve` has metrics for Prometheus
    #[arg(short = 'x', long)]
    snmp: bool,
    /// Refused, as --snmp
    #[arg(short = 'A', long, value_name = "FILE")]
    snmp_agent_socket: Option<PathBuf>,

    /// Options of `vipward run`, after `--`
    #[arg(last = true, value_name = "OPTION")]
    run: Vec<OsString>,
}

/// What a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SigFunc {
    #[value(name = "STOP")]
    Stop,
    #[value(name = "RELOAD")]
    Reload,
    /// To write /tmp/keepalived.data
    #[value(name = "DATA")]
    Data,
    /// To write /tmp/keepalived.stats
    #[value(name = "STATS")]
    Stats,
    /// To write /tmp/keepalived.json
    #[value(name = "JSON")]
    Json,
}

impl Keepalived {
    /// What was asked for and would change what happens to addresses or logs, and is not there: a sentence for the first.
    pub fn refused(&self) -> Option<&'static str> {
        let asked = [
            (
                self.dont_release_vrrp,
                "--dont-release-vrrp: a stop takes the addresses off; `vipward upgrade` moves none",
            ),
            (
                self.dont_release_ipvs,
                "--dont-release-ipvs: a stop takes the virtual servers out; `vipward upgrade` ends no connection",
            ),
            (self.dont_respawn, "--dont-respawn: a worker that ends is replaced"),
            (self.namespace.is_some(), "--namespace: start it there, with `ip netns exec NAME`"),
            (
                self.snmp || self.snmp_agent_socket.is_some(),
                "--snmp: there is none; `vipward serve` has metrics for Prometheus",
            ),
            (
                self.log_file.is_some(),
                "--log-file: the log goes to standard error; let the service manager write the file",
            ),
            (!self.dont_fork, "vipward runs in the foreground, under a service manager: add --dont-fork"),
        ];
        asked.into_iter().find(|(asked, _)| *asked).map(|(_, why)| why)
    }

    /// What was asked for and makes no difference, by its name.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let asked = [
            (self.no_bfd, "--no_bfd"),
            (self.log_facility.is_some(), "--log-facility"),
            (self.dump_conf, "--dump-conf"),
            (self.address_monitoring, "--address-monitoring"),
            (self.release_vips, "--release-vips"),
            (self.vrrp_pid.is_some(), "--vrrp_pid"),
            (self.checkers_pid.is_some(), "--checkers_pid"),
            (self.bfd_pid.is_some(), "--bfd_pid"),
            (self.core_dump, "--core-dump"),
            (self.umask.is_some(), "--umask"),
        ];
        asked.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name).collect()
    }

    /// The arguments of `vipward run` that mean the same.
    pub fn as_run(&self) -> Vec<OsString> {
        let mut run: Vec<OsString> = vec!["run".into(), "--use-file".into(), self.file.clone().into()];
        run.extend(["--pid".into(), self.pid.clone().into()]);
        if let Some(id) = &self.config_id {
            run.extend(["--config-id".into(), id.into()]);
        }
        if self.log_detail {
            run.extend(["--log-level".into(), "debug".into()]);
        }
        run.extend(self.run.iter().cloned());
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(words: &str) -> Keepalived {
        Keepalived::try_parse_from(std::iter::once("keepalived").chain(words.split_whitespace())).unwrap()
    }

    #[test]
    fn the_command_line_is_sound() {
        Keepalived::command().debug_assert();
    }

    #[test]
    fn a_test_takes_a_file_for_what_it_says_only_with_an_equals_sign() {
        assert_eq!(parsed("-t").config_test, Some(None));
        assert_eq!(parsed("-t -f a.conf").file, PathBuf::from("a.conf"));
        assert_eq!(parsed("--config-test=said").config_test, Some(Some(PathBuf::from("said"))));
        assert_eq!(parsed("-f a.conf").config_test, None);
    }

    #[test]
    fn what_debian_and_red_hat_start_it_with_becomes_a_run() {
        let run = |words| parsed(words).as_run().join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert_eq!(run("--dont-fork"), "run --use-file /etc/keepalived/keepalived.conf --pid /run/keepalived.pid");
        assert_eq!(
            run("-n -D -f /a.conf -i lb1 -p /b.pid"),
            "run --use-file /a.conf --pid /b.pid --config-id lb1 --log-level debug"
        );
        assert!(run("-n -- --dataplane relay").ends_with("--pid /run/keepalived.pid --dataplane relay"));
    }

    #[test]
    fn what_is_not_there_is_refused_with_a_reason() {
        assert_eq!(parsed("-n -l -D -P").refused(), None);
        for (words, says) in [
            ("-D", "add --dont-fork"),
            ("-n -x", "Prometheus"),
            ("-n -V", "vipward upgrade"),
            ("-n -I", "vipward upgrade"),
            ("-n -R", "replaced"),
            ("-n -s blue", "ip netns exec"),
            ("-n -g /var/log/k", "service manager"),
        ] {
            let why = parsed(words).refused().unwrap_or_default();
            assert!(why.contains(says), "{words}: {why}");
        }
        assert_eq!(parsed("-n -a -u 022 -S 1").without_effect(), ["--log-facility", "--address-monitoring", "--umask"]);
    }
}
