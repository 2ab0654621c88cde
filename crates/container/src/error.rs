//! What can go wrong around a container. A container that ran and failed is not among it: that
//! is an exit code.
//!
//! The texts follow docker's, since scripts look for them.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::record::ContainerId;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Failures of making, starting and steering containers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this name or id prefix.
    #[error("No such container: {0}")]
    NotFound(String),
    /// More than one container's id starts so.
    #[error("multiple containers found with provided prefix: {0}")]
    Ambiguous(String),
    /// Another container has the name.
    #[error(
        "conflict: the container name \"/{name}\" is already in use by container \"{owner}\"; \
         remove (or rename) that container to be able to reuse that name"
    )]
    NameInUse { name: String, owner: String },
    /// The name has characters that names cannot have.
    #[error(
        "invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two characters \
         at least"
    )]
    InvalidName(String),
    /// The container must run for this.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// The container must not run for this.
    #[error(
        "cannot remove container \"/{name}\": container is running: stop the container before \
         removing or force remove"
    )]
    StillRunning { name: String },
    /// The container runs already.
    #[error("container {0} is already running")]
    AlreadyRunning(ContainerId),
    /// A flag's value has the wrong form.
    #[error("invalid {what} `{value}`: {reason}")]
    Invalid { what: &'static str, value: String, reason: String },
    /// The container could not be started; `code` is docker's exit code for it (125, 126, 127).
    #[error("{message}")]
    Start { code: i32, message: String },
    /// A command inside of a running container could not be started.
    #[error("{message}")]
    Exec { code: i32, message: String },
    /// A published port could not be bound on the host.
    #[error("listen {protocol} {address}: bind: {reason}")]
    Bind { protocol: &'static str, address: String, reason: String },
    /// The process that owns the container went away while it was asked something.
    #[error("container {0} ended while it was asked")]
    ShimLost(ContainerId),
    /// The program could not start the process that owns the container.
    #[error("start the container's shim `{}`", path.display())]
    Shim { path: PathBuf, source: io::Error },
    /// A record is not what this version writes.
    #[error("read the record of container {container}")]
    Record { container: String, source: serde_json::Error },
    /// A message on a container's socket is not one of ours.
    #[error("unreadable message on the container's socket")]
    Message(#[source] serde_json::Error),
    /// The socket of a container failed.
    #[error("talk to the container's shim")]
    Channel(#[source] io::Error),
    /// A network namespace or a helper for it could not be made.
    #[error("network: {step}")]
    Network { step: &'static str, source: io::Error },
    /// A file or directory could not be read or written.
    #[error("{action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The terminal could not be used.
    #[error("terminal: {step}")]
    Terminal { step: &'static str, source: io::Error },
    /// The process could not be run.
    #[error(transparent)]
    Executor(#[from] lathe_executor::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// The container's file system could not be mounted.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// A path inside of the container could not be used.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
}

impl Error {
    /// Wraps an I/O error with what was done to which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Returns the exit code that docker's `run` and `exec` end with for this failure: 127 for a
    /// command that is not there, 126 for one that cannot be executed, 125 for everything else.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Start { code, .. } | Self::Exec { code, .. } => *code,
            Self::Executor(error) => error.exit_code(),
            _ => 125,
        }
    }

    /// Returns the message with all its causes in one line, for records and other processes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
