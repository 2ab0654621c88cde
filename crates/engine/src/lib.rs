//! The pipeline, from request to outcome, and the commands around images and containers.
//!
//! Read `build.rs` first: one function whose statements are the arrows of ARCHITECTURE.md's
//! picture. `request.rs` and `outcome.rs` are what goes in and comes out.
//!
//! # Invariants
//! - `INV-ENGINE-ORDER`: a later phase never changes the value of an earlier one; each phase is a
//!   function from values to a value.
//! - `INV-ENGINE-EXCERPT`: an error that stems from a line of the Dockerfile shows that line.
#![forbid(unsafe_code)]

mod assemble;
mod build;
pub mod cache_mounts;
mod call;
mod contexts;
mod dockerfile;
mod engine;
mod error;
mod explain;
mod findings;
pub mod images;
mod outcome;
mod outputs;
mod platforms;
pub mod record;
mod request;
mod resolve;
mod room;
mod solve;
mod time;

pub use build::{build, dry_run};
pub use call::{CheckReport, Finding, Phase, SourceText, check, outline, print, targets};
pub use engine::{Engine, EngineOptions};
pub use error::{Error, FailureKind, Result};
pub use explain::Cause;
pub use lathe_container as container;
pub use lathe_container::shim_main;
pub use lathe_dockerfile::parse_size;
pub use lathe_executor::{ResourceLimits, Rlimit, init_main};
pub use lathe_exporter::{Annotation, Destination, ExportSpec, Owners, PushReport, Receipt};
pub use lathe_frontend::{
    Entitlement, FrontendOptions, Outline, PlatformChoice, Remote, Target, Targets, parse_remote,
    parse_remote_context, redact,
};
pub use lathe_registry as registry;
pub use lathe_source::{LayoutReference, PullPolicy, is_archive};
pub use lathe_store as store;
pub use lathe_worker::{HOST_GATEWAY, RunOptions, SecretSource, SshSource};
pub use outcome::{BuildOutcome, DryRun, StepReport};
pub use record::listing::{BuildLog, BuildSummary, Explanation, build_log, builds, why_not_cached};
pub use request::{
    BuildRequest, ContextInput, DockerfileInput, Inputs, Layering, NamedInput, NetworkMode,
    RunRequest, Stream,
};
