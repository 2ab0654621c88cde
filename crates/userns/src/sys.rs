//! The calls that the safe libraries do not offer: `fork` around a program that is then started.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use nix::unistd::ForkResult;
use nix::unistd::Pid;

/// What a forked child waits for and starts.
pub(crate) struct Delayed<'a> {
    /// Closed by the parent when the child may go on.
    pub(crate) gate: &'a OwnedFd,
    /// The parent's end of the gate, which the child must close for itself.
    pub(crate) gate_writer: &'a OwnedFd,
    /// Where the program's messages go.
    pub(crate) messages: &'a OwnedFd,
    /// The program and its arguments.
    pub(crate) arguments: &'a [CString],
}

/// Forks a child that waits until the gate is closed and then becomes the program.
///
/// The child is made before the caller leaves its user namespace, so it stays outside, where
/// `newuidmap` must run.
pub(crate) fn spawn_delayed(job: &Delayed<'_>) -> nix::Result<Pid> {
    let Some(program) = job.arguments.first() else { return Err(nix::Error::EINVAL) };
    let mut pointers: Vec<*const libc::c_char> =
        job.arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: the process has one thread (the caller checked), and the child only makes system
    // calls on memory that was prepared before the fork.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // SAFETY: closing a descriptor that only this child's copy of the table holds.
            unsafe { libc::close(job.gate_writer.as_raw_fd()) };
            let mut byte = 0_u8;
            // SAFETY: one byte is read into a byte that lives on this stack.
            unsafe { libc::read(job.gate.as_raw_fd(), (&raw mut byte).cast(), 1) };
            // SAFETY: both descriptors are open.
            unsafe { libc::dup2(job.messages.as_raw_fd(), 2) };
            // SAFETY: program, arguments and environment are NUL-terminated and live until exec.
            unsafe { libc::execve(program.as_ptr(), pointers.as_ptr(), environment.as_ptr()) };
            // SAFETY: ends the child without running the parent's exit functions.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Runs `work` in a forked child and returns the bytes that it wrote to its descriptor.
///
/// For probes which change the namespaces of the process that makes them.
pub(crate) fn in_child(work: impl FnOnce(BorrowedFd<'_>)) -> io::Result<Vec<u8>> {
    let (reader, writer) = nix::unistd::pipe()?;
    // SAFETY: callers run while the process has one thread, so the child may allocate.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => {
            drop(writer);
            let mut bytes = Vec::new();
            let read = io::Read::read_to_end(&mut std::fs::File::from(reader), &mut bytes);
            nix::sys::wait::waitpid(child, None)?;
            read.map(|_| bytes)
        }
        ForkResult::Child => {
            use std::os::fd::AsFd as _;
            work(writer.as_fd());
            // SAFETY: ends the child without running the parent's exit functions.
            unsafe { libc::_exit(0) }
        }
    }
}
