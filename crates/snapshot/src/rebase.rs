//! Changes of one snapshot on another base, without making them again.
//!
//! A step that copies files does the same on two bases if what its changes touch is the same in
//! both. That is seen from the directories of the changes alone: what is in a directory that the
//! base does not have, or that hides the base's, has nothing to do with the base, so that a copy
//! of 30,000 files is judged by the few directories above it.
//!
//! | in the changes | both bases must have |
//! |---|---|
//! | directory that merges with one below | a directory with this owner, mode and attributes; and with this time, if the step left it |
//! | directory that is new, or hides | the same kind of thing there: nothing, a directory, or something else |
//! | file, link, device | no directory there, or both one |
//! | whiteout | the same kind of thing there |
//!
//! Where links of the base lead is not seen here: who asks has to know that the step goes to the
//! same place in both.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lathe_store::SnapshotId;

use crate::error::Result;
use crate::layered::EntryKind;
use crate::layered::Layered;
use crate::layered::Part;
use crate::layered::Shown;
use crate::layered::lstat;
use crate::layered::xattrs;
use crate::snapshots::Snapshots;

impl Snapshots {
    /// Makes a snapshot on `base` that shares the changes of `like`, if what `like` did to what it
    /// lies on would come out the same on `base`; `None` if it would not, or may not, or if `like`
    /// is gone. Both must lie on something.
    ///
    /// # Errors
    /// If a layer or the index cannot be read.
    pub fn rebase(&self, base: SnapshotId, like: SnapshotId) -> Result<Option<SnapshotId>> {
        let Some(record) = self.store().snapshot(like)? else { return Ok(None) };
        let Some(parent) = record.parent else { return Ok(None) };
        if parent == base {
            return Ok(Some(like));
        }
        let (old, new) = (self.chain(parent)?, self.chain(base)?);
        let changes = Part { layer: 0, path: self.changes(like) };
        if is_same(&changes, &Layered::root(&old), &Layered::root(&new), Level::Root)? {
            self.share(Some(base), record.content).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// Where a directory is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The root of the tree, that each layer makes anew: its time is that of the making.
    Root,
    Below,
}

/// Tells whether a directory of changes does the same to two directories.
fn is_same(changes: &Part, old: &Layered, new: &Layered, level: Level) -> Result<bool> {
    // What both have in the same places is the same.
    let places = |directory: &Layered| -> Vec<_> {
        directory.parts.iter().map(|part| part.path.clone()).collect()
    };
    if places(old) == places(new) {
        return Ok(true);
    }
    if !has_same_metadata(&changes.path, old.top(), new.top(), level)? {
        return Ok(false);
    }
    for (name, kind) in changes.entries()? {
        let (before, now) = (old.child(&name)?, new.child(&name)?);
        let same = match (kind, &before, &now) {
            (EntryKind::Directory, Shown::Directory(old), Shown::Directory(new)) => {
                let below = Part { layer: changes.layer, path: changes.path.join(&name) };
                is_same(&below, old, new, Level::Below)?
            }
            (EntryKind::Directory | EntryKind::Opaque | EntryKind::Whiteout, ..) => {
                std::mem::discriminant(&before) == std::mem::discriminant(&now)
            }
            (EntryKind::Other, ..) => {
                matches!(before, Shown::Directory(_)) == matches!(now, Shown::Directory(_))
            }
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares what a directory of changes has of the one below it.
fn has_same_metadata(changes: &Path, old: &Path, new: &Path, level: Level) -> Result<bool> {
    if old == new {
        return Ok(true);
    }
    let (made, before, now) = (lstat(changes)?, lstat(old)?, lstat(new)?);
    let time = |of: &std::fs::Metadata| (of.mtime(), of.mtime_nsec());
    // Another time than before is the step's doing: it would be its doing here.
    let is_made = level == Level::Root || time(&made) != time(&before);
    let same_time = is_made || time(&before) == time(&now);
    let what = |of: &std::fs::Metadata| (of.mode(), of.uid(), of.gid());
    Ok(same_time && what(&before) == what(&now) && xattrs(old)? == xattrs(new)?)
}
