//! Snapshots to layers: each one packed once and remembered.
//!
//! A layer that came with a pulled image is never packed again, whatever compression is asked
//! for: its diffID has to stay what its image says, and so shared with it. Which layers were
//! packed here is a memo of the snapshot.
//!
//! With an epoch the bytes are others, so those layers are remembered apart, by epoch; the index
//! of layers has only those without.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use lathe_event::TransferKind;
use lathe_layer::{Compression, PackRequest};
use lathe_oci::{ChainId, Descriptor, DiffId, LayerEntry, MediaType};
use lathe_rootfs::Root;
use lathe_store::{LayerRecord, SnapshotId, Store};
use serde::{Deserialize, Serialize};

use crate::{
    Env, Error, LayerForm, Result,
    progress::{Progress, Watched},
};

/// Layers that are packed at once: each compresses with all cores, but reads with one.
const AT_ONCE: usize = 2;

/// Topic of the memo that says that a snapshot's layer was packed here.
const PACKED: &str = "packed";

/// Topic of the memos of layers whose times end at an epoch.
const WITH_EPOCH: &str = "layer-epoch";

/// A layer of an image, and the snapshot that has its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayer {
    /// What the image says of it.
    pub entry: LayerEntry,
    /// The snapshot whose changes it holds.
    pub snapshot: SnapshotId,
    /// Bytes of its regular files.
    pub unpacked_size: u64,
}

/// Returns the layers of a chain of snapshots, lowest first; those that are not in the store are
/// packed. Modification times later than `epoch` (seconds since 1970) are set to it.
pub fn layers(
    env: &Env<'_>,
    chain: &[SnapshotId],
    compression: Compression,
    epoch: Option<i64>,
) -> Result<Vec<ImageLayer>> {
    layers_in(env, chain, LayerForm { compression, level: None }, epoch)
}

/// As [`layers`], in a form that outputs agree on (see
/// [`ExportSpec::packing`](crate::ExportSpec::packing)).
pub fn layers_in(
    env: &Env<'_>,
    chain: &[SnapshotId],
    form: LayerForm,
    epoch: Option<i64>,
) -> Result<Vec<ImageLayer>> {
    let _share = env.store.share()?;
    let cx = Cx { env, form, epoch };
    let mut found = Vec::with_capacity(chain.len());
    for snapshot in chain {
        found.push(cx.known(*snapshot)?);
    }
    let missing: Vec<(usize, SnapshotId)> = chain
        .iter()
        .copied()
        .enumerate()
        .filter(|(position, _)| found[*position].is_none())
        .collect();
    for (position, layer) in cx.pack_all(&missing)? {
        found[position] = Some(layer);
    }
    let layers: Vec<ImageLayer> = found.into_iter().flatten().collect();
    record_chains(env.store, &layers)?;
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
    let memos = store.memo_all(&Store::snapshot_namespace(snapshot, WITH_EPOCH))?;
    let layers = memos.iter().filter_map(|(_, memo)| serde_json::from_slice(memo).ok());
    let found = layers.into_iter().find(|layer: &EpochLayer| layer.diff_id == *diff_id);
    Ok(found.map(|layer| layer.unpacked_size))
}

/// Packs the changes of one snapshot, without looking whether that was done before.
pub(crate) fn pack_again(env: &Env<'_>, snapshot: SnapshotId) -> Result<ImageLayer> {
    Cx { env, form: LayerForm::default(), epoch: None }.pack(snapshot, 0)
}

/// Hands the request to pack the changes of a snapshot to `pack`, while what is below is there to
/// be looked at. It asks for no compression and changes no times.
pub(crate) fn pack_request<T>(
    env: &Env<'_>,
    snapshot: SnapshotId,
    pack: impl FnOnce(PackRequest<'_>) -> Result<T>,
) -> Result<T> {
    let Env { store, snapshots, .. } = *env;
    let record = store.snapshot(snapshot)?.ok_or(lathe_store::Error::SnapshotMissing(snapshot))?;
    let changes = Root::open(&snapshots.changes(snapshot))?;
    // Only what a whole lower tree shows tells whether a new directory hides something.
    let below = record.parent.map(|parent| snapshots.view(parent)).transpose()?;
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

/// Returns how many threads compress.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Tells whether the highest of some layers (all of them from the lowest on, by diffID) was packed
/// here and did not come with an image.
pub(crate) fn was_packed_here(store: &Store, diff_ids: &[DiffId]) -> Result<bool> {
    let Some(diff_id) = diff_ids.last() else { return Ok(false) };
    for layer in store.layers_by_diff_id(*diff_id)? {
        let namespace = Store::snapshot_namespace(layer.snapshot, PACKED);
        if store.memo_get(&namespace, b"")?.is_some() {
            return Ok(true);
        }
    }
    let chain = ChainId::of(diff_ids).expect("there is a last layer");
    let Some(snapshot) = store.snapshot_for_chain(chain)? else { return Ok(false) };
    Ok(!store.memo_all(&Store::snapshot_namespace(snapshot, WITH_EPOCH))?.is_empty())
}

/// What packing depends on.
struct Cx<'a> {
    env: &'a Env<'a>,
    form: LayerForm,
    epoch: Option<i64>,
}

/// A layer with an epoch, as it is remembered.
#[derive(Serialize, Deserialize)]
struct EpochLayer {
    diff_id: DiffId,
    descriptor: Descriptor,
    unpacked_size: u64,
}

impl Cx<'_> {
    /// Returns the layer of a snapshot, if its blob is in the store.
    fn known(&self, snapshot: SnapshotId) -> Result<Option<ImageLayer>> {
        let store = self.env.store;
        let records = store.layers_of(snapshot)?;
        if records.is_empty() || self.was_packed(snapshot)? {
            if !self.is_usual() {
                return self.known_as_memo(snapshot);
            }
            let wanted = stored_compression(self.form.compression);
            return Ok(store.layer_of(snapshot, wanted)?.map(image_layer));
        }
        // Of a pulled image: any form of the layer is right.
        for record in records {
            if store.has_blob(&record.descriptor.digest) {
                return Ok(Some(image_layer(record)));
            }
            if let Some(descriptor) = store.blob_for_diff_id(record.diff_id)? {
                return Ok(Some(image_layer(LayerRecord { descriptor, ..record })));
            }
        }
        Ok(None)
    }

    fn was_packed(&self, snapshot: SnapshotId) -> Result<bool> {
        let namespace = Store::snapshot_namespace(snapshot, PACKED);
        Ok(self.env.store.memo_get(&namespace, b"")?.is_some())
    }

    /// Tells whether the index of layers has it; others are remembered beside.
    const fn is_usual(&self) -> bool {
        self.epoch.is_none() && self.form.level.is_none()
    }

    fn known_as_memo(&self, snapshot: SnapshotId) -> Result<Option<ImageLayer>> {
        let namespace = Store::snapshot_namespace(snapshot, WITH_EPOCH);
        let Some(bytes) = self.env.store.memo_get(&namespace, &self.memo_key())? else {
            return Ok(None);
        };
        // A memo of another version is as good as none.
        let layer = serde_json::from_slice::<EpochLayer>(&bytes).ok();
        let layer = layer.filter(|layer| self.env.store.has_blob(&layer.descriptor.digest));
        Ok(layer.map(|layer| ImageLayer {
            entry: LayerEntry { diff_id: layer.diff_id, descriptor: layer.descriptor },
            snapshot,
            unpacked_size: layer.unpacked_size,
        }))
    }

    fn memo_key(&self) -> Vec<u8> {
        let LayerForm { compression, level } = self.form;
        let level = level.map(|level| format!(":{level}")).unwrap_or_default();
        let epoch = self.epoch.map_or("-".to_owned(), |epoch| epoch.to_string());
        format!("{compression}{level}/{epoch}").into_bytes()
    }

    /// Packs several layers, a few at once.
    fn pack_all(&self, missing: &[(usize, SnapshotId)]) -> Result<Vec<(usize, ImageLayer)>> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let results = Mutex::new(Vec::new());
        let work = || {
            while !failed.load(Ordering::Relaxed)
                && let Some((position, snapshot)) =
                    missing.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let result = self.pack(*snapshot, *position);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push(result.map(|layer| (*position, layer)));
            }
        };
        thread::scope(|scope| {
            for _ in 1..missing.len().min(AT_ONCE) {
                scope.spawn(work);
            }
            work();
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }

    fn pack(&self, snapshot: SnapshotId, position: usize) -> Result<ImageLayer> {
        let Env { store, cancel, .. } = *self.env;
        let label = format!("layer {}", position + 1);
        let progress = Progress::start(self.env, TransferKind::Pack, &label, None);
        let output = Watched::new(store.blob_writer()?, &progress);
        let packed = pack_request(self.env, snapshot, |request| {
            let LayerForm { compression, level } = self.form;
            let request = PackRequest { compression, level, epoch: self.epoch, ..request };
            Ok(lathe_layer::pack_to(&request, output)?)
        });
        let (output, packed) =
            packed.map_err(|error| if cancel.is_cancelled() { Error::Cancelled } else { error })?;
        let (digest, size) = output.inner.finish(None)?;
        let layer = LayerRecord {
            snapshot,
            diff_id: packed.diff_id,
            compression: stored_compression(self.form.compression),
            descriptor: Descriptor::new(self.form.compression.media_type(), digest, size),
            unpacked_size: packed.unpacked_size,
        };
        self.remember(&layer)?;
        Ok(image_layer(layer))
    }

    fn remember(&self, layer: &LayerRecord) -> Result<()> {
        let store = self.env.store;
        if self.is_usual() {
            let namespace = Store::snapshot_namespace(layer.snapshot, PACKED);
            store.memo_put(&namespace, [(b"", b"")])?;
            return Ok(store.record_layer(layer)?);
        }
        store.record_diff(layer.diff_id, &layer.descriptor)?;
        let memo = EpochLayer {
            diff_id: layer.diff_id,
            descriptor: layer.descriptor.clone(),
            unpacked_size: layer.unpacked_size,
        };
        let memo = serde_json::to_vec(&memo).expect("the memo has string keys only");
        let namespace = Store::snapshot_namespace(layer.snapshot, WITH_EPOCH);
        Ok(store.memo_put(&namespace, [(self.memo_key(), memo)])?)
    }
}

/// Records which snapshot is which chain of layers, so that the image can be run at once.
///
/// Only where the snapshots lie on each other as the layers do: what a snapshot shows has to be
/// the whole chain.
fn record_chains(store: &Store, layers: &[ImageLayer]) -> Result<()> {
    let mut below: Option<(SnapshotId, ChainId)> = None;
    for layer in layers {
        let parent = store.snapshot(layer.snapshot)?.and_then(|record| record.parent);
        if parent != below.map(|(snapshot, _)| snapshot) {
            return Ok(());
        }
        let diff_id = layer.entry.diff_id;
        let chain = below.map_or(ChainId::first(diff_id), |(_, chain)| chain.push(diff_id));
        if store.snapshot_for_chain(chain)?.is_none() {
            store.record_chain(chain, layer.snapshot)?;
        }
        below = Some((layer.snapshot, chain));
    }
    Ok(())
}

fn image_layer(record: LayerRecord) -> ImageLayer {
    let LayerRecord { snapshot, diff_id, mut descriptor, unpacked_size, .. } = record;
    // The same bytes have another name in an OCI manifest than in one of Docker's.
    descriptor.media_type = match descriptor.media_type {
        MediaType::DockerLayer => MediaType::OciLayer,
        MediaType::DockerLayerGzip => MediaType::OciLayerGzip,
        other => other,
    };
    ImageLayer { entry: LayerEntry { diff_id, descriptor }, snapshot, unpacked_size }
}

const fn stored_compression(compression: Compression) -> lathe_store::Compression {
    match compression {
        Compression::None => lathe_store::Compression::None,
        Compression::Gzip => lathe_store::Compression::Gzip,
        Compression::Zstd => lathe_store::Compression::Zstd,
    }
}
