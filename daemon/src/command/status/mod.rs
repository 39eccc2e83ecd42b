//! `vipward status`, `vipward explain` and `vipward history`: ask a running director how it is.

mod ages;
mod explain;
mod overview;
mod table;

use crate::options::cli::{Status, StatusFormat, Told};
use crate::status::client;
use crate::status::dump::Dump;
use crate::system::exit::Exit;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;
use vipward_core::status;

/// `vipward status`. Exit status 1: no answer, or a machine of it gives none.
pub fn status(options: &Status) -> Exit {
    let Some(status) = asked(&options.control) else { return Exit::Failed };
    let whole = || serde_json::to_string_pretty(&status).map(|json| json + "\n").map_err(|error| error.to_string());
    let dump = |dump: Dump| dump.of(&status, SystemTime::now());
    let text = match (options.format, options.name.as_deref()) {
        (StatusFormat::Json, None) => whole(),
        (StatusFormat::Json, Some(name)) => explain::json(&status, name),
        (StatusFormat::Text, None) => Ok(overview::overview(&status)),
        (StatusFormat::Text, Some(name)) => explain::explain(&status, name),
        (StatusFormat::KeepalivedData, None) => dump(Dump::Data),
        (StatusFormat::KeepalivedStats, None) => dump(Dump::Stats),
        (StatusFormat::KeepalivedJson, None) => dump(Dump::Json),
        (StatusFormat::KeepalivedData | StatusFormat::KeepalivedStats | StatusFormat::KeepalivedJson, Some(name)) => {
            Err(format!("keepalived's formats have all virtual routers: leave {name} out"))
        }
    };
    match text {
        Ok(text) => print(&text),
        Err(why) => return failed(&why),
    }
    if status.election.is_some() && status.balancer.is_some() { Exit::Fine } else { Exit::Failed }
}

/// `vipward explain NAME`.
pub fn explain(options: &Told) -> Exit {
    let Some(status) = asked(&options.control) else { return Exit::Failed };
    match (&options.name, explain::only(&status)) {
        (Some(name), _) | (None, Some(name)) => match explain::explain(&status, name) {
            Ok(text) => print(&text),
            Err(why) => return failed(&why),
        },
        (None, None) => {
            return failed("name what is to be explained: `vipward status` lists virtual routers and servers");
        }
    }
    Exit::Fine
}

/// `vipward history [NAME]`.
pub fn history(options: &Told) -> Exit {
    let Some(status) = asked(&options.control) else { return Exit::Failed };
    print(&overview::history(&status, options.name.as_deref()));
    Exit::Fine
}

fn asked(control: &Path) -> Option<status::Status> {
    match client::ask(control) {
        Ok(status) => Some(status),
        Err(why) => {
            eprintln!("nothing is known of a director at {}: {why}", control.display());
            None
        }
    }
}

fn failed(why: &str) -> Exit {
    eprintln!("{why}");
    Exit::Failed
}

/// Whoever reads it may have enough of it (`| head`).
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
