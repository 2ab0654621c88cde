//! What is not an image and not on this machine: downloads, git repositories, archives.
//!
//! Each becomes a snapshot; what is known of it from earlier is in the store's memo, so that an
//! unchanged file or commit is not brought again.

mod archive;
mod date;
mod git;
mod http;
mod url;

use std::{path::PathBuf, sync::Arc};

use lathe_snapshot::Snapshots;
use lathe_store::SnapshotId;

use crate::Images;

pub use archive::is_archive;

/// What was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its files.
    pub snapshot: SnapshotId,
    /// Seconds since 1970: `Last-Modified` of a download, the time of a commit.
    pub time: Option<i64>,
    /// The commit of a repository, the digest of a download.
    pub revision: Option<String>,
}

/// What the URL of a build context leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    /// An archive; these are its files.
    Archive(Fetched),
    /// Anything else, which is taken for a Dockerfile.
    Text(Vec<u8>),
}

/// Finds the value of a secret of the build by its id.
pub type Credentials = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What answers for the user's keys where a repository is reached by ssh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SshAccess {
    /// The agent at `SSH_AUTH_SOCK`, if there is one.
    #[default]
    Environment,
    /// The agent at this socket.
    Agent(PathBuf),
    /// Private keys in files, without a passphrase.
    Keys(Vec<PathBuf>),
}

/// Brings what is not an image.
#[derive(Clone)]
pub struct Remotes {
    /// The store, connections, progress and cancellation.
    pub images: Images,
    /// Makes the file trees.
    pub snapshots: Snapshots,
    /// Returns the value of a secret by its id (`HTTP_AUTH_TOKEN_<host>`, `GIT_AUTH_TOKEN`, …).
    pub secrets: Credentials,
    /// Answers for keys, for repositories that are reached by ssh.
    pub ssh: SshAccess,
}

impl std::fmt::Debug for Remotes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remotes").finish_non_exhaustive()
    }
}
