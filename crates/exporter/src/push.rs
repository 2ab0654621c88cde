//! Pushing: the blobs that a repository does not have, then the manifest.
//!
//! Layers go several at once. One that has to be compressed first is sent while it is: the
//! repository gets the bytes as they come, the store keeps them beside, and the manifest is
//! written when all digests are known. Where a registry does not take that, the kept blob is sent
//! in the usual way.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{OnceLock, mpsc},
    thread,
};

use lathe_event::TransferKind;
use lathe_oci::{Blob, BuiltImage, Descriptor, Digest, LayerEntry, Manifest, Reference};
use lathe_registry::{BlobSource, Client, Pushed};
use lathe_store::Store;

use crate::{
    Annotation, Env, Error, ImageForm, LayerForm, Result, blob,
    form::{Way, wanted, with_blobs},
    layers::{AT_ONCE, at_once},
    origin::{Layer, diff_ids},
    progress::Progress,
    push::sending::Gate,
};

mod sending;

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
    /// The layer, as the registry has it.
    pub entry: LayerEntry,
    /// How it came to be in the repository.
    pub outcome: Pushed,
    /// The repository that it was mounted from.
    pub from: Option<Reference>,
}

/// Pushes an image to the repository that `target` names, under its tag; plain layers are
/// compressed on the way.
///
/// Blobs that the registry has in another repository, as images here tell, are mounted from
/// there. The record of the image in the store, if there is one, learns the digest.
pub fn push(env: &Env<'_>, image: &BuiltImage, target: &Reference) -> Result<PushReport> {
    let target = target.clone().with_default_tag();
    Ok(push_formed(env, image, (&ImageForm::default(), &[]), target)?.1)
}

/// Pushes an image to the repository that `target` names, without giving it a tag: it is found by
/// its digest alone. A target with a tag is [`Error::TagByDigest`].
pub fn push_by_digest(env: &Env<'_>, image: &BuiltImage, target: &Reference) -> Result<PushReport> {
    check_without_tag(target)?;
    Ok(push_formed(env, image, (&ImageForm::default(), &[]), target.clone())?.1)
}

pub(crate) fn check_without_tag(target: &Reference) -> Result<()> {
    if target.tag().is_some() {
        return Err(Error::TagByDigest(target.familiar(), target.familiar_name()));
    }
    Ok(())
}

/// Pushes an image in a form, with the build's remarks; returns it as the registry has it.
pub(crate) fn push_formed(
    env: &Env<'_>,
    image: &BuiltImage,
    (form, annotations): (&ImageForm, &[Annotation]),
    target: Reference,
) -> Result<(BuiltImage, PushReport)> {
    let _share = env.store.share()?;
    let client = (env.client)().map_err(Error::Client)?;
    let cx = Cx {
        env,
        client: &client,
        target: &target,
        sources: OnceLock::new(),
        gate: Gate::new(AT_ONCE),
    };
    let layers = cx.push_layers(&image.layers, form)?;
    let blobs = layers.iter().map(|layer| layer.entry.descriptor.clone()).collect();
    let image = with_blobs(image, blobs, form, annotations)?;
    cx.push_document(&image.config)?;
    let media_type = &image.manifest.descriptor().media_type;
    let manifest = client.push_manifest(&target, media_type, image.manifest.bytes())?;
    record_pushed(env.store, image.id(), &target, &manifest.digest)?;
    let entries = image.layers.iter().cloned();
    let layers =
        layers.into_iter().zip(entries).map(|(layer, entry)| PushedLayer { entry, ..layer });
    let report = PushReport { reference: target, manifest, layers: layers.collect() };
    Ok((image, report))
}

struct Cx<'a> {
    env: &'a Env<'a>,
    client: &'a Client,
    target: &'a Reference,
    /// Read when the first blob is missing.
    sources: OnceLock<BTreeMap<Digest, Reference>>,
    /// For those who compress.
    gate: Gate,
}

impl Cx<'_> {
    fn push_layers(&self, entries: &[LayerEntry], form: &ImageForm) -> Result<Vec<PushedLayer>> {
        let diff_ids = diff_ids(entries);
        // An image may have the same layer twice.
        let layers: BTreeMap<Digest, Layer<'_>> = Layer::all(entries, &diff_ids)
            .map(|layer| (layer.entry.descriptor.digest, layer))
            .collect();
        let layers: Vec<(Digest, Layer<'_>)> = layers.into_iter().collect();
        let pushed = at_once(&layers, UPLOADS, |(digest, layer)| {
            Ok((*digest, self.push_layer(*layer, form)?))
        })?;
        let pushed: BTreeMap<Digest, PushedLayer> = pushed.into_iter().collect();
        Ok(entries.iter().map(|entry| pushed[&entry.descriptor.digest].clone()).collect())
    }

    fn push_layer(&self, layer: Layer<'_>, form: &ImageForm) -> Result<PushedLayer> {
        let Env { store, cancel, .. } = self.env;
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let form = wanted(store, layer, form, Way::Out)?;
        let ready = match form {
            None => Some(layer.entry.descriptor.clone()),
            Some(form) => blob::found(store, layer, form)?,
        };
        let form = form.unwrap_or(blob::PLAIN);
        let Some(descriptor) = ready else { return self.push_new(layer, form) };
        if self.client.blob_exists(self.target, &descriptor)? {
            return Ok(pushed(layer, descriptor, Pushed::AlreadyThere, None));
        }
        if !store.has_blob(&descriptor.digest) {
            // Of a plain layer the digest is known before its bytes are there; of a base image's
            // the bytes may be nowhere.
            if blob::is_virtual(store, layer)?.is_none() {
                return Err(Error::LayerMissing { digest: Box::new(descriptor.digest) });
            }
            return self.push_new(layer, form);
        }
        self.upload(layer, descriptor)
    }

    /// Sends a blob of the store.
    fn upload(&self, layer: Layer<'_>, blob: Descriptor) -> Result<PushedLayer> {
        let sources = self.sources()?;
        let from = sources.get(&blob.digest).or_else(|| sources.get(&layer.entry.diff_id.0));
        let source = self.env.store.blob_path(&blob.digest);
        let progress = self.progress(&blob);
        let told = |done| progress.set(done);
        let outcome = self.client.upload_blob(self.target, &blob, &source, from, &told)?;
        Ok(pushed(layer, blob, outcome, from.filter(|_| outcome == Pushed::Mounted)))
    }

    /// Makes the blob of a layer and sends it meanwhile.
    fn push_new(&self, layer: Layer<'_>, form: LayerForm) -> Result<PushedLayer> {
        let _turn = self.gate.enter();
        let label = layer.entry.diff_id.0.short();
        let progress = Progress::start(self.env, TransferKind::Upload, &label, None);
        let sending = |done| progress.set(done);
        let (mut output, mut content) = sending::channel();
        let (told, done) = mpsc::channel();
        let (made, sent) = thread::scope(|scope| {
            let sending = &sending;
            let upload = scope.spawn(move || {
                // An error there is the end here: who made the blob has it in the store.
                let descriptor = move || done.recv().ok();
                self.client.stream_blob(self.target, &mut content, descriptor, sending)
            });
            let made = blob::make(self.env, layer, form, &mut output).and_then(|made| {
                output
                    .flush()
                    .map_err(Error::io("send", &self.env.store.blob_path(&made.digest)))?;
                Ok(made)
            });
            drop(output);
            match &made {
                Ok(made) => {
                    progress.total(made.size);
                    drop(told.send(made.clone()));
                }
                Err(_) => drop(told),
            }
            (made, upload.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        drop(progress);
        let made = made?;
        match sent {
            Ok(()) => Ok(pushed(layer, made, Pushed::Uploaded, None)),
            Err(_) if self.env.cancel.is_cancelled() => Err(Error::Cancelled),
            // Whatever it was, the usual way survives it or tells about it.
            Err(_) if self.client.blob_exists(self.target, &made)? => {
                Ok(pushed(layer, made, Pushed::AlreadyThere, None))
            }
            Err(_) => self.upload(layer, made),
        }
    }

    fn push_document(&self, document: &Blob) -> Result<Pushed> {
        let blob = document.descriptor();
        let source: &dyn BlobSource = &document.bytes();
        let progress = self.progress(blob);
        let told = |done| progress.set(done);
        Ok(self.client.push_blob(self.target, blob, source, None, &told)?)
    }

    fn progress(&self, blob: &Descriptor) -> Progress<'_> {
        Progress::start(self.env, TransferKind::Upload, &blob.digest.short(), Some(blob.size))
    }

    fn sources(&self) -> Result<&BTreeMap<Digest, Reference>> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources);
        }
        let found = mount_sources(self.env.store, self.target)?;
        Ok(self.sources.get_or_init(|| found))
    }
}

fn pushed(
    layer: Layer<'_>,
    descriptor: Descriptor,
    outcome: Pushed,
    from: Option<&Reference>,
) -> PushedLayer {
    let entry = LayerEntry { diff_id: layer.entry.diff_id, descriptor };
    PushedLayer { entry, outcome, from: from.cloned() }
}

/// Returns which other repositories of the target's registry have which layers (by digest of the
/// blob or by diffID), as far as images in the store tell that were pulled from or pushed to there.
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
