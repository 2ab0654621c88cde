//! Images in the store: put there after a build, taken from there to be saved or pushed.

use lathe_oci::{
    Blob, BuiltImage, Descriptor, DiffId, ImageConfig, LayerEntry, Manifest, MediaType, Reference,
};
use lathe_store::{ImageRecord, Store};

use crate::{
    Env, Result, blob,
    documents::to_json,
    origin::{Layer, diff_ids},
};

/// Largest manifest or config that is read, in bytes: the limit of the common registries.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Puts an image whose layers are in the store, or can be packed from there, there under its names, or without any. `size` is
/// the unpacked size of its layers in bytes.
pub fn store_image(
    store: &Store,
    image: &BuiltImage,
    names: &[Reference],
    size: u64,
) -> Result<ImageRecord> {
    let _share = store.share()?;
    let config = ImageConfig::parse(image.config.bytes())?;
    store.put_blob(image.config.bytes())?;
    store.put_blob(image.manifest.bytes())?;
    let known = store.image(image.id())?;
    let mut record = ImageRecord {
        id: *image.id(),
        manifest: image.manifest.descriptor().clone(),
        names: Vec::new(),
        created: config.created_seconds(),
        size,
        platform: config.platform(),
        repo_digests: known.map(|known| known.repo_digests).unwrap_or_default(),
    };
    if names.is_empty() {
        store.put_image(&record)?;
    }
    for name in names {
        store.set_tag(&name.clone().with_default_tag().to_string(), &record)?;
    }
    record.names = store.image(&record.id)?.map(|known| known.names).unwrap_or_default();
    Ok(record)
}

/// Notes of an image in the store that it has a name with its digest, as one that was pushed has.
pub(crate) fn record_digest_name(
    store: &Store,
    record: &mut ImageRecord,
    name: &Reference,
) -> Result<()> {
    let text = format!("{}@{}", name.name(), record.manifest.digest);
    if !record.repo_digests.contains(&text) {
        record.repo_digests.push(text);
        record.repo_digests.sort();
        store.put_image(record)?;
    }
    Ok(())
}

/// Returns what can be had nowhere in the store of these layers (all of an image, the lowest
/// first): blobs of a pulled image that were pruned while its files stayed.
pub fn missing_layers(store: &Store, layers: &[LayerEntry]) -> Result<Vec<Descriptor>> {
    let diff_ids = diff_ids(layers);
    let mut missing = Vec::new();
    for layer in Layer::all(layers, &diff_ids) {
        let is_here = blob::is_available(store, layer)?
            || layer.origin(store)?.is_some()
            || store.blob_for_diff_id(layer.entry.diff_id)?.is_some();
        if !is_here {
            missing.push(layer.entry.descriptor.clone());
        }
    }
    Ok(missing)
}

/// Returns an image of the store with all its layers there: as blobs, or to be packed where they
/// go to.
///
/// A layer whose blob is gone (another image brought its files) is replaced by a blob with the
/// same diffID, or by the plain layer that can be packed. The image keeps its id then, its manifest
/// is another.
///
/// # Errors
/// [`Error::LayerMissing`](crate::Error::LayerMissing) where a layer can be had nowhere here.
pub fn stored_image(env: &Env<'_>, record: &ImageRecord) -> Result<BuiltImage> {
    let _share = env.store.share()?;
    let bytes = env.store.read_blob(&record.manifest.digest, DOCUMENT_LIMIT)?;
    let mut manifest = Manifest::parse(&bytes)?;
    let config_bytes = env.store.read_blob(&manifest.config.digest, DOCUMENT_LIMIT)?;
    let config = ImageConfig::parse(&config_bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let layers = manifest.layers.len();
        let history = config.history.iter().filter(|item| !item.empty_layer).count();
        return Err(
            lathe_oci::Error::LayerCount { layers, diff_ids: diff_ids.len(), history }.into()
        );
    }
    let entry = |(descriptor, diff_id): (&Descriptor, &DiffId)| LayerEntry {
        diff_id: *diff_id,
        descriptor: descriptor.clone(),
    };
    let mut layers: Vec<LayerEntry> = manifest.layers.iter().zip(diff_ids).map(entry).collect();
    let mut replaced = false;
    let found = layers.clone();
    for (at, layer) in Layer::all(&found, diff_ids).enumerate() {
        if !blob::is_available(env.store, layer)? {
            layers[at].descriptor = replacement(env, layer)?;
            manifest.layers[at] = layers[at].descriptor.clone();
            replaced = true;
        }
    }
    let config_type = manifest.config.media_type.clone();
    let media_type = manifest.media_type.clone().unwrap_or(MediaType::OciManifest);
    let bytes = if replaced { to_json(&manifest) } else { bytes };
    Ok(BuiltImage {
        manifest: Blob::new(media_type, bytes),
        config: Blob::new(config_type, config_bytes),
        layers,
    })
}

fn replacement(env: &Env<'_>, layer: Layer<'_>) -> Result<Descriptor> {
    if let Some(found) = env.store.blob_for_diff_id(layer.entry.diff_id)? {
        return Ok(found);
    }
    // That is the plain one where the layer was made here.
    blob::in_form(env, layer, blob::PLAIN)
}
