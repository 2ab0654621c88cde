//! Making an image of the store one that can be run: its layers unpacked, its record complete.

use lathe_exporter::unpacked_size;
use lathe_oci::{ChainId, ImageConfig, Platform, Reference};
use lathe_source::{ParsedImage, PullPolicy, fetch, parse_image};
use lathe_store::{ImageRecord, SnapshotId};

use super::{Error, Result, find, list::config_of, pull::pull};
use crate::Engine;

/// An image that can be run.
#[derive(Clone, Debug)]
pub struct Runnable {
    /// Its record.
    pub image: ImageRecord,
    /// How to run it.
    pub config: ImageConfig,
    /// All of its files; `None` for an image without layers.
    pub snapshot: Option<SnapshotId>,
}

/// Finds an image to be run, and pulls it first if it is not here or `policy` says so.
pub fn runnable(
    engine: &Engine,
    name: &str,
    platform: Option<&Platform>,
    policy: PullPolicy,
) -> Result<Runnable> {
    let _share = engine.store.share()?;
    let image = match find(&engine.store, name) {
        Ok(image) if policy == PullPolicy::Missing && fits(&image, platform) => image,
        Ok(_) | Err(Error::NoSuchImage { .. }) => pull(engine, name, platform)?.image,
        Err(error) => return Err(error),
    };
    let config = config_of(&engine.store, &image)?;
    let Some(chain) = ChainId::of(&config.rootfs.diff_ids) else {
        return Ok(Runnable { image, config, snapshot: None });
    };
    if let Some(snapshot) = engine.store.snapshot_for_chain(chain)? {
        return Ok(Runnable { image, config, snapshot: Some(snapshot) });
    }
    // The files were pruned or never needed: unpack them, or fetch them again.
    let parsed = parse_image(&engine.store, &image.manifest.digest)?;
    let reference = source_of(&image)?;
    let (image, snapshot) = adopt(engine, &reference, &parsed, &[], None)?;
    Ok(Runnable { image, config, snapshot })
}

fn fits(image: &ImageRecord, platform: Option<&Platform>) -> bool {
    platform.is_none_or(|platform| platform.matches(&image.platform))
}

/// Returns under which name the blobs of an image may be had.
pub(super) fn source_of(image: &ImageRecord) -> Result<Reference> {
    let known = image.repo_digests.first().or_else(|| image.names.first());
    let reference = known.map(|name| Reference::parse(name)).transpose()?;
    Ok(reference.unwrap_or(nameless()?).with_digest(image.manifest.digest))
}

/// The name of an image that has none: of no registry that could be asked.
pub(super) fn nameless() -> Result<Reference> {
    Ok(Reference::parse("localhost/image")?)
}

/// Unpacks an image whose documents are in the store, and records it under `names`. Blobs that
/// are not here come from where `reference` says.
pub(super) fn adopt(
    engine: &Engine,
    reference: &Reference,
    parsed: &ParsedImage,
    names: &[Reference],
    repo_digest: Option<String>,
) -> Result<(ImageRecord, Option<SnapshotId>)> {
    let store = &engine.store;
    let id = parsed.document.config.digest;
    let known = store.image(&id)?;
    // With a digest, so that fetching gives no name yet.
    let reference = reference.clone().with_digest(parsed.manifest.digest);
    let snapshot = fetch(&engine.images, &engine.snapshots, &reference, parsed, None)?;
    let mut repo_digests = known.map(|known| known.repo_digests).unwrap_or_default();
    repo_digests.extend(repo_digest);
    repo_digests.sort();
    repo_digests.dedup();
    let mut size = 0;
    let diff_ids = &parsed.config.rootfs.diff_ids;
    for count in 1..=diff_ids.len() {
        size += unpacked_size(store, &diff_ids[..count])?.unwrap_or(0);
    }
    let record = ImageRecord {
        id,
        manifest: parsed.manifest.clone(),
        names: Vec::new(),
        created: parsed.config.created_seconds(),
        size,
        platform: parsed.config.platform(),
        repo_digests,
    };
    store.put_image(&record)?;
    for name in names {
        store.set_tag(&name.to_string(), &record)?;
    }
    let names = store.image(&id)?.map(|image| image.names).unwrap_or_default();
    Ok((ImageRecord { names, ..record }, snapshot))
}
