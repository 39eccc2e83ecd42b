//! System calls that a worker does not make, and can't make from its start on (seccomp(2)).
//!
//! This names what is refused and not what is allowed: the worker's libraries are many, and a director must not fail for a
//! call that a new C library has invented. What is refused is an error (EPERM) and no death.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is refused, whatever its arguments are.
const REFUSED: &[libc::c_long] = &[
    // Other programs. Scripts are started by the process for scripts.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes: to look into them, to end them.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Files past their folders, and whose they are.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mknodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // What has made holes in kernels, and is not used here.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    // Who this process is.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
];

/// The same for calls that only older architectures have.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_chmod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// The bit of calls of the x32 ABI, which a kernel may have: the same calls by other numbers.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Those that have numbers of their own there: execve, ptrace, rt_sigqueueinfo, process_vm_readv and _writev,
/// rt_tgsigqueueinfo, execveat.
#[cfg(target_arch = "x86_64")]
const X32_REFUSED: &[i64] = &[520, 521, 524, 539, 540, 536, 545];

/// Refuses them to all threads of this process, and to all that it starts.
///
/// # Errors
/// The kernel has no filters. Then all is as it was.
pub fn refuse() -> Result<(), String> {
    for filter in filters().map_err(|error| error.to_string())? {
        seccompiler::apply_filter_all_threads(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn filters() -> Result<[BpfProgram; 2], seccompiler::Error> {
    let mut rules: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    // Another process; threads may be started.
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let flags = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![flags])?]);
    // abort(3) sends a signal to its own process; others are none of its business.
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, std::process::id().into())?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![other])?]);
    #[cfg(target_arch = "x86_64")]
    {
        let there: Vec<(i64, Vec<SeccompRule>)> =
            rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(there);
        rules.extend(X32_REFUSED.iter().map(|call| (call | X32, Vec::new())));
    }
    // Its flags are in memory, where no filter looks. The C library then starts threads by the older call.
    let newer: Rules = [(libc::SYS_clone3, Vec::new())].into();
    let arch = std::env::consts::ARCH.try_into()?;
    let program = |rules, error: i32| -> Result<BpfProgram, seccompiler::Error> {
        let refuse = SeccompAction::Errno(error.unsigned_abs());
        Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?)
    };
    Ok([program(newer, libc::ENOSYS)?, program(rules, libc::EPERM)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_a_process_of_its_own;
    use nix::errno::Errno;
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::signal::kill;
    use nix::unistd::{Uid, getpid, getppid, setuid};
    use std::sync::mpsc::channel;

    #[test]
    fn what_a_worker_does_not_do_is_refused_on_all_threads_and_threads_can_be_started() {
        in_a_process_of_its_own(
            "system::calls::tests::what_a_worker_does_not_do_is_refused_on_all_threads_and_threads_can_be_started",
            || {
                let (go, waits) = channel::<()>();
                // One that was there before.
                let older = std::thread::spawn(move || waits.recv().map(|()| refused()));
                refuse().unwrap();
                go.send(()).unwrap();
                assert_eq!(older.join().unwrap(), Ok(true));
                assert!(refused());
                assert!(std::thread::spawn(refused).join().unwrap());
                assert!(std::fs::File::open("/dev/null").is_ok());
                assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
            },
        );
    }

    fn refused() -> bool {
        let started = std::process::Command::new("/bin/true").spawn();
        assert_eq!(started.map(|child| child.id()).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        assert_eq!(kill(getppid(), None), Err(Errno::EPERM));
        assert_eq!(kill(getpid(), None), Err(Errno::EPERM));
        assert_eq!(setuid(Uid::current()), Err(Errno::EPERM));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let changed = std::fs::set_permissions("/dev/null", mode);
        assert_eq!(changed.unwrap_err().raw_os_error(), Some(libc::EPERM));
        true
    }
}
