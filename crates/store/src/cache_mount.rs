//! Cache mounts from outside: listing, copying and removing what steps have put there.
//!
//! ```text
//! cache-mounts/<hash of id and seed>[.<number>]/   flock(2): who uses it
//!                                          fs/     what steps see
//!                                          new/    being made
//!                                          id      the id, for people
//! ```
//!
//! The worker makes and uses them (`crates/worker/src/cache_mount.rs`); the lock lies on the outer
//! folder. A step may have found a folder and not have locked it yet. So a folder stays where it
//! is, with the same inode, while others use the store: its files are exchanged for an empty
//! directory. Only a cache that began with a copy of something (a seed) cannot be empty; it goes
//! as a whole, when nobody uses the store.

use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;
use rustix::fs::CWD;
use rustix::fs::FlockOperation;
use rustix::fs::RenameFlags;

use crate::error::Error;
use crate::error::Result;
use crate::lock::Exclusive;
use crate::lock::Guard;
use crate::lock::Wait;
use crate::lock::try_flock;
use crate::lock::try_lock;
use crate::prune::entries;
use crate::remove::remove_tree;
use crate::snapshot::measure;
use crate::store::Store;

/// What steps see.
const FILES: &str = "fs";

/// What is being made.
const NEW: &str = "new";

/// Whose cache it is.
const ID: &str = "id";

/// Who uses a cache mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMountUse {
    /// Nobody.
    Free,
    /// Steps that share it.
    Shared,
    /// A step that has it alone.
    Alone,
}

/// A directory that outlives builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMount {
    /// The name of its folder, unique.
    pub name: String,
    /// The id that Dockerfiles give it. Several have the same one when steps used it at once that
    /// do not share it, or when they began with different seeds.
    pub id: String,
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
    /// When its top directory or its folder was last changed, in seconds since 1970.
    pub last_used: i64,
    /// Who uses it.
    pub in_use: CacheMountUse,
}

/// A cache mount that nobody else uses while this lives.
#[derive(Debug)]
pub struct CacheMountLock {
    folder: PathBuf,
    _file: File,
    _share: Guard,
}

impl CacheMountLock {
    /// Returns the directory that steps see.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Makes an empty directory beside it, to be filled and put in its place.
    pub fn stage(&self) -> Result<PathBuf> {
        let new = self.folder.join(NEW);
        remove_tree(&new)?;
        make_directory(&new, 0o755)?;
        Ok(new)
    }

    /// Puts what was staged in the place of what steps saw, which is removed.
    pub fn replace(&self) -> Result<()> {
        let (new, files) = (self.folder.join(NEW), self.path());
        exchange(&new, &files)?;
        remove_tree(&new)
    }
}

impl Store {
    /// Returns all cache mounts, sorted by id and name.
    pub fn cache_mounts(&self) -> Result<Vec<CacheMount>> {
        let mut mounts = Vec::new();
        for folder in entries(&self.inner.layout.cache_mounts())? {
            if let Some(mount) = look_at(&folder)? {
                mounts.push(mount);
            }
        }
        mounts.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| a.name.cmp(&b.name)));
        Ok(mounts)
    }

    /// Takes a cache mount by the name of its folder; `None` when a step uses it.
    ///
    /// # Errors
    /// [`Error::CacheMountMissing`] when there is none.
    pub fn lock_cache_mount(&self, name: &str) -> Result<Option<CacheMountLock>> {
        let share = self.share()?;
        let folder = self.cache_folder(name)?;
        let file = File::open(&folder).map_err(|source| Error::io("open", &folder, source))?;
        let locked = try_flock(&file, &folder)?;
        Ok(locked.then_some(CacheMountLock { folder, _file: file, _share: share }))
    }

    /// Takes the first cache mount with an id, making an empty one when there is none; `None` when
    /// a step uses it.
    pub fn make_cache_mount(&self, id: &str) -> Result<Option<CacheMountLock>> {
        let _share = self.share()?;
        let (folders, name) = (self.inner.layout.cache_mounts(), folder_name(id));
        fs::create_dir_all(&folders).map_err(|source| Error::io("create", &folders, source))?;
        let folder = folders.join(&name);
        if !folder.join(FILES).exists() {
            // As the worker does it: one at a time, and complete before it has its name.
            let making =
                File::open(&folders).map_err(|source| Error::io("open", &folders, source))?;
            if !try_flock(&making, &folders)? {
                return Ok(None);
            }
            if !folder.join(FILES).exists() {
                fs::create_dir_all(&folder)
                    .map_err(|source| Error::io("create", &folder, source))?;
                let (new, path) = (folder.join(NEW), folder.join(ID));
                remove_tree(&new)?;
                make_directory(&new, 0o755)?;
                fs::write(&path, id).map_err(|source| Error::io("write", &path, source))?;
                fs::rename(&new, folder.join(FILES))
                    .map_err(|source| Error::io("rename", &new, source))?;
            }
        }
        self.lock_cache_mount(&name)
    }

    /// Removes a cache mount; says whether that was possible: not while a step uses it. While other
    /// commands use the store it is emptied instead, and one with a seed stays.
    ///
    /// # Errors
    /// [`Error::CacheMountMissing`] when there is none.
    pub fn remove_cache_mount(&self, name: &str) -> Result<bool> {
        let folder = self.cache_folder(name)?;
        let alone = self.exclusive(Wait::Try)?;
        let _share = if alone.is_some() { None } else { Some(self.share()?) };
        remove_folder(&folder, alone.as_ref())
    }

    fn cache_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.inner.layout.cache_mounts().join(name);
        let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if is_name && folder.is_dir() {
            Ok(folder)
        } else {
            Err(Error::CacheMountMissing(name.to_owned()))
        }
    }
}

/// Removes the folder of a cache mount, or empties it while others use the store; says whether
/// that was possible.
pub(crate) fn remove_folder(folder: &Path, alone: Option<&Exclusive>) -> Result<bool> {
    let file = match File::open(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|source| Error::io("open", folder, source))?,
    };
    if !try_flock(&file, folder)? {
        return Ok(false);
    }
    if alone.is_some() {
        return remove_tree(folder).map(|()| true);
    }
    let (files, new) = (folder.join(FILES), folder.join(NEW));
    let Ok(old) = fs::symlink_metadata(&files) else { return Ok(false) };
    if has_seed(folder) {
        return Ok(false);
    }
    remove_tree(&new)?;
    make_directory(&new, old.mode())?;
    std::os::unix::fs::chown(&new, Some(old.uid()), Some(old.gid()))
        .map_err(|source| Error::io("change the owner of", &new, source))?;
    exchange(&new, &files)?;
    remove_tree(&new)?;
    Ok(true)
}

/// Says whether a cache began with a copy of something: then its name is not that of its id alone.
fn has_seed(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let base = name.split_once('.').map_or(&*name, |(base, _)| base);
    fs::read_to_string(folder.join(ID)).map_or(true, |id| folder_name(&id) != base)
}

/// Returns the name of the first folder of a cache without a seed, as the worker has it.
fn folder_name(id: &str) -> String {
    Digest::of(format!("cache\0{id}\0").as_bytes()).hex()
}

fn look_at(folder: &Path) -> Result<Option<CacheMount>> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    // One that is just being made is none yet.
    let Ok(files) = fs::symlink_metadata(folder.join(FILES)) else { return Ok(None) };
    let shared = FlockOperation::NonBlockingLockShared;
    let in_use = if try_flock(&file, folder)? {
        CacheMountUse::Free
    } else if try_lock(&file, folder, shared)? {
        CacheMountUse::Shared
    } else {
        CacheMountUse::Alone
    };
    drop(file);
    let noted = fs::symlink_metadata(folder.join(ID)).map_or(0, |id| id.mtime());
    Ok(Some(CacheMount {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        id: fs::read_to_string(folder.join(ID)).unwrap_or_default(),
        bytes: measure(folder)?.bytes,
        last_used: files.mtime().max(noted),
        in_use,
    }))
}

/// Makes a directory with just this mode.
fn make_directory(path: &Path, mode: u32) -> Result<()> {
    fs::create_dir(path).map_err(|source| Error::io("create", path, source))?;
    let mode = fs::Permissions::from_mode(mode & 0o7777);
    fs::set_permissions(path, mode).map_err(|source| Error::io("set the mode of", path, source))
}

fn exchange(one: &Path, other: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
        .map_err(|errno| Error::io("exchange", one, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(lock: &CacheMountLock, text: &str) {
        let staged = lock.stage().unwrap();
        fs::write(staged.join("file"), text).unwrap();
        lock.replace().unwrap();
    }

    #[test]
    fn a_cache_is_made_filled_listed_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.cache_mounts().unwrap(), []);
        let lock = store.make_cache_mount("npm").unwrap().unwrap();
        fill(&lock, "one");
        fill(&lock, "two");
        assert_eq!(fs::read_to_string(lock.path().join("file")).unwrap(), "two");
        assert!(store.make_cache_mount("npm").unwrap().is_none(), "it is in use");
        let [mount] = <[CacheMount; 1]>::try_from(store.cache_mounts().unwrap()).unwrap();
        assert_eq!((mount.id.as_str(), mount.in_use), ("npm", CacheMountUse::Alone));
        assert!(!store.remove_cache_mount(&mount.name).unwrap());
        drop(lock);
        let [mount] = <[CacheMount; 1]>::try_from(store.cache_mounts().unwrap()).unwrap();
        assert_eq!(mount.in_use, CacheMountUse::Free);
        assert!(store.remove_cache_mount(&mount.name).unwrap());
        assert_eq!(store.cache_mounts().unwrap(), []);
        for name in [mount.name.as_str(), "", "..", "a/b"] {
            let error = store.remove_cache_mount(name).unwrap_err();
            assert!(matches!(error, Error::CacheMountMissing(_)), "{error}");
        }
    }

    #[test]
    fn while_others_work_a_cache_is_emptied_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        fill(&store.make_cache_mount("npm").unwrap().unwrap(), "text");
        let name = store.cache_mounts().unwrap()[0].name.clone();
        let folder = store.cache_folder(&name).unwrap();
        fs::set_permissions(folder.join(FILES), fs::Permissions::from_mode(0o1777)).unwrap();
        let before = fs::metadata(&folder).unwrap().ino();
        let other = Store::open(directory.path()).unwrap();
        let _works = other.share().unwrap();
        assert!(store.remove_cache_mount(&name).unwrap());
        assert_eq!(fs::metadata(&folder).unwrap().ino(), before, "a step may be about to lock it");
        assert_eq!(fs::metadata(folder.join(FILES)).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_dir(folder.join(FILES)).unwrap().count(), 0);
        // One with a seed would not be what it was, empty.
        fs::write(folder.join(ID), "another id").unwrap();
        assert!(!store.remove_cache_mount(&name).unwrap());
    }
}
