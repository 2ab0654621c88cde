//! What a build comes to: the command line prints from this alone.

use std::{sync::Arc, time::Duration};

use lathe_event::Disposition;
use lathe_exporter::Receipt;
use lathe_oci::{Descriptor, Digest};

/// What became of one step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// As `[builder 2/5] RUN npm ci`.
    pub name: Arc<str>,
    /// Whether it was found, run or not needed.
    pub disposition: Disposition,
    /// The time it ran.
    pub duration: Duration,
}

/// A build that succeeded.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// The image id: the digest of the config.
    pub image: Digest,
    /// The manifest.
    pub manifest: Descriptor,
    /// The size of the unpacked layers in bytes, as docker counts it.
    pub size: u64,
    /// What was written where.
    pub receipts: Vec<Receipt>,
    /// The steps, in order of the Dockerfile.
    pub steps: Vec<StepReport>,
    /// Findings about the Dockerfile, rendered with their lines.
    pub warnings: Vec<String>,
}
