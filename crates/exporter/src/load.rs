//! Reading archives of images: OCI layouts and docker archives, plain or compressed.
//!
//! The archive is read once, front to end, as a pipe gives it. Every file becomes a blob of the
//! store at once: of an OCI layout under the digest that its name promises, of a docker archive
//! under whatever digest it has. What no image refers to in the end is removed by the next prune.
//!
//! Names in the archive are keys of a map and never touch a file system; those that a careless
//! reader could be led astray by are refused all the same, since no honest tool writes them.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use lathe_event::TransferKind;
use lathe_oci::{BuiltImage, Digest, Reference};
use lathe_store::Store;

use crate::{Env, Error, Result, progress::Progress};

mod docker;
mod oci;
mod stream;

/// Most entries of an archive: several hundred images of a hundred layers.
const ENTRIES: usize = 100_000;

/// Longest document that is read, in bytes: what registries accept for a manifest.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Links that are followed from one name.
const LINKS: usize = 8;

/// An image that was loaded: its blobs are in the store, no name points to it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// The image.
    pub image: BuiltImage,
    /// The names that the archive gives it.
    pub names: Vec<Reference>,
}

/// Reads all images of an archive into the store; their layers are not unpacked.
pub fn load(env: &Env<'_>, reader: impl Read + Send) -> Result<Vec<LoadedImage>> {
    let _share = env.store.share()?;
    let files = Files::read(env, stream::decompressed(reader)?)?;
    let images = if files.contains("index.json") {
        oci::images(&files)?
    } else if files.contains("manifest.json") {
        docker::images(&files)?
    } else if files.contains("repositories") {
        return Err(Error::archive(
            "it is in the form of docker before 1.10, which is not supported; \
             load and save it with a newer docker",
        ));
    } else {
        return Err(Error::archive(
            "it has neither `index.json` nor `manifest.json`, so it is no archive of images",
        ));
    };
    for loaded in &images {
        env.store.put_blob(loaded.image.config.bytes())?;
        env.store.put_blob(loaded.image.manifest.bytes())?;
    }
    Ok(images)
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    /// A blob of the store now.
    Blob { digest: Digest, size: u64 },
    /// Another name.
    Link(String),
}

/// The files of an archive, by name.
#[derive(Debug)]
struct Files<'a> {
    store: &'a Store,
    items: BTreeMap<String, Item>,
}

impl<'a> Files<'a> {
    fn read(env: &Env<'a>, reader: impl Read) -> Result<Self> {
        let progress = Progress::start(env, TransferKind::Unpack, "archive", None);
        let mut files = Self { store: env.store, items: BTreeMap::new() };
        let mut archive = ::tar::Archive::new(reader);
        let failed = |source| Error::ReadArchive { source };
        let mut done = 0;
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            if env.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if files.items.len() >= ENTRIES {
                return Err(Error::archive(format!("it has more than {ENTRIES} entries")));
            }
            let name = name_of(&entry.path_bytes())?;
            let kind = entry.header().entry_type();
            let item = if kind.is_dir() {
                continue;
            } else if kind.is_file() {
                files.blob(&name, &mut entry, &progress, &mut done)?
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                Item::Link(link_target(&name, &target, kind.is_hard_link())?)
            } else {
                return Err(Error::archive(format!("`{name}` is neither file, folder nor link")));
            };
            files.items.insert(name, item);
        }
        Ok(files)
    }

    /// Puts a file into the store.
    fn blob(
        &self,
        name: &str,
        entry: &mut ::tar::Entry<'_, impl Read>,
        progress: &Progress<'_>,
        done: &mut u64,
    ) -> Result<Item> {
        let promised = promised_digest(name);
        let size = entry.size();
        if let Some(digest) = promised
            && self.store.blob_size(&digest) == Some(size)
        {
            // The store has verified it when it came; the archive's copy is not looked at.
            return Ok(Item::Blob { digest, size });
        }
        let mut writer = self.store.blob_writer()?;
        let mut buffer = vec![0; 256 * 1024];
        let mut rest = size;
        while rest > 0 {
            let count = progress
                .go_on()
                .and_then(|()| entry.read(&mut buffer))
                .map_err(|source| Error::ReadArchive { source })?;
            if count == 0 {
                // The reader of tars takes the end of the archive for that of the file.
                let source = io::ErrorKind::UnexpectedEof.into();
                return Err(Error::ReadArchive { source });
            }
            rest -= count as u64;
            let blob = self.store.directory();
            io::Write::write_all(&mut writer, &buffer[..count])
                .map_err(Error::io("write", blob))?;
            *done += count as u64;
            progress.set(*done);
        }
        // SHA-512 is checked by those who read the blob: the writer knows SHA-256 only.
        let expected = promised.filter(|digest| digest.algorithm().name() == "sha256");
        let (digest, size) = writer.finish(expected.as_ref()).map_err(|source| match source {
            lathe_store::Error::DigestMismatch { .. } => {
                Error::ArchiveDigest { name: name.to_owned(), source }
            }
            source => source.into(),
        })?;
        Ok(Item::Blob { digest, size })
    }

    fn contains(&self, name: &str) -> bool {
        self.items.contains_key(name)
    }

    /// Returns digest and size of the file with a name, through links.
    fn find(&self, name: &str) -> Option<(Digest, u64)> {
        let mut name = normal(name)?;
        for _ in 0..LINKS {
            match self.items.get(&name)? {
                Item::Blob { digest, size } => return Some((*digest, *size)),
                Item::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// Returns the bytes of a document.
    fn document(&self, name: &str) -> Result<Vec<u8>> {
        let missing = || Error::archive(format!("`{name}` is missing"));
        let (digest, _) = self.find(name).ok_or_else(missing)?;
        Ok(self.store.read_blob(&digest, DOCUMENT_LIMIT)?)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.document(name)?)
            .map_err(|source| Error::ArchiveDocument { name: name.to_owned(), source })
    }
}

/// Returns the name of an entry in its normal form.
fn name_of(bytes: &[u8]) -> Result<String> {
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let name = text.filter(|text| !text.starts_with('/')).and_then(normal);
    name.ok_or_else(|| Error::archive(format!("`{}` is no name of a file inside", shown())))
}

/// Takes `.` and double slashes out; `None` for a name with `..`.
fn normal(name: &str) -> Option<String> {
    let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// Resolves what a link points to; from the archive's top for a hard link.
fn link_target(name: &str, target: &[u8], is_hard: bool) -> Result<String> {
    let outside = || Error::archive(format!("the link `{name}` leads out of it"));
    let target = std::str::from_utf8(target).map_err(|_| outside())?;
    if target.starts_with('/') {
        return Err(outside());
    }
    let mut parts: Vec<&str> = if is_hard { Vec::new() } else { name.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(outside)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Returns the digest that a name of a layout promises.
fn promised_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
