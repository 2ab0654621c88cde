//! What safe wrappers do not offer.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::process::Signal;

/// Closes all descriptors but the standard streams: ones that the command itself inherited from
/// whoever started it, and which must not stay open for as long as the container runs.
pub(crate) fn close_inherited() {
    // SAFETY: called first thing in `main`, when nothing in this process owns a descriptor above
    // the standard streams. A kernel without the call (before 5.9) leaves them open.
    let _unsupported = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

/// Sends a signal by its number (1 to 64) to the process behind a pidfd. A process that has ended
/// is no error.
pub(crate) fn send_signal(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    if !(1..=64).contains(&number) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the signal is only handed to the kernel, which accepts 1 to 64 and delivers it to
    // another process; this process' own handlers are not concerned. rustix' safe constructor
    // has no real-time signals, which STOPSIGNAL may name (`SIGRTMIN+3`).
    let signal = unsafe { Signal::from_raw_unchecked(number) };
    match rustix::process::pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
