//! OCI image layouts: `index.json` names manifests, directly or through other indexes.

use std::collections::BTreeMap;

use lathe_oci::{
    Blob, BuiltImage, Descriptor, Digest, ImageConfig, Index, LayerEntry, Manifest, Platform,
    Reference,
};

use super::{Files, LoadedImage, docker};
use crate::{
    Error, Result,
    documents::{IMAGE_NAME, REF_NAME, blob_name},
};

/// Indexes within indexes.
const DEPTH: usize = 4;

/// Returns the images of a layout; of an index for several platforms the one for this machine,
/// or else the first that is there.
pub(super) fn images(files: &Files<'_>) -> Result<Vec<LoadedImage>> {
    let index: Index = files.json("index.json")?;
    let docker_names = docker::names(files)?;
    // An image with several names has several descriptors.
    let mut images: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut loaded: Vec<LoadedImage> = Vec::new();
    for descriptor in index.manifests.iter().filter(|descriptor| !is_attestation(descriptor)) {
        let Some(manifest) = choose(files, descriptor, DEPTH)? else { continue };
        let position = *images.entry(manifest.digest).or_insert(loaded.len());
        if position == loaded.len() {
            let image = image(files, &manifest)?;
            let names = docker_names.get(image.id()).cloned().unwrap_or_default();
            loaded.push(LoadedImage { image, names });
        }
        let names = &mut loaded[position].names;
        names.extend(name(descriptor)?.filter(|name| !names.contains(name)));
    }
    if loaded.is_empty() {
        return Err(Error::archive("its index names no image"));
    }
    Ok(loaded)
}

/// Returns the manifest that a descriptor means; `None` when the archive does not have it.
fn choose(files: &Files<'_>, descriptor: &Descriptor, depth: usize) -> Result<Option<Descriptor>> {
    if !files.contains(&blob_name(&descriptor.digest)) {
        return Ok(None);
    }
    if !descriptor.media_type.is_index() {
        return Ok(Some(descriptor.clone()));
    }
    if depth == 0 {
        return Err(Error::archive("its indexes are nested too deeply"));
    }
    let index: Index = files.json(&blob_name(&descriptor.digest))?;
    let host = Platform::host();
    let wanted = |manifest: &&Descriptor| {
        manifest.platform.as_ref().is_some_and(|platform| host.matches(platform))
    };
    let (first, rest): (Vec<&Descriptor>, Vec<&Descriptor>) =
        index.manifests.iter().filter(|manifest| !is_attestation(manifest)).partition(wanted);
    for manifest in first.into_iter().chain(rest) {
        if let Some(found) = choose(files, manifest, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Tells whether it is what BuildKit says about an image, in the form of one.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
        || descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

fn image(files: &Files<'_>, descriptor: &Descriptor) -> Result<BuiltImage> {
    let bytes = files.document(&blob_name(&descriptor.digest))?;
    let manifest = Manifest::parse(&bytes)?;
    let config_bytes = files.document(&blob_name(&manifest.config.digest))?;
    let config = ImageConfig::parse(&config_bytes)?;
    lathe_oci::validate(
        &Descriptor { size: bytes.len() as u64, ..descriptor.clone() },
        &bytes,
        &config_bytes,
    )?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let size = files.find(&blob_name(&layer.digest)).map(|(_, size)| size);
        let size = size.or_else(|| files.store.blob_size(&layer.digest));
        match size {
            Some(size) if size == layer.size => {}
            Some(size) => {
                return Err(Error::archive(format!(
                    "layer {} has {size} bytes where {} are promised",
                    layer.digest, layer.size
                )));
            }
            None => {
                return Err(Error::archive(format!("the layer {} is missing", layer.digest)));
            }
        }
        layers.push(LayerEntry { diff_id: *diff_id, descriptor: layer.clone() });
    }
    let media_type = manifest.media_type.unwrap_or_else(|| descriptor.media_type.clone());
    Ok(BuiltImage {
        manifest: Blob::new(media_type, bytes),
        config: Blob::new(manifest.config.media_type, config_bytes),
        layers,
    })
}

/// Returns the name that a descriptor carries: the full one, or a reference name that is more
/// than a tag.
fn name(descriptor: &Descriptor) -> Result<Option<Reference>> {
    let annotation = |key| descriptor.annotations.get(key).map(String::as_str);
    if let Some(name) = annotation(IMAGE_NAME) {
        return Ok(Some(Reference::parse(name)?.with_default_tag()));
    }
    let name = annotation(REF_NAME).filter(|name| name.contains(['/', ':']));
    Ok(name.and_then(|name| Reference::parse(name).ok()).map(Reference::with_default_tag))
}
