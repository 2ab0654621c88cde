//! Transfers as events, with identities that are unique in the process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lathe_event::{Event, EventSink, StepId, Transfer, TransferId, TransferKind};

/// Bytes between two progress events: often enough for a smooth bar, rare enough not to matter.
const STRIDE: u64 = 256 * 1024;

/// A transfer that is under way; tells its end when it drops.
pub(crate) struct Progress<'a> {
    events: &'a dyn EventSink,
    id: TransferId,
    told: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(
        events: &'a dyn EventSink,
        kind: TransferKind,
        label: &str,
        total: Option<u64>,
        step: Option<StepId>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = TransferId(NEXT.fetch_add(1, Ordering::Relaxed));
        let label = Arc::from(label);
        events.emit(Event::TransferStarted(Transfer { id, kind, label, total, step }));
        Self { events, id, told: AtomicU64::new(0) }
    }

    /// Tells how many bytes are done, if that is news.
    pub(crate) fn set(&self, done: u64) {
        if done >= self.told.load(Ordering::Relaxed) + STRIDE {
            self.told.store(done, Ordering::Relaxed);
            self.events.emit(Event::TransferProgress { id: self.id, done });
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.events.emit(Event::TransferFinished(self.id));
    }
}
