//! An image in the form that an output asks for: other blobs for the same layers, other media
//! types, remarks.
//!
//! What is in the layers stays, and so do the diffIDs, the config and the image id; the manifest
//! is another one.

use lathe_oci::{Blob, BuiltImage, Descriptor, ImageConfig, LayerEntry, Manifest, MediaType};

use crate::{
    Annotation, AnnotationTarget, Env, ImageForm, MediaTypes, Recompress, Result, annotation,
    documents::to_json, layers::was_packed_here, recompress::blob_in_form,
};

/// Returns the image in a form; `annotations` are those of the build.
pub(crate) fn formed(
    env: &Env<'_>,
    image: &BuiltImage,
    form: &ImageForm,
    annotations: &[Annotation],
) -> Result<BuiltImage> {
    let _share = env.store.share()?;
    let mut layers = reformed(env, image, form)?;
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

/// Returns the layers, with blobs of the form that is asked for.
fn reformed(env: &Env<'_>, image: &BuiltImage, form: &ImageForm) -> Result<Vec<LayerEntry>> {
    let mut layers = image.layers.clone();
    let Some(wanted) = form.layers else { return Ok(layers) };
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    for (position, layer) in layers.iter_mut().enumerate() {
        let is_own = was_packed_here(env.store, &diff_ids[..=position])?;
        if is_own || form.recompress == Recompress::All {
            layer.descriptor = blob_in_form(env, layer, wanted, is_own)?;
        }
    }
    Ok(layers)
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
