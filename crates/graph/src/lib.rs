//! The build graph: what a build does, with every variable expanded and every tag pinned.
//!
//! A [`BuildGraph`] is an arena of [`Vertex`]es. Each has an [`Op`] and [`Input`]s that name
//! the outputs of earlier vertices. Made by the front end, run by the worker; the solver sees
//! only its ids and edges.
//!
//! Read `op.rs`, then `build.rs`.
//!
//! # Invariants
//! - `INV-GRAPH-ORDER`: an input's id is smaller than the id of the vertex that uses it, so
//!   there are no cycles by construction.
//! - `INV-GRAPH-MERGE`: two vertices with equal [`DefinitionDigest`] are one vertex.
//! - `INV-GRAPH-META`: [`VertexMeta`] never enters a digest.
#![forbid(unsafe_code)]

mod build;
mod dump;
mod op;

pub use build::{BuildGraph, DefinitionDigest, GraphBuilder, Input, Vertex, VertexId, VertexMeta};
pub use dump::dump;
pub use op::{
    InputIndex, Op, Part,
    exec::{
        Cache, CacheSharing, Device, ExecMount, ExecMountKind, ExecOp, Lent, Need, Network,
        SecretEnv, Security,
    },
    file::{
        CopyAction, FileAction, FileOp, MakeDirAction, MakeFileAction, MergeOp, Selector, Unpack,
    },
    source::{GitReference, GitSource, GitTime, HttpSource, SourceOp},
};
