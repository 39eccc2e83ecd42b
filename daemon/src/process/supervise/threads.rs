//! What a thread of another process does, by `/proc` (proc(5)).

use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use vipward_core::supervisor::{Look, ThreadState};
use vipward_core::time::Duration;

/// Looks at the thread of this name (at most 15 bytes). None: there is none, or `/proc` does not tell.
pub fn look(process: Pid, name: &str) -> Option<Look> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    let task = tasks.flatten().map(|task| task.path()).find(|task| named(task))?;
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let schedule = fs::read_to_string(task.join("schedstat")).ok();
    read(&stat, schedule.as_deref())
}

/// `stat` and, where the kernel counts exactly, `schedstat`: its first number is nanoseconds on a processor.
fn read(stat: &str, schedule: Option<&str>) -> Option<Look> {
    // The name stands in parentheses and may have any of them in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "R" => ThreadState::Runnable,
        "D" => ThreadState::Uninterruptible,
        "T" | "t" => ThreadState::Stopped,
        _ => ThreadState::Sleeping,
    };
    let exact = schedule.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).map(Duration::from_nanos);
    // `utime` and `stime`, fields 14 and 15, in hundredths of a second on every Linux.
    let mut counted = || -> Option<Duration> {
        let user: u64 = fields.nth(10)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis(user.saturating_add(system).saturating_mul(10)))
    };
    let ran = match exact {
        Some(exact) => exact,
        None => counted()?,
    };
    Some(Look { state, ran })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn state_and_time_are_read() {
        let stat = "7 (a b) c) D 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 1 0 5 0 0";
        let look = |state, millis| Some(Look { state, ran: Duration::from_millis(millis) });
        assert_eq!(read(stat, None), look(ThreadState::Uninterruptible, 420));
        assert_eq!(read(stat, Some("1000000 5 6\n")), look(ThreadState::Uninterruptible, 1));
        for (letter, state) in [
            ("R", ThreadState::Runnable),
            ("S", ThreadState::Sleeping),
            ("I", ThreadState::Sleeping),
            ("T", ThreadState::Stopped),
            ("t", ThreadState::Stopped),
        ] {
            assert_eq!(read(&stat.replace(" D ", &format!(" {letter} ")), Some("0 0 0")), look(state, 0));
        }
        for bad in ["", "7 (a", "7 (a)", "7 (a) D 1 2"] {
            assert_eq!(read(bad, None), None, "{bad:?}");
        }
    }

    #[test]
    fn a_thread_is_found_by_its_name_and_seen_to_sleep_and_to_run() {
        let (wake, woken) = channel::<()>();
        let thread = std::thread::Builder::new().name("looked at".to_owned()).spawn(move || {
            let _ = woken.recv();
            let until = std::time::Instant::now() + Duration::from_secs(60);
            while woken.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) && std::time::Instant::now() < until {}
        });
        let now = || look(Pid::this(), "looked at");
        let wait = |what: &str, fits: &dyn Fn(Look) -> bool| {
            let until = std::time::Instant::now() + Duration::from_secs(60);
            while !now().is_some_and(fits) {
                assert!(std::time::Instant::now() < until, "{what}: {:?}", now());
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        wait("sleeps", &|look| look.state == ThreadState::Sleeping);
        let before = now().unwrap().ran;
        wake.send(()).unwrap();
        wait("runs", &|look| look.state == ThreadState::Runnable && look.ran > before + Duration::from_millis(100));
        drop(wake);
        thread.unwrap().join().unwrap();
        assert_eq!(look(Pid::this(), "nobody"), None);
    }
}
