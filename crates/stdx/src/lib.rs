//! What could be in std; no domain word occurs in it.
//!
//! Invariants: nothing here does I/O, knows a file format or keeps global state, but for the number
//! of processors, which is asked for once.

#![forbid(unsafe_code)]

mod hex;
mod once_map;
mod parallel;
mod tasks;

pub use hex::encode as hex;
pub use once_map::OnceMap;
pub use parallel::{parallel_map, threads};
pub use tasks::{Tasks, parallel_tasks};
