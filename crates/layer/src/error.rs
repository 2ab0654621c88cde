//! What can go wrong between a tree and a layer.

use std::io;
use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

/// Failure of packing or unpacking.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the tree; the error below names it.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
    /// The store; the error below says what.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// The layer could not be read or decompressed.
    #[error("read layer")]
    ReadLayer { source: io::Error },
    /// The layer could not be written.
    #[error("write layer")]
    WriteLayer { source: io::Error },
    /// An entry could not be written to the tree.
    #[error("unpack `{}`", path.display())]
    UnpackEntry { path: PathBuf, source: io::Error },
    /// A file could not be read to be packed.
    #[error("pack `{}`", path.display())]
    PackEntry { path: PathBuf, source: io::Error },
    /// The file was longer when it was looked at than when it was read.
    #[error("`{}` became shorter while it was packed", path.display())]
    Shrunk { path: PathBuf },
    /// An overlay file system left a file that only it can read.
    #[error("`{}` has the overlay attribute `{attribute}`, which a layer cannot hold", path.display())]
    OverlayFeature { path: PathBuf, attribute: String },
    /// The archive breaks its format.
    #[error("archive entry `{}` {fault}", String::from_utf8_lossy(entry))]
    Malformed { entry: Vec<u8>, fault: Fault },
    /// The decompressed archive is longer than allowed.
    #[error("layer is longer than {limit} bytes when decompressed")]
    LimitExceeded { limit: u64 },
    /// A hard link to what is not there.
    #[error("hard link `{}` to `{}`, which does not exist", path.display(), target.display())]
    MissingLinkTarget { path: PathBuf, target: PathBuf },
}

/// What is wrong with an archive entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is cut off")]
    Truncated,
    #[error("has a header with a wrong checksum")]
    Checksum,
    #[error("has a header field that is not a number")]
    Number,
    #[error("has an id that does not fit in 32 bits")]
    Id,
    #[error("has a malformed extended header")]
    Pax,
    #[error("has an extended header of more than one MiB")]
    ExtendedTooLong,
    #[error("has a malformed map of holes")]
    Sparse,
    #[error("is of an unknown kind")]
    Kind,
    #[error("has a name with a NUL byte")]
    Nul,
    #[error("would replace the root")]
    ReplacesRoot,
    #[error("is a whiteout of no file")]
    Whiteout,
}

impl Error {
    pub(crate) fn malformed(entry: &[u8], fault: Fault) -> Self {
        Self::Malformed { entry: entry.to_vec(), fault }
    }
}
