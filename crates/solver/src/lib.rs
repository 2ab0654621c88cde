//! Decides what of a graph of operations must be run, and runs it.
//!
//! The solver knows no files, no images and no processes: it is given a [`Dag`] of ids, an
//! [`OpRunner`] that runs one id and a [`CacheIndex`] that remembers results by [`CacheKey`].
//! It is tested with integers.
//!
//! ```text
//!            keys, bottom-up                     demand, top-down
//!   source ──────► step ──────► root     root ──────► step ──────► source
//!   a key is looked up as soon as          a hit stops the descent: what only it
//!   those of its inputs are known          needs is neither fetched nor run
//! ```
//!
//! Read `key.rs` for what a key is made of, then `machine.rs`: the whole of the decisions as a
//! state machine without threads or I/O; `solve.rs` is the loop around it.
//!
//! # Invariants
//! - `INV-SOLVER-ONCE`: a node is run at most once in a solve, nodes with equal keys once together,
//!   and solves over one index that work at once run such nodes once between them.
//! - `INV-SOLVER-DEMAND`: a node is run only if its output is needed and no key of it hits.
//! - `INV-SOLVER-CUTOFF`: a node that uses an input by content is not run again if that content
//!   is equal, however it was made.
//! - `INV-SOLVER-KEY`: a key is a function of the named parts and nothing else.
#![forbid(unsafe_code)]

mod dag;
mod key;
mod machine;
mod solve;
#[cfg(test)]
mod tests;
mod threads;

pub use dag::{Dag, Edge, Load, Node, NodeId};
pub use key::{CacheKey, KeyPart, KeyRecipe};
pub use solve::{
    CacheHit, CacheIndex, Mode, NodeReport, OpRunner, Solution, SolveError, SolveOptions, Solved,
    solve,
};
