//! Pushing: the blobs that a repository does not have, then the manifest.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lathe_event::TransferKind;
use lathe_oci::{Blob, BuiltImage, Descriptor, Digest, LayerEntry, Manifest, Reference};
use lathe_registry::{BlobSource, Client, Pushed};
use lathe_store::Store;

use crate::{Env, Error, Result, progress::Progress};

/// Uploads at once; docker has five by default.
const UPLOADS: usize = 4;

/// Largest manifest that is read, in bytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReport {
    /// Under which name.
    pub reference: Reference,
    /// The manifest; its digest and size are what docker prints.
    pub manifest: Descriptor,
    /// What became of each layer, lowest first.
    pub layers: Vec<PushedLayer>,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedLayer {
    /// The layer.
    pub entry: LayerEntry,
    /// How it came to be in the repository.
    pub outcome: Pushed,
    /// The repository that it was mounted from.
    pub from: Option<Reference>,
}

/// Pushes an image to the repository that `target` names, under its tag.
///
/// Blobs that the registry has in another repository, as images here tell, are mounted from
/// there. The record of the image in the store, if there is one, learns the digest.
pub fn push(env: &Env<'_>, image: &BuiltImage, target: &Reference) -> Result<PushReport> {
    push_to(env, image, target.clone().with_default_tag())
}

/// Pushes an image to the repository that `target` names, without giving it a tag: it is found by
/// its digest alone. A target with a tag is [`Error::TagByDigest`].
pub fn push_by_digest(env: &Env<'_>, image: &BuiltImage, target: &Reference) -> Result<PushReport> {
    if target.tag().is_some() {
        return Err(Error::TagByDigest(target.familiar(), target.familiar_name()));
    }
    push_to(env, image, target.clone())
}

fn push_to(env: &Env<'_>, image: &BuiltImage, target: Reference) -> Result<PushReport> {
    let _share = env.store.share()?;
    let client = (env.client)().map_err(Error::Client)?;
    let sources = mount_sources(env.store, &target)?;
    let cx = Cx { env, client: &client, target: &target, sources: &sources };
    let outcomes = cx.push_layers(&image.layers)?;
    cx.push_document(&image.config)?;
    let media_type = &image.manifest.descriptor().media_type;
    let manifest = client.push_manifest(&target, media_type, image.manifest.bytes())?;
    record_pushed(env.store, image.id(), &target, &manifest.digest)?;
    let layers = image
        .layers
        .iter()
        .map(|layer| {
            let outcome = outcomes[&layer.descriptor.digest];
            let from = sources.get(&layer.descriptor.digest).cloned();
            let from = from.filter(|_| outcome == Pushed::Mounted);
            PushedLayer { entry: layer.clone(), outcome, from }
        })
        .collect();
    Ok(PushReport { reference: target, manifest, layers })
}

struct Cx<'a> {
    env: &'a Env<'a>,
    client: &'a Client,
    target: &'a Reference,
    sources: &'a BTreeMap<Digest, Reference>,
}

impl Cx<'_> {
    fn push_layers(&self, layers: &[LayerEntry]) -> Result<BTreeMap<Digest, Pushed>> {
        // An image may have the same layer twice.
        let blobs: BTreeMap<Digest, &Descriptor> =
            layers.iter().map(|layer| (layer.descriptor.digest, &layer.descriptor)).collect();
        let blobs: Vec<&Descriptor> = blobs.into_values().collect();
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Ok(BTreeMap::new()));
        let work = || {
            while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pushed = self.push_layer(blob);
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *outcomes, pushed) {
                    (Ok(done), Ok(pushed)) => {
                        done.insert(blob.digest, pushed);
                    }
                    (Ok(_), Err(error)) => {
                        // The others end with the blob that they are at.
                        next.store(blobs.len(), Ordering::Relaxed);
                        *outcomes = Err(error);
                    }
                    (Err(_), _) => {}
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..blobs.len().min(UPLOADS) {
                scope.spawn(work);
            }
            work();
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn push_layer(&self, blob: &Descriptor) -> Result<Pushed> {
        if self.env.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if !self.env.store.has_blob(&blob.digest) {
            // A base image's layer may be in the registry, though not here.
            if self.client.blob_exists(self.target, blob)? {
                return Ok(Pushed::AlreadyThere);
            }
            return Err(Error::LayerMissing { digest: Box::new(blob.digest) });
        }
        self.push_blob(blob, &self.env.store.blob_path(&blob.digest))
    }

    fn push_document(&self, document: &Blob) -> Result<Pushed> {
        self.push_blob(document.descriptor(), &document.bytes())
    }

    fn push_blob(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<Pushed> {
        let label = blob.digest.short();
        let progress = Progress::start(self.env, TransferKind::Upload, &label, Some(blob.size));
        let from = self.sources.get(&blob.digest);
        let told = |done| progress.set(done);
        Ok(self.client.push_blob(self.target, blob, source, from, &told)?)
    }
}

/// Returns which other repositories of the target's registry have which layers, as far as images
/// in the store tell that were pulled from or pushed to there.
fn mount_sources(store: &Store, target: &Reference) -> Result<BTreeMap<Digest, Reference>> {
    let mut sources = BTreeMap::new();
    for image in store.images()? {
        let references = image.repo_digests.iter().filter_map(|text| Reference::parse(text).ok());
        let source = references.into_iter().find(|reference| {
            reference.registry() == target.registry()
                && reference.repository() != target.repository()
        });
        let Some(source) = source else { continue };
        // An image that cannot be read is no source; whoever uses it will be told.
        let Ok(bytes) = store.read_blob(&image.manifest.digest, DOCUMENT_LIMIT) else { continue };
        let Ok(manifest) = Manifest::parse(&bytes) else { continue };
        for layer in manifest.layers {
            sources.entry(layer.digest).or_insert_with(|| source.clone());
        }
    }
    Ok(sources)
}

/// Notes under which digest a registry knows an image now.
fn record_pushed(store: &Store, id: &Digest, target: &Reference, manifest: &Digest) -> Result<()> {
    let Some(mut record) = store.image(id)? else { return Ok(()) };
    let text = format!("{}@{manifest}", target.name());
    if !record.repo_digests.contains(&text) {
        record.repo_digests.push(text);
        record.repo_digests.sort();
        store.put_image(&record)?;
    }
    Ok(())
}
