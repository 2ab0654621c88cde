//! The documents of an archive of images, apart from those of the images themselves.

use std::collections::BTreeMap;

use lathe_oci::{Descriptor, Digest, Index, Reference};
use serde::{Deserialize, Serialize};

use crate::{Annotation, ArchiveImage, Result, form::described};

/// Annotation with the tag (OCI image specification, `annotations.md`).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Annotation with the full name, which containerd and docker look at.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Content of `oci-layout`.
pub(crate) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An item of `manifest.json`, the index of a docker archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerItem {
    /// File with the config.
    pub(crate) config: String,
    /// Names, in docker's short form.
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    /// Files with the layers, lowest first.
    #[serde(default)]
    pub(crate) layers: Option<Vec<String>>,
}

/// Returns where a blob is in a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Makes `index.json`: one descriptor for each name, one without for an image that has none.
/// `annotations` are about the images, and those about indexes about this one.
pub(crate) fn index(images: &[ArchiveImage<'_>], annotations: &[Annotation]) -> Result<Index> {
    let mut manifests = Vec::new();
    let mut own = BTreeMap::new();
    for item in images {
        let (plain, of_index) = described(item.image, annotations)?;
        own.extend(of_index);
        if item.names.is_empty() {
            manifests.push(plain.clone());
        }
        manifests.extend(item.names.iter().map(|name| named(&plain, name)));
    }
    Ok(Index { annotations: own, ..Index::new(manifests) })
}

fn named(descriptor: &Descriptor, name: &Reference) -> Descriptor {
    let name = name.clone().with_default_tag();
    let mut annotations = descriptor.annotations.clone();
    annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
    if let Some(tag) = name.tag() {
        annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    }
    Descriptor { annotations, ..descriptor.clone() }
}

/// Makes `manifest.json`.
pub(crate) fn docker_manifest(images: &[ArchiveImage<'_>]) -> Vec<DockerItem> {
    let item = |item: &ArchiveImage<'_>| DockerItem {
        config: blob_name(item.image.config.digest()),
        repo_tags: (!item.names.is_empty()).then(|| {
            item.names.iter().map(|name| name.clone().with_default_tag().familiar()).collect()
        }),
        layers: Some(
            item.image.layers.iter().map(|layer| blob_name(&layer.descriptor.digest)).collect(),
        ),
    };
    images.iter().map(item).collect()
}

pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents of images have string keys only")
}
