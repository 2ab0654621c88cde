//! Where the stand-ins are kept, and the lock file of their digests.
//!
//! ```text
//! STATE/lock            flock: one process makes at a time
//! STATE/lock.json       per layer: recipe revision, digest, diff id, size; per tag: digest of its index
//! STATE/oci/            one OCI image layout with all tags
//! STATE/work/           trees and downloads of an unfinished making; gone afterwards
//! STATE/registry/       configuration, storage, log, pid and address of the registry server
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::plan;
use crate::sh;

const SHARED: &str = "/var/cache/lathe-bases";
const FORMAT: u64 = 1;

/// The folder of one user's, or the machine's, stand-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    root: PathBuf,
}

impl State {
    /// Returns the folder that this user writes to; it need not exist yet.
    pub(super) fn of_this_user() -> Result<Self> {
        if let Some(root) = env::var_os("LATHE_BASES").filter(|root| !root.is_empty()) {
            let root = std::path::absolute(root).context("make $LATHE_BASES absolute")?;
            return Ok(Self { root });
        }
        if sh::is_root() {
            return Ok(Self { root: SHARED.into() });
        }
        let cache =
            env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
        let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
        let cache = cache.context("neither $LATHE_BASES nor $HOME tells where to keep images")?;
        Ok(Self { root: cache.join("lathe-bases") })
    }

    /// Returns the folder that holds all images of the plan: this user's, else the one that root has made.
    pub(super) fn with_images() -> Option<Self> {
        let own = Self::of_this_user().ok();
        let shared = Self { root: SHARED.into() };
        own.into_iter()
            .chain([shared])
            .find(|state| Lock::read(state).is_ok_and(|lock| lock.is_complete()))
    }

    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.root.display()
    }

    pub(super) fn layout(&self) -> PathBuf {
        self.root.join("oci")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub(super) fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// Returns where the layout keeps the blob of a digest (`sha256:…`).
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        self.layout().join("blobs").join(digest.replacen(':', "/", 1))
    }

    /// Waits until no other process makes images here; the lock ends with the returned file.
    pub(super) fn hold(&self) -> Result<File> {
        fs::create_dir_all(&self.root).with_context(|| format!("create {}", self.path()))?;
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(file)
    }

    /// Drops all that was made; the registry's own storage stays, it is addressed by digest.
    pub(super) fn forget(&self) -> Result<()> {
        sh::remove_file(&self.root.join("lock.json"))?;
        for folder in [self.layout(), self.work()] {
            remove_tree(&folder)?;
        }
        Ok(())
    }

    /// Writes a blob under its digest, atomically, and returns its descriptor.
    pub(super) fn write_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest_of(bytes);
        write_atomically(&self.blob(&digest), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    }
}

/// What is known of a finished layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerRecord {
    pub(super) revision: u64,
    /// Digest of the compressed blob.
    pub(super) digest: String,
    /// Digest of the uncompressed archive.
    pub(super) diff_id: String,
    /// Bytes of the compressed blob.
    pub(super) size: u64,
    /// Diff ids of the layers below, bottom first, when this one was made.
    pub(super) below: Vec<String>,
}

/// The lock file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) layers: BTreeMap<String, LayerRecord>,
    /// Per tag, the digest of its index.
    pub(super) images: BTreeMap<String, String>,
}

impl Lock {
    /// Reads the lock file; one that is missing or of another format is empty.
    pub(super) fn read(state: &State) -> Result<Self> {
        let path = state.root.join("lock.json");
        let Ok(text) = fs::read(&path) else { return Ok(Self::default()) };
        let value: Value =
            serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))?;
        if value["format"] != FORMAT {
            return Ok(Self::default());
        }
        Self::from_json(&value).with_context(|| format!("{} is incomplete", path.display()))
    }

    pub(super) fn write(&self, state: &State) -> Result<()> {
        let layers: BTreeMap<&String, Value> = self
            .layers
            .iter()
            .map(|(id, l)| {
                let record = json!({
                    "revision": l.revision, "digest": l.digest, "diff_id": l.diff_id,
                    "size": l.size, "below": l.below,
                });
                (id, record)
            })
            .collect();
        let value = json!({ "format": FORMAT, "layers": layers, "images": self.images });
        let text = serde_json::to_vec_pretty(&value).context("write JSON")?;
        write_atomically(&state.root.join("lock.json"), &text)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let mut lock = Self::default();
        for (id, record) in value["layers"].as_object()? {
            let text = |key: &str| record[key].as_str().map(str::to_owned);
            let below = record["below"].as_array()?.iter();
            let layer = LayerRecord {
                revision: record["revision"].as_u64()?,
                digest: text("digest")?,
                diff_id: text("diff_id")?,
                size: record["size"].as_u64()?,
                below: below.map(|d| d.as_str().map(str::to_owned)).collect::<Option<_>>()?,
            };
            lock.layers.insert(id.clone(), layer);
        }
        for (tag, digest) in value["images"].as_object()? {
            lock.images.insert(tag.clone(), digest.as_str()?.to_owned());
        }
        Some(lock)
    }

    /// Returns whether each tag of the plan has an image made of layers of the plan's revisions.
    pub(super) fn is_complete(&self) -> bool {
        plan::LAYERS.iter().all(|layer| self.has(layer))
            && plan::IMAGES.iter().all(|image| self.images.contains_key(image.tag))
    }

    /// Returns whether a layer is recorded, made by the plan's revision on the layers that are recorded below.
    pub(super) fn has(&self, layer: &plan::Layer) -> bool {
        let Some(record) = self.layers.get(layer.id) else { return false };
        let below: Option<Vec<&String>> =
            layer.below.iter().map(|id| self.layers.get(*id).map(|l| &l.diff_id)).collect();
        record.revision == layer.revision && below.is_some_and(|b| b.into_iter().eq(&record.below))
    }

    /// Returns the digests of all layers and documents.
    pub(super) fn blobs(&self, state: &State) -> Result<BTreeSet<String>> {
        let mut blobs: BTreeSet<String> =
            self.layers.values().map(|layer| layer.digest.clone()).collect();
        for digest in self.images.values() {
            blobs.extend(super::image::documents(state, digest)?);
        }
        Ok(blobs)
    }

    /// Reads every blob again and returns how many there are, or the first that is not what its name says.
    pub(super) fn verify(&self, state: &State) -> Result<usize> {
        let blobs = self.blobs(state)?;
        for digest in &blobs {
            let path = state.blob(digest);
            let found = digest_of_file(&path)?;
            ensure!(found == *digest, "{} has digest {found}", path.display());
        }
        Ok(blobs.len())
    }
}

/// Returns the digest of bytes in its text form.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}

/// Ends a running hash and returns the digest in its text form.
pub(super) fn digest_text(hash: Sha256) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

pub(super) fn digest_of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("read {}", path.display()))?;
        if read == 0 {
            return Ok(digest_text(hash));
        }
        hash.update(&buffer[..read]);
    }
}

pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().expect("the path names a file in a folder");
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let temporary = path.with_extension("partial");
    fs::write(&temporary, bytes).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("rename to {}", path.display()))
}

/// Removes a tree, but never follows a mount out of it.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    if path == Path::new("/") {
        bail!("refused to remove /");
    }
    sh::Cmd::new("rm").args(["-rf", "--one-file-system", "--"]).arg(path).run()
}
