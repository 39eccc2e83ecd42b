//! What this process may do, and what it does not pass on to its scripts.

/// A capability that is missing (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    NetRaw,
    NetAdmin,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NetRaw => "CAP_NET_RAW (to send and hear VRRP adverts)",
            Self::NetAdmin => "CAP_NET_ADMIN (to put virtual addresses on interfaces)",
        })
    }
}

/// Lets the calling thread run before all ordinary work on this machine, so that adverts are on time under load. Where
/// that is not permitted it stays as it is. Children start without it. `who` is for the log.
pub fn raise_priority(who: &str) {
    let parameters = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: thread 0 is the caller; `parameters` lives through the call, which only reads it.
    #[allow(unsafe_code)]
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } == 0 {
        return tracing::debug!("{who} runs with SCHED_FIFO");
    }
    let refused = std::io::Error::last_os_error();
    // The reset goes with the policy, also for a nice value.
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: as above; `setpriority` takes numbers only.
    #[allow(unsafe_code)]
    let nice = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, &raw const ordinary) == 0
            && libc::setpriority(libc::PRIO_PROCESS, 0, -20) == 0
    };
    if nice {
        tracing::debug!("{who} runs with nice -20 (SCHED_FIFO: {refused})");
    } else {
        tracing::debug!("{who} runs with ordinary priority (SCHED_FIFO: {refused})");
    }
}
