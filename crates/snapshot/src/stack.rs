//! The directories that a snapshot is mounted of.
//!
//! Mostly they are the changes of the snapshot and of all that it lies on. Two things differ:
//!
//! - The kernel refuses a directory that is in a stack twice. Of shared changes that lie on
//!   themselves (two equal `COPY --link` of one stage) only the higher occurrence is kept, which
//!   hides the lower one wholly: it has each name of it, as the same kind of thing, and whatever
//!   the lower one removes from below, the higher one removes as well.
//! - Overlay stacks 500 layers at most (`OVL_MAX_STACK`), and each costs a look at every path that
//!   a process uses for the first time. Where there are more than [`LIMIT`], the lower ones stand
//!   as one: see `flat.rs`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use lathe_store::SnapshotId;

use crate::error::Result;
use crate::snapshots::Snapshots;

/// Layers that are mounted one by one at most.
pub(crate) const LIMIT: usize = 128;

/// A directory of a stack, and what is below it. Snapshots on one base share its part of the list.
#[derive(Debug)]
pub(crate) struct Stack {
    id: SnapshotId,
    path: PathBuf,
    /// Whether the directory is the snapshot's own, or its own flat form.
    owned: bool,
    below: Option<Arc<Self>>,
    length: usize,
}

/// The stacks of the snapshots that this process has used.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    known: Mutex<HashMap<SnapshotId, Arc<Stack>>>,
}

impl Stacks {
    fn get(&self, id: SnapshotId) -> Option<Arc<Stack>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn put(&self, stack: &Arc<Stack>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(stack.id, Arc::clone(stack));
    }
}

impl Stack {
    fn on(id: SnapshotId, path: PathBuf, owned: bool, below: Option<Arc<Self>>) -> Arc<Self> {
        let length = below.as_ref().map_or(0, |below| below.length) + 1;
        Arc::new(Self { id, path, owned, below, length })
    }

    fn nodes(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |stack| stack.below.as_deref())
    }

    /// Returns the directories, the top first, none of them twice.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let mut seen: HashSet<&Path> = HashSet::new();
        let paths = self.nodes().map(|node| node.path.as_path());
        paths.filter(|path| seen.insert(path)).map(Path::to_path_buf).collect()
    }
}

impl Snapshots {
    /// Returns the directories that a committed snapshot is mounted of.
    pub(crate) fn stack(&self, id: SnapshotId) -> Result<Arc<Stack>> {
        let mut above = Vec::new();
        let mut next = Some(id);
        let mut stack = None;
        while let Some(id) = next {
            if let Some(known) = self.stacks().get(id) {
                stack = Some(known);
                break;
            }
            let record = self.store().snapshot(id)?;
            let record = record.ok_or(lathe_store::Error::SnapshotMissing(id))?;
            if record.content == id
                && let Some(flat) = self.flat(id)
            {
                let flat = Stack::on(id, flat, true, None);
                self.stacks().put(&flat);
                stack = Some(flat);
                break;
            }
            next = record.parent;
            above.push(record);
        }
        for record in above.into_iter().rev() {
            if let Some(deep) = stack.take_if(|stack| stack.length >= LIMIT) {
                stack = Some(self.shortened(&deep)?);
            }
            let path = self.own_changes(record.content);
            let owned = record.content == record.id;
            let higher = Stack::on(record.id, path, owned, stack);
            self.stacks().put(&higher);
            stack = Some(higher);
        }
        Ok(stack.expect("a snapshot has a stack of at least itself"))
    }

    /// Puts the flat form of the highest snapshot that owns its changes in the place of it and of
    /// all below it.
    fn shortened(&self, stack: &Arc<Stack>) -> Result<Arc<Stack>> {
        let shared: Vec<&Stack> = stack.nodes().take_while(|node| !node.owned).collect();
        let Some(owner) = stack.nodes().nth(shared.len()) else { return Ok(Arc::clone(stack)) };
        let mut short = Stack::on(owner.id, self.make_flat(owner)?, true, None);
        for node in shared.into_iter().rev() {
            short = Stack::on(node.id, node.path.clone(), false, Some(short));
        }
        self.stacks().put(&short);
        Ok(short)
    }
}

impl Stack {
    /// Returns the snapshot on its top.
    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }
}
