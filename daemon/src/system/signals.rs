//! Signals that have no name of their own.

use nix::sys::signal::SigSet;

/// What asks for keepalived's JSON: the number that keepalived has for it on Linux with glibc, where the C library keeps the
/// first real-time signals for itself.
pub fn json() -> i32 {
    libc::SIGRTMIN() + 2
}

/// The same set, and [`json`].
pub fn with_json(set: SigSet) -> SigSet {
    let mut raw = *set.as_ref();
    // SAFETY: the set is this function's own, and initialised; the kernel knows the number, or the call fails and changes
    // nothing.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigaddset(&raw mut raw, json());
        SigSet::from_sigset_t_unchecked(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    #[test]
    fn it_is_added_and_nothing_else() {
        let set: SigSet = [Signal::SIGHUP].into_iter().collect();
        let more = with_json(set);
        assert!(more.contains(Signal::SIGHUP) && !more.contains(Signal::SIGTERM));
        // SAFETY: the set is initialised.
        #[allow(unsafe_code)]
        let has = |set: &SigSet| unsafe { libc::sigismember(set.as_ref(), json()) };
        assert_eq!((has(&set), has(&more)), (0, 1));
    }
}
