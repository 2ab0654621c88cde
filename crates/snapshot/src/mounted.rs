//! A tree that is shown, for as long as somebody holds it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use lathe_store::Guard;
use rustix::mount::UnmountFlags;

use crate::driver::End;
use crate::driver::Shown;
use crate::snapshots::Snapshots;

/// A directory that shows a snapshot. Clones are the same mount; with the last of them it goes.
#[derive(Debug, Clone)]
pub struct Mounted {
    pub(crate) shown: Arc<ShownTree>,
}

/// The mount behind [`Mounted`].
#[derive(Debug)]
pub(crate) struct ShownTree {
    path: PathBuf,
    end: End,
    /// Keeps the file system that the mount point is in.
    _snapshots: Snapshots,
    /// Keeps pruning away; dropped after the unmounting.
    _guard: Option<Guard>,
}

impl Mounted {
    pub(crate) fn new(shown: &Shown, snapshots: Snapshots, guard: Option<Guard>) -> Self {
        let (path, end) = (shown.path.clone(), shown.end);
        let tree = ShownTree { path, end, _snapshots: snapshots, _guard: guard };
        Self { shown: Arc::new(tree) }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.shown.path
    }
}

impl Drop for ShownTree {
    fn drop(&mut self) {
        // What fails here is cleared up by the kernel (the mount, with its namespace) and by the
        // next process (the directory).
        match self.end {
            End::Unmount => {
                // Detached, so that a stranger's open file cannot hold it.
                rustix::mount::unmount(&self.path, UnmountFlags::DETACH).unwrap_or(());
                drop(std::fs::remove_dir(&self.path));
            }
            End::Remove => drop(lathe_store::remove_tree(&self.path)),
            End::Leave => {}
        }
    }
}
