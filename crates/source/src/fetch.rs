//! Fetching: the layers of a pinned image, downloaded at once and unpacked in order.
//!
//! A few threads bring blobs into the store; the calling thread unpacks each layer while it
//! arrives, and commits it when all of it was there and was what it should be. A chain of layers that was
//! unpacked before, in whole or in its lower part, is not unpacked again.

use std::{
    io::{self, Read, Write},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use lathe_event::{StepId, TransferKind};
use lathe_layer::{Compression, UnpackOptions};
use lathe_oci::{ChainId, Descriptor, DiffId, Reference};
use lathe_registry::{Client, ResumingReader};
use lathe_rootfs::Root;
use lathe_snapshot::Snapshots;
use lathe_store::{ImageRecord, LayerRecord, PartialBlob, SnapshotId};

use crate::{
    Error, Images, Result, arrival::Arrival, image::ParsedImage, layout, progress::Progress,
};

/// Blobs that are downloaded at once, as docker does by default, and one more.
const DOWNLOADS: usize = 4;

/// Bytes that move at a time.
const BUFFER: usize = 256 * 1024;

/// Brings all layers of `image` into the store and unpacks them.
///
/// Returns the snapshot of the whole file tree, `None` for an image without layers. The image is
/// listed under `reference` afterwards, as after a pull.
pub fn fetch(
    images: &Images,
    snapshots: &Snapshots,
    reference: &Reference,
    image: &ParsedImage,
    step: Option<StepId>,
) -> Result<Option<SnapshotId>> {
    let top = Fetch { images, snapshots, reference, image, step }.run()?;
    let mut record = image_record(images, image)?;
    let repo_digest = format!("{}@{}", reference.name(), image.manifest.digest);
    // A folder is no place that others could pull it from.
    if reference.registry() != layout::REGISTRY && !record.repo_digests.contains(&repo_digest) {
        record.repo_digests.push(repo_digest);
    }
    if reference.tag().is_some() && reference.digest().is_none() {
        images.store.set_tag(&reference.to_string(), &record)?;
    } else {
        images.store.put_image(&record)?;
    }
    Ok(top)
}

fn image_record(images: &Images, image: &ParsedImage) -> Result<ImageRecord> {
    let mut size = 0;
    for diff_id in &image.config.rootfs.diff_ids {
        size += images.store.layers_by_diff_id(*diff_id)?.first().map_or(0, |l| l.unpacked_size);
    }
    let id = image.document.config.digest;
    // What is known of it from elsewhere stays.
    let repo_digests = images.store.image(&id)?.map_or_else(Vec::new, |known| known.repo_digests);
    Ok(ImageRecord {
        id,
        manifest: image.manifest.clone(),
        names: Vec::new(),
        created: image.config.created_seconds(),
        size,
        platform: image.config.platform(),
        repo_digests,
    })
}

struct Fetch<'a> {
    images: &'a Images,
    snapshots: &'a Snapshots,
    reference: &'a Reference,
    image: &'a ParsedImage,
    step: Option<StepId>,
}

impl Fetch<'_> {
    fn run(&self) -> Result<Option<SnapshotId>> {
        let store = &self.images.store;
        let diff_ids = &self.image.config.rootfs.diff_ids;
        // The longest lower part that is unpacked already.
        let mut base = None;
        let mut known = 0;
        for count in (1..=diff_ids.len()).rev() {
            let chain = ChainId::of(&diff_ids[..count]).expect("count is not zero");
            if let Some(snapshot) = store.snapshot_for_chain(chain)? {
                (base, known) = (Some(snapshot), count);
                break;
            }
        }
        let layers = &self.image.document.layers[known..];
        self.download(layers, |index, arrival| {
            let position = known + index;
            let chain = ChainId::of(&diff_ids[..=position]).expect("it has a layer");
            let layer = (&layers[index], diff_ids[position]);
            let unpacked = self.unpack(layer, arrival, chain, base);
            // Of two errors the one of the download is the reason for the other.
            base = Some(arrival.outcome().and(unpacked)?);
            Ok(())
        })?;
        Ok(base)
    }

    /// Downloads `layers` on a few threads, and hands each to `arrives` in order, while it comes.
    fn download(
        &self,
        layers: &[Descriptor],
        mut arrives: impl FnMut(usize, &Arrival) -> Result<()>,
    ) -> Result<()> {
        let missing = |layer: &Descriptor| !self.images.store.has_blob(&layer.digest);
        let client = if layers.iter().any(missing) { Some((self.images.client)()?) } else { None };
        let arrivals: Vec<Arrival> = layers.iter().map(|_| Arrival::default()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((layer, arrival)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                layers.get(index).zip(arrivals.get(index))
            } {
                let result = client.as_ref().map_or(Ok(()), |client| {
                    self.images.fetch_blob(client, self.reference, layer, self.step, arrival)
                });
                arrival.end(result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..layers.len().min(DOWNLOADS) {
                scope.spawn(work);
            }
            let mut arrivals = arrivals.iter().enumerate();
            let result = arrivals.try_for_each(|(index, arrival)| arrives(index, arrival));
            if result.is_err() {
                // What has not begun never does; what is under way ends at its next bytes.
                next.store(layers.len(), Ordering::Relaxed);
                arrivals.for_each(|(_, arrival)| arrival.give_up());
            }
            result
        })
    }

    /// Unpacks a layer while it arrives. The snapshot is committed only when all of the blob was
    /// there and had its digest.
    fn unpack(
        &self,
        (layer, diff_id): (&Descriptor, DiffId),
        arrival: &Arrival,
        chain: ChainId,
        base: Option<SnapshotId>,
    ) -> Result<SnapshotId> {
        let store = &self.images.store;
        if self.images.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let compression =
            Compression::of_media_type(&layer.media_type).ok_or_else(|| Error::UnknownLayer {
                image: self.reference.familiar(),
                layer: layer.digest.to_string(),
                media_type: layer.media_type.to_string(),
            })?;
        let label = layer.digest.short();
        let events = &*self.images.events;
        let progress =
            Progress::start(events, TransferKind::Unpack, &label, Some(layer.size), self.step);
        let active = self.snapshots.prepare(base)?;
        let unpacked = {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            let mut done = 0;
            let blob = Counting {
                inner: arrival.open(|| store.open_blob(&layer.digest))?,
                count: |bytes| {
                    done += bytes;
                    progress.set(done);
                },
            };
            lathe_layer::unpack(blob, compression, &root, &UnpackOptions::default())?
        };
        arrival.outcome()?;
        if unpacked.diff_id != diff_id {
            return Err(Error::WrongDiffId {
                image: self.reference.familiar(),
                layer: layer.digest.to_string(),
                actual: unpacked.diff_id.to_string(),
                expected: diff_id.to_string(),
            });
        }
        let snapshot = active.commit()?;
        let snapshot = store.record_chain(chain, snapshot)?;
        store.record_layer(&LayerRecord {
            snapshot,
            diff_id,
            compression: stored_compression(compression),
            descriptor: layer.clone(),
            unpacked_size: unpacked.unpacked_size,
        })?;
        Ok(snapshot)
    }
}

fn stored_compression(compression: Compression) -> lathe_store::Compression {
    match compression {
        Compression::None => lathe_store::Compression::None,
        Compression::Gzip => lathe_store::Compression::Gzip,
        Compression::Zstd => lathe_store::Compression::Zstd,
    }
}

impl Images {
    /// Brings one blob into the store, unless it is there; `arrival` is told what has come.
    pub(crate) fn fetch_blob(
        &self,
        client: &Client,
        reference: &Reference,
        blob: &Descriptor,
        step: Option<StepId>,
        arrival: &Arrival,
    ) -> Result<()> {
        // Waits if another process downloads the same blob.
        let Some(mut partial) = self.store.partial(&blob.digest)? else { return Ok(()) };
        let label = blob.digest.short();
        let kind = TransferKind::Download;
        let progress = Progress::start(&*self.events, kind, &label, Some(blob.size), step);
        let offset = partial.offset();
        arrival.begin(partial.reader()?, offset);
        if offset < blob.size {
            let told = |done| progress.set(done);
            let mut reader = ResumingReader::open(client, reference, blob, offset, told)?;
            let mut arriving = Arriving { partial: &mut partial, arrival, count: offset };
            self.copy(&mut reader, &mut arriving, blob)?;
        }
        partial.finish(blob.size)?;
        Ok(())
    }

    pub(crate) fn copy(
        &self,
        from: &mut impl Read,
        to: &mut impl Write,
        blob: &Descriptor,
    ) -> Result<()> {
        let io = |action, source| Error::Io { action, subject: blob.digest.to_string(), source };
        let mut buffer = vec![0; BUFFER];
        loop {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let count = from.read(&mut buffer).map_err(|source| io("read", source))?;
            if count == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..count]).map_err(|source| io("store", source))?;
        }
    }
}

/// A download that tells those who read along how far it is.
struct Arriving<'a> {
    partial: &'a mut PartialBlob,
    arrival: &'a Arrival,
    count: u64,
}

impl Write for Arriving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.partial.write(bytes)?;
        self.count += written as u64;
        self.arrival.advance(self.count)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells how many bytes go by.
struct Counting<R, F> {
    inner: R,
    count: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counting<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.count)(count as u64);
        Ok(count)
    }
}
