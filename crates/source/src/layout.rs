//! Images of a folder in OCI's layout (`image-layout.md` of the image specification), as
//! `--build-context name=oci-layout://folder` names them.
//!
//! What is needed of one is copied into the store, and not linked: who owns the folder may change
//! its files, and the store's must stay what their digests say.

use std::{
    collections::BTreeSet,
    io::{Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use lathe_event::TransferKind;
use lathe_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference};
use lathe_rootfs::Root;

use crate::{
    Error, Images, ParsedImage, Result,
    image::{DOCUMENT_LIMIT, parse_image},
    platform,
    progress::Progress,
};

/// The registry of references to imported images. Names that end like this are never given to
/// anybody (RFC 6761), so that none can be asked by mistake.
pub(crate) const REGISTRY: &str = "oci-layout.invalid";

/// Annotations that name an image in the index of a layout: OCI's, and that of containerd.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// How deep indexes may be within each other.
const DEPTH: usize = 8;

/// Which image of a layout is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutReference {
    /// The one with this name in the index.
    Tag(String),
    /// The one with this digest.
    Digest(Digest),
    /// The one that is tagged `latest`, or else the only one.
    Only,
}

/// Brings an image of a layout into the store.
///
/// The returned reference has a digest; [`Images::pin`] and [`crate::fetch`] answer it from the
/// store. An image that is the only one is brought for whichever platform it is.
///
/// # Errors
/// [`Error::Layout`] for a folder that is none or lacks something, [`Error::NoPlatform`], and the
/// store's for bytes that are not what their digests say.
pub fn import_layout(
    images: &Images,
    folder: &Path,
    reference: &LayoutReference,
    platform: &Platform,
) -> Result<(Reference, ParsedImage)> {
    let layout = Layout::open(images, folder)?;
    let found = layout.find(reference)?;
    let mut offered = Vec::new();
    for descriptor in &found {
        layout.collect(descriptor, DEPTH, &mut offered)?;
    }
    let chosen = match (offered.as_slice(), found.as_slice()) {
        ([only], [direct]) if !direct.media_type.is_index() => only,
        _ => {
            let platforms: Vec<_> = offered.iter().map(|offer| Some(&offer.platform)).collect();
            let at = platform::choose(platform, &platforms).ok_or_else(|| Error::NoPlatform {
                image: format!("the layout {}", folder.display()),
                platform: platform.clone(),
                available: platform::list(offered.iter().map(|offer| &offer.platform)),
            })?;
            &offered[at]
        }
    };
    for blob in std::iter::once(&chosen.document.config).chain(&chosen.document.layers) {
        layout.import(blob)?;
    }
    layout.import(&chosen.manifest)?;
    let image = parse_image(&images.store, &chosen.manifest.digest)?;
    let reference = name(folder, image.manifest.digest)?;
    images.remember_pin(&reference, platform, &image)?;
    Ok((reference, image))
}

/// An image of a layout.
struct Offer {
    manifest: Descriptor,
    document: Manifest,
    platform: Platform,
}

struct Layout<'a> {
    images: &'a Images,
    root: Root,
    folder: &'a Path,
    index: Index,
}

impl<'a> Layout<'a> {
    fn open(images: &'a Images, folder: &'a Path) -> Result<Self> {
        let error = |reason: &str| fault(folder, reason);
        let root = Root::open(folder)?;
        if root.try_stat(Path::new("oci-layout"))?.is_none() {
            return Err(error("is no OCI layout: it has no file `oci-layout`"));
        }
        if root.try_stat(Path::new("index.json"))?.is_none() {
            return Err(error("has no file `index.json`"));
        }
        let index = Index::parse(&root.read(Path::new("index.json"), DOCUMENT_LIMIT)?)?;
        Ok(Self { images, root, folder, index })
    }

    /// Returns the entries of the index that are meant: several where each is for a platform.
    fn find(&self, reference: &LayoutReference) -> Result<Vec<Descriptor>> {
        let entries = &self.index.manifests;
        let tagged = |tag: &str| -> Vec<Descriptor> {
            entries.iter().filter(|entry| has_tag(entry, tag)).cloned().collect()
        };
        match reference {
            LayoutReference::Tag(tag) => match tagged(tag) {
                none if none.is_empty() => {
                    Err(self.fault(&format!("has no image `{tag}`, only {}", self.tags())))
                }
                found => Ok(found),
            },
            LayoutReference::Digest(digest) => {
                if let Some(entry) = entries.iter().find(|entry| entry.digest == *digest) {
                    return Ok(vec![entry.clone()]);
                }
                // It may be one within an index, or one that no index names.
                let size = self.root.try_stat(&blob_path(digest))?.map(|found| found.size);
                let size = size.ok_or_else(|| self.fault(&format!("has no image {digest}")))?;
                let bytes = self.bytes(digest, size)?;
                let media_type = match Manifest::parse(&bytes) {
                    Ok(manifest) => {
                        manifest.media_type.unwrap_or(lathe_oci::MediaType::OciManifest)
                    }
                    Err(_) => lathe_oci::MediaType::OciIndex,
                };
                Ok(vec![Descriptor::new(media_type, *digest, size)])
            }
            LayoutReference::Only => {
                let latest = tagged("latest");
                let tags: BTreeSet<_> = entries.iter().map(tag_of).collect();
                if !latest.is_empty() {
                    Ok(latest)
                } else if entries.is_empty() {
                    Err(self.fault("has no image"))
                } else if tags.len() > 1 {
                    let tags = self.tags();
                    Err(self.fault(&format!("has several images, say which one: {tags}")))
                } else {
                    Ok(entries.clone())
                }
            }
        }
    }

    /// Lists the images for an error message.
    fn tags(&self) -> String {
        let names = self.index.manifests.iter().map(|entry| {
            tag_of(entry).map_or_else(|| format!("@{}", entry.digest), |tag| format!("`{tag}`"))
        });
        let names: BTreeSet<String> = names.collect();
        if names.is_empty() {
            return "nothing".to_owned();
        }
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Adds the images that a descriptor leads to.
    fn collect(&self, from: &Descriptor, depth: usize, offers: &mut Vec<Offer>) -> Result<()> {
        let bytes = self.bytes(&from.digest, from.size)?;
        if from.media_type.is_index() {
            if depth == 0 {
                return Err(self.fault("has indexes within indexes without end"));
            }
            let index = Index::parse(&bytes)?;
            for entry in &index.manifests {
                // Indexes copied for one platform name manifests that were not copied.
                if self.root.try_stat(&blob_path(&entry.digest))?.is_some() {
                    self.collect(entry, depth - 1, offers)?;
                }
            }
            return Ok(());
        }
        let document = Manifest::parse(&bytes)?;
        let platform = if let Some(platform) = &from.platform {
            platform.clone()
        } else {
            let config = self.bytes(&document.config.digest, document.config.size)?;
            ImageConfig::parse(&config)?.platform()
        };
        offers.push(Offer { manifest: from.clone(), document, platform });
        Ok(())
    }

    /// Reads a document, which is checked.
    fn bytes(&self, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let path = blob_path(digest);
        if self.root.try_stat(&path)?.is_none() {
            return Err(self.fault(&format!("lacks the blob {digest}")));
        }
        let bytes = self.root.read(&path, DOCUMENT_LIMIT.min(size))?;
        let mut digester = lathe_oci::Digester::new(digest.algorithm());
        digester.update(&bytes);
        let found = digester.finish();
        if found != *digest {
            return Err(self.fault(&format!("has a blob {digest} that is {found} in truth")));
        }
        Ok(bytes)
    }

    /// Copies a blob into the store; it gets there under its own digest only.
    fn import(&self, blob: &Descriptor) -> Result<()> {
        let path = blob_path(&blob.digest);
        let Some(mut partial) = self.images.store.partial(&blob.digest)? else { return Ok(()) };
        if self.root.try_stat(&path)?.is_none() {
            return Err(self.fault(&format!("lacks the blob {}", blob.digest)));
        }
        let mut file = self.root.open_file(&path)?;
        let offset = partial.offset();
        file.seek(SeekFrom::Start(offset)).map_err(|source| Error::Io {
            action: "read",
            subject: blob.digest.to_string(),
            source,
        })?;
        let events = &*self.images.events;
        let label = blob.digest.short();
        let _progress =
            Progress::start(events, TransferKind::Download, &label, Some(blob.size), None);
        self.images.copy(&mut file, &mut partial, blob)?;
        Ok(partial.finish(blob.size)?)
    }

    fn fault(&self, reason: &str) -> Error {
        fault(self.folder, reason)
    }
}

fn fault(folder: &Path, reason: &str) -> Error {
    Error::Layout { folder: folder.to_owned(), reason: reason.to_owned() }
}

fn blob_path(digest: &Digest) -> PathBuf {
    ["blobs", digest.algorithm().name(), &digest.hex()].iter().collect()
}

/// Returns the tag of an entry: of `repository:tag` the part behind the colon.
fn tag_of(entry: &Descriptor) -> Option<String> {
    let name = NAMES.iter().find_map(|name| entry.annotations.get(*name))?;
    let tag = Reference::parse(name).ok().and_then(|name| name.tag().map(str::to_owned));
    Some(tag.unwrap_or_else(|| name.clone()))
}

fn has_tag(entry: &Descriptor, tag: &str) -> bool {
    let own = |name: &&str| entry.annotations.get(*name).is_some_and(|own| own == tag);
    NAMES.iter().any(own) || tag_of(entry).is_some_and(|own| own == tag)
}

/// Makes the name of an imported image; its digest is what counts.
fn name(folder: &Path, digest: Digest) -> Result<Reference> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let mut name = parts.collect::<Vec<_>>().join("-");
    name.truncate(64);
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "image" } else { name };
    Ok(Reference::parse(&format!("{REGISTRY}/{name}@{digest}"))?)
}
