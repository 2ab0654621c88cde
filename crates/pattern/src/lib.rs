//! `.dockerignore` and Go `filepath.Match` matching.
//!
//! Two languages that look alike: [`Glob`] is what `COPY *.go ./` means,
//! [`Ignore`] is what a `.dockerignore` means. They differ in `**` and in
//! what a matching folder says about the files in it.
//!
//! Invariants
//! - An invalid pattern is an error when it is compiled; matching never fails
//!   and never panics, and takes no more than pattern times path steps.
//! - Paths are slash-separated and relative; no I/O.
#![forbid(unsafe_code)]

mod class;
mod error;
mod glob;
mod ignore;
mod token;

pub use error::Error;
pub use glob::{Glob, has_wildcards};
pub use ignore::{Ignore, IgnoreFile, Walk};
