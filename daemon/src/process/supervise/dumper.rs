//! The thread that writes dumps in keepalived's formats when a signal asks for them.
//!
//! It asks the director as anybody does, at the control socket, and may wait for an answer or the disk: nothing else of the
//! supervisor waits for it.

use crate::status::client;
use crate::status::dump::{self, Dump};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::SystemTime;

/// Its stack is locked in memory whole.
const STACK: usize = 256 << 10;

/// Dumps that wait for their turn. Whoever asks for more gets what those write.
const MOST: usize = 8;

/// The way to it.
pub struct Dumper(SyncSender<Dump>);

impl Dumper {
    /// # Errors
    /// No thread can be had.
    pub fn start(control: PathBuf) -> io::Result<Self> {
        let (ask, asked) = sync_channel(MOST);
        let thread = std::thread::Builder::new().name("dumper".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            for dump in asked {
                match write(&control, dump) {
                    Ok(path) => tracing::info!("{}: written, as a signal asked", path.display()),
                    Err(why) => tracing::warn!("a signal asked for a dump, and there is none: {why}"),
                }
            }
        })?;
        Ok(Self(ask))
    }

    /// Does not wait.
    pub fn ask(&self, dump: Dump) {
        let _ = self.0.try_send(dump);
    }
}

fn write(control: &Path, dump: Dump) -> Result<PathBuf, String> {
    let status = client::ask(control).map_err(|why| why.to_string())?;
    let text = dump.of(&status, SystemTime::now())?;
    let path = status.election.as_ref().map(|election| dump.file(election)).unwrap_or_default();
    dump::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
