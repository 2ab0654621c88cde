//! What can go wrong in the store.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;

use crate::record::SnapshotId;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the store could not be used.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The index could not be read or written.
    #[error("{action} in the store's index")]
    Index {
        /// What was tried.
        action: &'static str,
        /// The answer of `SQLite`.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer lathe made the store.
    #[error(
        "the store {} has format {found}, this lathe knows up to {known}; use a newer lathe, or another store with --root",
        path.display()
    )]
    NewerFormat {
        /// The store's directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format that this program writes.
        known: u32,
    },
    /// `index.db` is another program's database.
    #[error("{} is not the index of a lathe store", path.display())]
    ForeignIndex {
        /// The file.
        path: PathBuf,
    },
    /// A blob is not in the store.
    #[error("blob {0} is not in the store")]
    BlobMissing(Digest),
    /// A blob is larger than its reader allows.
    #[error("blob {digest} has {size} bytes, more than the {limit} that are read at once")]
    BlobTooLarge {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// The bytes are not those that the digest promises.
    #[error("content has digest {found}, but {expected} was expected")]
    DigestMismatch {
        /// The digest promised.
        expected: Box<Digest>,
        /// The digest of the bytes.
        found: Box<Digest>,
    },
    /// There are not as many bytes as promised.
    #[error("blob {digest} has {found} bytes, but {expected} were expected")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// The size promised.
        expected: u64,
        /// The bytes there are.
        found: u64,
    },
    /// A record in the index is not in the form that it should have.
    #[error("the record `{key}` in `{table}` is not readable")]
    Record {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A column holds a digest or id that is none.
    #[error("the record `{key}` in `{table}` holds the invalid value `{value}`")]
    InvalidValue {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// The value.
        value: String,
    },
    /// A snapshot is not in the store.
    #[error("snapshot {0} is not in the store")]
    SnapshotMissing(SnapshotId),
    /// A snapshot that others need was to be removed.
    #[error("snapshot {id} is needed by {by}")]
    SnapshotInUse {
        /// The snapshot.
        id: SnapshotId,
        /// What needs it.
        by: String,
    },
    /// Another container has the name.
    #[error("the name `{name}` is in use by container {by}")]
    NameInUse {
        /// The name.
        name: String,
        /// The id of the container that has it.
        by: String,
    },
    /// Several builds have ids that begin so.
    #[error("several builds have ids that begin with `{0}`")]
    AmbiguousBuild(String),
    /// A cache mount is not in the store.
    #[error("there is no cache mount `{0}`")]
    CacheMountMissing(String),
    /// An image with this id is not in the store.
    #[error("image {0} is not in the store")]
    ImageMissing(Digest),
    /// A document among the blobs cannot be read.
    #[error("blob {digest} is not readable as a document")]
    Document {
        /// The blob.
        digest: Box<Digest>,
        /// What is wrong with it.
        #[source]
        source: Box<lathe_oci::Error>,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// Adds what was tried to an error of `SQLite`.
pub(crate) trait IndexResult<T> {
    fn doing(self, action: &'static str) -> Result<T>;
}

impl<T> IndexResult<T> for rusqlite::Result<T> {
    fn doing(self, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::Index { action, source })
    }
}
