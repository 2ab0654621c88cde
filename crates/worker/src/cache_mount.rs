//! Cache mounts: folders that outlive builds, used by any number of processes.
//!
//! ```text
//! <store>/cache-mounts/<hash of id>[.<number>]/     flock(2): who uses it
//!                                             fs/   what the process sees
//!                                             new/  being made; renamed to fs when complete
//!                                             id    the id, for people
//! ```
//!
//! The lock lies on the outer folder, which no step ever sees, so that no step can hold it, and it
//! goes with the process. Who wants to delete a cache takes it exclusively, without waiting, and
//! leaves the cache alone if that fails; the store's own pruning has no need to, since every build
//! shares the store's lock.
//!
//! As in BuildKit: `shared` and `private` take the first instance that is free for them, else
//! make one more; `locked` waits while all that there are are in use; a cache with a seed is
//! another one for each content of the seed. A step takes its locks in the order of the folders'
//! names, so that no two wait for each other.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use lathe_event::Event;
use lathe_graph::{Cache, CacheSharing, ExecMountKind, ExecOp};
use lathe_rootfs::{CopyOptions, CopyRequest, DirOptions, FileOptions, Identity, Root, copy};
use lathe_solver::NodeId;
use lathe_store::Guard;
use lathe_tree::{FileKind, Owner};
use rustix::{fs::FlockOperation, io::Errno};

use crate::{
    Error, Output, Result, Worker,
    content::whole,
    select::{Style, Tree},
};

/// How often a lock that others hold is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// After this time of waiting the user is told.
const SILENCE: Duration = Duration::from_secs(1);

/// What the process sees.
const FILES: &str = "fs";

/// What is being made.
const NEW: &str = "new";

/// Whose cache it is.
const ID: &str = "id";

/// A cache that a step uses.
#[derive(Debug)]
pub(crate) struct CacheFolder {
    /// Of the folder that the process sees.
    pub(crate) path: PathBuf,
    _lock: File,
    _share: Guard,
}

/// Notes when a cache was used last, for the store's order of what goes first. Where that cannot be
/// written, the cache only goes sooner.
fn note_use(id: &Path) {
    let noted = fs::File::open(id).and_then(|file| file.set_modified(SystemTime::now()));
    noted.unwrap_or_default();
}

impl Worker<'_> {
    /// Takes all caches of a step, by the names of their folders.
    pub(crate) fn caches(
        &self,
        node: NodeId,
        op: &ExecOp,
        inputs: &[Output],
    ) -> Result<BTreeMap<String, CacheFolder>> {
        let mut wanted: BTreeMap<String, (&Cache, CacheSharing)> = BTreeMap::new();
        for mount in &op.mounts {
            let ExecMountKind::Cache(cache) = &mount.kind else { continue };
            // A cache that one step mounts twice is one; it is as much its own as it is anywhere.
            let (_, sharing) =
                wanted.entry(folder_name(cache, inputs)).or_insert((cache, cache.sharing));
            if *sharing == CacheSharing::Shared {
                *sharing = cache.sharing;
            }
        }
        let mut caches = BTreeMap::new();
        for (name, (cache, sharing)) in wanted {
            let folder = self.cache(node, &name, cache, sharing, inputs)?;
            caches.insert(name, folder);
        }
        Ok(caches)
    }

    fn cache(
        &self,
        node: NodeId,
        name: &str,
        cache: &Cache,
        sharing: CacheSharing,
        inputs: &[Output],
    ) -> Result<CacheFolder> {
        let share = self.store.share()?;
        let folders = self.store.directory().join("cache-mounts");
        fs::create_dir_all(&folders).map_err(|source| io("make", &folders, source))?;
        let lock = self.wait(&cache.id, || {
            for number in 0.. {
                let outer = folders.join(match number {
                    0 => name.to_owned(),
                    number => format!("{name}.{number}"),
                });
                let is_new = !outer.join(FILES).exists();
                // All instances are in use.
                if is_new && number > 0 && sharing == CacheSharing::Locked {
                    return Ok(None);
                }
                if is_new {
                    self.make(node, &outer, cache, inputs)?;
                }
                if let Some(lock) = lock(&outer, sharing)? {
                    return Ok(Some((outer, lock)));
                }
            }
            Ok(None)
        });
        let (outer, lock) = lock?;
        note_use(&outer.join(ID));
        Ok(CacheFolder { path: outer.join(FILES), _lock: lock, _share: share })
    }

    /// Asks until there is an answer.
    fn wait<T>(&self, id: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        let mut told = false;
        loop {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if !told && start.elapsed() >= SILENCE {
                told = true;
                let text = format!("waiting for the cache `{id}`, which another step uses");
                self.events().emit(Event::Note(text.into()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes an instance, if nobody else does: completely, and then gives it its name.
    fn make(&self, node: NodeId, outer: &Path, cache: &Cache, inputs: &[Output]) -> Result<()> {
        let folders = outer.parent().unwrap_or(outer);
        // One at a time: it is rare, and quick unless there is a seed.
        let _making = self.wait(&cache.id, || lock(folders, CacheSharing::Locked))?;
        if outer.join(FILES).exists() {
            return Ok(());
        }
        fs::create_dir_all(outer).map_err(|source| io("make", outer, source))?;
        let root = Root::open(outer)?;
        let new = Path::new(NEW);
        // Of one who was killed.
        root.remove(new)?;
        let (uid, gid) = cache.owner;
        let owner = Owner { uid, gid };
        root.create_dir_all(new, &DirOptions { owner, mode: cache.mode, mtime: None })?;
        if let Some((input, source)) = &cache.seed {
            let place = self.place(node, input.0 as usize);
            match &inputs[input.0 as usize] {
                Output::Context(context) => {
                    self.sow(Tree::Context(context), source, &place, None, &root)?;
                }
                Output::Snapshot(snapshot) => {
                    let mounted = self.snapshots.view(*snapshot)?;
                    let from = Root::open(mounted.path())?;
                    let identity = self.identity(*snapshot);
                    self.sow(Tree::Snapshot(&from), source, &place, Some(&identity), &root)?;
                }
            }
        }
        root.write_file(Path::new(ID), cache.id.as_bytes(), &FileOptions::default())?;
        Ok(root.rename(new, Path::new(FILES))?)
    }

    fn sow(
        &self,
        tree: Tree<'_>,
        source: &str,
        place: &str,
        identity: Option<Identity<'_>>,
        to: &Root,
    ) -> Result<()> {
        let selected = tree.find(&whole(source), Style::Plain, place)?;
        for found in &selected.found {
            let filter =
                |below: &Path, kind: FileKind| self.choose(tree, &selected, found, below, kind);
            copy(&CopyRequest {
                from: tree.root(),
                source: &found.path,
                to,
                destination: Path::new(NEW),
                options: CopyOptions {
                    owner: matches!(tree, Tree::Context(_)).then_some(Owner::ROOT),
                    filter: Some(&filter),
                    identity,
                    ..CopyOptions::default()
                },
            })?;
        }
        // Half of a seed is none.
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Returns the name of a cache's first folder: a hash, so that no id is a path.
pub(crate) fn folder_name(cache: &Cache, inputs: &[Output]) -> String {
    let seed = match &cache.seed {
        None => String::new(),
        Some((input, source)) => match &inputs[input.0 as usize] {
            Output::Snapshot(snapshot) => format!("{snapshot} {source}"),
            Output::Context(context) => {
                format!("{} {source}", context.root().host_path().display())
            }
        },
    };
    lathe_oci::Digest::of(format!("cache\0{}\0{seed}", cache.id).as_bytes()).hex()
}

/// Takes the lock of a folder if it is free.
fn lock(folder: &Path, sharing: CacheSharing) -> Result<Option<File>> {
    let file = File::open(folder).map_err(|source| io("open", folder, source))?;
    let operation = match sharing {
        CacheSharing::Shared => FlockOperation::NonBlockingLockShared,
        CacheSharing::Private | CacheSharing::Locked => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(io("lock", folder, errno.into())),
        }
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { action, subject: path.display().to_string(), source }
}
