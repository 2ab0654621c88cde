//! The snapshots of a store, as one process sees them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use lathe_store::Guard;
use lathe_store::SnapshotId;
use lathe_store::Store;
use lathe_store::Usage;
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;

use crate::active::ActiveSnapshot;
use crate::active::now;
use crate::driver::Driver;
use crate::driver::End;
use crate::driver::Layers;
use crate::driver::Shown;
use crate::driver::Snapshotter;
use crate::driver::Upper;
use crate::error::Error;
use crate::error::Result;
use crate::mounted::Mounted;
use crate::mounted::ShownTree;
use crate::native::Native;
use crate::overlay::Marks;
use crate::overlay::Overlay;
use crate::overlay::unavailable;
use crate::stack::Stacks;

/// The snapshots of a store; clones are the same.
#[derive(Debug, Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    marks: Marks,
    native: Native,
    overlay: OnceLock<Overlay>,
    chosen: OnceLock<Driver>,
    /// For names of mount points.
    next: AtomicU64,
    /// Where the mount points are, once there is one.
    points: OnceLock<PathBuf>,
    /// Whether that is a file system of its own.
    mounted: AtomicBool,
    /// Held while it is made.
    making: Mutex<()>,
    /// Views that are mounted, so that a snapshot is mounted once however many steps read it.
    views: Mutex<HashMap<SnapshotId, Weak<ShownTree>>>,
    stacks: Stacks,
}

impl Snapshots {
    /// Looks at the snapshots of a store. `userxattr` is what entering the namespaces gave
    /// (`lathe_userns::Entered::userxattr`). Touches nothing yet.
    pub fn new(store: &Store, userxattr: bool) -> Self {
        let marks = if userxattr { Marks::User } else { Marks::Trusted };
        Self {
            inner: Arc::new(Inner {
                store: store.clone(),
                marks,
                native: Native { marks },
                overlay: OnceLock::new(),
                chosen: OnceLock::new(),
                next: AtomicU64::new(0),
                points: OnceLock::new(),
                mounted: AtomicBool::new(false),
                making: Mutex::default(),
                views: Mutex::default(),
                stacks: Stacks::default(),
            }),
        }
    }

    /// As [`Snapshots::new`], with a driver that is not to be found out.
    pub fn with_driver(store: &Store, userxattr: bool, driver: Driver) -> Self {
        let snapshots = Self::new(store, userxattr);
        snapshots.inner.chosen.get_or_init(|| driver);
        snapshots
    }

    /// Returns the driver, once a mount has shown which it is.
    pub fn driver(&self) -> Option<&Driver> {
        self.inner.chosen.get()
    }

    /// Makes a snapshot to be changed, on a parent or on nothing.
    pub fn prepare(&self, parent: Option<SnapshotId>) -> Result<ActiveSnapshot> {
        let lower = parent.map(|parent| self.directories(parent)).transpose()?.unwrap_or_default();
        let new = self.inner.store.new_snapshot()?;
        let upper = upper_of(new.directory());
        make_top(&upper.changes, lower.first().map(PathBuf::as_path))?;
        let layers = Layers { lower, upper: Some(upper) };
        Ok(ActiveSnapshot::new(self.clone(), new, parent, layers))
    }

    /// Shows a committed snapshot, read-only.
    pub fn view(&self, id: SnapshotId) -> Result<Mounted> {
        let mut views = self.inner.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = views.get(&id).and_then(Weak::upgrade) {
            return Ok(Mounted { shown });
        }
        let layers = Layers { lower: self.directories(id)?, upper: None };
        let mounted = self.show(&layers, Some(self.inner.store.share()?))?.0;
        views.insert(id, Arc::downgrade(&mounted.shown));
        Ok(mounted)
    }

    /// Shows a container's writable layer on what it lies on. One process at a time may do so.
    ///
    /// Pruning is not kept away meanwhile, as it is by other mounts: a container may run for ever,
    /// and its row keeps its snapshots.
    pub fn mount_writable(&self, id: SnapshotId) -> Result<Mounted> {
        let record = self.inner.store.snapshot(id)?;
        let parent = record.ok_or(lathe_store::Error::SnapshotMissing(id))?.parent;
        let lower = parent.map(|parent| self.directories(parent)).transpose()?.unwrap_or_default();
        let upper = upper_of(&self.inner.store.snapshot_path(id));
        Ok(self.show(&Layers { lower, upper: Some(upper) }, None)?.0)
    }

    /// Returns the directories of changes of a snapshot and all that it lies on, the top first. Of
    /// changes that are there twice the lower occurrence is left out, which shows nowhere
    /// (`stack.rs`).
    ///
    /// # Errors
    /// If there is no such snapshot.
    pub fn chain(&self, id: SnapshotId) -> Result<Vec<PathBuf>> {
        let mut seen = HashSet::new();
        let owners = self.inner.store.snapshot_contents(id)?.into_iter();
        Ok(owners.filter(|id| seen.insert(*id)).map(|id| self.own_changes(id)).collect())
    }

    /// Returns the directory of a snapshot's changes, its own or those that it shares, in overlay's
    /// form. Not to be written to. For a snapshot that does not exist, neither does the directory.
    pub fn changes(&self, id: SnapshotId) -> PathBuf {
        self.own_changes(self.inner.store.snapshot_content(id).unwrap_or(id))
    }

    /// Returns the directory of the changes of a snapshot that owns them.
    pub(crate) fn own_changes(&self, id: SnapshotId) -> PathBuf {
        changes_of(&self.inner.store.snapshot_path(id))
    }

    /// Returns the directories that a snapshot is mounted of.
    fn directories(&self, id: SnapshotId) -> Result<Vec<PathBuf>> {
        Ok(self.stack(id)?.directories())
    }

    pub(crate) fn stacks(&self) -> &Stacks {
        &self.inner.stacks
    }

    /// Records a snapshot that shares the changes of another one.
    pub(crate) fn share(
        &self,
        parent: Option<SnapshotId>,
        content: SnapshotId,
    ) -> Result<SnapshotId> {
        Ok(self.inner.store.share_snapshot(parent, content, now())?)
    }

    /// Returns what a snapshot's own changes take; measured at the first call.
    pub fn usage(&self, id: SnapshotId) -> Result<Usage> {
        Ok(self.inner.store.snapshot_usage(id)?)
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Shows layers with the driver that works here.
    pub(crate) fn show(&self, layers: &Layers, guard: Option<Guard>) -> Result<(Mounted, Shown)> {
        let shown = match &layers.upper {
            Some(upper) if layers.lower.is_empty() => {
                Shown { path: upper.changes.clone(), end: End::Leave, before: None }
            }
            _ => self.show_with_driver(layers)?,
        };
        Ok((Mounted::new(&shown, self.clone(), guard), shown))
    }

    fn show_with_driver(&self, layers: &Layers) -> Result<Shown> {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed).to_string();
        let copy = || Ok::<_, Error>(self.inner.store.run_directory()?.join(&number));
        if let Some(Driver::Native(_)) = self.inner.chosen.get() {
            return self.inner.native.show(layers, &copy()?);
        }
        let point = self.points()?.join(&number);
        match self.overlay()?.show(layers, &point) {
            Err(error) if self.driver().is_none() && unavailable(&error) => {
                let reason = error_text(&error);
                self.inner.chosen.get_or_init(|| Driver::Native(reason));
                self.inner.native.show(layers, &copy()?)
            }
            Err(error) => Err(error),
            Ok(shown) => {
                self.inner.chosen.get_or_init(|| Driver::Overlay);
                Ok(shown)
            }
        }
    }

    /// Returns the directory of mount points: a file system in memory, since making and removing a
    /// directory on a disk costs more than the mount.
    fn points(&self) -> Result<&Path> {
        if let Some(points) = self.inner.points.get() {
            return Ok(points);
        }
        let _making = self.inner.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(points) = self.inner.points.get() {
            return Ok(points);
        }
        let path = self.inner.store.run_directory()?.join("mnt");
        make_private(&path)?;
        let options = Some(c"mode=0700");
        // Where even that is refused, the driver will be the one that mounts nothing.
        match rustix::mount::mount("tmpfs", &path, "tmpfs", MountFlags::empty(), options) {
            Ok(()) => self.inner.mounted.store(true, Ordering::Release),
            Err(Errno::PERM | Errno::ACCESS | Errno::NODEV) => {}
            Err(errno) => return Err(Error::io("mount a tmpfs at", &path, errno)),
        }
        Ok(self.inner.points.get_or_init(|| path))
    }

    fn overlay(&self) -> Result<&Overlay> {
        if let Some(overlay) = self.inner.overlay.get() {
            return Ok(overlay);
        }
        let empty = self.inner.store.run_directory()?.join("empty");
        // Another thread may be here as well, and make the same directory.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&empty)
            .map_err(|source| Error::io("create", &empty, source))?;
        let snapshots = self.inner.store.directory().join("snapshots");
        Ok(self.inner.overlay.get_or_init(|| Overlay { marks: self.inner.marks, snapshots, empty }))
    }

    /// Puts the changes of an active snapshot into their directory.
    pub(crate) fn collect(&self, upper: &Upper, before: &crate::native::Before) -> Result<()> {
        self.inner.native.collect(upper, Some(before))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(points) = self.points.get()
            && *self.mounted.get_mut()
        {
            // What fails here, the kernel does when the namespace ends.
            rustix::mount::unmount(points, UnmountFlags::DETACH).unwrap_or(());
        }
    }
}

fn changes_of(directory: &Path) -> PathBuf {
    directory.join("fs")
}

fn upper_of(directory: &Path) -> Upper {
    Upper { changes: changes_of(directory), work: directory.join("work") }
}

/// Makes the top directory of changes, which overlay shows as the root of the tree: so it has the
/// owner and mode of the one below.
fn make_top(path: &Path, below: Option<&Path>) -> Result<()> {
    let failed = |source| Error::io("create", path, source);
    fs::create_dir(path).map_err(failed)?;
    let (mut mode, mut owner) = (0o755, (0, 0));
    if let Some(below) = below {
        let metadata = fs::metadata(below).map_err(|source| Error::io("stat", below, source))?;
        mode = metadata.mode() & 0o7777;
        owner = (metadata.uid(), metadata.gid());
    }
    let made = fs::metadata(path).map_err(failed)?;
    if (made.uid(), made.gid()) != owner {
        std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1)).map_err(failed)?;
    }
    if made.mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Makes a directory for nobody else.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| Error::io("create", path, source))
}

fn error_text(error: &Error) -> String {
    match error {
        Error::Mount { message: Some(message), source, .. } => format!("{source}: {message}"),
        Error::Mount { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
