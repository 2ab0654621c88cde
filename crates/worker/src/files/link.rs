//! Copies into the changes of a snapshot, past its mount.
//!
//! Overlay costs as much for each file as the file system below. What it would have to do is done
//! through it before, the directories down to the destination; the rest goes to the changes that
//! are being made, while nothing is mounted.
//!
//! From snapshot to snapshot the copies are further names of the same files: committed snapshots
//! never change, so that a file which keeps owner, mode and time need not be copied. The kernel
//! makes links neither out of the mount of a view nor into that of the new snapshot, so they go
//! from the changes that the file lies in.

use std::path::{Path, PathBuf};

use lathe_graph::{CopyAction, Unpack};
use lathe_rootfs::{CopyOptions, CopyRequest, DirOptions, Filter, LinkPolicy, Root, clean, copy};
use lathe_snapshot::{Driver, Origin};
use lathe_store::SnapshotId;
use lathe_tree::{FileKind, Metadata, Owner};

use super::{Canvas, kin::Kin};
use crate::{
    Error, Result, Worker,
    select::{Found, Selected, Tree},
};

impl Worker<'_> {
    /// Prepares that the directory which is selected is copied into the changes alone. Returns where
    /// it goes; `None` where it has to go through the mount, or where there is none that costs.
    pub(super) fn past_the_mount(
        &self,
        tree: Tree<'_>,
        action: &CopyAction,
        selected: &Selected,
        owner: Option<Owner>,
        canvas: &mut Canvas,
    ) -> Result<Option<PathBuf>> {
        let [found] = selected.found.as_slice() else { return Ok(None) };
        let is_plain = action.unpack == Unpack::Never && !action.parents && found.is_whole();
        let is_mounted = matches!(self.snapshots.driver(), Some(Driver::Overlay));
        let source = tree.root().lstat(&found.real)?;
        if !is_plain || !is_mounted || !source.is_dir() {
            return Ok(None);
        }
        let owner = owner.unwrap_or(Owner::ROOT);
        let options = DirOptions { owner, mtime: self.epoch, ..DirOptions::default() };
        let landing = Landing { destination: &action.destination, options: &options };
        land(tree.root(), found, &source, canvas.root()?, &landing)
    }

    /// Links what is selected, if all of it may be; returns where the files come from then.
    ///
    /// Only for the first copy into a snapshot: names that a second one gives to the same file
    /// would count as links of each other.
    pub(super) fn link(
        &self,
        snapshot: SnapshotId,
        action: &CopyAction,
        selected: &Selected,
        from: &Root,
        canvas: &mut Canvas,
    ) -> Result<Option<Kin>> {
        let [found] = selected.found.as_slice() else { return Ok(None) };
        if !self.keeps_all(action) || !found.is_whole() {
            return Ok(None);
        }
        let Some(origins) = self.snapshots.origins(snapshot, &found.real)? else {
            return Ok(None);
        };
        let largest = origins.iter().find(|origin| origin.is_largest);
        let Some(owner) = largest.and_then(Origin::owner) else { return Ok(None) };
        let kin = self.kin(owner, &found.real)?;
        if self.shows(canvas.active.parent(), &kin)? {
            return Ok(None);
        }
        let source = from.lstat(&found.real)?;
        let options = DirOptions::default();
        let landing = Landing { destination: &action.destination, options: &options };
        let Some(place) = land(from, found, &source, canvas.root()?, &landing)? else {
            return Ok(None);
        };
        let changes = canvas.changes()?;
        let tree = Tree::Snapshot(from);
        for origin in &origins {
            let filter = |below: &Path, kind: FileKind| {
                let selection = self.choose(tree, selected, found, below, kind);
                selection.and(origin.select(below, kind))
            };
            self.link_from(origin, &found.real, &changes, &place, &filter)?;
        }
        Ok(Some(kin))
    }

    /// Tells whether what is copied keeps all that it has, and nothing is left out.
    fn keeps_all(&self, action: &CopyAction) -> bool {
        let CopyAction { owner, mode, unpack, parents, select, .. } = action;
        let changes = owner.is_some() || mode.is_some() || self.epoch.is_some();
        let in_part = *parents || !select.exclude.is_empty();
        !changes && !in_part && *unpack == Unpack::Never
    }

    fn link_from(
        &self,
        origin: &Origin,
        source: &Path,
        to: &Root,
        place: &Path,
        filter: Filter<'_>,
    ) -> Result<()> {
        let link = if origin.is_largest { LinkPolicy::HardLink } else { LinkPolicy::Never };
        copy(&CopyRequest {
            from: &Root::open(&origin.changes)?,
            source,
            to,
            destination: place,
            options: CopyOptions { filter: Some(filter), link, ..CopyOptions::default() },
        })?;
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Where a copy goes.
struct Landing<'a> {
    destination: &'a str,
    /// Of directories that are missing on the way.
    options: &'a DirOptions,
}

/// Makes the directories down to the destination, as a copy does it, and has them among the changes.
/// Returns where the source goes, without links; `None` where something of another kind is in the
/// way, which an ordinary copy tells better.
fn land(
    from: &Root,
    found: &Found,
    source: &Metadata,
    to: &Root,
    landing: &Landing<'_>,
) -> Result<Option<PathBuf>> {
    let Landing { destination, options } = *landing;
    let path = Path::new(destination);
    if destination.ends_with('/') {
        to.create_dir_all(path, options)?;
    } else if let Some(parent) = clean(path).parent() {
        to.create_dir_all(parent, options)?;
    }
    let mut place = to.real_path(path)?;
    let existing = to.try_lstat(&place)?;
    if source.is_dir() {
        match existing {
            None => drop(to.create_dir_all(&place, options)?),
            Some(there) if there.is_dir() && merges(from, &found.real, to, &place)? => {}
            Some(_) => return Ok(None),
        }
        raise(to, &place)?;
        return Ok(Some(place));
    }
    if existing.is_some_and(|there| there.is_dir()) {
        let Some(name) = clean(&found.path).file_name().map(ToOwned::to_owned) else {
            return Ok(None);
        };
        place.push(name);
        if to.try_lstat(&place)?.is_some_and(|there| there.is_dir()) {
            return Ok(None);
        }
    }
    if let Some(parent) = place.parent() {
        to.create_dir_all(parent, options)?;
        raise(to, parent)?;
    }
    Ok(Some(place))
}

/// Has a directory among the changes, as it is.
fn raise(to: &Root, directory: &Path) -> Result<()> {
    if clean(directory).as_os_str().is_empty() {
        return Ok(());
    }
    // Overlay copies up whatever is given a mode, also the one that it has.
    Ok(to.set_mode(directory, to.lstat(directory)?.mode)?)
}

/// Tells whether a directory can be put over another one by its entries alone: what both have is
/// of the same kind, and directories below have no attributes to keep.
fn merges(from: &Root, source: &Path, to: &Root, place: &Path) -> Result<bool> {
    for name in from.list(source)? {
        let (ours, theirs) = (source.join(&name), place.join(&name));
        let Some(there) = to.try_lstat(&theirs)? else { continue };
        let is_dir = from.lstat(&ours)?.is_dir();
        if is_dir != there.is_dir() {
            return Ok(false);
        }
        if is_dir && !(to.xattrs(&theirs)?.is_empty() && merges(from, &ours, to, &theirs)?) {
            return Ok(false);
        }
    }
    Ok(true)
}
