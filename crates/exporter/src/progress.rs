//! Transfers as events, and streams that tell how far they are.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lathe_event::{Cancel, Event, EventSink, Transfer, TransferId, TransferKind};

use crate::Env;

/// Bytes between two progress events: often enough for a smooth bar, rare enough not to matter.
const STRIDE: u64 = 256 * 1024;

/// Bit that keeps the identities of this crate apart from those of downloads, which other crates
/// count from one.
const EXPORTS: u64 = 1 << 62;

/// A transfer that is under way; tells its end when it drops.
pub(crate) struct Progress<'a> {
    events: &'a dyn EventSink,
    cancel: &'a Cancel,
    id: TransferId,
    told: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(
        env: &Env<'a>,
        kind: TransferKind,
        label: &str,
        total: Option<u64>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = TransferId(EXPORTS | NEXT.fetch_add(1, Ordering::Relaxed));
        let label = Arc::from(label);
        env.events.emit(Event::TransferStarted(Transfer { id, kind, label, total, step: None }));
        Self { events: env.events, cancel: env.cancel, id, told: AtomicU64::new(0) }
    }

    /// Tells how many bytes are done, if that is news.
    pub(crate) fn set(&self, done: u64) {
        let told = self.told.load(Ordering::Relaxed);
        // An upload that starts again goes back.
        if done >= told + STRIDE || done < told {
            self.told.store(done, Ordering::Relaxed);
            self.events.emit(Event::TransferProgress { id: self.id, done });
        }
    }

    /// Tells how many bytes there will be, once that is known.
    pub(crate) fn total(&self, total: u64) {
        self.events.emit(Event::TransferTotal { id: self.id, total });
    }

    /// Returns an error when the user wants to stop.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.cancel.is_cancelled() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.events.emit(Event::TransferFinished(self.id));
    }
}

/// An output that tells how much was written, and ends when the user wants to stop.
pub(crate) struct Watched<'a, W> {
    pub(crate) inner: W,
    progress: &'a Progress<'a>,
    pub(crate) done: u64,
}

impl<'a, W: Write> Watched<'a, W> {
    pub(crate) const fn new(inner: W, progress: &'a Progress<'a>) -> Self {
        Self { inner, progress, done: 0 }
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.go_on()?;
        let count = self.inner.write(bytes)?;
        self.done += count as u64;
        self.progress.set(self.done);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
