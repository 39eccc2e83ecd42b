//! The command line.

use super::keepalived::Keepalived;
use super::listen::Listen;
use crate::dataplane::Choice;
use crate::system::log::LogLevel;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use vipward_core::balancer::drain::order::LONGEST_LIMIT;

/// Where a director listens for its operator.
const CONTROL: &str = "/run/vipward/control.sock";

/// Keeps virtual IP addresses served: VRRP, health checks and IPVS from keepalived's configuration files.
///
/// Exit status: 0 fine, 1 something outside failed, 2 a configuration has errors, 3 wrong command line,
/// 4 a privilege is missing, 5 the dataplane asked for is not there.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a director in the foreground
    ///
    /// SIGTERM and SIGINT end it in order, a second one at once. SIGHUP reads the file again; if that has errors, the
    /// running configuration stays. A second process does the work; if that dies or hangs, the first one hands over in
    /// its name and starts another.
    Run(Run),
    /// The process that does the work; started by `run`
    #[command(hide = true)]
    Worker(Worker),
    /// The process that starts a worker's scripts; started by that
    #[command(hide = true)]
    Scripts(Scripts),
    /// Put the program that is on the disk now in the place of a running one
    ///
    /// Nobody notices: roles, adverts, verdicts, tables and connections go on. The configuration is read again. If the
    /// new program does not start or the configuration has errors, all stays as it was, and the exit status is 1.
    Upgrade(Upgrade),
    /// Let a running director read its configuration again, and say what came of it
    ///
    /// As SIGHUP does, but this waits for the verdict. If the configuration has errors the running one stays, the first
    /// error is printed, and the exit status is 1.
    Reload(Reload),
    /// Say how a running director is
    ///
    /// Roles and addresses with their reasons, what is tracked, virtual servers with the real servers that are down, and the
    /// last decisions. With a NAME all about one virtual router or virtual server. The answer is the director's own, given
    /// now: one that is dead or hangs gives none, and the exit status is 1.
    Status(Status),
    /// Say why a virtual router or virtual server of a running director is as it is, and what would change that
    Explain(Told),
    /// Show the last decisions of a running director, with their causes
    History(Told),
    /// Let a real server of a running director take no new connections
    ///
    /// Its weight becomes 0 at once, the connections that it has go on, and for the quorum it is not there. That stays so
    /// over reloads, upgrades and deaths of a process, until `vipward undrain`, an orderly stop, or until the real server
    /// leaves the file. Refused (exit status 1) if it names nothing, or if no other real server of the virtual server is up.
    Drain(Drain),
    /// Let a drained real server take connections again
    Undrain(Undrain),
    /// Serve what a running director answers over HTTP: metrics, status and health, for reading
    ///
    /// `/metrics` (OpenMetrics, as Prometheus reads it), `/v1/status` (JSON), `/healthz` and `/readyz`. It is a process of
    /// its own: nothing that its clients do costs the director more than a question in half a second.
    Serve(Serve),
    /// Say what is wrong with configuration files
    ///
    /// Several files are taken as those of one cluster, one for each director, and compared with each other. Warnings
    /// alone leave the exit status at 0, unless `--strict` is given. A `vipward.toml` beside them is checked too.
    Check(Check),
    /// Ask about the configuration language
    #[command(subcommand)]
    Config(Config),
    /// Do what keepalived's command line asks for: `--config-test`, or a run in the foreground
    ///
    /// A link to vipward with the name `keepalived` does the same.
    Keepalived(Box<Keepalived>),
    /// Show in a minute what vipward does, on a small network of its own
    ///
    /// Two directors, two web servers and a client, in network namespaces: no root is needed where user namespaces are
    /// allowed, nothing on this machine is touched, nothing is left behind.
    Demo,
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The configuration, in keepalived's language
    #[arg(short = 'f', long = "use-file", value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    pub file: PathBuf,
    /// Which `@ID` lines count; default: the host's name up to the first dot
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Option<String>,
    /// What carries the virtual servers' traffic
    #[arg(long, value_enum, default_value_t)]
    pub dataplane: Choice,
    /// Record everything that is heard and done, for `vipward-sim replay` and Wireshark: FILE, FILE.1 and so on
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// What only vipward has; default: `vipward.toml` beside the configuration, which need not exist
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The folder of the state files, in place of `[state] dir` of the settings
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Where `vipward upgrade` finds this director
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
    /// Where its process's number is written, for as long as it runs
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pid: Option<PathBuf>,
    /// The notes of the supervisor whose place this one takes: a descriptor
    #[arg(long, value_name = "FD", hide = true)]
    pub resume: Option<i32>,
    /// What is logged, to standard error
    #[arg(long, value_enum, default_value_t)]
    pub log_level: LogLevel,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// It takes over from another one, and waits for what that leaves
    #[arg(long)]
    pub successor: bool,
    /// The roles of the one before were given away
    #[arg(long)]
    pub after_farewell: bool,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Debug, Args)]
pub struct Scripts {
    /// The configuration that names them
    #[arg(short = 'f', long = "use-file", value_name = "FILE")]
    pub file: PathBuf,
    /// Which `@ID` lines count
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: String,
}

#[derive(Debug, Args)]
pub struct Upgrade {
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
    /// If this very program runs already, only let it read its configuration again, as `vipward reload` does
    #[arg(long)]
    pub if_replaced: bool,
}

#[derive(Debug, Args)]
pub struct Reload {
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
}

#[derive(Debug, Args)]
pub struct Drain {
    /// The virtual server, as in the file or in `vipward status`, and the real server: `192.0.2.100 80 10.0.0.1:80`,
    /// `group web 10.0.0.1:80`, `fwmark 5 10.0.0.1`. The real server alone: in every virtual server that has it
    #[arg(value_name = "[VIRTUAL SERVER] REAL SERVER", required = true, num_args = 1..)]
    pub names: Vec<String>,
    /// Take it out when it has no active connection any more
    #[arg(long)]
    pub remove: bool,
    /// Take it out after so long at the latest, whatever is left
    #[arg(long, value_name = "SECONDS", requires = "remove", value_parser = clap::value_parser!(u32).range(1..=LONGEST_LIMIT.into()))]
    pub limit: Option<u32>,
    /// Also if no other real server of the virtual server is up
    #[arg(long)]
    pub force: bool,
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
}

#[derive(Debug, Args)]
pub struct Undrain {
    /// As for `vipward drain`
    #[arg(value_name = "[VIRTUAL SERVER] REAL SERVER", required = true, num_args = 1..)]
    pub names: Vec<String>,
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
}

#[derive(Debug, Args)]
pub struct Status {
    /// A virtual router, or a virtual server by its address and port
    pub name: Option<String>,
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
    /// How it looks
    #[arg(long, value_enum, default_value_t)]
    pub format: StatusFormat,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// An address with a port, or the path of a unix socket
    #[arg(long, value_name = "ADDRESS:PORT|PATH", default_value = "127.0.0.1:9650")]
    pub listen: Listen,
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// For people: at most 80 columns
    #[default]
    Text,
    /// For programs: see docs/status.md
    Json,
    /// For programs that read keepalived's dumps of virtual routers: /tmp/keepalived.data
    KeepalivedData,
    /// The same: /tmp/keepalived.stats
    KeepalivedStats,
    /// The same: /tmp/keepalived.json
    KeepalivedJson,
}

#[derive(Debug, Args)]
pub struct Told {
    /// A virtual router, or a virtual server by its address and port
    pub name: Option<String>,
    /// The running director's `--control`
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    pub control: PathBuf,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Configurations
    #[arg(value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    pub files: Vec<PathBuf>,
    /// Which `@ID` lines count: one for all files, or one for each file, or several for one file that they share;
    /// default: the host's name up to the first dot
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Vec<String>,
    /// Let warnings count in the exit status as errors do
    #[arg(long)]
    pub strict: bool,
    /// How messages look
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// List every word by block, or say all that is known of one
    ///
    /// Where it may stand, what follows it and in which range, what holds without it, and whether vipward acts on it. A
    /// word that nobody knows ends with status 3.
    Words(Words),
}

#[derive(Debug, Args)]
pub struct Words {
    /// One word
    pub word: Option<String>,
    /// How it looks
    #[arg(long, value_enum, default_value_t)]
    pub format: WordFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WordFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object
    Json,
    /// The manual's chapter, always with every word
    Markdown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: place, source line, caret
    #[default]
    Text,
    /// For programs: one JSON object
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn keepaliveds_short_options_and_default_file_are_understood() {
        let Command::Run(run) = Cli::parse_from(["vipward", "run"]).command else { panic!() };
        assert_eq!(run.file, PathBuf::from("/etc/keepalived/keepalived.conf"));
        let Command::Run(run) = Cli::parse_from(["vipward", "run", "-f", "a.conf", "-i", "lb1"]).command else {
            panic!()
        };
        assert_eq!((run.file, run.config_id), (PathBuf::from("a.conf"), Some("lb1".to_owned())));
    }
}
