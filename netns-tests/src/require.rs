//! What a test needs of the machine. `VIPWARD_REQUIRE=netns,keepalived,nginx,zookeeper,vm,realtime,nftables,curl,aiosmtpd,nsd,prometheus` turns
//! "cannot run here" into failure.

use crate::zookeeper;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Network namespaces, as root or through user namespaces.
    Netns,
    /// Debian's keepalived.
    Keepalived,
    /// nginx.
    Nginx,
    /// Java and Debian's zookeeper.
    Zookeeper,
    /// QEMU and what `netns-tests/vm/setup` needs beside it.
    Vm,
    /// nft, of nftables.
    Nftables,
    Curl,
    /// A mail server: Debian's python3-aiosmtpd.
    Aiosmtpd,
    /// A name server: Debian's nsd.
    Nsd,
    /// Debian's prometheus, with promtool.
    Prometheus,
    /// A processor that a real-time task may have whole: two of them, the right to it, and `chrt` and `taskset`.
    RealTime,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netns => "netns",
            Self::Keepalived => "keepalived",
            Self::Nginx => "nginx",
            Self::Zookeeper => "zookeeper",
            Self::Vm => "vm",
            Self::RealTime => "realtime",
            Self::Nftables => "nftables",
            Self::Curl => "curl",
            Self::Aiosmtpd => "aiosmtpd",
            Self::Nsd => "nsd",
            Self::Prometheus => "prometheus",
        })
    }
}

/// Is it there? If not, says so on the real standard error, which the test harness does not hold back.
///
/// # Panics
/// When it is missing and `VIPWARD_REQUIRE` names it.
pub fn met(test: &str, need: Need) -> bool {
    let Err(why) = look(need) else { return true };
    assert!(!required(need), "{test}: VIPWARD_REQUIRE names {need}, but: {why}");
    let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: needs {need}, but: {why}");
    false
}

/// Whether `VIPWARD_REQUIRE` names it.
pub fn required(need: Need) -> bool {
    names(&std::env::var("VIPWARD_REQUIRE").unwrap_or_default(), need)
}

fn names(list: &str, need: Need) -> bool {
    list.split(',').any(|word| word.trim() == need.to_string())
}

fn look(need: Need) -> Result<(), String> {
    match need {
        Need::Netns => {
            let tried = Command::new(crate::companion("in-lab")).arg("true").stdout(Stdio::null()).output();
            let tried = tried.map_err(|error| format!("in-lab: {error}"))?;
            if tried.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()) }
        }
        Need::Keepalived | Need::Nginx | Need::Nsd | Need::Prometheus => {
            let name = need.to_string();
            program(&name).map(|_| ()).ok_or_else(|| format!("there is no {name}; apt-get install {name}"))
        }
        Need::Nftables => {
            program("nft").map(|_| ()).ok_or_else(|| "there is no nft; apt-get install nftables".to_owned())
        }
        Need::Curl => program("curl").map(|_| ()).ok_or_else(|| "there is no curl; apt-get install curl".to_owned()),
        Need::Aiosmtpd => program("aiosmtpd")
            .map(|_| ())
            .ok_or_else(|| "there is no aiosmtpd; apt-get install python3-aiosmtpd".to_owned()),
        Need::Zookeeper if program("java").is_none() => Err("there is no java; apt-get install zookeeper".to_owned()),
        Need::Zookeeper if !Path::new(zookeeper::JAR).is_file() => {
            Err(format!("there is no {}; apt-get install zookeeper", zookeeper::JAR))
        }
        Need::Zookeeper => Ok(()),
        Need::RealTime => {
            if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
                return Err("there is one processor only".to_owned());
            }
            if let Some(missing) = ["chrt", "taskset", "timeout"].into_iter().find(|name| program(name).is_none()) {
                return Err(format!("there is no {missing}; apt-get install util-linux coreutils"));
            }
            let limit = "/proc/sys/kernel/sched_rt_runtime_us";
            let usual = std::fs::read_to_string(limit).and_then(|usual| std::fs::write(limit, usual));
            usual.map_err(|error| format!("{limit}: {error}"))
        }
        Need::Vm => match program("qemu-system-x86_64") {
            Some(_) => Ok(()),
            None => Err("there is no QEMU; netns-tests/vm/README.md names the packages".to_owned()),
        },
    }
}

/// A program in `PATH` or where Debian keeps those of root.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_whole_words() {
        assert!(names("netns,vm", Need::Vm));
        assert!(names(" netns , vm ", Need::Netns));
        assert!(!names("netns,vmware", Need::Vm));
        assert!(!names("", Need::Vm));
    }

    #[test]
    fn programs_are_found_in_path() {
        assert!(program("sh").is_some());
        assert!(program("no-such-program-anywhere").is_none());
    }
}
