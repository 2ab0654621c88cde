//! Looking for damage: every digest read again, every reference followed.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use lathe_oci::ChainId;
use lathe_oci::Digest;
use lathe_oci::Digester;
use lathe_oci::ImageConfig;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::store::Store;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A blob's bytes are not what its name says.
    BlobDamaged {
        /// The blob.
        digest: Digest,
        /// What the bytes hash to; `None` when they cannot be read.
        found: Option<Digest>,
    },
    /// Something refers to a blob that is not there.
    BlobMissing {
        /// The blob.
        digest: Digest,
        /// What refers to it.
        by: String,
    },
    /// Something refers to a snapshot that is not there.
    SnapshotMissing {
        /// The snapshot.
        id: SnapshotId,
        /// What refers to it.
        by: String,
    },
    /// A document of an image cannot be read.
    DocumentDamaged {
        /// The image.
        image: Digest,
        /// Why.
        message: String,
    },
    /// `SQLite` finds its own file damaged.
    IndexDamaged(String),
    /// Rubbish that the next prune removes; not damage.
    Leftover(PathBuf),
}

impl Finding {
    /// Says whether something is broken, and not only untidy.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Leftover(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlobDamaged { digest, found: Some(found) } => {
                write!(f, "blob {digest} has the content of {found}")
            }
            Self::BlobDamaged { digest, found: None } => write!(f, "blob {digest} is not readable"),
            Self::BlobMissing { digest, by } => {
                write!(f, "blob {digest} is missing, needed by {by}")
            }
            Self::SnapshotMissing { id, by } => {
                write!(f, "snapshot {id} is missing, needed by {by}")
            }
            Self::DocumentDamaged { image, message } => write!(f, "image {image}: {message}"),
            Self::IndexDamaged(message) => write!(f, "the index is damaged: {message}"),
            Self::Leftover(path) => {
                write!(f, "{} belongs to nothing (the next prune removes it)", path.display())
            }
        }
    }
}

impl Store {
    /// Checks the whole store and reports what is wrong. Reads every blob, so it takes as long as
    /// reading them from the disk.
    pub fn check(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let _guard = self.share()?;
        self.check_index(report)?;
        self.check_blobs(report)?;
        self.check_images(report)?;
        self.check_snapshots(report)?;
        self.check_cache(report)?;
        self.leftovers()?.into_iter().for_each(|path| report(Finding::Leftover(path)));
        Ok(())
    }

    fn check_index(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let index = self.inner.index.read();
        for (pragma, good) in [("integrity_check", Some("ok")), ("foreign_key_check", None)] {
            let mut statement = index.prepare(&format!("PRAGMA {pragma}")).doing("check")?;
            let mut rows = statement.query([]).doing("check")?;
            while let Some(row) = rows.next().doing("check")? {
                let text: String = row.get(0).doing("check")?;
                if good != Some(text.as_str()) {
                    report(Finding::IndexDamaged(format!("{pragma}: {text}")));
                }
            }
        }
        Ok(())
    }

    /// Hashes all blobs on all processors.
    fn check_blobs(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let blobs = self.blob_files()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let (sender, findings) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next, blobs) = (sender.clone(), &next, &blobs);
                scope.spawn(move || {
                    while let Some((digest, _)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(finding) = self.check_blob(digest)
                            && sender.send(finding).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            findings.iter().for_each(report);
        });
        Ok(())
    }

    fn check_blob(&self, digest: &Digest) -> Option<Finding> {
        match self.hash_blob(digest) {
            Ok(found) if found == *digest => None,
            Ok(found) => Some(Finding::BlobDamaged { digest: *digest, found: Some(found) }),
            Err(Error::BlobMissing(_)) => None,
            Err(_) => Some(Finding::BlobDamaged { digest: *digest, found: None }),
        }
    }

    fn hash_blob(&self, digest: &Digest) -> Result<Digest> {
        let mut file = self.open_blob(digest)?;
        let mut digester = Digester::new(digest.algorithm());
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = file
                .read(&mut buffer)
                .map_err(|source| Error::io("read", &self.blob_path(digest), source))?;
            if read == 0 {
                return Ok(digester.finish());
            }
            digester.update(&buffer[..read]);
        }
    }

    fn check_images(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        for image in self.images()? {
            if let Err(error) = self.check_image(&image, report) {
                let message = error.to_string();
                report(Finding::DocumentDamaged { image: image.id, message });
            }
        }
        Ok(())
    }

    fn check_image(&self, image: &ImageRecord, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let by = || format!("image {}", image.id);
        let mut need = BTreeSet::from([image.id, image.manifest.digest]);
        if !image.manifest.media_type.is_index()
            && let Some(manifest) = self.manifest(&image.manifest.digest)?
        {
            need.insert(manifest.config.digest);
            need.extend(manifest.layers.iter().map(|layer| layer.digest));
        }
        let config = self.image_config(&image.id)?;
        let unpacked = config.map(|config| self.unpacked_layers(&config)).transpose()?;
        let unpacked = unpacked.unwrap_or_default();
        for digest in need {
            if !unpacked.contains(&digest) && self.is_gone(&digest)? {
                report(Finding::BlobMissing { digest, by: by() });
            }
        }
        Ok(())
    }

    /// Returns the plain layers of an image whose files are here as a snapshot: those that were
    /// made here with an epoch are known by no row of `layers`, but can be packed again.
    fn unpacked_layers(&self, config: &ImageConfig) -> Result<BTreeSet<Digest>> {
        let diff_ids = &config.rootfs.diff_ids;
        let mut found = BTreeSet::new();
        for end in 1..=diff_ids.len() {
            let chain = ChainId::of(&diff_ids[..end]).expect("there is at least one");
            if let Some(snapshot) = self.find_chain(chain)?
                && let Some(record) = self.row(snapshot)?
                && self.snapshot_path(record.content).join("fs").is_dir()
            {
                found.insert(diff_ids[end - 1].0);
            }
        }
        Ok(found)
    }

    /// Says whether a blob can neither be read nor made again.
    fn is_gone(&self, digest: &Digest) -> Result<bool> {
        if self.file_size(digest).is_some() {
            return Ok(false);
        }
        Ok(match self.find_virtual(digest)? {
            Some(snapshot) => !self.snapshot_path(snapshot).join("fs").is_dir(),
            None => true,
        })
    }

    fn check_snapshots(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        for record in self.snapshots()? {
            if !self.snapshot_path(record.content).join("fs").is_dir() {
                let by = if record.content == record.id {
                    "its row".to_owned()
                } else {
                    format!("snapshot {}, which has its changes", record.id)
                };
                report(Finding::SnapshotMissing { id: record.content, by });
            }
        }
        for (id, digest) in self.layer_blobs()? {
            if self.is_gone(&digest)? {
                report(Finding::BlobMissing { digest, by: format!("the layer of snapshot {id}") });
            }
        }
        for container in self.containers()? {
            for id in &container.snapshots {
                let by = || format!("container {}", container.id);
                self.check_reference(*id, by, report)?;
            }
        }
        Ok(())
    }

    fn check_cache(&self, report: &mut dyn FnMut(Finding)) -> Result<()> {
        for record in self.cache_records()? {
            let by = || format!("cache record {}", record.key);
            for id in &record.snapshots {
                self.check_reference(*id, by, report)?;
            }
            for digest in &record.blobs {
                if self.is_gone(digest)? {
                    report(Finding::BlobMissing { digest: *digest, by: by() });
                }
            }
        }
        Ok(())
    }

    fn check_reference(
        &self,
        id: SnapshotId,
        by: impl Fn() -> String,
        report: &mut dyn FnMut(Finding),
    ) -> Result<()> {
        if self.row(id)?.is_none() {
            report(Finding::SnapshotMissing { id, by: by() });
        }
        Ok(())
    }
}
