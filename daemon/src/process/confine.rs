//! What a worker gives up at its start, step by step. Whoever takes it over from the network finds a process that starts
//! nothing, writes into two folders, and has the rights of one that serves addresses.
//!
//! Rights are a thread's, and threads inherit them: so each step is taken while this process has one thread, and the log,
//! which could be had earlier, is written from the last step on. Where a step is refused (by an old kernel, or in a container)
//! the worker goes on with what it has.

use crate::host::scripts::{Configured, Launcher, server};
use crate::options::cli::{Run, Scripts};
use crate::options::configuration::{config_id, load};
use crate::process::thread::Hired;
use crate::system::disk::{Disk, LooksAt};
use crate::system::exit::Exit;
use crate::system::{calls, folders, log, rights};
use std::io;
use std::path::Path;
use vipward_core::settings::Settings;
use vipward_core::text::Sources;

/// The first step: another process gets the rights that scripts need, and this one gives them up. Before there are threads.
///
/// # Errors
/// The other process can't be started.
pub fn begin(options: &Run) -> io::Result<Launcher> {
    let words = ["-f".into(), options.file.clone().into(), "-i".into(), config_id(options).into()];
    let launcher = Launcher::start(&words)?;
    say("capabilities", rights::narrow_worker());
    say("system calls", calls::refuse());
    Ok(launcher)
}

/// `vipward scripts`: the process that this starts.
pub fn scripts(options: &Scripts) -> Exit {
    server::run(|| {
        // The worker says what is wrong with it.
        let loaded = load(&mut Sources::default(), &Disk::new(LooksAt::default()), &options.file, &options.config_id);
        loaded.config.as_ref().map(Configured::of).unwrap_or_default()
    })
}

/// The last step, when it is known where this director writes. What threads there are by then have read the configuration and
/// have ended. Returns the only thread that may have a higher priority.
///
/// # Errors
/// A thread can't be started.
pub fn finish(settings: &Settings) -> io::Result<Hired> {
    let record = settings.record.file.as_deref().and_then(Path::parent);
    // A name without a folder.
    let record = record.map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let own: Vec<&Path> = [Some(settings.state.dir.as_path()), record].into_iter().flatten().collect();
    say("files", folders::write_only_into(&own));
    let election = Hired::for_the_election()?;
    say("capabilities", rights::drop_priority());
    log::write()?;
    Ok(election)
}

fn say(what: &str, done: Result<(), String>) {
    match done {
        Ok(()) => tracing::debug!("the worker is confined: {what}"),
        Err(why) => tracing::debug!("the worker is not wholly confined: {what}: {why}"),
    }
}
