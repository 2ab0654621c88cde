//! What can go wrong with snapshots.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use lathe_store::SnapshotId;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a snapshot could not be made or mounted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A tree could not be copied.
    #[error("copy the layers to {}", path.display())]
    Copy {
        /// The directory of the copy.
        path: PathBuf,
        /// What failed.
        #[source]
        source: lathe_rootfs::Error,
    },
    /// A file or directory could not be used.
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
    /// The overlay could not be mounted.
    #[error("mount an overlay at {}{}", path.display(), detail(message.as_deref()))]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// What the kernel says about it, when it says anything.
        message: Option<String>,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A snapshot was to be committed while it is mounted.
    #[error("snapshot {0} is still mounted")]
    StillMounted(SnapshotId),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

fn detail(message: Option<&str>) -> String {
    message.map(|message| format!(" ({message})")).unwrap_or_default()
}
