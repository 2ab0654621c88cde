//! Putting a layer on another base without making it again (`COPY --link`).
//!
//! The changes of a snapshot on nothing are its tree; on another base overlay shows the same files
//! as a layer of an image would be: directories merge and have the layer's owner and mode, anything
//! else of the layer covers what is below. So the new snapshot's changes are the layer's files once
//! more, as further names of them where the file system allows: neither snapshot is ever written to
//! again. What it costs is a directory and a name for each entry, whatever the sizes.

use std::path::Path;

use lathe_rootfs::CopyOptions;
use lathe_rootfs::CopyRequest;
use lathe_rootfs::LinkPolicy;
use lathe_rootfs::Root;
use lathe_store::SnapshotId;

use crate::error::Error;
use crate::error::Result;
use crate::snapshots::Snapshots;

impl Snapshots {
    /// Makes a snapshot on `base` with the files of `layer`, which was made on nothing.
    ///
    /// The result has one layer more than the base, however many `layer` is made of. Without a base
    /// the layer itself is the result.
    ///
    /// # Errors
    /// If a file can neither be linked nor copied; no snapshot is left then.
    pub fn merge(&self, base: Option<SnapshotId>, layer: SnapshotId) -> Result<SnapshotId> {
        let Some(base) = base else { return Ok(layer) };
        let active = self.prepare(Some(base))?;
        let chain = self.chain(layer)?;
        if let [changes] = chain.as_slice() {
            copy(changes, active.changes())?;
        } else {
            // Changes of several layers hold marks of what they remove from each other.
            let shown = self.view(layer)?;
            copy(shown.path(), active.changes())?;
        }
        active.commit()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |source| Error::Copy { path: to.to_owned(), source };
    let (source, target) = (Root::open(from).map_err(failed)?, Root::open(to).map_err(failed)?);
    let top = Path::new("/");
    let options = CopyOptions { link: LinkPolicy::HardLink, ..CopyOptions::default() };
    let request =
        CopyRequest { from: &source, source: top, to: &target, destination: top, options };
    lathe_rootfs::copy(&request).map(drop).map_err(failed)
}
