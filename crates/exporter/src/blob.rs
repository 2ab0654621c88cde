//! Blobs of layers in the form that something on the way out asks for: found, or made once and
//! remembered.
//!
//! A layer that was made here comes straight from its snapshot: one pass over the files makes the
//! tar, checks its diffID, compresses and hashes; what else takes the bytes (an upload) gets them
//! meanwhile. Where the snapshot is not ours, or gone, a blob in another form is read instead.

use std::io::{self, Write};

use lathe_event::TransferKind;
use lathe_layer::{Compression, PackedStream, Recompression};
use lathe_oci::{Descriptor, DiffId, LayerEntry, MediaType};
use lathe_store::{BlobWriter, Store};

use crate::{
    Env, Error, LayerForm, Result,
    documents::to_json,
    layers::known,
    origin::{Layer, Origin, Told, pack, pack_known, threads},
    progress::{Progress, Watched},
};

/// Namespace of the memos that say which blob a layer became in a form.
const IN_FORM: &str = "layer-form";

/// The form without compression.
pub(crate) const PLAIN: LayerForm = LayerForm { compression: Compression::None, level: None };

/// Returns the blob of a layer in a form, made if need be.
pub(crate) fn in_form(env: &Env<'_>, layer: Layer<'_>, form: LayerForm) -> Result<Descriptor> {
    match found(env.store, layer, form)? {
        Some(blob) => Ok(blob),
        None => make(env, layer, form, io::sink()),
    }
}

/// Returns the blob of a layer in a form, if it is there, or is that of a layer that is packed
/// where it goes to (see [`is_virtual`]). One that has the compression already will do at whatever
/// level if it came with a pulled image.
pub(crate) fn found(
    store: &Store,
    layer: Layer<'_>,
    form: LayerForm,
) -> Result<Option<Descriptor>> {
    let blob = &layer.entry.descriptor;
    let origin = layer.origin(store)?;
    if form.compression == Compression::None
        && let Some(Origin { snapshot, epoch }) = origin
        && let Some(layer) = known(store, snapshot, epoch)?
    {
        return Ok(Some(layer.entry.descriptor));
    }
    // What is made here depends on what is asked for alone, not on what was made before.
    if origin.is_some() || form.level.is_some() {
        let remembered = remembered(store, layer.entry.diff_id, form)?;
        if remembered.is_some() || origin.is_some() {
            return Ok(remembered);
        }
    }
    if fits(blob, form) && store.has_blob(&blob.digest) {
        return Ok(Some(blob.clone()));
    }
    let blobs = store.blobs_for_diff_id(layer.entry.diff_id)?;
    let found = blobs.into_iter().find(|blob| fits(blob, form) && store.has_blob(&blob.digest));
    // The same bytes, under the name that they have in an OCI manifest.
    Ok(found.map(|blob| Descriptor::new(form.compression.media_type(), blob.digest, blob.size)))
}

/// Makes the blob of a layer in a form and remembers it; `also` gets the same bytes.
///
/// # Errors
/// [`Error::LayerMissing`] where neither a blob nor a snapshot has the layer.
pub(crate) fn make(
    env: &Env<'_>,
    layer: Layer<'_>,
    form: LayerForm,
    also: impl Write,
) -> Result<Descriptor> {
    let store = env.store;
    let diff_id = layer.entry.diff_id;
    let output = Tee { blob: store.blob_writer()?, also };
    let output = if store.has_blob(&diff_id.0) {
        let plain = Descriptor::new(MediaType::OciLayer, diff_id.0, 0);
        converted(env, diff_id, &plain, form, output)?
    } else if let Some(origin) = layer.origin(store)? {
        pack_known(env, origin, diff_id, form, output)?
    } else if let Some(blob) = any_blob(store, layer.entry)? {
        converted(env, diff_id, &blob, form, output)?
    } else {
        foreign(env, layer, form, output)?
    };
    let blob = output.finish(form)?;
    remember(store, diff_id, form, &blob)?;
    Ok(blob)
}

/// Packs a layer that is not known yet to a blob.
pub(crate) fn pack_blob(
    env: &Env<'_>,
    origin: Origin,
    form: LayerForm,
    told: Told<'_>,
) -> Result<(Descriptor, PackedStream)> {
    let output = Tee { blob: env.store.blob_writer()?, also: io::sink() };
    let (output, packed) = pack(env, origin, form, told, output)?;
    Ok((output.finish(form)?, packed))
}

/// Tells whether the bytes that an image's layer names can be had: whether its blob is there, or
/// can be packed where it goes to.
pub(crate) fn is_available(store: &Store, layer: Layer<'_>) -> Result<bool> {
    let blob = &layer.entry.descriptor;
    if store.blob_size(&blob.digest) == Some(blob.size) {
        return Ok(true);
    }
    Ok(is_virtual(store, layer)?.is_some())
}

/// Returns what the bytes of a layer's blob are packed from when that is nowhere.
pub(crate) fn is_virtual(store: &Store, layer: Layer<'_>) -> Result<Option<Origin>> {
    let LayerEntry { diff_id, descriptor } = layer.entry;
    if descriptor.digest != diff_id.0 || store.has_blob(&descriptor.digest) {
        return Ok(None);
    }
    layer.origin(store)
}

/// Remembers which blob is a layer in a form.
pub(crate) fn remember(
    store: &Store,
    diff_id: DiffId,
    form: LayerForm,
    blob: &Descriptor,
) -> Result<()> {
    store.record_diff(diff_id, blob)?;
    Ok(store.memo_put(IN_FORM, [(key(diff_id, form), to_json(blob))])?)
}

fn remembered(store: &Store, diff_id: DiffId, form: LayerForm) -> Result<Option<Descriptor>> {
    let Some(memo) = store.memo_get(IN_FORM, &key(diff_id, form))? else { return Ok(None) };
    // A memo of another version is as good as none.
    let found: Option<Descriptor> = serde_json::from_slice(&memo).ok();
    Ok(found.filter(|blob| store.has_blob(&blob.digest)))
}

fn key(diff_id: DiffId, form: LayerForm) -> Vec<u8> {
    let level = form.level.map_or_else(|| "usual".to_owned(), |level| level.to_string());
    format!("{}/{}/{level}", diff_id.0, form.compression).into_bytes()
}

/// Returns a blob that is here and holds a layer, in whatever form.
fn any_blob(store: &Store, layer: &LayerEntry) -> Result<Option<Descriptor>> {
    let known = store.blobs_for_diff_id(layer.diff_id)?;
    let is_good = |blob: &&Descriptor| store.has_blob(&blob.digest) && compression(blob).is_some();
    Ok([&layer.descriptor].into_iter().chain(&known).find(is_good).cloned())
}

/// Writes a layer in another form than that of a blob which has it.
fn converted<W: Write>(
    env: &Env<'_>,
    diff_id: DiffId,
    from: &Descriptor,
    form: LayerForm,
    output: W,
) -> Result<W> {
    let blob = env.store.open_blob(&from.digest)?;
    let label = from.digest.short();
    let progress = Progress::start(env, TransferKind::Pack, &label, None);
    let output = Watched::new(output, &progress);
    let forms = Recompression {
        from: compression(from).unwrap_or(Compression::None),
        to: form.compression,
        level: form.level,
        threads: threads(),
    };
    let (output, actual) = lathe_layer::recompress(blob, forms, output)
        .map_err(|error| if env.cancel.is_cancelled() { Error::Cancelled } else { error.into() })?;
    if actual != diff_id {
        return Err(Error::LayerContent {
            blob: Box::new(from.digest),
            expected: Box::new(diff_id),
            actual: Box::new(actual),
        });
    }
    Ok(output.inner)
}

/// Packs a layer of a pulled image whose blob is gone: a tar that another tool made is rarely met
/// byte by byte, but where it is, that is as good.
fn foreign<W: Write>(env: &Env<'_>, layer: Layer<'_>, form: LayerForm, output: W) -> Result<W> {
    let missing = || Error::LayerMissing { digest: Box::new(layer.entry.descriptor.digest) };
    let snapshot = layer.snapshot(env.store)?.ok_or_else(missing)?;
    let origin = Origin { snapshot, epoch: None };
    let diff_id = layer.entry.diff_id;
    // First without writing: what goes out cannot be taken back.
    match pack_known(env, origin, diff_id, PLAIN, io::sink()) {
        Err(Error::SnapshotChanged { .. }) => return Err(missing()),
        result => result?,
    };
    pack_known(env, origin, diff_id, form, output)
}

fn fits(blob: &Descriptor, form: LayerForm) -> bool {
    compression(blob) == Some(form.compression)
}

/// Returns how a blob is compressed, as its media type tells.
pub(crate) fn compression(blob: &Descriptor) -> Option<Compression> {
    Compression::of_media_type(&blob.media_type)
}

/// A blob that is being made, and somebody else who takes its bytes.
struct Tee<W> {
    blob: BlobWriter,
    also: W,
}

impl<W> Tee<W> {
    fn finish(self, form: LayerForm) -> Result<Descriptor> {
        let (digest, size) = self.blob.finish(None)?;
        Ok(Descriptor::new(form.compression.media_type(), digest, size))
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.blob.write(bytes)?;
        self.also.write_all(&bytes[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
