//! What can go wrong around a sandboxed process. A process that ran and failed
//! is not among it: that is an [`Exit`](crate::Exit).

use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Failures of starting, watching or joining a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program does not exist in the root file system.
    #[error("exec \"{command}\": {reason}")]
    CommandNotFound { command: String, reason: String },
    /// The program exists and cannot be executed.
    #[error("exec \"{command}\": {reason}")]
    NotExecutable { command: String, reason: String },
    /// The job has no program at all.
    #[error("no command given")]
    NoCommand,
    /// One step of preparing the sandbox failed inside the init stage.
    #[error("{step}: {reason}")]
    Setup { step: String, reason: String },
    /// The init stage could not be started.
    #[error("start the init stage `{}`", path.display())]
    Start { path: PathBuf, source: io::Error },
    /// The channel to the init stage broke.
    #[error("talk to the init stage")]
    Channel(#[source] io::Error),
    /// The init stage ended without telling how the process ended.
    #[error("the init stage was killed")]
    InitKilled,
    /// A process could not be signalled.
    #[error("send signal {signal} to process {pid}")]
    Signal { pid: i32, signal: i32, source: io::Error },
    /// A namespace could not be made or opened.
    #[error("namespace `{}`", path.display())]
    Namespace { path: PathBuf, source: io::Error },
    /// The host name cannot be one.
    #[error("host name `{name}`: {problem}")]
    Hostname { name: String, problem: &'static str },
    /// The socket that a lent one leads to is not there.
    #[error("forward to the socket `{}`", path.display())]
    Upstream { path: PathBuf, source: io::Error },
    /// The forwarding of lent sockets could not be started.
    #[error("forward lent sockets")]
    Relay(#[source] io::Error),
    /// Emulators could not be registered.
    #[error("register emulators")]
    Emulation(#[source] io::Error),
    /// A standard stream could not be opened or duplicated.
    #[error("open `{stream}`")]
    Stream { stream: &'static str, source: io::Error },
}

impl Error {
    /// Returns the exit code which docker gives for this failure: 127 for a
    /// command that is not there, 126 for one that cannot be executed, 125
    /// for everything else.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::CommandNotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}
