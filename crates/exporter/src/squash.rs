//! `--squash`: the topmost snapshots of a chain as one.
//!
//! The layers are put over each other in an overlay on the parent, as they would be in a
//! container: what a later one deletes of an earlier one is gone without a trace, what it deletes
//! of the parent's becomes a mark, which the kernel makes. They go through the form of an archive
//! on the way, in memory, so that the two programs that know overlay's marks are the only ones.

use std::{
    io::{self, BufWriter, Write as _},
    thread,
};

use lathe_event::TransferKind;
use lathe_layer::{Compression, Owners, UnpackOptions};
use lathe_rootfs::Root;
use lathe_store::{SnapshotId, Store};

use crate::{
    Env, Error, Result,
    origin::pack_request,
    progress::{Progress, Watched},
};

/// Topic of the memo that says what a snapshot with those below it became.
const SQUASHED: &str = "squashed";

/// Bytes of an archive that are under way.
const BUFFER: usize = 256 * 1024;

/// Makes one snapshot of several, on what the lowest of them lies on; returns it.
///
/// `chain` is a piece of a chain of snapshots, lowest first. It shows the same tree as its
/// topmost, modification times in whole seconds, as layers have them. One that was made before
/// and is still there is found again. One snapshot alone is squashed already.
pub fn squash(env: &Env<'_>, chain: &[SnapshotId]) -> Result<SnapshotId> {
    let _share = env.store.share()?;
    let (Some(first), Some(top)) = (chain.first(), chain.last()) else {
        return Err(Error::Nothing("layers to squash"));
    };
    if chain.len() == 1 {
        return Ok(*top);
    }
    let namespace = Store::snapshot_namespace(*top, SQUASHED);
    if let Some(known) = known(env.store, &namespace, *first)? {
        return Ok(known);
    }
    let parent = env.store.snapshot(*first)?.and_then(|record| record.parent);
    let active = env.snapshots.prepare(parent)?;
    let progress = Progress::start(env, TransferKind::Pack, "squash", None);
    {
        let mounted = active.mount()?;
        let root = Root::open(mounted.path())?;
        for snapshot in chain {
            apply(env, *snapshot, &root, &progress)?;
        }
    }
    let squashed = active.commit()?;
    env.store.memo_put(&namespace, [(first.as_str(), squashed.as_str())])?;
    Ok(squashed)
}

fn known(store: &Store, namespace: &str, first: SnapshotId) -> Result<Option<SnapshotId>> {
    let memo = store.memo_get(namespace, first.as_str().as_bytes())?;
    let id = memo.and_then(|memo| std::str::from_utf8(&memo).ok()?.parse().ok());
    let Some(id) = id else { return Ok(None) };
    // It may have been pruned.
    Ok(store.snapshot(id)?.map(|_| id))
}

/// Puts the changes of one snapshot over a tree.
fn apply(env: &Env<'_>, snapshot: SnapshotId, root: &Root, progress: &Progress<'_>) -> Result<()> {
    let pipe = |source| Error::ReadArchive { source };
    let (reader, writer) = io::pipe().map_err(pipe)?;
    let packed = thread::scope(|scope| {
        let packer = scope.spawn(move || {
            pack_request(env, snapshot, |request| {
                let writer = BufWriter::with_capacity(BUFFER, writer);
                let (mut writer, _) =
                    lathe_layer::pack_to(&request, Watched::new(writer, progress))?;
                Ok(writer.flush().map_err(|source| lathe_layer::Error::WriteLayer { source })?)
            })
        });
        // Owners are those that the files have here, so they can be given again.
        let options = UnpackOptions { owners: Owners::Exact, ..UnpackOptions::default() };
        let unpacked = lathe_layer::unpack(reader, Compression::None, root, &options);
        let packed = packer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (packed, unpacked) {
            // Who writes to a pipe that nobody reads any more fails for that reason alone.
            (Err(error), Ok(_)) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Ok(()), Ok(unpacked)) => Ok(unpacked),
        }
    });
    let unpacked =
        packed.map_err(|error| if env.cancel.is_cancelled() { Error::Cancelled } else { error })?;
    match unpacked.skipped.into_iter().next() {
        None => Ok(()),
        Some(skipped) => Err(Error::Squash { path: skipped.path, reason: skipped.reason }),
    }
}
