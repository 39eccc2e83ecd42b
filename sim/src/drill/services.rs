//! Services of the directors themselves: what their tracked scripts and processes are taken for, where no virtual server is on the
//! address.

use super::files::DirectorFile;
use super::wires::routers;
use crate::scenario::{Checks, Clue, guess, program};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a service answers of which nothing is known.
const USUAL: u16 = 80;

/// What the directors' scripts check.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// By the number of the file, and the name of the `vrrp_script`.
    pub tracks: BTreeMap<usize, BTreeMap<Arc<str>, Checks>>,
    /// Where clients ask the holder itself: by the first address of a virtual router.
    pub ports: BTreeMap<IpAddr, BTreeSet<u16>>,
    /// The guesses, in sentences.
    pub assumptions: BTreeSet<String>,
}

/// What is behind the virtual routers none of whose addresses is in `virtual_servers`.
pub(super) fn services(files: &[DirectorFile], virtual_servers: &BTreeSet<IpAddr>) -> Services {
    let mut found = Services::default();
    for (at, router) in routers(files) {
        let own: Vec<IpAddr> = router.addresses.iter().chain(&router.excluded).map(|it| it.address).collect();
        let Some(first) = own.first().filter(|_| !own.iter().any(|it| virtual_servers.contains(it))) else { continue };
        let scripts = files.get(at).map(|file| &file.config.scripts);
        for script in router.tracking.scripts().filter_map(|name| scripts?.get(name)) {
            let name = &script.name;
            let clue = guess(&script.command);
            let checks = match clue {
                Clue::Service { port, asks } => Checks { port: port.unwrap_or(USUAL), asks },
                Clue::Nothing => Checks { port: USUAL, asks: false },
                Clue::Elsewhere => {
                    let text = format!("script {name} checks no service of the directors, by its command");
                    found.assumptions.insert(text);
                    continue;
                }
            };
            let taken = format!("script {name} is taken for a check of what listens on port {}", checks.port);
            let program = script.command.argv.first().map(String::as_str).unwrap_or_default();
            found.assumptions.insert(match clue {
                Clue::Nothing => format!("{taken}; `{program}` says nothing else"),
                Clue::Service { .. } | Clue::Elsewhere => format!("{taken}, by its command"),
            });
            found.tracks.entry(at).or_default().insert(name.clone(), checks);
            found.ports.entry(*first).or_default().insert(checks.port);
        }
        let processes = files.get(at).map(|file| &file.config.processes);
        for process in router.tracking.processes().filter_map(|name| processes?.get(name)) {
            if let Clue::Service { port, .. } = program(&process.pattern) {
                let port = port.unwrap_or(USUAL);
                found.assumptions.insert(format!("process {} is taken for what listens on port {port}", process.name));
                found.ports.entry(*first).or_default().insert(port);
            }
        }
    }
    found
}
