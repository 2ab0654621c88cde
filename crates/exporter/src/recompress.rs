//! Blobs of known layers in other forms: found, or made once and remembered.

use lathe_event::TransferKind;
use lathe_layer::{Compression, Recompression};
use lathe_oci::{BuiltImage, Descriptor, LayerEntry, Manifest};
use lathe_store::Store;

use crate::{
    Env, Error, LayerForm, Result,
    documents::to_json,
    layers::threads,
    progress::{Progress, Watched},
};

/// Namespace of the memos that say which blob is a layer at a level.
const AT_LEVEL: &str = "layer-level";

/// Returns an image with all of its layers compressed; one that is so already as it is.
///
/// Its id stays, since diffIDs are of what is inside. What was compressed once is found again.
pub fn compressed_image(env: &Env<'_>, mut image: BuiltImage) -> Result<BuiltImage> {
    let _share = env.store.share()?;
    let is_plain = |layer: &LayerEntry| compression(&layer.descriptor) == Some(Compression::None);
    if !image.layers.iter().any(is_plain) {
        return Ok(image);
    }
    let mut manifest = Manifest::parse(image.manifest.bytes())?;
    for (layer, place) in image.layers.iter_mut().zip(&mut manifest.layers) {
        if is_plain(layer) {
            layer.descriptor = blob_in_form(env, layer, LayerForm::default(), true)?;
            *place = layer.descriptor.clone();
        }
    }
    let media_type = image.manifest.descriptor().media_type.clone();
    image.manifest = lathe_oci::Blob::new(media_type, to_json(&manifest));
    Ok(image)
}

/// Returns the blob of a layer in a form. One that has the compression already is made again for
/// the sake of a level only if it `is_own`: packed here, not pulled.
pub(crate) fn blob_in_form(
    env: &Env<'_>,
    layer: &LayerEntry,
    form: LayerForm,
    is_own: bool,
) -> Result<Descriptor> {
    let fits = |blob: &Descriptor| compression(blob) == Some(form.compression);
    if fits(&layer.descriptor) && (form.level.is_none() || !is_own) {
        return Ok(layer.descriptor.clone());
    }
    let known = env.store.blobs_for_diff_id(layer.diff_id)?;
    if form.level.is_none()
        && let Some(found) = known.iter().find(|blob| fits(blob))
    {
        return Ok(typed(found, form.compression));
    }
    if let Some(found) = remembered(env.store, layer, form)? {
        return Ok(found);
    }
    let has = |blob: &&Descriptor| env.store.has_blob(&blob.digest) && compression(blob).is_some();
    let missing = || Error::LayerMissing { digest: Box::new(layer.descriptor.digest) };
    let from = [&layer.descriptor].into_iter().chain(&known).find(has).ok_or_else(missing)?;
    let made = converted(env, layer, from, form)?;
    remember(env.store, layer, form, &made)?;
    Ok(made)
}

fn converted(
    env: &Env<'_>,
    layer: &LayerEntry,
    from: &Descriptor,
    form: LayerForm,
) -> Result<Descriptor> {
    let blob = env.store.open_blob(&from.digest)?;
    let label = from.digest.short();
    let progress = Progress::start(env, TransferKind::Pack, &label, None);
    let output = Watched::new(env.store.blob_writer()?, &progress);
    let forms = Recompression {
        from: compression(from).unwrap_or(Compression::None),
        to: form.compression,
        level: form.level,
        threads: threads(),
    };
    let (output, diff_id) = lathe_layer::recompress(blob, forms, output)
        .map_err(|error| if env.cancel.is_cancelled() { Error::Cancelled } else { error.into() })?;
    if diff_id != layer.diff_id {
        return Err(Error::LayerContent {
            blob: Box::new(from.digest),
            expected: Box::new(layer.diff_id),
            actual: Box::new(diff_id),
        });
    }
    let (digest, size) = output.inner.finish(None)?;
    let descriptor = Descriptor::new(form.compression.media_type(), digest, size);
    env.store.record_diff(layer.diff_id, &descriptor)?;
    Ok(descriptor)
}

fn remembered(store: &Store, layer: &LayerEntry, form: LayerForm) -> Result<Option<Descriptor>> {
    let Some(level) = form.level else { return Ok(None) };
    let Some(memo) = store.memo_get(AT_LEVEL, &key(layer, form, level))? else { return Ok(None) };
    // A memo of another version is as good as none.
    let found: Option<Descriptor> = serde_json::from_slice(&memo).ok();
    Ok(found.filter(|blob| store.has_blob(&blob.digest)))
}

fn remember(store: &Store, layer: &LayerEntry, form: LayerForm, blob: &Descriptor) -> Result<()> {
    let Some(level) = form.level else { return Ok(()) };
    Ok(store.memo_put(AT_LEVEL, [(key(layer, form, level), to_json(blob))])?)
}

fn key(layer: &LayerEntry, form: LayerForm, level: u8) -> Vec<u8> {
    format!("{}/{}/{level}", layer.diff_id.0, form.compression).into_bytes()
}

fn compression(blob: &Descriptor) -> Option<Compression> {
    Compression::of_media_type(&blob.media_type)
}

/// The same bytes, under the name that they have in an OCI manifest.
fn typed(blob: &Descriptor, compression: Compression) -> Descriptor {
    Descriptor::new(compression.media_type(), blob.digest, blob.size)
}
