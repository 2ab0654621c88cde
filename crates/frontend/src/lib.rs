//! From a Dockerfile's tree to the build graph, in two pure steps with the registry between.
//!
//! ```text
//! Dockerfile + FrontendOptions ─plan─► StageGraph, with the images that it wants
//!                                        │  the engine pins them: Resolution
//! StageGraph + Resolution ─────lower─► Lowered { graph, target }
//! ```
//!
//! Read `stage.rs` and `target.rs` for the boundary types, then `plan.rs`, then `lower.rs`.
//!
//! # Invariants
//! - `INV-FRONTEND-REACHABLE`: only stages that the target needs are in a [`StageGraph`], unless
//!   all are asked for.
//! - `INV-FRONTEND-NAMES`: a name of an instruction becomes a stage or a reference in `plan` and
//!   nowhere else.
//! - `INV-FRONTEND-PINNED`: a [`lathe_graph::SourceOp::Image`] has a digest, never a tag.
//! - `INV-FRONTEND-HISTORY`: each history item that is not empty has the vertex of its layer.
#![forbid(unsafe_code)]

mod epoch;
mod fetch;
mod lower;
mod options;
mod outline;
mod path;
mod plan;
mod remote;
mod stage;
mod target;
#[cfg(test)]
mod tests;

pub use lower::lower;
pub use options::{Entitlement, FrontendOptions, NamedContext, PlanScope, PlatformChoice};
pub use outline::{
    Outline, OutlineArg, OutlineCache, OutlineNeed, Target, Targets, outline, targets,
};
pub use plan::{Planned, plan};
pub use remote::{Remote, RemoteError, parse_remote, parse_remote_context, redact};
pub use stage::{Base, StageBody, StageGraph, StageId, StagePlan, Trigger, WantedImage};
pub use target::{Epoch, HistoryItem, ImageTarget, Lowered, PinnedImage, Resolution};

/// Findings that stop the build; never empty.
pub type Errors = Vec<lathe_dockerfile::Diagnostic>;
