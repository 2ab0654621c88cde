//! Progress events, the sink that takes them, and the token that cancels a build.
//!
//! Two things cross all stages of the pipeline, and only these two: events flow out,
//! cancellation flows in. Neither asks an earlier stage a question.
//!
//! Start reading at [`Event`].
//!
//! # Invariants
//! - `INV-EVENT-ONE-WAY`: a sink returns nothing, so no event can steer the work.
#![forbid(unsafe_code)]

mod cancel;
mod event;
mod sink;

pub use cancel::{Cancel, CancelGuard};
pub use event::{Disposition, Event, StepId, Stream, Transfer, TransferId, TransferKind};
pub use sink::{EventSink, NullSink, RecordingSink};
