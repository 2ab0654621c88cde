//! Kernel calls which no safe crate offers. The only module with `unsafe`.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

use nix::sys::signal::SigSet;

/// Which side of [`clone_process`] one is on.
#[derive(Debug)]
pub(crate) enum Fork {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Forks a child into new namespaces (`CLONE_NEW…` in `flags`), with a pidfd.
///
/// The old `clone` does everything needed here and, unlike `clone3`, is not
/// answered with `ENOSYS` inside of docker's own seccomp profile.
///
/// Must be called in a single-threaded process only: the child goes on with
/// ordinary Rust code, which another thread's lock on the allocator would stop
/// forever.
pub(crate) fn clone_process(flags: libc::c_int) -> io::Result<Fork> {
    let mut pidfd: RawFd = -1;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child gets its own copy of the memory and,
    // with a null stack, goes on on a copy of this one, as after fork. The
    // kernel writes the pidfd to a live variable. The two remaining arguments
    // differ in order between architectures and are both unused.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            0_usize,
            &raw mut pidfd,
            0_usize,
            0_usize,
        )
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => {
            // SAFETY: the kernel has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent { pid: i32::try_from(pid).expect("a pid fits in an int"), pidfd })
        }
    }
}

/// Attributes of a mount, as `mount_setattr(2)` counts them.
pub(crate) const ATTR_RDONLY: u64 = 1;
pub(crate) const ATTR_NOSUID: u64 = 2;
pub(crate) const ATTR_NODEV: u64 = 4;
pub(crate) const ATTR_NOEXEC: u64 = 8;

/// How much of a mount tree [`set_mount_attributes`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Mount,
    Tree,
}

/// Adds attributes to the mount behind `mount`, and gives it private
/// propagation (Linux 5.12).
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    scope: Scope,
    attributes: u64,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    let recursive = if scope == Scope::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a static C string, the structure lives through the
    // call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::c_long::from(libc::AT_EMPTY_PATH | recursive),
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Marks every descriptor from `first` on to be closed at exec (Linux 5.11).
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only a flag of descriptors changes.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
}

/// Closes every descriptor from `first` on. Only for a process that will not
/// use or drop any of them any more.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller's promise; nothing owns these descriptors from here.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Gives every signal its default disposition and blocks none. Rust ignores
/// SIGPIPE, and a caller under `nohup` ignores SIGHUP: a container sees neither.
pub(crate) fn reset_signals() {
    // The kernel's structure is at most this large; all zero is SIG_DFL. The
    // C library's function would spare its two internal signals, which
    // posix_spawn has set to be ignored.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no code. Signals which cannot be changed
        // are refused with EINVAL, which is right.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0_usize, 8_usize)
        };
    }
    set_signal_mask(SignalMask::Nothing);
}

/// Which signals are blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalMask {
    Nothing,
    Everything,
}

/// Blocks no or all signals of the calling thread.
pub(crate) fn set_signal_mask(mask: SignalMask) {
    let set = match mask {
        SignalMask::Nothing => SigSet::empty(),
        SignalMask::Everything => SigSet::all(),
    };
    let how = nix::sys::signal::SigmaskHow::SIG_SETMASK;
    nix::sys::signal::sigprocmask(how, Some(&set), None).expect("the arguments are legal");
}

/// Waits for one of the blocked signals and returns its number.
pub(crate) fn wait_signal() -> io::Result<i32> {
    let set = SigSet::all();
    // SAFETY: the set is valid and no further information is asked for.
    match unsafe { libc::sigwaitinfo(set.as_ref(), std::ptr::null_mut()) } {
        -1 => Err(io::Error::last_os_error()),
        signal => Ok(signal),
    }
}

/// Loads a seccomp filter: `program` are `struct sock_filter`s in native order.
///
/// # Errors
/// `EINVAL` for a malformed program, `EACCES` without `CAP_SYS_ADMIN`.
pub(crate) fn load_seccomp(program: &[u8]) -> io::Result<()> {
    const SPEC_ALLOW: libc::c_long = 1 << 2;
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|raw| libc::sock_filter {
            code: u16::from_ne_bytes([raw[0], raw[1]]),
            jt: raw[2],
            jf: raw[3],
            k: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
        })
        .collect();
    let length = u16::try_from(instructions.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    // SAFETY: the program points to `length` live instructions; the kernel
    // checks and copies them.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER),
            SPEC_ALLOW,
            &raw const program,
        )
    })
}

/// Sets a network device of the current namespace up.
pub(crate) fn set_device_up(socket: impl AsFd, name: &str) -> io::Result<()> {
    const NAME_SIZE: usize = libc::IFNAMSIZ;
    /// `struct ifreq` with the flags member of its union; 40 bytes in all.
    #[repr(C)]
    struct Request {
        name: [u8; NAME_SIZE],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let mut request = Request { name: [0; NAME_SIZE], flags: 0, rest: [0; 22] };
    let length = name.len().min(NAME_SIZE - 1);
    request.name[..length].copy_from_slice(&name.as_bytes()[..length]);
    request.flags = i16::try_from(libc::IFF_UP).expect("IFF_UP is 1");
    // SAFETY: the request is as large as `struct ifreq`, which the kernel reads.
    check(i64::from(unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request)
    }))
}

/// Moves the calling thread, and only it, into a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: a network namespace has no influence on memory or descriptors.
    check(i64::from(unsafe { libc::unshare(libc::CLONE_NEWNET) }))
}

/// Forks a plain child; only for single-threaded processes (see
/// [`clone_process`]). Returns `None` in the child.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the process has one thread, so that the child may go on with
    // ordinary code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(pid)),
    }
}

/// Returns whether the processor executes 32-bit programs of its family.
pub(crate) fn executes_32_bit() -> bool {
    const PER_LINUX32: libc::c_ulong = 8;
    // A personality is a thread's own, so a thread of its own tries it: an
    // arm64 kernel refuses it where the processor cannot (Linux 4.11).
    // SAFETY: no memory is passed, and the thread ends right after.
    let set = || unsafe { libc::personality(PER_LINUX32) } != -1;
    std::thread::scope(|scope| scope.spawn(set).join()).unwrap_or(false)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal through a pidfd. A process that has ended is no error.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0_usize, 0_usize)
    };
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

/// Sends a signal to a process by its id.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(i64::from(unsafe { libc::kill(pid, signal) }))
}

/// Takes one capability out of the bounding set.
///
/// # Errors
/// `EINVAL` when the kernel does not know the capability.
pub(crate) fn drop_bounding(capability: u32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(i64::from(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }))
}
