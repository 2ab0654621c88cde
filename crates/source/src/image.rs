//! Pinning: from a reference to a manifest digest, config and layers, without a layer's bytes.

use std::sync::Arc;

use lathe_event::{Cancel, EventSink};
use lathe_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference};
use lathe_registry::Client;
use lathe_store::Store;

use crate::{Error, Result, arrival::Arrival, platform};

/// Largest manifest or config that is read, in bytes: the limit of the common registries.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Indexes that may lead to each other until there is an image.
const INDEXES: usize = 4;

/// Topic of the store's memo that remembers which manifest a name meant.
const PINS: &str = "pin";

/// When the registry is asked about a name that is known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Only if nothing is known here.
    #[default]
    Missing,
    /// Always: a tag may have moved.
    Always,
}

/// An image that is known by digest: its documents are in the store.
#[derive(Clone, Debug)]
pub struct ParsedImage {
    /// The manifest.
    pub manifest: Descriptor,
    /// What the manifest says.
    pub document: Manifest,
    /// What the config says.
    pub config: ImageConfig,
}

/// Images, here and in registries.
#[derive(Clone)]
pub struct Images {
    /// Where bytes are kept.
    pub store: Store,
    /// Asks registries; made when first needed, since most commands need none.
    pub client: Arc<dyn Fn() -> Result<Client> + Send + Sync>,
    /// Takes progress.
    pub events: Arc<dyn EventSink>,
    /// Stops transfers.
    pub cancel: Cancel,
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Images {
    /// Finds out which image `reference` means for `platform`.
    ///
    /// A name that is tagged here, or was asked for before, is answered without the network,
    /// unless `policy` is [`PullPolicy::Always`]. The manifest and the config come into the store.
    ///
    /// Of an index the image that suits the platform best is taken. An image without index is what
    /// it is: for another platform, too; who asks may look at the config and warn.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] for an index without an image for the platform.
    pub fn pin(
        &self,
        reference: &Reference,
        platform: &Platform,
        policy: PullPolicy,
    ) -> Result<ParsedImage> {
        let may_be_known = policy == PullPolicy::Missing || reference.digest().is_some();
        if may_be_known && let Some(image) = self.known(reference, platform)? {
            return Ok(image);
        }
        let image = self.ask(reference, platform)?;
        self.remember_pin(reference, platform, &image)?;
        Ok(image)
    }

    /// Remembers which image a name meant.
    pub(crate) fn remember_pin(
        &self,
        reference: &Reference,
        platform: &Platform,
        image: &ParsedImage,
    ) -> Result<()> {
        let digest = image.manifest.digest.to_string();
        let key = pin_key(reference, platform);
        Ok(self.store.memo_put(PINS, [(key.as_bytes(), digest.as_bytes())])?)
    }

    /// Brings a blob of an image once more: one whose files are here as a snapshot, but whose
    /// bytes were pruned.
    pub fn refetch_blob(&self, reference: &Reference, blob: &Descriptor) -> Result<()> {
        self.fetch_blob(&(self.client)()?, reference, blob, None, &Arrival::default())
    }

    fn known(&self, reference: &Reference, platform: &Platform) -> Result<Option<ParsedImage>> {
        if let Some(digest) = reference.digest()
            && let Some(image) = self.stored(digest)?
        {
            return Ok(Some(image));
        }
        let tagged = self.store.image_by_name(&reference.to_string())?;
        if let Some(image) = tagged.filter(|image| platform.matches(&image.platform))
            && let Some(image) = self.stored(&image.manifest.digest)?
        {
            return Ok(Some(image));
        }
        let pinned = self.store.memo_get(PINS, pin_key(reference, platform).as_bytes())?;
        let digest = pinned.and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<Digest>().ok());
        digest.map_or(Ok(None), |digest| self.stored(&digest))
    }

    /// Reads an image from the store; `None` if a document is not there (any more).
    fn stored(&self, manifest: &Digest) -> Result<Option<ParsedImage>> {
        if !self.store.has_blob(manifest) {
            return Ok(None);
        }
        let bytes = self.store.read_blob(manifest, DOCUMENT_LIMIT)?;
        // It may as well be an index, which leads to another manifest.
        let Ok(document) = Manifest::parse(&bytes) else { return Ok(None) };
        if !self.store.has_blob(&document.config.digest) {
            return Ok(None);
        }
        parse_image(&self.store, manifest).map(Some)
    }

    fn ask(&self, reference: &Reference, platform: &Platform) -> Result<ParsedImage> {
        let client = (self.client)()?;
        let (mut descriptor, mut bytes) = client.manifest(reference)?;
        for _ in 0..INDEXES {
            if !descriptor.media_type.is_index() {
                break;
            }
            let index = Index::parse(&bytes)?;
            let chosen = platform::choose_descriptor(platform, &index.manifests)
                .ok_or_else(|| no_platform(reference, platform, &index))?;
            (descriptor, bytes) = client.manifest(&reference.clone().with_digest(chosen.digest))?;
        }
        if descriptor.media_type.is_index() {
            return Err(Error::NestedIndex(reference.familiar()));
        }
        let document = Manifest::parse(&bytes)?;
        self.fetch_blob(&client, reference, &document.config, None, &Arrival::default())?;
        self.store.put_blob(&bytes)?;
        parse_image(&self.store, &descriptor.digest)
    }
}

/// Reads manifest and config of an image from the store.
pub fn parse_image(store: &Store, manifest: &Digest) -> Result<ParsedImage> {
    let bytes = store.read_blob(manifest, DOCUMENT_LIMIT)?;
    let document = Manifest::parse(&bytes)?;
    let media_type = document.media_type.clone().unwrap_or(lathe_oci::MediaType::OciManifest);
    let config = ImageConfig::parse(&store.read_blob(&document.config.digest, DOCUMENT_LIMIT)?)?;
    let layers = document.layers.len();
    let diff_ids = config.rootfs.diff_ids.len();
    if layers != diff_ids {
        let history = config.history.iter().filter(|item| !item.empty_layer).count();
        return Err(lathe_oci::Error::LayerCount { layers, diff_ids, history }.into());
    }
    let manifest = Descriptor::new(media_type, *manifest, bytes.len() as u64);
    Ok(ParsedImage { manifest, document, config })
}

fn pin_key(reference: &Reference, platform: &Platform) -> String {
    format!("{reference} {platform}")
}

fn no_platform(reference: &Reference, platform: &Platform, index: &Index) -> Error {
    let platforms = index.manifests.iter().filter_map(|manifest| manifest.platform.as_ref());
    Error::NoPlatform {
        image: reference.familiar(),
        platform: platform.clone(),
        available: platform::list(platforms),
    }
}
