//! Runs the operations of a build graph: sources, processes, changes of files, on snapshots.
//!
//! The solver asks about ids; the worker holds the graph and answers. What an operation makes is
//! a snapshot, or for a folder of this machine the folder itself.
//!
//! Read `runner.rs` (the three questions of the solver), then `files.rs` and `exec.rs`.
//!
//! # Invariants
//! - `INV-WORKER-COMMIT`: an operation that fails leaves no snapshot behind.
//! - `INV-WORKER-TRACES`: what a process is lent (name servers, certificates, mounts) is not in
//!   the snapshot that it leaves.
//! - `INV-WORKER-INSIDE`: files of inputs are only reached through `rootfs`.
//! - `INV-WORKER-SECRETS`: the value of a secret is in no key, snapshot, event or error.
#![forbid(unsafe_code)]

mod agent;
mod bind;
mod cache;
mod cache_mount;
mod content;
mod emulate;
mod error;
mod exec;
mod files;
mod lend;
mod mounts;
mod owner;
mod redact;
mod runner;
mod secret;
mod select;

pub use cache::{StoreCache, recorded_recipe};
pub use content::{ChangedFiles, Contents};
pub use error::{Error, Result};
pub use lend::{BuildNetwork, HOST_GATEWAY, RunOptions, RunPolicy, SecretSource, SshSource};
pub use runner::{ContextFiles, Output, PinnedSource, Worker};
