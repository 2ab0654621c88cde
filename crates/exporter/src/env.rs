//! What every exporter works with.

use lathe_event::{Cancel, EventSink};
use lathe_registry::Client;
use lathe_snapshot::Snapshots;
use lathe_store::Store;

/// A client of registries, or why there is none.
pub type ClientResult = std::result::Result<Client, Box<dyn std::error::Error + Send + Sync>>;

/// The store, and the two things that cross all stages: events out, cancellation in.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Where blobs are.
    pub store: &'a Store,
    /// Where file trees are.
    pub snapshots: &'a Snapshots,
    /// Takes progress.
    pub events: &'a dyn EventSink,
    /// Stops the work.
    pub cancel: &'a Cancel,
    /// Makes a client when one is needed, since most exports need none.
    pub client: &'a (dyn Fn() -> ClientResult + Sync),
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("store", self.store).finish_non_exhaustive()
    }
}
