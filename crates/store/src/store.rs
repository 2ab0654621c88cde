//! The store itself: opening it, and what its other modules share.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::error::Result;
use crate::index::Index;
use crate::layout::Layout;
use crate::lock;
use crate::lock::Exclusive;
use crate::lock::Guard;
use crate::lock::Shared;
use crate::lock::Wait;
use crate::owner;
use crate::owner::Owner;
use crate::record::SnapshotId;

/// A store, open; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) index: Index,
    pub(crate) shared: Shared,
}

impl Store {
    /// Opens the store in `directory`, making it when there is none.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] when a newer lathe made it, [`Error::ForeignIndex`] when its index
    /// is something else.
    pub fn open(directory: &Path) -> Result<Self> {
        let layout = Layout::new(directory.to_owned());
        let shared = Shared::default();
        // The index exists only after the directories do, so its presence is the one thing to ask.
        let is_new = !layout.index().exists();
        let making = if is_new {
            make_directories(directory)?;
            // Whoever is faster may prune already, and must not take the draft for rubbish.
            Some(shared.take(&layout.lock())?)
        } else {
            None
        };
        let index = Index::open(&layout.index())?;
        drop(making);
        let store = Self { inner: Arc::new(Inner { layout, index, shared }) };
        if is_new {
            store.make_reserve()?;
        }
        Ok(store)
    }

    /// Returns the store's directory.
    pub fn directory(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Takes a share in the store. Commands hold it from their first look into the store until
    /// what they made is recorded: while it lives, nothing is deleted that they find or make. It
    /// costs two system calls, and nothing more for further shares of the same process.
    pub fn share(&self) -> Result<Guard> {
        self.inner.shared.take(&self.inner.layout.lock())
    }

    /// Takes the store for this process alone; `None` when others use it and `wait` says
    /// [`Wait::Try`], or when this process still holds a share itself.
    pub fn exclusive(&self, wait: Wait) -> Result<Option<Exclusive>> {
        lock::exclusive(&self.inner.shared, &self.inner.layout.lock(), wait)
    }

    /// Returns the directory of a container's own files (logs, state); it may not exist yet.
    pub fn container_directory(&self, id: &str) -> PathBuf {
        self.inner.layout.container(id)
    }

    /// Returns this process's directory for mount points and the like. It is removed when the
    /// store is dropped, or by another process when this one is killed.
    pub fn run_directory(&self) -> Result<PathBuf> {
        Ok(self.owner()?.directory().to_owned())
    }

    /// Returns this process's mark, made at the first call; that call also clears up after
    /// processes that were killed.
    pub(crate) fn owner(&self) -> Result<Arc<Owner>> {
        self.inner.shared.holds().owner(|| {
            let owner = Owner::create(&self.inner.layout.run())?;
            self.clear_dead_processes()?;
            Ok(owner)
        })
    }

    /// Removes what killed processes have left.
    pub(crate) fn clear_dead_processes(&self) -> Result<()> {
        owner::clear_dead(
            &self.inner.layout.run(),
            |id| self.inner.layout.snapshot(id),
            |id: SnapshotId| Ok(self.row(id)?.is_some()),
        )
    }
}

fn make_directories(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    // What lies in the store may be secret, and the modes inside of snapshots are not ours to
    // choose: so nobody else gets through its door.
    builder.mode(0o700);
    for path in Layout::DIRECTORIES.iter().map(|name| directory.join(name)) {
        builder.create(&path).map_err(|source| Error::io("create", &path, source))?;
    }
    Ok(())
}
