//! Capabilities (capabilities(7)): what each process of a director keeps of those that it was started with.
//!
//! Nothing here fails a start. Whoever was given less, by a service manager or a container, has less afterwards; and where
//! CAP_SETPCAP is missing, the bounding set stays as it was: then `no_new_privs` is what keeps rights from coming back.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// What a director and its scripts may have: `CapabilityBoundingSet` of `packaging/vipward.service`, and a test says so.
pub const DIRECTOR: &[Capability] = &[
    // Adverts and addresses.
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    // The relay's ports.
    Capability::CAP_NET_BIND_SERVICE,
    // SCHED_FIFO, and memory that stays in memory.
    Capability::CAP_SYS_NICE,
    Capability::CAP_IPC_LOCK,
    // What scripts need as root, or as `script_user`.
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_KILL,
    // To give up the others. No script has it.
    Capability::CAP_SETPCAP,
];

/// The thread that supervises: farewells, and memory that stays locked as it grows.
const SUPERVISOR: &[Capability] = &[Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW, Capability::CAP_IPC_LOCK];

/// A worker. The last is for configurations that are somebody else's, and readable by nobody else: at a reload they must be
/// read as they were at the start. It is root's process, so it may read what is root's anyway.
const WORKER: &[Capability] = &[
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Lets this process and what it starts have no more than [`DIRECTOR`]. To be called before there are threads.
///
/// # Errors
/// What was refused. Something of it may have been done.
pub fn narrow_director() -> Result<(), String> {
    bound(DIRECTOR)?;
    keep(DIRECTOR)
}

/// Leaves the calling thread what it needs to supervise.
///
/// # Errors
/// As above.
pub fn narrow_supervisor() -> Result<(), String> {
    keep(SUPERVISOR)
}

/// Leaves the calling thread, and threads that it starts, what a worker needs and the right to a higher priority
/// ([`drop_priority`]); neither comes back by another program. To be called before there are threads.
///
/// # Errors
/// As above.
pub fn narrow_worker() -> Result<(), String> {
    let bounded = bound(WORKER);
    let without: Vec<Capability> = WORKER.iter().copied().chain([Capability::CAP_SYS_NICE]).collect();
    let kept = pass_nothing_on().and_then(|()| keep(&without));
    no_new_rights()?;
    bounded.and(kept)
}

/// Gives up the right to a higher priority, which a worker needs only at its start.
///
/// # Errors
/// As above.
pub fn drop_priority() -> Result<(), String> {
    keep(WORKER)
}

/// Lets programs that this process starts as root have no right to more rights.
///
/// # Errors
/// As above.
pub fn narrow_scripts() -> Result<(), String> {
    let of_scripts: Vec<Capability> =
        DIRECTOR.iter().copied().filter(|capability| *capability != Capability::CAP_SETPCAP).collect();
    bound(&of_scripts)
}

/// The bounding set becomes empty where that is permitted. To be called before the user changes: then it is not any more.
pub fn bound_to_nothing() -> Result<(), String> {
    bound(&[])
}

/// No capability any more, and none by what is started from now on.
///
/// # Errors
/// Something would be left.
pub fn give_all_up() -> Result<(), String> {
    pass_nothing_on()?;
    keep(&[])?;
    no_new_rights()
}

fn no_new_rights() -> Result<(), String> {
    prctl::set_no_new_privs().map_err(|error| format!("no_new_privs: {error}"))
}

/// Takes from the bounding set what is not among these.
fn bound(to: &[Capability]) -> Result<(), String> {
    for capability in read(CapSet::Bounding)? {
        if !to.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability)
                .map_err(|error| format!("{capability} stays in the bounding set: {error}"))?;
        }
    }
    Ok(())
}

/// Keeps those of these that there are. What a director that is not root's was given to pass on (ambient capabilities) it passes on.
fn keep(those: &[Capability]) -> Result<(), String> {
    let kept: CapsHashSet = read(CapSet::Permitted)?.into_iter().filter(|it| those.contains(it)).collect();
    let used: CapsHashSet = read(CapSet::Effective)?.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Effective, &used).map_err(|error| refused(&error))?;
    caps::set(None, CapSet::Permitted, &kept).map_err(|error| refused(&error))
}

/// Nothing for whatever is started from now on, but what root gets.
fn pass_nothing_on() -> Result<(), String> {
    caps::clear(None, CapSet::Ambient).map_err(|error| refused(&error))?;
    caps::clear(None, CapSet::Inheritable).map_err(|error| refused(&error))
}

fn read(set: CapSet) -> Result<CapsHashSet, String> {
    caps::read(None, set).map_err(|error| format!("capabilities can't be read: {error}"))
}

fn refused(error: &caps::errors::CapsError) -> String {
    format!("capabilities stay as they were: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_unit_file_says_the_same() {
        let unit = include_str!("../../../packaging/vipward.service");
        let lines = unit.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet="));
        let named: BTreeSet<String> = lines.flat_map(str::split_whitespace).map(str::to_owned).collect();
        let kept: BTreeSet<String> = DIRECTOR.iter().map(ToString::to_string).collect();
        assert_eq!(named, kept);
    }

    /// Each on a thread of its own: capabilities are a thread's.
    #[test]
    fn what_is_given_up_is_gone_and_what_was_not_there_is_not_missed() {
        let (had, bounded) = (read(CapSet::Permitted).unwrap(), read(CapSet::Bounding).unwrap());
        std::thread::spawn(move || {
            let narrowed = narrow_worker();
            assert!(narrowed.is_ok() || !had.contains(&Capability::CAP_SETPCAP), "{narrowed:?}");
            drop_priority().unwrap();
            for set in [CapSet::Permitted, CapSet::Effective] {
                assert!(read(set).unwrap().iter().all(|it| WORKER.contains(it)), "{set:?}");
            }
            assert!(WORKER.iter().all(|it| read(CapSet::Permitted).unwrap().contains(it) == had.contains(it)));
            if had.contains(&Capability::CAP_SETPCAP) {
                let expected: CapsHashSet = bounded.iter().copied().filter(|it| WORKER.contains(it)).collect();
                assert_eq!(read(CapSet::Bounding).unwrap(), expected);
            }
            give_all_up().unwrap();
            assert!(read(CapSet::Permitted).unwrap().is_empty());
            // A second time changes nothing.
            drop_priority().unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(prctl::get_no_new_privs(), Ok(false), "other threads are as they were");
    }
}
