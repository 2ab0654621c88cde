//! Putting a layer on another base without making it again (`COPY --link`).
//!
//! The changes of a snapshot on nothing are its tree; on another base overlay shows the same files
//! as a layer of an image would be: directories merge and have the layer's owner and mode, anything
//! else of the layer covers what is below. So the new snapshot shares the layer's changes, and costs
//! a row of the index. Only the root directory is seen differently: it must be as the base has it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lathe_rootfs::CopyOptions;
use lathe_rootfs::CopyRequest;
use lathe_rootfs::LinkPolicy;
use lathe_rootfs::Root;
use lathe_store::SnapshotId;
use lathe_store::Store;

use crate::error::Error;
use crate::error::Result;
use crate::layered::xattrs;
use crate::snapshots::Snapshots;

/// Topic of the memo that names the one snapshot with the files of several.
const ONE: &str = "as-one";

impl Snapshots {
    /// Makes a snapshot on `base` with the files of `layer`, which was made on nothing.
    ///
    /// The result has one layer more than the base, however many `layer` is made of. Without a base
    /// the layer itself is the result.
    ///
    /// # Errors
    /// If a file can neither be shared nor copied; no snapshot is left then.
    pub fn merge(&self, base: Option<SnapshotId>, layer: SnapshotId) -> Result<SnapshotId> {
        let Some(base) = base else { return Ok(layer) };
        let layer = self.as_one(layer)?;
        let changes = self.changes(layer);
        let below = self.stack(base)?.directories();
        if has_same_top(&changes, &below[0])? {
            return self.share(Some(base), layer);
        }
        let active = self.prepare(Some(base))?;
        copy(&changes, active.changes(), CopyOptions { link: LinkPolicy::HardLink, ..plain() })?;
        active.commit()
    }

    /// Returns a snapshot on nothing with all that `layer` shows: changes of several layers hold
    /// marks of what they remove from each other. It is made once.
    fn as_one(&self, layer: SnapshotId) -> Result<SnapshotId> {
        if self.store().snapshot(layer)?.is_some_and(|record| record.parent.is_none()) {
            return Ok(layer);
        }
        let namespace = Store::snapshot_namespace(layer, ONE);
        let known = self.store().memo_get(&namespace, b"")?;
        let known = known.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        if let Some(known) = known
            && self.store().snapshot(known)?.is_some()
        {
            return Ok(known);
        }
        let active = self.prepare(None)?;
        let shown = self.view(layer)?;
        let identity = self.layer_identity(layer)?;
        let identity = move |path: &Path, _: &lathe_tree::Metadata| identity(path);
        copy(shown.path(), active.changes(), CopyOptions { identity: Some(&identity), ..plain() })?;
        let one = active.commit()?;
        self.store().memo_put(&namespace, [(b"", one.as_str())])?;
        Ok(one)
    }
}

fn plain<'a>() -> CopyOptions<'a> {
    CopyOptions::default()
}

/// Tells whether a stack has the same root directory with one of two layers on top.
fn has_same_top(layer: &Path, below: &Path) -> Result<bool> {
    let look = |path: &Path| {
        let metadata = fs::metadata(path).map_err(|source| Error::io("stat", path, source))?;
        let what = (metadata.mode(), metadata.uid(), metadata.gid());
        Ok::<_, Error>((what, xattrs(path)?))
    };
    Ok(look(layer)? == look(below)?)
}

fn copy(from: &Path, to: &Path, options: CopyOptions<'_>) -> Result<()> {
    let failed = |source| Error::Copy { path: to.to_owned(), source };
    let (source, target) = (Root::open(from).map_err(failed)?, Root::open(to).map_err(failed)?);
    let top = Path::new("/");
    let request =
        CopyRequest { from: &source, source: top, to: &target, destination: top, options };
    lathe_rootfs::copy(&request).map(drop).map_err(failed)
}
