//! A machine that does not schedule.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

/// Keeps processor 1 from everything else for so long, by a real-time task. Needs [`crate::Need::RealTime`].
///
/// # Errors
/// The task ended early, or could not be started.
pub fn starve(time: Duration) -> io::Result<()> {
    let limit = "/proc/sys/kernel/sched_rt_runtime_us";
    let usual = std::fs::read_to_string(limit)?;
    std::fs::write(limit, "-1")?;
    let began = Instant::now();
    let hog = Command::new("timeout")
        .args(["-s", "KILL", &time.as_secs_f64().to_string()])
        .args(["taskset", "-c", "1", "chrt", "-f", "99", "sh", "-c", "while :; do :; done"])
        .status();
    std::fs::write(limit, usual)?;
    if began.elapsed() >= time { Ok(()) } else { Err(io::Error::other(format!("it ended early: {hog:?}"))) }
}
