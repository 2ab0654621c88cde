//! From layers and config to an image whose digest is the hash of the held bytes.

use crate::{Descriptor, DiffId, Digest, Error, History, ImageConfig, Manifest, MediaType, Result};

/// Bytes with their descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Blob {
    /// Makes a blob; its digest is computed here and nowhere else.
    pub fn new(media_type: MediaType, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }

    /// Returns what it is.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns its digest.
    pub const fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A layer as an image names it: what it is unpacked, and which blob holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerEntry {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The blob.
    pub descriptor: Descriptor,
}

/// An image: config and manifest as exact bytes, and the layers that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// The manifest.
    pub manifest: Blob,
    /// The config; its digest is the image id that docker shows.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<LayerEntry>,
}

impl BuiltImage {
    /// Returns the image id: the digest of the config.
    pub const fn id(&self) -> &Digest {
        self.config.digest()
    }
}

/// Makes an OCI image of `config`, `history` and `layers`.
///
/// The config's own `rootfs` and `history` are replaced. There must be exactly one history
/// item that is not empty for each layer, else [`Error::LayerCount`].
pub fn assemble(
    mut config: ImageConfig,
    history: Vec<History>,
    layers: Vec<LayerEntry>,
) -> Result<BuiltImage> {
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    config.history = history;
    check_counts(&config, layers.len())?;
    let config = Blob::new(MediaType::OciConfig, to_json(&config));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: config.descriptor().clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: std::collections::BTreeMap::new(),
    };
    let manifest = Blob::new(MediaType::OciManifest, to_json(&manifest));
    Ok(BuiltImage { manifest, config, layers })
}

fn to_json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("OCI documents have string keys only")
}

fn check_counts(config: &ImageConfig, layers: usize) -> Result<()> {
    let history = config.history.iter().filter(|item| !item.empty_layer).count();
    let diff_ids = config.rootfs.diff_ids.len();
    // Images made by other tools may leave the history out as a whole.
    if diff_ids == layers && (history == layers || config.history.is_empty()) {
        Ok(())
    } else {
        Err(Error::LayerCount { layers, diff_ids, history })
    }
}

/// Checks that manifest and config bytes fit each other and the promised digests.
///
/// Layers are not read here: the store checks them when they come in.
pub fn validate(manifest: &Descriptor, manifest_bytes: &[u8], config_bytes: &[u8]) -> Result<()> {
    check_bytes(manifest, manifest_bytes)?;
    let manifest = Manifest::parse(manifest_bytes)?;
    check_bytes(&manifest.config, config_bytes)?;
    check_counts(&ImageConfig::parse(config_bytes)?, manifest.layers.len())
}

fn check_bytes(descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
    let actual = Digest::of(bytes);
    if actual != descriptor.digest {
        return Err(Error::DigestMismatch {
            expected: Box::new(descriptor.digest),
            actual: Box::new(actual),
        });
    }
    if bytes.len() as u64 != descriptor.size {
        let (expected, actual) = (descriptor.size, bytes.len() as u64);
        return Err(Error::SizeMismatch { digest: descriptor.digest, expected, actual });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> LayerEntry {
        LayerEntry {
            diff_id: DiffId(Digest::of(text.as_bytes())),
            descriptor: Descriptor::of(MediaType::OciLayerGzip, text.as_bytes()),
        }
    }

    fn history(empty_layer: bool) -> History {
        History { empty_layer, ..History::default() }
    }

    #[test]
    fn inv_oci_bytes_an_assembled_image_validates() {
        let image = assemble(
            ImageConfig { os: "linux".into(), architecture: "amd64".into(), ..Default::default() },
            vec![history(true), history(false)],
            vec![layer("a")],
        )
        .unwrap();
        validate(image.manifest.descriptor(), image.manifest.bytes(), image.config.bytes())
            .unwrap();
        let mut wrong = image.config.bytes().to_vec();
        wrong[3] ^= 1;
        let error = validate(image.manifest.descriptor(), image.manifest.bytes(), &wrong);
        assert!(matches!(error, Err(Error::DigestMismatch { .. })));
    }

    #[test]
    fn inv_oci_history_layers_and_history_must_pair() {
        let error = assemble(ImageConfig::default(), vec![history(true)], vec![layer("a")]);
        assert!(matches!(error, Err(Error::LayerCount { layers: 1, history: 0, .. })));
    }
}
