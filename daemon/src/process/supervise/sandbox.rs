//! What the supervising thread keeps and what it gives up: its memory stays in memory, and it can do nothing but listen,
//! send, signal its children and say so.

use nix::sys::mman::{MlockAllFlags, mlockall};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Keeps all memory of this process in memory: whoever speaks for a worker that died of want of memory must not wait for
/// a page from the disk. Needs CAP_IPC_LOCK or a generous RLIMIT_MEMLOCK; where that is refused all stays as it was.
pub fn lock_memory() {
    match mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        Ok(()) => tracing::debug!("the supervisor's memory is locked"),
        Err(error) => tracing::debug!("the supervisor's memory is not locked: {error}"),
    }
}

/// Filters the system calls of the calling thread from now on. One that is not allowed is refused (EPERM) and not
/// punished: a supervisor that is killed for a call that a new C library has invented would be worse than one without.
pub fn confine() {
    match filter()
        .map_err(|error| error.to_string())
        .and_then(|filter| seccompiler::apply_filter(&filter).map_err(|error| error.to_string()))
    {
        Ok(()) => tracing::debug!("the supervisor's system calls are filtered"),
        Err(error) => tracing::debug!("the supervisor's system calls are not filtered: {error}"),
    }
}

/// What it needs, and why.
const ALLOWED: &[libc::c_long] = &[
    // Wait for what happens, and read it: workers' packets, signals, the launcher's bell, netlink's answers.
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_clock_nanosleep,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // Orders, farewells, the service manager, the log.
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_connect,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    // A worker's line; an operator at the control socket.
    libc::SYS_socketpair,
    libc::SYS_accept4,
    // A copy of a line for the next version.
    libc::SYS_fcntl,
    // Its end.
    libc::SYS_kill,
    libc::SYS_wait4,
    libc::SYS_waitid,
    // The clock, where it is no function of the vDSO.
    libc::SYS_clock_gettime,
    // Memory, locks between threads, and what the C library does by itself.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    // The end of the process, and a panic's.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
];

fn filter() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_epoll_wait, Vec::new());
    // A socket for the service manager, and no other kind.
    let unix =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::AF_UNIX.unsigned_abs().into())?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![unix])?]);
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_confined_thread_opens_no_file_starts_nothing_and_its_neighbours_are_free() {
        std::thread::spawn(|| {
            confine();
            assert!(UnixDatagram::unbound().is_ok());
            assert_eq!(std::fs::File::open("/dev/null").unwrap_err().raw_os_error(), Some(libc::EPERM));
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
            assert!(std::process::Command::new("true").spawn().is_err());
        })
        .join()
        .unwrap();
        assert!(std::fs::File::open("/dev/null").is_ok());
        assert!(std::process::Command::new("true").status().unwrap().success());
    }
}
