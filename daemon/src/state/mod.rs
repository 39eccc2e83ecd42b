//! The state file: a copy of each machine's estate, from which a director that died takes up what it held when it starts
//! again in time.
//!
//! A thread of its own writes; a machine only puts its copy down and goes on. It takes the newest copy each time, so that a
//! slow disk makes copies older and nothing else. What goes wrong is said once, and tried again.

mod file;
#[cfg(test)]
mod tests;

use nix::sys::stat::stat;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use vipward_core::estate::{Estate, Keeper};
use vipward_core::record::MachineName;
use vipward_core::time::Duration;

/// How long after a failure it is tried again, with the copy that is the newest by then.
const RETRY: Duration = Duration::from_secs(1);

/// How long an orderly stop waits for a slow disk.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Where the state files of one director are.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    /// In front of both names. Directors of one machine keep apart by it: each has another configuration, another name or
    /// another network.
    name: String,
    boot: Arc<str>,
}

impl Place {
    /// For the director `id` with this configuration, in the network namespace of this process.
    pub fn new(folder: &Path, config: &Path, id: &str) -> Self {
        let network = stat("/proc/self/ns/net").map_or(0, |network| network.st_ino);
        let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        let name = crc32fast::hash(format!("{}\n{id}\n{network}", config.display()).as_bytes());
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { folder: folder.to_owned(), name: format!("{name:08x}"), boot: boot.trim_end().into() }
    }

    pub fn boot(&self) -> &Arc<str> {
        &self.boot
    }

    /// What an earlier process left of this machine, if this one can go on with it.
    pub fn read(&self, machine: MachineName) -> Option<Estate> {
        let path = self.path(machine);
        match file::read(&path, &self.boot) {
            Ok(None) => None,
            Ok(Some(Ok(estate))) => Some(estate),
            Ok(Some(Err(unusable))) => {
                tracing::warn!("{} is left aside: {unusable}", path.display());
                None
            }
            Err(error) => {
                tracing::warn!("can't read {}: {error}", path.display());
                None
            }
        }
    }

    fn path(&self, machine: MachineName) -> PathBuf {
        self.folder.join(format!("{}-{machine}.state", self.name))
    }
}

/// The shelf on which machines put their copies, and the thread that takes them to the disk.
pub struct Shelf {
    shared: Arc<Shared>,
}

struct Shared {
    place: Place,
    copies: Mutex<Copies>,
    bell: Condvar,
}

#[derive(Default)]
struct Copies {
    election: Option<Estate>,
    balancer: Option<Estate>,
    /// Nothing is written any more.
    closed: bool,
    /// The thread is at the disk.
    writing: bool,
}

impl Copies {
    fn slot(&mut self, machine: MachineName) -> &mut Option<Estate> {
        match machine {
            MachineName::Election => &mut self.election,
            MachineName::Balancer => &mut self.balancer,
        }
    }
}

impl Shared {
    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    pub fn start(place: Place) -> io::Result<Self> {
        let shared = Arc::new(Shared { place, copies: Mutex::default(), bell: Condvar::new() });
        let own = shared.clone();
        std::thread::Builder::new().name("state".to_owned()).spawn(move || write_all(&own))?;
        Ok(Self { shared })
    }

    /// A machine's way to it.
    pub fn slot(&self) -> Slot {
        Slot(self.shared.clone())
    }

    /// Another process has the estates now, and writes.
    pub fn close(&self) {
        self.shared.copies().closed = true;
        self.shared.bell.notify_all();
    }

    /// This process has the estates again.
    pub fn open(&self) -> io::Result<()> {
        let mut copies = self.shared.copies();
        if !copies.closed {
            return Ok(());
        }
        *copies = Copies::default();
        let own = self.shared.clone();
        std::thread::Builder::new().name("state".to_owned()).spawn(move || write_all(&own)).map(drop)
    }

    /// The director has given everything back: there is nothing to take up.
    pub fn clear(&self) {
        self.close();
        // What is being written now would come back.
        let copies = self.shared.copies();
        drop(self.shared.bell.wait_timeout_while(copies, LAST_WRITE, |copies| copies.writing));
        for machine in [MachineName::Election, MachineName::Balancer] {
            let path = self.shared.place.path(machine);
            if let Err(error) = file::remove(&path) {
                tracing::warn!("can't remove {}: {error}", path.display());
            }
        }
    }
}

/// Where one machine puts its copies.
#[derive(Clone)]
pub struct Slot(Arc<Shared>);

impl<S: Into<Estate>> Keeper<S> for Slot {
    fn keep(&mut self, estate: S) {
        let estate = estate.into();
        let mut copies = self.0.copies();
        let machine = match &estate {
            Estate::Election(_) => MachineName::Election,
            Estate::Balancer(_) => MachineName::Balancer,
        };
        *copies.slot(machine) = Some(estate);
        self.0.bell.notify_one();
    }
}

fn write_all(shared: &Shared) {
    // The last trouble that was told.
    let mut trouble: Option<String> = None;
    loop {
        let mut copies = shared.copies();
        while !copies.closed && copies.election.is_none() && copies.balancer.is_none() {
            copies = shared.bell.wait(copies).unwrap_or_else(PoisonError::into_inner);
        }
        if copies.closed {
            return;
        }
        let taken = [copies.election.take(), copies.balancer.take()];
        copies.writing = true;
        drop(copies);
        let mut failed = None;
        for (machine, estate) in [MachineName::Election, MachineName::Balancer].into_iter().zip(taken) {
            let Some(estate) = estate else { continue };
            if let Err(error) = file::write(&shared.place.path(machine), &shared.place.boot, estate.clone()) {
                failed = Some(error.to_string());
                // Unless a newer one has come.
                shared.copies().slot(machine).get_or_insert(estate);
            }
        }
        shared.copies().writing = false;
        shared.bell.notify_all();
        let folder = shared.place.folder.display();
        match (&failed, &trouble) {
            (Some(error), None) => tracing::warn!(
                "can't keep state in {folder}: {error}; trying again. Until then a director that dies here begins anew"
            ),
            (Some(error), Some(told)) if error != told => tracing::warn!("can't keep state in {folder}: {error}"),
            (None, Some(_)) => tracing::info!("state is kept in {folder} again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if failed.is_some() {
            // Not longer for a stop than for a failure.
            let copies = shared.copies();
            let _ = shared.bell.wait_timeout_while(copies, RETRY, |copies| !copies.closed);
        }
        trouble = failed;
    }
}
