//! Ctrl-C: the first cancels, the second kills.
//!
//! A signal handler may only set flags and write to pipes, while cancelling runs callbacks;
//! so a thread waits at a pipe. It is started by the commands that can be cancelled, after
//! the process has entered its namespaces (which needs a process with one thread).

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
};

use lathe_event::Cancel;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

use crate::failure::INTERRUPTED;

/// Cancels `cancel` at the first SIGINT or SIGTERM; a second one ends the process at once.
pub(crate) fn cancel_on_signals(cancel: &Cancel) -> io::Result<()> {
    let armed = Arc::new(AtomicBool::new(false));
    let (mut reader, writer) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in this order, so that the first signal only arms the shutdown.
        flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed))?;
        low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    let cancel = cancel.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut byte = [0];
        if reader.read_exact(&mut byte).is_ok() {
            cancel.cancel();
        }
    })?;
    Ok(())
}
