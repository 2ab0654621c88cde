//! An OCI image layout as a folder, to which images are added.
//!
//! Blobs first, `index.json` last and by renaming: a reader sees the images of before or those of
//! after. Blobs are copied, not linked, since the folder belongs to the user.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use lathe_event::TransferKind;
use lathe_oci::Index;

use crate::{
    Annotation, ArchiveForm, ArchiveImage, Env, Error, Result,
    archive::{Content, entries, packed},
    documents,
    output::Output,
    progress::Progress,
};

/// Adds images to the layout in `folder`, which is made when it is not there. Returns the bytes
/// that were written.
pub(crate) fn write_layout(
    env: &Env<'_>,
    images: &[ArchiveImage<'_>],
    annotations: &[Annotation],
    folder: &Path,
) -> Result<u64> {
    let _share = env.store.share()?;
    let entries = entries(env.store, images, ArchiveForm::Oci, annotations)?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let index = merged_index(documents::index(images, annotations)?, folder)?;
    let label = folder.display().to_string();
    let total = entries.values().map(Content::size).sum();
    let progress = Progress::start(env, TransferKind::Export, &label, Some(total));
    let mut written = 0;
    for (name, content) in entries {
        if env.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if name != "index.json" {
            written += write_entry(env, &folder.join(name), &content)?;
            progress.set(written);
        }
    }
    let index = Content::Bytes(documents::to_json(&index));
    written += write_entry(env, &folder.join("index.json"), &index)?;
    Ok(written)
}

/// Puts the images into the index that is there; a name moves to the new image.
fn merged_index(added: Index, folder: &Path) -> Result<Index> {
    let path = folder.join("index.json");
    let old = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(added),
        read => Index::parse(&read.map_err(Error::io("read", &path))?)?,
    };
    let keys = [documents::IMAGE_NAME, documents::REF_NAME];
    let name = |manifest: &lathe_oci::Descriptor| {
        keys.iter().find_map(|key| manifest.annotations.get(*key)).cloned()
    };
    let digests: BTreeSet<_> = added.manifests.iter().map(|manifest| manifest.digest).collect();
    let names: BTreeSet<_> = added.manifests.iter().filter_map(name).collect();
    let mut merged = old;
    merged.manifests.retain(|manifest| match name(manifest) {
        Some(name) => !names.contains(&name),
        None => !digests.contains(&manifest.digest),
    });
    merged.manifests.extend(added.manifests);
    merged.annotations.extend(added.annotations);
    Ok(merged)
}

fn write_entry(env: &Env<'_>, path: &Path, content: &Content<'_>) -> Result<u64> {
    match content {
        Content::Directory => {
            fs::create_dir_all(path).map_err(Error::io("create", path))?;
            Ok(0)
        }
        Content::Bytes(bytes) => write_bytes(path, bytes),
        Content::Document(bytes) => write_bytes(path, bytes),
        Content::Blob(descriptor) => {
            // A file of this name has this content, unless it is cut off.
            if fs::metadata(path).is_ok_and(|there| there.len() == descriptor.size) {
                return Ok(0);
            }
            let mut blob = env.store.open_blob(&descriptor.digest)?;
            let mut output = Output::file(path)?;
            copy(&mut blob, output.writer.get_mut()).map_err(output.failed())?;
            output.finish()?;
            Ok(descriptor.size)
        }
        Content::Packed(layer, origin) => {
            let size = layer.descriptor.size;
            if fs::metadata(path).is_ok_and(|there| there.len() == size) {
                return Ok(0);
            }
            let mut output = Output::file(path)?;
            packed(env, layer, *origin, &mut output)?;
            output.finish()?;
            Ok(size)
        }
    }
}

/// Between two files, so that the kernel shares or copies the bytes.
fn copy(from: &mut File, to: &mut File) -> io::Result<u64> {
    io::copy(from, to)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<u64> {
    let mut output = Output::file(path)?;
    output.writer.write_all(bytes).map_err(output.failed())?;
    output.finish()?;
    Ok(bytes.len() as u64)
}
