//! Where the bytes of a layer that was made here come from: a snapshot, packed again.
//!
//! Committed snapshots never change and packing is a function of the tree (`INV-LAYER-1`), so the
//! bytes are the same each time. Where they are not, somebody has changed a file of the store; the
//! diffID finds that out in the same pass, and nothing with other bytes is ever named.

use std::{fs, io::Write, os::unix::fs::MetadataExt as _, path::Path, thread};

use lathe_event::TransferKind;
use lathe_layer::{Compression, PackRequest, PackedStream, Watch};
use lathe_oci::{ChainId, DiffId, LayerEntry};
use lathe_rootfs::Root;
use lathe_store::{SnapshotId, Store};

use crate::{
    Env, Error, LayerForm, Result,
    layers::{epoch_layers, known, was_made_here},
    progress::Progress,
};

/// Topic of the memo that says that a snapshot's layer was made here.
pub(crate) const PACKED: &str = "packed";

/// Topic of the memos of layers whose times end at an epoch.
pub(crate) const WITH_EPOCH: &str = "layer-epochs";

/// What a layer is packed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The snapshot, or another one with the same changes.
    pub(crate) snapshot: SnapshotId,
    /// Latest modification time, in seconds since 1970.
    pub(crate) epoch: Option<i64>,
}

/// A layer of an image, with what lies below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'a> {
    pub(crate) entry: &'a LayerEntry,
    /// All layers from the lowest up to this one.
    diff_ids: &'a [DiffId],
}

impl<'a> Layer<'a> {
    /// Returns the layers of an image; `diff_ids` are theirs.
    pub(crate) fn all(
        entries: &'a [LayerEntry],
        diff_ids: &'a [DiffId],
    ) -> impl Iterator<Item = Self> {
        let layer = |(at, entry)| Layer { entry, diff_ids: &diff_ids[..=at] };
        entries.iter().enumerate().map(layer)
    }

    /// Returns what the layer is packed from; `None` for one that was not made here.
    pub(crate) fn origin(&self, store: &Store) -> Result<Option<Origin>> {
        let diff_id = self.entry.diff_id;
        for record in store.layers_by_diff_id(diff_id)? {
            if was_made_here(store, record.snapshot)? {
                return Ok(Some(Origin { snapshot: record.snapshot, epoch: None }));
            }
        }
        let chain = ChainId::of(self.diff_ids).expect("there is at least this layer");
        let Some(snapshot) = store.snapshot_for_chain(chain)? else { return Ok(None) };
        let mut layers = epoch_layers(store, snapshot)?.into_iter();
        let found = layers.find(|(_, layer)| layer.diff_id == diff_id);
        Ok(found.map(|(epoch, _)| Origin { snapshot, epoch: Some(epoch) }))
    }

    /// Returns the snapshot that shows the layer on top, whoever made it.
    pub(crate) fn snapshot(&self, store: &Store) -> Result<Option<SnapshotId>> {
        let chain = ChainId::of(self.diff_ids).expect("there is at least this layer");
        Ok(store.snapshot_for_chain(chain)?)
    }
}

/// Returns the diffIDs of layers.
pub(crate) fn diff_ids(entries: &[LayerEntry]) -> Vec<DiffId> {
    entries.iter().map(|entry| entry.diff_id).collect()
}

/// What is told about packing while it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// Name for people.
    pub(crate) label: &'a str,
    /// Bytes of the tar, where they are known.
    pub(crate) total: Option<u64>,
}

/// Packs a layer to `output`; also tells what it was.
pub(crate) fn pack<W: Write>(
    env: &Env<'_>,
    origin: Origin,
    form: LayerForm,
    told: Told<'_>,
    output: W,
) -> Result<(W, PackedStream)> {
    let LayerForm { compression, level } = form;
    watched(env, origin, told, |request, watch| {
        let request = PackRequest { compression, level, ..request };
        lathe_layer::pack_watched(&request, output, watch)
    })
}

/// Finds out what packing a layer would give.
pub(crate) fn digest(env: &Env<'_>, origin: Origin, told: Told<'_>) -> Result<PackedStream> {
    watched(env, origin, told, |request, watch| lathe_layer::digest_watched(&request, watch))
}

fn watched<T>(
    env: &Env<'_>,
    origin: Origin,
    told: Told<'_>,
    pack: impl FnOnce(PackRequest<'_>, Watch<'_>) -> lathe_layer::Result<T>,
) -> Result<T> {
    // A small layer is not looked into, so that the first look is here.
    if env.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let progress = Progress::start(env, TransferKind::Pack, told.label, told.total);
    let watch = |done| {
        progress.set(done);
        progress.go_on()
    };
    let packed = pack_request(env, origin.snapshot, |request| {
        Ok(pack(PackRequest { epoch: origin.epoch, ..request }, &watch)?)
    });
    packed.map_err(|error| if env.cancel.is_cancelled() { Error::Cancelled } else { error })
}

/// As [`pack`], where it is known which layer it is.
///
/// # Errors
/// [`Error::SnapshotChanged`] when it is another one, after it was written.
pub(crate) fn pack_known<W: Write>(
    env: &Env<'_>,
    origin: Origin,
    diff_id: DiffId,
    form: LayerForm,
    output: W,
) -> Result<W> {
    let label = diff_id.0.short();
    let total = known(env.store, origin.snapshot, origin.epoch)?;
    let total = total.map(|layer| layer.entry.descriptor.size);
    let (output, packed) = pack(env, origin, form, Told { label: &label, total }, output)?;
    if packed.diff_id == diff_id {
        return Ok(output);
    }
    let path = env.snapshots.changes(origin.snapshot);
    let (expected, actual) = (Box::new(diff_id), Box::new(packed.diff_id));
    Err(Error::SnapshotChanged { path, expected, actual })
}

/// Hands the request to pack the changes of a snapshot to `pack`, while what is below is there to
/// be looked at. It asks for no compression and changes no times.
pub(crate) fn pack_request<T>(
    env: &Env<'_>,
    snapshot: SnapshotId,
    pack: impl FnOnce(PackRequest<'_>) -> Result<T>,
) -> Result<T> {
    let Env { store, snapshots, .. } = *env;
    let owner = store.snapshot_content(snapshot)?;
    let record = store.snapshot(owner)?.ok_or(lathe_store::Error::SnapshotMissing(owner))?;
    let path = snapshots.changes(owner);
    let changes = Root::open(&path)?;
    // Only what a whole lower tree shows tells whether a directory hides or changes something.
    let parent = record.parent.filter(|_| has_directory(&path));
    let below = parent.map(|parent| snapshots.view(parent)).transpose()?;
    let lower = below.as_ref().map(|mounted| Root::open(mounted.path())).transpose()?;
    pack(PackRequest {
        changes: &changes,
        lower: lower.as_ref(),
        compression: Compression::None,
        level: None,
        epoch: None,
        threads: threads(),
    })
}

/// Tells whether a directory may have others in it: mounting what is below costs more than packing
/// a layer of a few files.
fn has_directory(path: &Path) -> bool {
    // Each directory in it has a name for it; where that is not counted, there is one in all.
    let Ok(metadata) = fs::metadata(path) else { return true };
    metadata.nlink() != 2
}

/// Returns how many threads compress.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
