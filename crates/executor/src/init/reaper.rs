//! The tiny process 1 of `--init`: forwards signals, reaps orphans, and ends
//! with the program's exit code.

use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use rustix::process::WaitOptions;

use super::FAILED;
use crate::sys;
use crate::sys::SignalMask;
use crate::wire::Failure;

/// Forks the process that becomes the program and returns in it; the calling
/// process stays behind as init and never returns.
pub(crate) fn fork() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::setup("fork below init", error);
    // Blocked before the fork, so that no signal falls into the gap.
    sys::set_signal_mask(SignalMask::Everything);
    if let Some(child) = sys::fork().map_err(failed)? {
        stay(child);
    }
    // A process group of its own, in the foreground, so that a Ctrl-C reaches
    // the program once and not again through init. The blocked SIGTTOU is what
    // lets a background group take the terminal.
    rustix::process::setpgid(None, None).map_err(|errno| failed(errno.into()))?;
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid())
            .map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}

#[expect(clippy::exit, reason = "process 1 ends here, with the code of its only child")]
fn stay(child: i32) -> ! {
    // The program shares the identity of init, but shall neither trace it nor
    // read the job in its memory.
    let _unprotected = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // The channel among them: its end means that the program was executed.
    let _open = sys::close_from(3);
    loop {
        match sys::wait_signal() {
            Ok(libc::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    std::process::exit(code);
                }
            }
            Ok(signal) => {
                // The child may have ended just now.
                let _gone = sys::kill(child, signal);
            }
            Err(_) => {}
        }
    }
}

/// Reaps whoever has ended; returns the exit code once `child` has.
fn reap(child: i32) -> Option<i32> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == child => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Some(status.exit_status().or(signal).unwrap_or(FAILED));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return None,
            Err(_) => return Some(FAILED),
        }
    }
}
