//! Docker archives: `manifest.json` names config and layers of each image.
//!
//! There is no manifest, so one is made. The layers' diffIDs are in the config; that the files
//! have them is checked when they are unpacked.

use std::{collections::BTreeMap, io::Read as _};

use lathe_layer::Compression;
use lathe_oci::{
    Blob, BuiltImage, Descriptor, DiffId, Digest, ImageConfig, LayerEntry, Manifest, MediaType,
    Reference,
};

use super::{Files, LoadedImage};
use crate::{
    Error, Result,
    documents::{DockerItem, to_json},
};

/// Returns the images of a docker archive.
pub(super) fn images(files: &Files<'_>) -> Result<Vec<LoadedImage>> {
    let items: Vec<DockerItem> = files.json("manifest.json")?;
    items.iter().map(|item| image(files, item)).collect()
}

/// Returns the names of images by config, for layouts whose index leaves them out.
pub(super) fn names(files: &Files<'_>) -> Result<BTreeMap<Digest, Vec<Reference>>> {
    if !files.contains("manifest.json") {
        return Ok(BTreeMap::new());
    }
    let items: Vec<DockerItem> = files.json("manifest.json")?;
    let mut names = BTreeMap::new();
    for item in items {
        if let Some((digest, _)) = files.find(&item.config) {
            names.insert(digest, item_names(&item)?);
        }
    }
    Ok(names)
}

fn image(files: &Files<'_>, item: &DockerItem) -> Result<LoadedImage> {
    let config_bytes = files.document(&item.config)?;
    let config = ImageConfig::parse(&config_bytes)?;
    let names = item.layers.as_deref().unwrap_or_default();
    let diff_ids = &config.rootfs.diff_ids;
    if names.len() != diff_ids.len() {
        let history = config.history.iter().filter(|item| !item.empty_layer).count();
        let (layers, diff_ids) = (names.len(), diff_ids.len());
        return Err(lathe_oci::Error::LayerCount { layers, diff_ids, history }.into());
    }
    let layers: Vec<LayerEntry> = names
        .iter()
        .zip(diff_ids)
        .map(|(name, diff_id)| layer(files, name, *diff_id))
        .collect::<Result<_>>()?;
    let config = Blob::new(MediaType::OciConfig, config_bytes);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config.descriptor().clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: BTreeMap::new(),
    };
    let manifest = Blob::new(MediaType::OciManifest, to_json(&manifest));
    Ok(LoadedImage { image: BuiltImage { manifest, config, layers }, names: item_names(item)? })
}

fn layer(files: &Files<'_>, name: &str, diff_id: DiffId) -> Result<LayerEntry> {
    if let Some((digest, size)) = files.find(name) {
        let mut first = Vec::new();
        let path = files.store.blob_path(&digest);
        let file = files.store.open_blob(&digest)?;
        file.take(6).read_to_end(&mut first).map_err(Error::io("read", &path))?;
        let media_type = Compression::of_magic(&first).media_type();
        return Ok(LayerEntry { diff_id, descriptor: Descriptor::new(media_type, digest, size) });
    }
    // Archives may leave out what the receiver has.
    match files.store.blob_for_diff_id(diff_id)? {
        Some(descriptor) => Ok(LayerEntry { diff_id, descriptor }),
        None => Err(Error::archive(format!("the layer `{name}` is missing"))),
    }
}

fn item_names(item: &DockerItem) -> Result<Vec<Reference>> {
    let names = item.repo_tags.as_deref().unwrap_or_default();
    names.iter().map(|name| Ok(Reference::parse(name)?.with_default_tag())).collect()
}
