//! An image in the form that an output asks for: other blobs for the same layers, other media
//! types, remarks.
//!
//! What is in the layers stays, and so do the diffIDs, the config and the image id; the manifest
//! is another one.

use lathe_layer::Compression;
use lathe_oci::{Blob, BuiltImage, Descriptor, ImageConfig, LayerEntry, Manifest, MediaType};
use lathe_store::Store;

use crate::{
    Annotation, AnnotationTarget, Env, ImageForm, LayerForm, MediaTypes, Recompress, Result,
    annotation, blob,
    documents::to_json,
    layers::{AT_ONCE, at_once},
    origin::{Layer, diff_ids},
};

/// Whether an image leaves the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It stays: layers are compressed only where that was asked for.
    Here,
    /// It goes to others: plain layers are compressed on the way unless that was refused.
    Out,
}

/// Returns the form that a layer shall have; `None` for as it is.
pub(crate) fn wanted(
    store: &Store,
    layer: Layer<'_>,
    form: &ImageForm,
    way: Way,
) -> Result<Option<LayerForm>> {
    let is_plain = blob::compression(&layer.entry.descriptor) == Some(Compression::None);
    match form.layers {
        None => Ok((way == Way::Out && is_plain).then(LayerForm::default)),
        Some(wanted) if form.recompress == Recompress::All => Ok(Some(wanted)),
        Some(wanted) => Ok(layer.origin(store)?.map(|_| wanted)),
    }
}

/// Returns the image in a form; `annotations` are those of the build.
pub(crate) fn formed(
    env: &Env<'_>,
    image: &BuiltImage,
    form: &ImageForm,
    annotations: &[Annotation],
    way: Way,
) -> Result<BuiltImage> {
    let _share = env.store.share()?;
    let diff_ids = diff_ids(&image.layers);
    let layers: Vec<Layer<'_>> = Layer::all(&image.layers, &diff_ids).collect();
    let positions: Vec<usize> = (0..layers.len()).collect();
    let mut made = at_once(&positions, AT_ONCE, |at| {
        let wanted = wanted(env.store, layers[*at], form, way)?;
        let made = wanted.map(|wanted| blob::in_form(env, layers[*at], wanted)).transpose()?;
        Ok((*at, made.unwrap_or_else(|| layers[*at].entry.descriptor.clone())))
    })?;
    made.sort_by_key(|(at, _)| *at);
    let blobs = made.into_iter().map(|(_, blob)| blob).collect();
    with_blobs(image, blobs, form, annotations)
}

/// Returns the image with these blobs for its layers, and the form's media types and remarks.
pub(crate) fn with_blobs(
    image: &BuiltImage,
    blobs: Vec<Descriptor>,
    form: &ImageForm,
    annotations: &[Annotation],
) -> Result<BuiltImage> {
    let diff_ids = image.layers.iter().map(|layer| layer.diff_id);
    let entry = |(diff_id, descriptor)| LayerEntry { diff_id, descriptor };
    let mut layers: Vec<LayerEntry> = diff_ids.zip(blobs).map(entry).collect();
    let is_zstd = |layer: &LayerEntry| layer.descriptor.media_type == MediaType::OciLayerZstd;
    let media_types = match form.media_types {
        MediaTypes::Docker if form.forces_oci(annotations).is_some() => MediaTypes::Oci,
        // A base image's layers may be so, too.
        MediaTypes::Docker if layers.iter().any(is_zstd) => MediaTypes::Oci,
        wanted => wanted,
    };
    for layer in &mut layers {
        let name = &mut layer.descriptor.media_type;
        *name = renamed(name, media_types);
    }
    let config_type = renamed(&image.config.descriptor().media_type, media_types);
    let manifest_type = renamed(&image.manifest.descriptor().media_type, media_types);
    let config = Blob::new(config_type, image.config.bytes().to_vec());
    let mut manifest = Manifest::parse(image.manifest.bytes())?;
    let before = manifest.clone();
    manifest.media_type = Some(manifest_type.clone());
    manifest.config.clone_from(config.descriptor());
    manifest.layers = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let all: Vec<Annotation> = annotations.iter().chain(&form.annotations).cloned().collect();
    if !all.is_empty() {
        let platform = ImageConfig::parse(image.config.bytes())?.platform();
        let own = annotation::of_target(&all, AnnotationTarget::Manifest, &platform);
        manifest.annotations.extend(own);
    }
    if manifest == before {
        // Written by somebody else perhaps, whose bytes are the image.
        return Ok(image.clone());
    }
    let manifest = Blob::new(manifest_type, to_json(&manifest));
    Ok(BuiltImage { manifest, config, layers })
}

/// Returns the name that a document or layer has in the one family of media types or the other.
fn renamed(name: &MediaType, family: MediaTypes) -> MediaType {
    use MediaType::{
        DockerConfig, DockerLayer, DockerLayerGzip, DockerManifest, OciConfig, OciLayer,
        OciLayerGzip, OciManifest,
    };
    const PAIRS: [(MediaType, MediaType); 4] = [
        (OciManifest, DockerManifest),
        (OciConfig, DockerConfig),
        (OciLayer, DockerLayer),
        (OciLayerGzip, DockerLayerGzip),
    ];
    let found = PAIRS.into_iter().find(|(oci, docker)| name == oci || name == docker);
    match (found, family) {
        (Some((oci, _)), MediaTypes::Oci) => oci,
        (Some((_, docker)), MediaTypes::Docker) => docker,
        (None, _) => name.clone(),
    }
}

/// Returns a descriptor with the remarks that an index makes about the image.
pub(crate) fn described(
    image: &BuiltImage,
    annotations: &[Annotation],
) -> Result<(Descriptor, std::collections::BTreeMap<String, String>)> {
    let mut descriptor = image.manifest.descriptor().clone();
    if annotations.is_empty() {
        return Ok((descriptor, std::collections::BTreeMap::new()));
    }
    let platform = ImageConfig::parse(image.config.bytes())?.platform();
    let of = |target| annotation::of_target(annotations, target, &platform);
    descriptor.annotations.extend(of(AnnotationTarget::ManifestDescriptor));
    Ok((descriptor, of(AnnotationTarget::Index)))
}
