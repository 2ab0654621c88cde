//! Ctrl-C: the first cancels, the second kills.
//!
//! A signal handler may only set flags and write to pipes, while cancelling runs callbacks;
//! so a thread waits at a pipe. It is started by the commands that can be cancelled, after
//! the process has entered its namespaces (which needs a process with one thread), and ends
//! with its guard, since `run` goes on to hand signals to its container.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
    thread::{self, JoinHandle},
};

use lathe_event::Cancel;
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

use crate::failure::INTERRUPTED;

/// Keeps the signals of this process bound to a [`Cancel`].
#[derive(Debug)]
pub(crate) struct Interrupts {
    handlers: Vec<SigId>,
    /// The last writer of the pipe: closing it ends the thread.
    writer: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Cancels `cancel` at the first SIGINT or SIGTERM; a second one ends the process at once.
    pub(crate) fn cancel(cancel: &Cancel) -> io::Result<Self> {
        let armed = Arc::new(AtomicBool::new(false));
        let (mut reader, writer) = UnixStream::pair()?;
        let mut guard = Self { handlers: Vec::new(), writer: None, thread: None };
        for signal in [SIGINT, SIGTERM] {
            // Handlers run in this order, so that the first signal only arms the shutdown.
            let code = i32::from(INTERRUPTED);
            let armed = || Arc::clone(&armed);
            guard.handlers.push(flag::register_conditional_shutdown(signal, code, armed())?);
            guard.handlers.push(flag::register(signal, armed())?);
            guard.handlers.push(low_level::pipe::register(signal, writer.try_clone()?)?);
        }
        guard.writer = Some(writer);
        let cancel = cancel.clone();
        let wait = move || {
            if reader.read_exact(&mut [0]).is_ok() {
                cancel.cancel();
            }
        };
        guard.thread = Some(thread::Builder::new().name("signals".to_owned()).spawn(wait)?);
        Ok(guard)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
        for signal in [SIGINT, SIGTERM] {
            // Without this the signals would be ignored from now on. It cannot fail after the
            // registrations of the same signals have succeeded.
            let always = Arc::new(AtomicBool::new(true));
            drop(flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), always));
        }
        drop(self.writer.take());
        if let Some(thread) = self.thread.take() {
            // The thread only cancels; a panic in a callback was printed by then.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_cancels_and_the_guard_ends_the_thread() {
        let cancel = Cancel::new();
        let guard = Interrupts::cancel(&cancel).expect("handlers");
        low_level::raise(SIGTERM).expect("raise");
        // Joining the thread waits for what it does with the byte.
        drop(guard);
        assert!(cancel.is_cancelled());
        let cancel = Cancel::new();
        drop(Interrupts::cancel(&cancel).expect("handlers"));
        assert!(!cancel.is_cancelled(), "the end of a guard is no signal");
    }
}
