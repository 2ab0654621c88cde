//! Which layer a name stems from.
//!
//! Committed snapshots share files as further names of them, so that two names of one file in the
//! tree that an overlay shows belong together only if one layer has both.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use lathe_store::SnapshotId;

use crate::error::Result;
use crate::layered::Layered;
use crate::layered::Shown;
use crate::snapshots::Snapshots;

impl Snapshots {
    /// Returns what tells from which layer of a snapshot the file at a path without links stems:
    /// two names of one file with different answers are different files. An answer means nothing
    /// beyond this snapshot.
    ///
    /// # Errors
    /// If there is no such snapshot.
    pub fn layer_identity(
        &self,
        id: SnapshotId,
    ) -> Result<impl Fn(&Path) -> u64 + Send + Sync + use<>> {
        let root = Layered::root(&self.chain(id)?);
        // Questions come directory by directory.
        let last: Mutex<Option<(PathBuf, Shown)>> = Mutex::new(None);
        Ok(move |path: &Path| {
            let parent = path.parent().unwrap_or(Path::new(""));
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.as_ref().is_none_or(|(known, _)| known != parent) {
                // What cannot be looked at is told when it is to be read.
                *last = root.find(parent).ok().map(|found| (parent.to_owned(), found));
            }
            let Some((_, Shown::Directory(directory))) = &*last else { return u64::MAX };
            match directory.child(path.file_name().unwrap_or_default()) {
                Ok(Shown::Other(layer)) => layer as u64,
                _ => u64::MAX,
            }
        })
    }
}

impl Snapshots {
    /// Returns the owners of the changes that the file or directory at a path without links is made
    /// of, the top first; none where nothing is there. In another snapshot, the same path made of
    /// the same changes has the same files.
    ///
    /// # Errors
    /// If a layer or the index cannot be read.
    pub fn owners(&self, id: SnapshotId, path: &Path) -> Result<Vec<SnapshotId>> {
        let mut owners: Vec<SnapshotId> = Vec::new();
        for owner in self.store().snapshot_contents(id)? {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        let stack: Vec<PathBuf> = owners.iter().map(|id| self.own_changes(*id)).collect();
        Ok(match Layered::root(&stack).find(path)? {
            Shown::Nothing => Vec::new(),
            Shown::Other(layer) => vec![owners[layer]],
            Shown::Directory(found) => found.parts.iter().map(|part| owners[part.layer]).collect(),
        })
    }
}
