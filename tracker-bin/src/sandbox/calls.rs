//! The system calls of a running tracker, by what needs them. Measured with `strace -f` over the test suite, with glibc
//! and musl, and completed by what the same functions of libc call on other versions and machines.

use libc::c_long;

/// Allowed with any arguments.
pub(super) const ALLOWED: &[c_long] = &[
    // Datagrams, HTTP, and the sockets of a tracker that takes over.
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socketpair,
    // The doctor's look at this process's own sockets: see pidfd_open.
    libc::SYS_pidfd_getfd,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    // Time, where the kernel's page for it can't be used.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    // Whether the clock is synchronised. Setting it needs a capability.
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    // Memory, but for executable memory: see below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getcpu,
    libc::SYS_setpriority,
    libc::SYS_getpriority,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_sigaltstack,
    // Files: lists, the configuration, keys, snapshots, and the kernel's figures. Landlock decides which.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    // What the program asks about itself and the machine.
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getppid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    // The same by older numbers, which musl and older glibc use.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_renameat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Allowed if the argument with this number is one of these values.
pub(super) const ALLOWED_WITH: &[(c_long, u8, &[u64])] = &[
    // UDP, the service manager and the next tracker; the list of the machine's addresses. Landlock takes TCP away.
    (
        libc::SYS_socket,
        0,
        &[number(libc::AF_INET), number(libc::AF_INET6), number(libc::AF_UNIX), number(libc::AF_NETLINK)],
    ),
    (libc::SYS_ioctl, 1, &[FIONBIO, FIONREAD, TCGETS, SIOCGIFFLAGS]),
    (
        libc::SYS_prctl,
        0,
        &[
            number(libc::PR_SET_NAME),
            number(libc::PR_SET_TIMERSLACK),
            number(libc::PR_SET_VMA),
            number(libc::PR_GET_DUMPABLE),
        ],
    ),
    // Reading limits, not setting them: without new values.
    (libc::SYS_prlimit64, 2, &[0]),
];

/// Allowed if the first argument is this process.
pub(super) const ALLOWED_ON_ITSELF: &[c_long] = &[
    // To end itself, after a panic that can't be handled.
    libc::SYS_tgkill,
    libc::SYS_kill,
    // The doctor's look at its own sockets.
    libc::SYS_pidfd_open,
];

/// Allowed if these bits of the argument with this number have this value: number, (bits, value).
pub(super) const ALLOWED_WITH_BITS: &[(c_long, u8, (u64, u64))] = &[
    // Threads, not processes. The newer clone3, whose flags a filter can't see, is missing, and libc falls back to this.
    (libc::SYS_clone, 0, (number(libc::CLONE_THREAD), number(libc::CLONE_THREAD))),
    // No memory that can be executed.
    (libc::SYS_mmap, 2, (number(libc::PROT_EXEC), 0)),
    (libc::SYS_mprotect, 2, (number(libc::PROT_EXEC), 0)),
];

/// The process ends: these start programs, look into other processes, or change the machine.
pub(super) const FORBIDDEN: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Constants of libc that are never negative.
#[expect(clippy::cast_sign_loss, reason = "constants of libc, none is negative")]
const fn number(constant: i32) -> u64 {
    assert!(constant >= 0);
    constant as u64
}

// The type of these constants differs between libc's.
const FIONBIO: u64 = 0x5421;
const FIONREAD: u64 = 0x541b;
const TCGETS: u64 = 0x5401;
const SIOCGIFFLAGS: u64 = 0x8913;
