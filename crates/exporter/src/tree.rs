//! The files of a build: as a tar, or into a folder.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use lathe_event::TransferKind;
use lathe_layer::{Timestamp, TreeOptions};
use lathe_oci::Platform;
use lathe_rootfs::{CopyOptions, CopyRequest, Dir, DirOptions, Root, Times};
use lathe_store::SnapshotId;

use crate::{
    Destination, Env, Error, LocalMode, LocalSpec, PlatformSplit, Result,
    output::Output,
    progress::{Progress, Watched},
};

/// Whom the files in a folder belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// To those that they belong to in the image; for that the process has to be root.
    Keep,
    /// To the user who builds.
    Caller,
}

/// Writes the files as a tar; returns its size in bytes.
pub(crate) fn write_tar(
    env: &Env<'_>,
    tree: SnapshotId,
    epoch: Option<i64>,
    destination: &Destination,
) -> Result<u64> {
    let mounted = env.snapshots.view(tree)?;
    let root = Root::open(mounted.path())?;
    let mut output = Output::create(destination)?;
    let progress = Progress::start(env, TransferKind::Export, "files", None);
    let watched = Watched::new(&mut output.writer, &progress);
    // Layers share files: two names of one belong together only if one layer has both.
    let identity = env.snapshots.layer_identity(tree)?;
    let options = TreeOptions { epoch, identity: Some(&identity) };
    let written = lathe_layer::write_tree_with(&root, Path::new("/"), &options, watched);
    let size = written.map_err(|error| interrupted(env, error.into()))?.done;
    output.finish()?;
    Ok(size)
}

/// How the files are written to a folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) spec: &'a LocalSpec,
    pub(crate) owners: Owners,
    /// The time of all files, in seconds since 1970; their own when `None`.
    pub(crate) epoch: Option<i64>,
    /// What the files are for.
    pub(crate) platform: Platform,
}

/// Copies the files into a folder, over what is there; returns their size in bytes.
pub(crate) fn write_folder(env: &Env<'_>, tree: SnapshotId, folder: &Folder<'_>) -> Result<u64> {
    let path = &folder.spec.destination;
    let mounted = env.snapshots.view(tree)?;
    let from = Root::open(mounted.path())?;
    let inner = match folder.spec.split {
        PlatformSplit::No => PathBuf::from("/"),
        PlatformSplit::Yes => Path::new("/").join(folder.platform.to_string().replace('/', "_")),
    };
    fs::create_dir_all(path).map_err(Error::io("create", path))?;
    let to = Root::open(path)?;
    let _progress = Progress::start(env, TransferKind::Export, &path.display().to_string(), None);
    if folder.spec.mode == LocalMode::Delete {
        check_deletable(path)?;
        delete_others(&from, &to, inner.file_name())?;
    }
    let owner = match folder.owners {
        Owners::Keep => None,
        Owners::Caller => Some(DirOptions::default().owner),
    };
    let epoch = folder.epoch.map(Timestamp::from_seconds);
    let layer = env.snapshots.layer_identity(tree)?;
    let report = lathe_rootfs::copy(&CopyRequest {
        from: &from,
        source: Path::new("/"),
        to: &to,
        destination: &inner,
        options: CopyOptions {
            owner,
            times: epoch.map_or(Times::Preserve, Times::Set),
            parent_mtime: epoch,
            identity: Some(&|path, _| layer(path)),
            ..CopyOptions::default()
        },
    })?;
    Ok(report.bytes)
}

/// Refuses to make all of the machine equal to the files of a build.
fn check_deletable(path: &Path) -> Result<()> {
    let whole = fs::canonicalize(path).map_err(Error::io("find", path))?;
    match whole.parent() {
        Some(_) => Ok(()),
        None => Err(Error::DeleteRoot { path: whole }),
    }
}

/// Deletes what is not in the tree; with `inner` the tree is in a folder of this name.
fn delete_others(from: &Root, to: &Root, inner: Option<&OsStr>) -> Result<()> {
    let (from, to) = (from.dir(Path::new(""))?, to.dir(Path::new(""))?);
    let Some(inner) = inner else { return delete_level(&from, &to) };
    for name in to.names()? {
        if name != inner {
            to.remove(&name)?;
        } else if to.lstat(&name)?.is_dir() {
            delete_level(&from, &to.open_dir(&name)?)?;
        } else {
            to.remove(&name)?;
        }
    }
    Ok(())
}

fn delete_level(from: &Dir, to: &Dir) -> Result<()> {
    for name in to.names()? {
        let there = to.lstat(&name)?.is_dir();
        match from.try_lstat(&name)?.map(|source| source.is_dir()) {
            Some(true) if there => {
                delete_level(&from.open_dir(&name)?, &to.open_dir(&name)?)?;
            }
            Some(false) if !there => {}
            // What is of another kind would be in the way of the copy.
            _ => to.remove(&name)?,
        }
    }
    Ok(())
}

fn interrupted(env: &Env<'_>, error: Error) -> Error {
    if env.cancel.is_cancelled() { Error::Cancelled } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_all_of_a_machine_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        for path in [Path::new("/"), Path::new("/tmp/.."), &link, &link.join("usr/..")] {
            let result = check_deletable(path);
            assert!(matches!(result, Err(Error::DeleteRoot { .. })), "{}", path.display());
        }
        check_deletable(folder.path()).unwrap();
    }
}
