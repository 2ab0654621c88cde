//! Snapshots: trees made of layers of changes, that can be looked at, changed and kept.
//!
//! A snapshot is a directory of changes on a parent. What a process sees is an overlay mount of
//! the whole chain in this process's private mount namespace; what is kept is only the directory
//! that the changes went to. Preparing and committing therefore cost a few system calls, whatever
//! the size of the image.
//!
//! ```text
//! prepare(parent) -> ActiveSnapshot -> mount() -> Mounted (a directory; dropped: unmounted)
//!                          |--> commit() -> SnapshotId      (never changes again)
//!                          |--> persist() -> SnapshotId     (a container's writable layer)
//! view(id) -> Mounted (read-only)
//! ```
//!
//! On disk (`snapshots/<id>/` of the store): `fs/` has the changes in overlay's form (whiteouts are
//! 0:0 character devices, replaced directories have the attribute `overlay.opaque`), whichever
//! driver made them; `work/` is overlay's scratch directory, which pruning removes; `flat/` is what
//! the snapshot shows as one directory, made only for long chains (`flat.rs`). A snapshot that
//! shares the changes of another one has no directory at all: it is a row of the index.
//!
//! Files of committed snapshots may have names in several of them. Two names are the same file to
//! the user only if they are in the changes of one snapshot ([`Snapshots::layer_identity`]).
//!
//! Read first: [`Snapshots`], `driver.rs`, `stack.rs`; `rebase.rs` for what snapshots share.
//!
//! # Invariants
//! - INV-SNAPSHOT-1: a committed snapshot's `fs/` is never written to again.
//! - INV-SNAPSHOT-2: an [`ActiveSnapshot`] has one owner; dropping it removes it.
//! - INV-SNAPSHOT-3: a view cannot be written to through its mount.
//! - INV-SNAPSHOT-4: mounts are private to the process and end with it.
#![forbid(unsafe_code)]

mod active;
mod driver;
mod error;
mod flat;
mod identity;
mod layered;
mod marks;
mod merge;
mod mounted;
mod native;
mod origin;
mod overlay;
mod rebase;
mod snapshots;
mod stack;

pub use active::ActiveSnapshot;
pub use driver::Driver;
pub use error::Error;
pub use error::Result;
pub use mounted::Mounted;
pub use origin::Origin;
pub use snapshots::Snapshots;
