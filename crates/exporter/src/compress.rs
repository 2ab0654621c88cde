//! Compressing layers that came uncompressed, as `docker save` writes them, before they travel.

use std::io::{self, Read as _, Write as _};

use lathe_event::TransferKind;
use lathe_layer::Compression;
use lathe_oci::{Blob, BuiltImage, Descriptor, DiffId, Manifest, MediaType};

use crate::{
    Env, Error, Result,
    documents::to_json,
    progress::{Progress, Watched},
};

/// Bytes that are compressed at a time.
const BUFFER: usize = 256 * 1024;

/// Returns an image with all of its layers compressed; one that is so already as it is.
///
/// Its id stays, since diffIDs are of what is inside. What was compressed once is found again.
pub fn compressed_image(env: &Env<'_>, mut image: BuiltImage) -> Result<BuiltImage> {
    let _share = env.store.share()?;
    let plain =
        |media_type: &MediaType| Compression::of_media_type(media_type) == Some(Compression::None);
    if !image.layers.iter().any(|layer| plain(&layer.descriptor.media_type)) {
        return Ok(image);
    }
    let mut manifest = Manifest::parse(image.manifest.bytes())?;
    for (layer, place) in image.layers.iter_mut().zip(&mut manifest.layers) {
        if plain(&layer.descriptor.media_type) {
            layer.descriptor = compressed(env, layer.diff_id, &layer.descriptor)?;
            *place = layer.descriptor.clone();
        }
    }
    let media_type = image.manifest.descriptor().media_type.clone();
    image.manifest = Blob::new(media_type, to_json(&manifest));
    Ok(image)
}

fn compressed(env: &Env<'_>, diff_id: DiffId, plain: &Descriptor) -> Result<Descriptor> {
    let is_gzip =
        |blob: &Descriptor| Compression::of_media_type(&blob.media_type) == Some(Compression::Gzip);
    if let Some(known) = env.store.blobs_for_diff_id(diff_id)?.into_iter().find(is_gzip) {
        return Ok(Descriptor { media_type: MediaType::OciLayerGzip, ..known });
    }
    let path = env.store.blob_path(&plain.digest);
    let mut from = env.store.open_blob(&plain.digest)?;
    let label = plain.digest.short();
    let progress = Progress::start(env, TransferKind::Pack, &label, None);
    let output = Watched::new(env.store.blob_writer()?, &progress);
    let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
    let failed = |source: io::Error| {
        if env.cancel.is_cancelled() {
            Error::Cancelled
        } else {
            Error::io("compress", &path)(source)
        }
    };
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        encoder.write_all(&buffer[..count]).map_err(failed)?;
    }
    let output = encoder.finish().map_err(failed)?;
    let (digest, size) = output.inner.finish(None)?;
    let descriptor = Descriptor::new(MediaType::OciLayerGzip, digest, size);
    env.store.record_diff(diff_id, &descriptor)?;
    Ok(descriptor)
}
