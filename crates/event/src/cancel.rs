//! The token that stops work: set once, never unset.
//!
//! Work that loops asks [`Cancel::is_cancelled`]; work that waits in the kernel for
//! something else (a child process) registers a callback that wakes it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

type Callback = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    /// Callbacks by registration number. The lock is held while callbacks run, so that a
    /// guard's drop waits for a running callback: what the callback uses outlives it.
    callbacks: Mutex<(u64, BTreeMap<u64, Callback>)>,
}

/// Tells whether the user wants the work to stop. Cheap to clone; all clones are one token.
#[derive(Clone, Default)]
pub struct Cancel(Arc<State>);

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// Returns a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Cancels, and runs the registered callbacks; later calls do nothing.
    pub fn cancel(&self) {
        let callbacks = self.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.0.cancelled.swap(true, Ordering::AcqRel) {
            callbacks.1.values().for_each(|callback| callback());
        }
    }

    /// Runs `callback` when the token is cancelled, at once if it already is.
    ///
    /// The callback is forgotten when the returned guard drops. It must not call back into
    /// this token.
    pub fn on_cancel(&self, callback: impl Fn() + Send + Sync + 'static) -> CancelGuard {
        let mut callbacks = self.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_cancelled() {
            callback();
        }
        callbacks.0 += 1;
        let id = callbacks.0;
        callbacks.1.insert(id, Box::new(callback));
        CancelGuard { state: Arc::clone(&self.0), id }
    }
}

/// Keeps a callback registered; see [`Cancel::on_cancel`].
#[must_use = "the callback is forgotten when the guard drops"]
pub struct CancelGuard {
    state: Arc<State>,
    id: u64,
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelGuard").field(&self.id).finish()
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.state.callbacks.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn counter(cancel: &Cancel) -> (Arc<AtomicU32>, CancelGuard) {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let guard = cancel.on_cancel(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        (count, guard)
    }

    #[test]
    fn a_callback_runs_once_however_often_cancel_is_called() {
        let cancel = Cancel::new();
        let (count, _guard) = counter(&cancel);
        cancel.cancel();
        cancel.clone().cancel();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_late_callback_runs_at_once() {
        let cancel = Cancel::new();
        cancel.cancel();
        let (count, _guard) = counter(&cancel);
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_dropped_guard_forgets_its_callback() {
        let cancel = Cancel::new();
        let (count, guard) = counter(&cancel);
        drop(guard);
        cancel.cancel();
        assert!(cancel.is_cancelled());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
