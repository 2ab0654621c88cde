//! Archives of images: an OCI image layout in a tar, for docker with its `manifest.json` beside.
//!
//! One form serves all readers: docker since 1.10 finds the files that `manifest.json` names
//! wherever they are, containerd, podman and skopeo look at `index.json`. Layers stay compressed
//! as they are; all of them read that. Entries are in the order of their names, as containerd
//! writes them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
};

use lathe_event::TransferKind;
use lathe_oci::{BuiltImage, Descriptor, LayerEntry, Reference};
use lathe_store::Store;

use crate::{
    Annotation, Destination, Env, Error, Result, blob, documents,
    origin::{Layer, Origin, diff_ids, pack_known},
    output::Output,
    progress::Progress,
    tar::{self, Kind},
};

/// Bytes of a blob between two looks at the clock and the user.
const CHUNK: u64 = 4 << 20;

/// Bytes of the end mark.
const END: u64 = 2 * tar::BLOCK as u64;

/// An image with the names that it has in an archive.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveImage<'a> {
    /// The image, whose layers are in the store or can be packed from there.
    pub image: &'a BuiltImage,
    /// Its names; none is fine.
    pub names: &'a [Reference],
}

/// For whom an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    /// Readers of OCI layouts.
    Oci,
    /// `docker load` as well.
    Docker,
}

/// What an entry of an archive holds.
pub(crate) enum Content<'a> {
    Directory,
    Bytes(Vec<u8>),
    Document(&'a [u8]),
    Blob(&'a Descriptor),
    /// A plain layer without a blob: packed where it goes to.
    Packed(&'a LayerEntry, Origin),
}

impl Content<'_> {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Directory => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Document(bytes) => bytes.len() as u64,
            Self::Blob(descriptor) => descriptor.size,
            Self::Packed(layer, _) => layer.descriptor.size,
        }
    }
}

/// Writes images as an archive; returns its size in bytes.
pub fn write_archive(
    env: &Env<'_>,
    images: &[ArchiveImage<'_>],
    form: ArchiveForm,
    destination: &Destination,
) -> Result<u64> {
    write_annotated(env, images, form, &[], destination)
}

/// As [`write_archive`], with remarks for the index.
pub(crate) fn write_annotated(
    env: &Env<'_>,
    images: &[ArchiveImage<'_>],
    form: ArchiveForm,
    annotations: &[Annotation],
    destination: &Destination,
) -> Result<u64> {
    let _share = env.store.share()?;
    let entries = entries(env.store, images, form, annotations)?;
    let mut output = Output::create(destination)?;
    let total = entries.values().map(|content| padded(content.size())).sum::<u64>() + END;
    let label = images.iter().flat_map(|item| item.names).next();
    let label = label.map_or_else(|| "image".to_owned(), Reference::familiar);
    let progress = Progress::start(env, TransferKind::Export, &label, Some(total));
    let mut writer = ArchiveWriter { env, output: &mut output, progress, done: 0 };
    entries.iter().try_for_each(|(name, content)| writer.entry(name, content))?;
    tar::finish(&mut output.writer).map_err(output.failed())?;
    output.finish()?;
    Ok(total)
}

/// Returns all files of a layout, by name. Finds a layer that is missing before anything is
/// written.
pub(crate) fn entries<'a>(
    store: &Store,
    images: &[ArchiveImage<'a>],
    form: ArchiveForm,
    annotations: &[Annotation],
) -> Result<BTreeMap<String, Content<'a>>> {
    let mut entries = BTreeMap::new();
    for ArchiveImage { image, .. } in images {
        let name = |descriptor: &Descriptor| documents::blob_name(&descriptor.digest);
        let diff_ids = diff_ids(&image.layers);
        for (layer, entry) in Layer::all(&image.layers, &diff_ids).zip(&image.layers) {
            entries.insert(name(&entry.descriptor), layer_content(store, layer, entry)?);
        }
        for blob in [&image.config, &image.manifest] {
            entries.insert(name(blob.descriptor()), Content::Document(blob.bytes()));
        }
    }
    let blobs: Vec<String> = entries.keys().cloned().collect();
    entries.insert("blobs/".to_owned(), Content::Directory);
    for blob in blobs {
        // `blobs/sha256/…`: of the algorithms only those that occur.
        if let Some(end) = blob.rfind('/') {
            entries.insert(blob[..=end].to_owned(), Content::Directory);
        }
    }
    let index = documents::to_json(&documents::index(images, annotations)?);
    entries.insert("index.json".to_owned(), Content::Bytes(index));
    if form == ArchiveForm::Docker {
        let manifest = documents::to_json(&documents::docker_manifest(images));
        entries.insert("manifest.json".to_owned(), Content::Bytes(manifest));
    }
    entries.insert("oci-layout".to_owned(), Content::Document(documents::OCI_LAYOUT));
    Ok(entries)
}

fn layer_content<'a>(
    store: &Store,
    layer: Layer<'_>,
    entry: &'a LayerEntry,
) -> Result<Content<'a>> {
    let descriptor = &entry.descriptor;
    if store.blob_size(&descriptor.digest) == Some(descriptor.size) {
        return Ok(Content::Blob(descriptor));
    }
    let missing = || Error::LayerMissing { digest: Box::new(descriptor.digest) };
    let origin = blob::is_virtual(store, layer)?.ok_or_else(missing)?;
    Ok(Content::Packed(entry, origin))
}

const fn padded(size: u64) -> u64 {
    tar::BLOCK as u64 + size.next_multiple_of(tar::BLOCK as u64)
}

struct ArchiveWriter<'a, 'b> {
    env: &'a Env<'a>,
    output: &'b mut Output,
    progress: Progress<'a>,
    done: u64,
}

impl ArchiveWriter<'_, '_> {
    fn entry(&mut self, name: &str, content: &Content<'_>) -> Result<()> {
        let size = content.size();
        let kind = if matches!(content, Content::Directory) { Kind::Directory } else { Kind::File };
        self.write(&tar::header(name, kind, size))?;
        match content {
            Content::Directory => {}
            Content::Bytes(bytes) => self.write(bytes)?,
            Content::Document(bytes) => self.write(bytes)?,
            Content::Blob(descriptor) => self.blob(descriptor)?,
            Content::Packed(layer, origin) => {
                packed(self.env, layer, *origin, self.output)?;
                self.progress.set(self.done + size);
            }
        }
        self.done += padded(size);
        tar::pad(&mut self.output.writer, size).map_err(self.output.failed())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.writer.write_all(bytes).map_err(self.output.failed())
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<()> {
        let mut file = self.env.store.open_blob(&descriptor.digest)?;
        let mut rest = descriptor.size;
        while rest > 0 {
            if self.env.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            // From file to file the kernel copies.
            let part = (&mut file).take(rest.min(CHUNK));
            let count = copy(part, &mut self.output.writer).map_err(self.output.failed())?;
            if count == 0 {
                return Err(Error::LayerMissing { digest: Box::new(descriptor.digest) });
            }
            rest -= count;
            self.progress.set(self.done + (descriptor.size - rest));
        }
        Ok(())
    }
}

/// Packs a layer to where it goes.
pub(crate) fn packed(
    env: &Env<'_>,
    layer: &LayerEntry,
    origin: Origin,
    output: &mut Output,
) -> Result<()> {
    let failed = output.failed();
    match pack_known(env, origin, layer.diff_id, blob::PLAIN, &mut output.writer) {
        Err(Error::Layer(lathe_layer::Error::WriteLayer { source })) => Err(failed(source)),
        packed => packed.map(drop),
    }
}

fn copy(mut from: io::Take<&mut File>, to: &mut BufWriter<File>) -> io::Result<u64> {
    io::copy(&mut from, to)
}
