//! `pull`: from a registry into the store, unpacked.
//!
//! The tag is resolved once (by `HEAD`, which registries do not count as a pull) to the digest of
//! what it means, an index for most images; all else is asked for by digest, so that a tag which
//! moves meanwhile cannot mix two images.

use lathe_oci::{ChainId, Digest, Platform, Reference};
use lathe_source::{PullPolicy, parse_image};
use lathe_store::ImageRecord;

use super::{Result, adopt::adopt, find::by_name};
use crate::Engine;

/// What a pull came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// The name means another image than before.
    Downloaded,
    /// The name means what it meant.
    UpToDate,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The name, with its tag.
    pub reference: Reference,
    /// Digest of what the registry has under the name.
    pub digest: Digest,
    /// Whether that is new.
    pub status: PullStatus,
    /// The image.
    pub image: ImageRecord,
}

impl Pulled {
    /// Returns the lines that docker prints at the end; the last one is all that `--quiet` leaves.
    pub fn lines(&self) -> Vec<String> {
        let familiar = self.reference.familiar();
        let status = match self.status {
            PullStatus::Downloaded => format!("Downloaded newer image for {familiar}"),
            PullStatus::UpToDate => format!("Image is up to date for {familiar}"),
        };
        vec![
            format!("Digest: {}", self.digest),
            format!("Status: {status}"),
            self.reference.to_string(),
        ]
    }
}

/// Returns the lines that docker prints at the beginning.
pub fn announce_pull(name: &str) -> Result<Vec<String>> {
    let reference = Reference::parse(name)?;
    let mut lines = Vec::new();
    if reference.tag().is_none() && reference.digest().is_none() {
        lines.push("Using default tag: latest".to_owned());
    }
    let reference = reference.with_default_tag();
    let what = reference.digest().map(ToString::to_string);
    let what = what.or_else(|| reference.tag().map(str::to_owned)).unwrap_or_default();
    let repository = match reference.registry() {
        "docker.io" => reference.repository().to_owned(),
        _ => reference.name(),
    };
    lines.push(format!("{what}: Pulling from {repository}"));
    Ok(lines)
}

/// Pulls an image for `platform`, or else for this machine.
pub fn pull(engine: &Engine, name: &str, platform: Option<&Platform>) -> Result<Pulled> {
    let store = &engine.store;
    let _share = store.share()?;
    let reference = Reference::parse(name)?.with_default_tag();
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    let digest = match reference.digest() {
        Some(digest) => *digest,
        None => (engine.images.client)()?.resolve(&reference)?.digest,
    };
    let repo_digest = format!("{}@{digest}", reference.name());
    // What has a digest gets no name but that.
    let named = reference.digest().is_none();
    let before = by_name(store, &reference)?;
    if let Some(image) = &before
        && image.repo_digests.contains(&repo_digest)
        && platform.matches(&image.platform)
        && is_unpacked(engine, image)?
    {
        let status = PullStatus::UpToDate;
        return Ok(Pulled { reference, digest, status, image: image.clone() });
    }
    let exact = reference.clone().with_digest(digest);
    let parsed = engine.images.pin(&exact, &platform, PullPolicy::Always)?;
    let names = if named { std::slice::from_ref(&reference) } else { &[] };
    let (image, _) = adopt(engine, &reference, &parsed, names, Some(repo_digest))?;
    let same = before.is_some_and(|before| before.id == image.id);
    let status = if same { PullStatus::UpToDate } else { PullStatus::Downloaded };
    Ok(Pulled { reference, digest, status, image })
}

fn is_unpacked(engine: &Engine, image: &ImageRecord) -> Result<bool> {
    if !engine.store.has_blob(&image.manifest.digest) || !engine.store.has_blob(&image.id) {
        return Ok(false);
    }
    let parsed = parse_image(&engine.store, &image.manifest.digest)?;
    let Some(chain) = ChainId::of(&parsed.config.rootfs.diff_ids) else { return Ok(true) };
    Ok(engine.store.snapshot_for_chain(chain)?.is_some())
}
