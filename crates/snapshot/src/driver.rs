//! The two ways to show a chain of layers as one tree.
//!
//! Overlay is the one that is used. The native driver copies, and exists for file systems and
//! sandboxes that cannot mount an overlay; it is chosen when the first mount of the process shows
//! that it must be. Both keep changes in the same form, so a store may be used with either.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Result;
use crate::native::Before;

/// Which driver is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Overlay mounts.
    Overlay,
    /// Copies of the tree, since overlay cannot be mounted; why.
    Native(String),
}

/// A chain of layers and where changes go.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    /// The directories with changes, the top first. Empty only when there is an upper.
    pub(crate) lower: Vec<PathBuf>,
    /// Where changes go; `None` for a view.
    pub(crate) upper: Option<Upper>,
}

/// Where changes go.
#[derive(Debug, Clone)]
pub(crate) struct Upper {
    /// The directory that is kept.
    pub(crate) changes: PathBuf,
    /// Scratch directory: overlay's own, or the native driver's copy. Made when it is needed.
    pub(crate) work: PathBuf,
}

/// A way to show layers as one tree.
pub(crate) trait Snapshotter: fmt::Debug + Send + Sync {
    /// Shows the layers. `point` is a path that does not exist yet, for a mount point or a copy.
    fn show(&self, layers: &Layers, point: &Path) -> Result<Shown>;

    /// Puts the changes into [`Upper::changes`], after the last user of the tree is gone.
    fn collect(&self, upper: &Upper, before: Option<&Before>) -> Result<()>;
}

/// A tree that is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Where.
    pub(crate) path: PathBuf,
    /// How it ends.
    pub(crate) end: End,
    /// What the tree was before anybody changed it, for [`Snapshotter::collect`].
    pub(crate) before: Option<Before>,
}

/// How a shown tree ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Unmounted, and its mount point removed.
    Unmount,
    /// Removed.
    Remove,
    /// Nothing is to do.
    Leave,
}
