//! Volumes: directories of the store (`<store>/volumes/<name>`), and what is mounted of them.
//!
//! A volume is filled with what the image has at its target when it is made, as docker does. It
//! is made under another name and renamed into place, so that two containers which use a new
//! volume at once never see it half filled.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use lathe_executor::Depth;
use lathe_executor::Mount;
use lathe_executor::MountKind;
use lathe_rootfs::CopyOptions;
use lathe_rootfs::CopyRequest;
use lathe_rootfs::Root;
use lathe_store::Store;

use crate::Error;
use crate::Result;
use crate::record::AnonymousVolume;
use crate::record::ContainerId;
use crate::record::ContainerRecord;
use crate::spec::Access;
use crate::spec::ContainerSpec;
use crate::spec::VolumeSource;
use crate::spec::VolumeSpec;

/// Returns the directory of a volume.
fn directory(store: &Store, name: &str) -> PathBuf {
    store.directory().join("volumes").join(name)
}

/// Names the volumes that a container gets for itself: of `-v /path`, and of the image's VOLUMEs
/// which no `-v` covers.
pub(crate) fn name_anonymous(spec: &ContainerSpec) -> Result<Vec<AnonymousVolume>> {
    let mut covered: BTreeSet<PathBuf> = BTreeSet::new();
    let mut wanted = Vec::new();
    for volume in &spec.volumes {
        covered.insert(normal(&volume.target));
        if volume.source == VolumeSource::Anonymous {
            wanted.push(volume.target.clone());
        }
    }
    for target in &spec.image_volumes {
        if covered.insert(normal(target)) {
            wanted.push(target.clone());
        }
    }
    wanted
        .into_iter()
        .map(|target| Ok(AnonymousVolume { name: ContainerId::random()?.to_string(), target }))
        .collect()
}

fn normal(target: &str) -> PathBuf {
    lathe_rootfs::clean(Path::new(target)).into_owned()
}

/// Returns the mounts of a container, those higher in the tree first, and makes what they need.
pub(crate) fn mounts(store: &Store, record: &ContainerRecord, rootfs: &Root) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for VolumeSpec { source, target, access } in &record.spec.volumes {
        let source = match source {
            VolumeSource::Anonymous => continue,
            VolumeSource::Tmpfs => {
                let kind = MountKind::Tmpfs { size: None, mode: 0o1777 };
                mounts.push(Mount { target: target.clone(), kind });
                continue;
            }
            VolumeSource::Host(path) => host_path(path)?,
            VolumeSource::Named(name) => filled(store, name, rootfs, target)?,
        };
        mounts.push(bind(source, target, *access));
    }
    for AnonymousVolume { name, target } in &record.anonymous_volumes {
        mounts.push(bind(filled(store, name, rootfs, target)?, target, Access::ReadWrite));
    }
    // A stable sort: `/a` before `/a/b`, otherwise as given.
    mounts.sort_by_key(|mount| normal(&mount.target).components().count());
    Ok(mounts)
}

fn bind(source: PathBuf, target: &str, access: Access) -> Mount {
    let access = match access {
        Access::ReadWrite => lathe_executor::Access::ReadWrite,
        Access::ReadOnly => lathe_executor::Access::ReadOnly,
    };
    let kind = MountKind::Bind { source, access, depth: Depth::Recursive };
    Mount { target: target.to_owned(), kind }
}

/// Makes a missing directory of the host, as docker's `-v` does.
fn host_path(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
    }
    Ok(path.to_owned())
}

/// Returns a volume's directory; a new one gets what the image has at `target`.
fn filled(store: &Store, name: &str, rootfs: &Root, target: &str) -> Result<PathBuf> {
    let path = directory(store, name);
    if path.is_dir() {
        return Ok(path);
    }
    let volumes = store.directory().join("volumes");
    fs::create_dir_all(&volumes).map_err(Error::io("create", &volumes))?;
    let fresh = directory(store, &format!(".{}", ContainerId::random()?));
    fs::create_dir(&fresh).map_err(Error::io("create", &fresh))?;
    let placed = fill(&fresh, rootfs, Path::new(target)).and_then(|()| place(&fresh, &path));
    if placed.is_err() {
        // The first error is the one to tell.
        let _kept = lathe_store::remove_tree(&fresh);
    }
    placed.map(|()| path)
}

/// Gives a new volume the content, owner and mode of the image's directory, if there is one.
fn fill(volume: &Path, rootfs: &Root, target: &Path) -> Result<()> {
    let Some(metadata) = rootfs.try_stat(target)? else { return Ok(()) };
    let Ok(names) = rootfs.list(target) else { return Ok(()) };
    if !names.is_empty() {
        let to = Root::open(volume)?;
        lathe_rootfs::copy(&CopyRequest {
            from: rootfs,
            source: target,
            to: &to,
            destination: Path::new("/"),
            options: CopyOptions::default(),
        })?;
    }
    std::os::unix::fs::chown(volume, Some(metadata.uid), Some(metadata.gid))
        .map_err(Error::io("change the owner of", volume))?;
    fs::set_permissions(volume, fs::Permissions::from_mode(metadata.mode))
        .map_err(Error::io("change the mode of", volume))
}

/// Renames a filled volume into place; another container may have been quicker.
fn place(fresh: &Path, path: &Path) -> Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(rustix::fs::CWD, fresh, rustix::fs::CWD, path, flags) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Ok(lathe_store::remove_tree(fresh)?),
        Err(errno) => Err(Error::io("place", path)(io::Error::from(errno))),
    }
}

/// Removes the volumes that were made for one container.
pub(crate) fn remove_anonymous(store: &Store, record: &ContainerRecord) -> Result<()> {
    for volume in &record.anonymous_volumes {
        lathe_store::remove_tree(&directory(store, &volume.name))?;
    }
    Ok(())
}

/// Returns the names of the store's volumes that a container uses.
pub(crate) fn names(record: &ContainerRecord) -> impl Iterator<Item = &str> {
    let named = record.spec.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Named(name) => Some(name.as_str()),
        _ => None,
    });
    named.chain(record.anonymous_volumes.iter().map(|volume| volume.name.as_str()))
}
