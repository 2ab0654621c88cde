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

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile when a sink answers: that would be a way to steer the work.
    #[test]
    fn inv_event_one_way_a_sink_answers_nothing() {
        let emit: fn(&(dyn EventSink + 'static), Event) = <dyn EventSink>::emit;
        let sink = RecordingSink::default();
        let event = Event::Note("said".into());
        // Whether anybody listens makes no difference to whoever emits.
        emit(&NullSink, event.clone());
        emit(&sink, event.clone());
        assert_eq!(sink.take(), [event]);
        assert_eq!(sink.take(), []);
    }
}
