//! The operations, and the named parts by which each is told from another.
//!
//! [`Op::parts`] is the one place where an operation becomes text: the definition digest, the
//! cache key and the explanation of a cache miss are all made of it. A field that is not
//! listed there does not count.

pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod source;

use self::{
    exec::ExecOp,
    file::{FileOp, MergeOp},
    source::SourceOp,
};

/// Position in the list of a vertex's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputIndex(pub u32);

/// A named part of an operation; the name is one that users may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As `args` or `env PATH`.
    pub name: String,
    /// The value, in full.
    pub value: String,
}

/// What a vertex does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Brings files from outside of the build.
    Source(SourceOp),
    /// Runs a process.
    Exec(Box<ExecOp>),
    /// Changes files.
    File(FileOp),
    /// Puts a layer on a root file system.
    Merge(MergeOp),
}

impl Op {
    /// Returns the named parts by which this operation is told from another, in fixed order.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Parts(Vec::new());
        match self {
            Self::Source(source) => source.parts(&mut parts),
            Self::Exec(exec) => exec.parts(&mut parts),
            Self::File(file) => file.parts(&mut parts),
            Self::Merge(merge) => merge.parts(&mut parts),
        }
        parts.0
    }
}

struct Parts(Vec<Part>);

impl Parts {
    fn add(&mut self, name: impl Into<String>, value: impl std::fmt::Display) {
        self.0.push(Part { name: name.into(), value: format!("{value}") });
    }

    fn add_debug(&mut self, name: impl Into<String>, value: impl std::fmt::Debug) {
        self.add(name, format!("{value:?}"));
    }
}
