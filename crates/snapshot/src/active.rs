//! A snapshot while it is being made.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::SystemTime;

use lathe_store::NewSnapshot;
use lathe_store::SnapshotId;
use lathe_store::SnapshotKind;

use crate::driver::Layers;
use crate::driver::Upper;
use crate::error::Error;
use crate::error::Result;
use crate::mounted::Mounted;
use crate::mounted::ShownTree;
use crate::native::Before;
use crate::snapshots::Snapshots;

/// A snapshot that can be changed. Not `Clone`; dropping it removes it.
#[derive(Debug)]
pub struct ActiveSnapshot {
    /// Its present mount, shared by all who ask while it lives. Guards the showing: two overlays
    /// must never share a scratch directory.
    shown: Mutex<Weak<ShownTree>>,
    before: OnceLock<Before>,
    layers: Layers,
    parent: Option<SnapshotId>,
    snapshots: Snapshots,
    new: NewSnapshot,
}

impl ActiveSnapshot {
    pub(crate) fn new(
        snapshots: Snapshots,
        new: NewSnapshot,
        parent: Option<SnapshotId>,
        layers: Layers,
    ) -> Self {
        Self { shown: Mutex::default(), before: OnceLock::new(), layers, parent, snapshots, new }
    }

    /// Returns the id that it will have.
    pub fn id(&self) -> SnapshotId {
        self.new.id()
    }

    /// Returns what it lies on.
    pub fn parent(&self) -> Option<SnapshotId> {
        self.parent
    }

    /// Shows the tree, to be written to. While it is shown, further calls give the same mount.
    pub fn mount(&self) -> Result<Mounted> {
        let mut slot = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = slot.upgrade() {
            return Ok(Mounted { shown });
        }
        let (mounted, shown) =
            self.snapshots.show(&self.layers, Some(self.snapshots.store().share()?))?;
        if let Some(before) = shown.before {
            self.before.get_or_init(|| before);
        }
        *slot = Arc::downgrade(&mounted.shown);
        Ok(mounted)
    }

    /// Returns the directory of its changes, in overlay's form. With the native driver they are
    /// there only after the commit, at [`Snapshots::changes`].
    pub fn changes(&self) -> &Path {
        &self.upper().changes
    }

    /// Makes it a snapshot that never changes again.
    ///
    /// # Errors
    /// [`Error::StillMounted`] when a [`Mounted`] of it lives; it is removed then.
    pub fn commit(self) -> Result<SnapshotId> {
        if self.is_mounted() {
            return Err(Error::StillMounted(self.id()));
        }
        if let Some(before) = self.before.get() {
            self.snapshots.collect(self.upper(), before)?;
        }
        // Overlay's scratch directory stays until the store is pruned: it is empty, and removing it
        // would cost more than all the rest (ext4 is slow to give inodes again that were freed in
        // the last seconds, which the next step would ask for).
        Ok(self.new.record(self.parent, SnapshotKind::Committed, now())?)
    }

    /// Makes it a container's writable layer, to be shown by [`Snapshots::mount_writable`] from
    /// now on. The caller records the container that needs it before it gives up its share.
    pub fn persist(self) -> Result<SnapshotId> {
        if self.is_mounted() {
            return Err(Error::StillMounted(self.id()));
        }
        Ok(self.new.record(self.parent, SnapshotKind::Writable, now())?)
    }

    fn upper(&self) -> &Upper {
        self.layers.upper.as_ref().expect("an active snapshot is made with an upper")
    }

    fn is_mounted(&self) -> bool {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }
}

/// Returns the time in seconds since 1970. It is only ever shown.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
