//! The closed set of progress events.
//!
//! Plain data in the user's words: no digest type, no path type, so that every crate
//! can emit them and a renderer needs nothing else to draw them.

use std::{sync::Arc, time::Duration};

/// Identity of a step within one build: the index of its vertex in the build graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u32);

/// Identity of one transfer (a layer pulled, a blob pushed) within one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// Which of a step's output streams a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a step of the build came to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The result was found in the cache.
    Hit,
    /// The step was run.
    Ran,
    /// Nothing asked for the step's result, since a step above it was a hit.
    Skipped,
    /// In a dry run: the step would be run.
    WouldRun,
    /// In a dry run: whether the step would be run depends on what a step below it would make.
    Unknown,
}

/// What is being transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// A blob is downloaded from a registry.
    Download,
    /// A layer is unpacked into a snapshot.
    Unpack,
    /// A blob is uploaded to a registry.
    Upload,
    /// A layer is packed from a snapshot.
    Pack,
    /// An image is written to a file or folder.
    Export,
}

/// A transfer that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its identity in later events.
    pub id: TransferId,
    /// What moves, and where to.
    pub kind: TransferKind,
    /// Name for people: a short digest or a file name.
    pub label: Arc<str>,
    /// Total in bytes, where known.
    pub total: Option<u64>,
    /// The build step it belongs to, in a build.
    pub step: Option<StepId>,
}

/// Something that happened and that a user may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A build began, under this id: its logs are found by it later.
    BuildStarted(Arc<str>),
    /// The steps that this build may run, in the order of the Dockerfile.
    /// Sent once, before any other event about a step.
    Planned {
        /// Identity and display name (`[builder 2/5] RUN npm ci`) of each step.
        steps: Vec<(StepId, Arc<str>)>,
    },
    /// A step began to run.
    StepStarted(StepId),
    /// A step wrote output. The bytes are raw: a renderer must make them safe for a terminal.
    StepLog {
        /// The step that wrote.
        step: StepId,
        /// To which stream.
        stream: Stream,
        /// What it wrote; not necessarily whole lines.
        bytes: Arc<[u8]>,
    },
    /// A step has its result.
    StepFinished {
        /// The step.
        step: StepId,
        /// How it came to its result.
        disposition: Disposition,
        /// Time spent on it.
        duration: Duration,
    },
    /// A step failed; the build ends with an error that tells more.
    StepFailed {
        /// The step.
        step: StepId,
        /// One line for people.
        message: Arc<str>,
        /// Time spent on it.
        duration: Duration,
    },
    /// A transfer began.
    TransferStarted(Transfer),
    /// The total of a transfer became known, or is another one than was thought.
    TransferTotal {
        /// Which transfer.
        id: TransferId,
        /// Total in bytes.
        total: u64,
    },
    /// A transfer moved on.
    TransferProgress {
        /// Which transfer.
        id: TransferId,
        /// Bytes done so far.
        done: u64,
    },
    /// A transfer is complete.
    TransferFinished(TransferId),
    /// Something is not as the user may think, but work goes on.
    Warning(Arc<str>),
    /// Something worth saying once.
    Note(Arc<str>),
}
