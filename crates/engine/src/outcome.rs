//! What a build comes to: the command line prints from this alone.

use std::{sync::Arc, time::Duration};

use lathe_event::Disposition;
use lathe_exporter::Receipt;
use lathe_oci::{Descriptor, Digest};

use crate::{
    explain::Cause,
    record::{Build, Fate},
};

/// What became of one step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// As `[builder 2/5] RUN npm ci`.
    pub name: Arc<str>,
    /// The line of the Dockerfile, from 1; none for what no line asks for by itself.
    pub line: Option<usize>,
    /// Whether it was found, run or not needed.
    pub disposition: Disposition,
    /// The time it ran.
    pub duration: Duration,
    /// The time that its result took to make, now or in an earlier build: what a hit saves.
    pub cost: Duration,
    /// Why it was not found in the cache; nothing if it was, if it has no key of its own, or if
    /// there is no build before to compare with.
    pub cause: Option<Cause>,
}

/// A build that succeeded.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// The id of the build, by which its log is found.
    pub build: String,
    /// The image id: the digest of the config; `None` where no output needs an image.
    pub image: Option<Digest>,
    /// The manifest.
    pub manifest: Option<Descriptor>,
    /// The size of the unpacked layers in bytes, as docker counts it.
    pub size: u64,
    /// What was written where.
    pub receipts: Vec<Receipt>,
    /// The steps, in order of the Dockerfile.
    pub steps: Vec<StepReport>,
    /// Whether there was a build of the same before, that the steps are compared with.
    pub compared: bool,
    /// Findings about the Dockerfile, rendered with their lines.
    pub warnings: Vec<String>,
}

/// What a build would do.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The steps, in order of the Dockerfile.
    pub steps: Vec<StepReport>,
    /// How many would be run.
    pub would_run: usize,
    /// How many may be run, which depends on what others would make.
    pub may_run: usize,
    /// Whether there was a build of the same before, that the steps are compared with.
    pub compared: bool,
    /// Findings about the Dockerfile, rendered with their lines.
    pub warnings: Vec<String>,
}

/// Returns the steps of a record with their causes.
pub(crate) fn steps(build: &Build, causes: Vec<Option<Cause>>) -> Vec<StepReport> {
    let report = |(step, cause): (&crate::record::Step, Option<Cause>)| StepReport {
        name: step.name.as_str().into(),
        line: step.line,
        disposition: match step.fate {
            Fate::Hit => Disposition::Hit,
            Fate::Ran | Fate::Failed => Disposition::Ran,
            Fate::Skipped => Disposition::Skipped,
            Fate::WouldRun => Disposition::WouldRun,
            Fate::MayRun => Disposition::Unknown,
        },
        duration: Duration::from_millis(step.duration),
        cost: Duration::from_millis(step.cost),
        cause,
    };
    build.steps.iter().zip(causes).map(report).collect()
}
