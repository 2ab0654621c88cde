//! The one door to files below a root.
//!
//! Build contexts, images and layers come from strangers, and every name in them may be a trap: a
//! symbolic link out of the tree, `..`, an absolute link target. No other crate opens a path
//! inside such a tree; it asks a [`Root`], which resolves with `openat2(RESOLVE_IN_ROOT |
//! RESOLVE_NO_MAGICLINKS)` (Linux 5.6): the kernel treats the root as `/` for `..` and for
//! absolute links, so there is no moment between a check and its use.
//!
//! Invariants
//! - INV-ROOTFS-1: no call on a [`Root`] reads, makes, changes or removes anything outside it.
//! - INV-ROOTFS-2: only the directory part of a path follows symbolic links; the last component is
//!   followed by `stat`, `open`, `read`, `list` and the destination of a copy, and by nothing else.
//! - INV-ROOTFS-3: [`Root::walk`] and [`content_digest`] bring entries in the byte order of their path
//!   components, so that what is derived from them is the same on every machine.
//! - INV-ROOTFS-4: a regular file that is there is never written to, and nothing but `set_owner`,
//!   `set_mode`, `set_times` and the calls for extended attributes changes what it is: copies and
//!   [`Root::write_file`] put a new file in its place. So trees may share files ([`LinkPolicy`]);
//!   whoever calls those four on a file made it, or knows that it has one name.
//!
//! Start with `root.rs` (paths), `dir.rs` (single names in an opened directory) and `copy.rs`.

#![forbid(unsafe_code)]

mod copy;
mod creation;
mod digest;
mod dir;
mod error;
mod listing;
mod path;
mod remove;
mod resolve;
mod root;
mod walk;
mod xattr;

pub use copy::{
    CopyOptions, CopyReport, CopyRequest, Identity, LinkPolicy, OverlayMarks, Times, copy,
};
pub use creation::{Creation, Target};
pub use digest::{ContentDigest, DigestOptions, DirectoryId, DirectoryMemo, content_digest};
pub use dir::{Dir, file_xattrs, set_file_mode, set_file_times, set_file_xattr};
pub use error::{Error, PathFault, Result};
pub use path::clean;
pub use root::{DirOptions, FileOptions, Root};
pub use walk::{Entry, Filter, Selection, Walk};
