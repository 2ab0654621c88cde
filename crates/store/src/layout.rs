//! Where things lie below the store's directory.

use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;

use crate::record::SnapshotId;

/// The directory of claims, beside those of processes.
pub(crate) const CLAIMS: &str = "claims";

/// The store's directory and the paths in it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Directories that exist from the store's making on.
    pub(crate) const DIRECTORIES: [&'static str; 5] =
        ["blobs/sha256", "ingest", "snapshots", "containers", "run"];

    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.db")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Returns where the claims lie: files that are locked while their work is done.
    pub(crate) fn claims(&self) -> PathBuf {
        self.run().join(CLAIMS)
    }

    /// Returns where the block files lie.
    pub(crate) fn digests(&self) -> PathBuf {
        self.root.join("digests")
    }

    /// Returns where the logs of builds lie.
    pub(crate) fn builds(&self) -> PathBuf {
        self.root.join("builds")
    }

    /// Returns the file that keeps room for the index on a full disk.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// Returns the file that one collector at a time holds locked.
    pub(crate) fn collector(&self) -> PathBuf {
        self.root.join("collector")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Returns where `RUN --mount=type=cache` keeps its directories.
    pub(crate) fn cache_mounts(&self) -> PathBuf {
        self.root.join("cache-mounts")
    }

    /// Returns where repositories are kept that builds fetched from.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.root.join("git")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blobs();
        path.push(digest.algorithm().name());
        path.push(digest.hex());
        path
    }

    /// Returns where a download of the blob collects its bytes.
    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.ingest().join(format!("{}-{}.part", digest.algorithm().name(), digest.hex()))
    }

    pub(crate) fn snapshot(&self, id: SnapshotId) -> PathBuf {
        self.snapshots().join(id.as_str())
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }
}
