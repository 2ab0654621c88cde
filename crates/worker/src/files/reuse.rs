//! Copies that were made before on another base.
//!
//! What a step copies is known by content before it runs. If the same was copied before, onto a
//! base that has the same in all places that count, the new snapshot shares those changes
//! ([`lathe_snapshot::Snapshots::rebase`]): it costs a row of the index, whatever was copied, and
//! its layer is packed already.

use std::path::Path;

use lathe_graph::{FileAction, FileOp, InputIndex, Unpack};
use lathe_rootfs::Root;
use lathe_solver::{KeyRecipe, NodeId, OpRunner as _};
use lathe_store::SnapshotId;

use super::owner_of;
use crate::{Output, Result, Worker};

/// Namespace of the memos of copies.
const COPIES: &str = "copies";

/// A copy, as far as it is known before it is made.
pub(super) struct Known {
    base: SnapshotId,
    /// By what it does and by the content of what it copies.
    key: String,
}

impl Worker<'_> {
    /// Returns by what a copy onto a base is found again; `None` for what is not worth it.
    pub(super) fn known(
        &self,
        node: NodeId,
        op: &FileOp,
        inputs: &[Output],
        base: SnapshotId,
    ) -> Result<Option<Known>> {
        let mut from: Vec<InputIndex> = Vec::new();
        for action in &op.actions {
            match action {
                // Links of the base may lead what an archive holds anywhere.
                FileAction::Copy(copy) if copy.unpack == Unpack::ByContent => return Ok(None),
                FileAction::Copy(copy) if !from.contains(&copy.from) => from.push(copy.from),
                FileAction::Copy(_) | FileAction::MakeDir(_) | FileAction::MakeFile(_) => {}
            }
        }
        if from.is_empty() || self.vertex(node).meta.ignore_cache {
            return Ok(None);
        }
        let Some(mut parts) = self.parts(node) else { return Ok(None) };
        for input in from {
            let input = input.0 as usize;
            parts.extend(self.content_parts(node, input, &inputs[input])?);
        }
        Ok(Some(Known { base, key: KeyRecipe { parts }.key().to_string() }))
    }

    /// Returns a snapshot that shares what the same copy made before, if it would do the same here.
    pub(super) fn reuse(&self, known: &Known, op: &FileOp) -> Result<Option<SnapshotId>> {
        let Some(memo) = self.store.memo_get(COPIES, known.key.as_bytes())? else {
            return Ok(None);
        };
        let memo = String::from_utf8_lossy(&memo);
        let Some((snapshot, place)) = memo.split_once('\n') else { return Ok(None) };
        let Ok(like) = snapshot.parse() else { return Ok(None) };
        let mounted = self.snapshots.view(known.base)?;
        if landing(op, &Root::open(mounted.path())?)? != place {
            return Ok(None);
        }
        let Some(record) = self.store.snapshot(like)? else { return Ok(None) };
        let kin = self.linked(record.content)?;
        if self.shows(Some(known.base), &kin)? {
            return Ok(None);
        }
        let shared = self.snapshots.rebase(known.base, like)?;
        if let Some(snapshot) = shared {
            // The newest is the one that will be there the longest.
            self.remember(known, place, snapshot)?;
        }
        Ok(shared)
    }

    /// Remembers what a copy made.
    pub(super) fn remember(
        &self,
        known: &Known,
        landing: &str,
        snapshot: SnapshotId,
    ) -> Result<()> {
        let memo = format!("{snapshot}\n{landing}");
        Ok(self.store.memo_put(COPIES, [(known.key.as_bytes(), memo.as_bytes())])?)
    }
}

/// Returns where the actions of an operation go on a base, and as whose: what links and users of
/// the base have a say in.
pub(super) fn landing(op: &FileOp, root: &Root) -> Result<String> {
    let mut places = Vec::with_capacity(op.actions.len());
    for action in &op.actions {
        let (path, owner) = match action {
            FileAction::Copy(copy) => (&copy.destination, &copy.owner),
            FileAction::MakeDir(dir) => (&dir.path, &dir.owner),
            FileAction::MakeFile(file) => (&file.path, &file.owner),
        };
        let real = root.real_path(Path::new(path))?;
        let is_dir = root.try_lstat(&real)?.map(|metadata| metadata.is_dir());
        let owner = owner_of(root, owner.as_deref())?;
        places.push((real, is_dir, owner));
    }
    Ok(format!("{places:?}"))
}
