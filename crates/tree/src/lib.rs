//! File tree metadata, content digests.
//!
//! The vocabulary in which the other crates speak about files: what a file is apart from its
//! bytes ([`Metadata`]), how a mode is changed ([`ModeChange`]) and by what digest two trees are
//! held to be equal ([`TreeDigester`]).
//!
//! Invariants: pure, no I/O. A digest is a function of the entries' names, kinds, owners, modes,
//! link targets, device numbers, extended attributes and bytes, never of a time, an inode number
//! or the order in which the entries were found.

#![forbid(unsafe_code)]

mod digest;
mod metadata;
mod mode;

pub use digest::{ChildDigest, EntryDigest, EntryHeader, FileDigest, TreeDigest, TreeDigester};
pub use metadata::{Device, FileKind, FileVersion, Metadata, Owner, Timestamp, Xattrs};
pub use mode::{ModeChange, ModeError};
