//! Snapshots to layers: what the store's image says of each, found or made once and remembered.
//!
//! A layer that was made here is *virtual*: its descriptor is that of the plain tar, whose digest
//! is the diffID, and whose bytes are nowhere. They are packed again from the snapshot whenever
//! something on the way out asks for them (`blob.rs`), and are the same each time; so a build
//! costs one pass over its files and no writing. Where it is known that an output needs a
//! compressed blob, that is made in the very pass that finds the diffID.
//!
//! A layer that came with a pulled image is never packed again, whatever is asked for: its diffID
//! has to stay what its image says, and so shared with it. Which layers were made here is a memo
//! of the snapshot that has the files.
//!
//! With an epoch the bytes are others, so those layers are remembered apart, by epoch; the index
//! of layers has only those without.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lathe_layer::{Compression, PackedStream};
use lathe_oci::{ChainId, Descriptor, DiffId, LayerEntry, MediaType};
use lathe_store::{LayerRecord, SnapshotId, Store};
use serde::{Deserialize, Serialize};

use crate::{
    Env, LayerForm, Result, blob,
    origin::{Origin, PACKED, Told, WITH_EPOCH, digest},
};

/// Layers that are packed at once: each compresses with all cores, but reads with one.
pub(crate) const AT_ONCE: usize = 2;

/// A layer of an image, and the snapshot that has its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayer {
    /// What the store's image says of it: for a layer that was made here, the plain tar.
    pub entry: LayerEntry,
    /// The snapshot that shows it on top.
    pub snapshot: SnapshotId,
    /// Bytes of its regular files.
    pub unpacked_size: u64,
}

/// What becomes of snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// The form in which an output needs the layers (see
    /// [`ExportSpec::packing`](crate::ExportSpec::packing)): the blob of a layer that is new comes
    /// from the pass that finds its diffID. `None` where the diffIDs will do.
    pub form: Option<LayerForm>,
    /// Latest modification time of files, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

/// Returns the layers of a chain of snapshots, lowest first; what is not known of them is found
/// out. `base` are the layers of what the lowest lies on.
pub fn layers(
    env: &Env<'_>,
    base: &[DiffId],
    chain: &[SnapshotId],
    options: PackOptions,
) -> Result<Vec<ImageLayer>> {
    let _share = env.store.share()?;
    let mut found = Vec::with_capacity(chain.len());
    for snapshot in chain {
        found.push(known(env.store, *snapshot, options.epoch)?);
    }
    let missing: Vec<usize> = (0..chain.len()).filter(|at| found[*at].is_none()).collect();
    let made = at_once(&missing, AT_ONCE, |position| {
        let label = format!("layer {}", position + 1);
        Ok((*position, make(env, chain[*position], options, &label)?))
    })?;
    for (position, layer) in made {
        found[position] = Some(layer);
    }
    let layers: Vec<ImageLayer> = found.into_iter().flatten().collect();
    record_chains(env.store, base, &layers, options.epoch)?;
    Ok(layers)
}

/// Returns the unpacked size in bytes of the highest of some layers (all of them from the lowest
/// on, by diffID); `None` when it was neither packed nor unpacked here.
pub fn unpacked_size(store: &Store, diff_ids: &[DiffId]) -> Result<Option<u64>> {
    let Some(diff_id) = diff_ids.last() else { return Ok(None) };
    if let Some(layer) = store.layers_by_diff_id(*diff_id)?.first() {
        return Ok(Some(layer.unpacked_size));
    }
    let chain = ChainId::of(diff_ids).expect("there is a last layer");
    let Some(snapshot) = store.snapshot_for_chain(chain)? else { return Ok(None) };
    let mut layers = epoch_layers(store, snapshot)?.into_iter();
    let found = layers.find(|(_, layer)| layer.diff_id == *diff_id);
    Ok(found.map(|(_, layer)| layer.unpacked_size))
}

/// Runs `work` on each item on a few threads; the first error ends it.
pub(crate) fn at_once<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(item);
            if result.is_err() {
                // The others end with the item that they are at.
                next.store(items.len(), Ordering::Relaxed);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..items.len().min(threads) {
            scope.spawn(run);
        }
        run();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

/// A layer with an epoch, as it is remembered.
#[derive(Serialize, Deserialize)]
pub(crate) struct EpochLayer {
    pub(crate) diff_id: DiffId,
    tar_size: u64,
    unpacked_size: u64,
}

/// Returns the layers of a snapshot that end at an epoch, with the epoch.
pub(crate) fn epoch_layers(store: &Store, snapshot: SnapshotId) -> Result<Vec<(i64, EpochLayer)>> {
    let snapshot = store.snapshot_content(snapshot)?;
    let memos = store.memo_all(&Store::snapshot_namespace(snapshot, WITH_EPOCH))?;
    // A memo of another version is as good as none.
    let parse = |(key, value): (Vec<u8>, Vec<u8>)| {
        let epoch = std::str::from_utf8(&key).ok()?.parse().ok()?;
        Some((epoch, serde_json::from_slice(&value).ok()?))
    };
    Ok(memos.into_iter().filter_map(parse).collect())
}

/// Tells whether the files of a snapshot were made here, and are not those of a pulled image.
pub(crate) fn was_made_here(store: &Store, snapshot: SnapshotId) -> Result<bool> {
    let snapshot = store.snapshot_content(snapshot)?;
    Ok(store.memo_get(&Store::snapshot_namespace(snapshot, PACKED), b"")?.is_some())
}

/// Returns what is known of the layer of a snapshot.
pub(crate) fn known(
    store: &Store,
    snapshot: SnapshotId,
    epoch: Option<i64>,
) -> Result<Option<ImageLayer>> {
    let records = store.layers_of(snapshot)?;
    if records.is_empty() || was_made_here(store, snapshot)? {
        if let Some(epoch) = epoch {
            let mut layers = epoch_layers(store, snapshot)?.into_iter();
            let layer = layers.find(|(known, _)| *known == epoch).map(|(_, layer)| layer);
            return Ok(layer.map(|EpochLayer { diff_id, tar_size, unpacked_size }| ImageLayer {
                entry: plain(diff_id, tar_size),
                snapshot,
                unpacked_size,
            }));
        }
        let is_plain = |record: &&LayerRecord| {
            record.compression == lathe_store::Compression::None
                && record.descriptor.digest == record.diff_id.0
        };
        return Ok(records.iter().find(is_plain).map(|record| ImageLayer {
            entry: plain(record.diff_id, record.descriptor.size),
            snapshot,
            unpacked_size: record.unpacked_size,
        }));
    }
    // Of a pulled image: any form of the layer is right, best the one that is here.
    let mut best = None;
    for record in records {
        if store.has_blob(&record.descriptor.digest) {
            return Ok(Some(pulled(snapshot, record)));
        }
        if let Some(descriptor) = store.blob_for_diff_id(record.diff_id)? {
            return Ok(Some(pulled(snapshot, LayerRecord { descriptor, ..record })));
        }
        best = best.or(Some(record));
    }
    Ok(best.map(|record| pulled(snapshot, record)))
}

/// Finds out the layer of a snapshot and remembers it.
pub(crate) fn make(
    env: &Env<'_>,
    snapshot: SnapshotId,
    options: PackOptions,
    label: &str,
) -> Result<ImageLayer> {
    let origin = Origin { snapshot, epoch: options.epoch };
    let told = Told { label, total: None };
    // A plain blob is never needed: whoever wants the tar packs it to where it goes.
    let form = options.form.filter(|form| form.compression != Compression::None);
    let Some(form) = form else {
        let packed = digest(env, origin, told)?;
        return remember(env.store, origin, &packed);
    };
    let (descriptor, packed) = blob::pack_blob(env, origin, form, told)?;
    let layer = remember(env.store, origin, &packed)?;
    blob::remember(env.store, layer.entry.diff_id, form, &descriptor)?;
    Ok(layer)
}

/// Remembers what packing a snapshot came to.
fn remember(store: &Store, origin: Origin, packed: &PackedStream) -> Result<ImageLayer> {
    let PackedStream { diff_id, unpacked_size, tar_size, .. } = *packed;
    let Origin { snapshot, epoch } = origin;
    let owner = store.snapshot_content(snapshot)?;
    let entry = plain(diff_id, tar_size);
    if let Some(epoch) = epoch {
        let memo = EpochLayer { diff_id, tar_size, unpacked_size };
        let memo = serde_json::to_vec(&memo).expect("the memo has string keys only");
        let namespace = Store::snapshot_namespace(owner, WITH_EPOCH);
        store.memo_put(&namespace, [(epoch.to_string(), memo)])?;
    } else {
        let namespace = Store::snapshot_namespace(owner, PACKED);
        store.memo_put(&namespace, [(b"", b"")])?;
        store.record_layer(&LayerRecord {
            snapshot: owner,
            diff_id,
            compression: lathe_store::Compression::None,
            descriptor: entry.descriptor.clone(),
            unpacked_size,
        })?;
    }
    Ok(ImageLayer { entry, snapshot, unpacked_size })
}

/// Returns what an image says of a layer whose tar has a size in bytes.
fn plain(diff_id: DiffId, size: u64) -> LayerEntry {
    LayerEntry { diff_id, descriptor: Descriptor::new(MediaType::OciLayer, diff_id.0, size) }
}

/// Records which snapshot is which chain of layers, so that the image can be run at once, and
/// keeps what its layers are packed from.
///
/// Only where the snapshots lie on each other as the layers do: what a snapshot shows has to be
/// the whole chain.
fn record_chains(
    store: &Store,
    base: &[DiffId],
    layers: &[ImageLayer],
    epoch: Option<i64>,
) -> Result<()> {
    let Some(first) = layers.first() else { return Ok(()) };
    let mut below = store.snapshot(first.snapshot)?.and_then(|record| record.parent);
    let depth = below.map(|below| store.snapshot_chain(below)).transpose()?.map_or(0, |c| c.len());
    if depth != base.len() {
        return Ok(());
    }
    let mut chain = ChainId::of(base);
    let mut chains = Vec::with_capacity(layers.len());
    for layer in layers {
        let parent = store.snapshot(layer.snapshot)?.and_then(|record| record.parent);
        if parent != below {
            return Ok(());
        }
        let diff_id = layer.entry.diff_id;
        let next = chain.map_or(ChainId::first(diff_id), |chain| chain.push(diff_id));
        chains.push((next, layer.snapshot));
        (below, chain) = (Some(layer.snapshot), Some(next));
    }
    // The whole one is what is run and what keeps the others. Those below it are asked for only
    // where the index of layers cannot tell what a layer is packed from.
    let needed = if epoch.is_none() { chains.len() - 1 } else { 0 };
    for (chain, snapshot) in chains.drain(needed..) {
        if store.snapshot_for_chain(chain)?.is_none() {
            store.record_chain(chain, snapshot)?;
        }
    }
    Ok(())
}

fn pulled(snapshot: SnapshotId, record: LayerRecord) -> ImageLayer {
    let LayerRecord { diff_id, mut descriptor, unpacked_size, .. } = record;
    // The same bytes have another name in an OCI manifest than in one of Docker's.
    descriptor.media_type = match descriptor.media_type {
        MediaType::DockerLayer => MediaType::OciLayer,
        MediaType::DockerLayerGzip => MediaType::OciLayerGzip,
        other => other,
    };
    ImageLayer { entry: LayerEntry { diff_id, descriptor }, snapshot, unpacked_size }
}
