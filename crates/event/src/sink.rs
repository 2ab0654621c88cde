//! Where events go.

use std::sync::{Mutex, PoisonError};

use crate::Event;

/// Takes events from any thread.
///
/// Implementations must be quick: they are called from the threads that do the work.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Default, Clone, Copy)]
pub struct NullSink;

impl EventSink for NullSink {
    fn emit(&self, _event: Event) {}
}

/// Keeps every event, for tests and for `--progress=quiet` failures.
#[derive(Debug, Default)]
pub struct RecordingSink {
    /// Guards the list only; held for one push or one take.
    events: Mutex<Vec<Event>>,
}

impl RecordingSink {
    /// Returns the events so far and forgets them.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for RecordingSink {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}
