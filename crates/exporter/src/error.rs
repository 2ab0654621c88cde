//! What can go wrong on the way out, and in again.

use std::{
    io,
    path::{Path, PathBuf},
};

use lathe_oci::{DiffId, Digest};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image or a tree could not be written, or an archive not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store; the error below says what.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A snapshot could not be looked at.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// A layer could not be packed.
    #[error(transparent)]
    Layer(#[from] lathe_layer::Error),
    /// A file of a tree.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
    /// A registry said no.
    #[error(transparent)]
    Registry(#[from] lathe_registry::Error),
    /// There is no client of registries.
    #[error(transparent)]
    Client(Box<dyn std::error::Error + Send + Sync>),
    /// A document of an image.
    #[error(transparent)]
    Document(#[from] lathe_oci::Error),
    /// A file that is written or read could not be used.
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
    /// An archive cannot be shown on a screen.
    #[error("refusing to write an archive to the terminal; redirect it, or name a file with dest=")]
    Terminal,
    /// This kind of output needs something that the build did not make.
    #[error("nothing to write: the build has no {0}")]
    Nothing(&'static str),
    /// No blob and no snapshot has the layer any more.
    #[error("layer {digest} of the image is not in the store; pull or build the image again")]
    LayerMissing {
        /// The blob.
        digest: Box<Digest>,
    },
    /// A blob does not have what the image says of it.
    #[error("layer {blob} of the image holds {} and not {}", actual.0, expected.0)]
    LayerContent {
        /// The blob.
        blob: Box<Digest>,
        /// The diffID of the image's config.
        expected: Box<DiffId>,
        /// The diffID of the blob.
        actual: Box<DiffId>,
    },
    /// A file of the store is not what it was when the layer was made.
    #[error(
        "`{}` has changed since its layer was made ({} now, not {}): files of the store must not \
         be written to; build with `--no-cache` to make it again",
        path.display(), actual.0, expected.0
    )]
    SnapshotChanged {
        /// The directory with the layer's files.
        path: PathBuf,
        /// The diffID that was recorded.
        expected: Box<DiffId>,
        /// The diffID that the files give now.
        actual: Box<DiffId>,
    },
    /// Something of a layer cannot be made a second time here.
    #[error("squash `{}`: {reason}", path.display())]
    Squash {
        /// Path in the tree.
        path: PathBuf,
        /// Why.
        reason: lathe_layer::SkipReason,
    },
    /// What is pushed by its digest has no tag.
    #[error(
        "cannot push `{0}` by digest, since it has a tag; \
         leave `--tag` out and name the repository in the output: `name={1}`"
    )]
    TagByDigest(String, String),
    /// All files of the machine would be deleted.
    #[error("refusing to delete what is in `{}`", path.display())]
    DeleteRoot {
        /// The folder.
        path: PathBuf,
    },
    /// An archive is none that can be loaded.
    #[error("invalid archive: {0}")]
    Archive(String),
    /// The archive ends too early, or is no archive.
    #[error("read the archive")]
    ReadArchive {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document in the archive is not what its name says.
    #[error("invalid `{name}` in the archive")]
    ArchiveDocument {
        /// Name in the archive.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Bytes in the archive are not those that the digest promises.
    #[error("`{name}` in the archive is damaged")]
    ArchiveDigest {
        /// Name in the archive.
        name: String,
        /// Both digests.
        #[source]
        source: lathe_store::Error,
    },
    /// The user wanted it to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn archive(text: impl Into<String>) -> Self {
        Self::Archive(text.into())
    }
}
