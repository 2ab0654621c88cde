//! The files of a build: as a tar, or into a folder.

use std::{fs, path::Path};

use lathe_event::TransferKind;
use lathe_rootfs::{CopyOptions, CopyRequest, DirOptions, Root};
use lathe_store::SnapshotId;

use crate::{
    Destination, Env, Error, Result,
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
    let written = lathe_layer::write_tree(&root, Path::new("/"), epoch, watched);
    let size = written.map_err(|error| interrupted(env, error.into()))?.done;
    output.finish()?;
    Ok(size)
}

/// Copies the files into a folder, over what is there; returns their size in bytes.
pub(crate) fn write_folder(
    env: &Env<'_>,
    tree: SnapshotId,
    folder: &Path,
    owners: Owners,
) -> Result<u64> {
    let mounted = env.snapshots.view(tree)?;
    let from = Root::open(mounted.path())?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let to = Root::open(folder)?;
    let _progress = Progress::start(env, TransferKind::Export, &folder.display().to_string(), None);
    let owner = match owners {
        Owners::Keep => None,
        Owners::Caller => Some(DirOptions::default().owner),
    };
    let report = lathe_rootfs::copy(&CopyRequest {
        from: &from,
        source: Path::new("/"),
        to: &to,
        destination: Path::new("/"),
        options: CopyOptions { owner, ..CopyOptions::default() },
    })?;
    Ok(report.bytes)
}

fn interrupted(env: &Env<'_>, error: Error) -> Error {
    if env.cancel.is_cancelled() { Error::Cancelled } else { error }
}
