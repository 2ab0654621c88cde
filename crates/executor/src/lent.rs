//! Files and sockets that a process is lent: values that callers fill in.
//!
//! What is lent lives in a private tmpfs, mounted on its target for the time of
//! the run, so that none of it is ever in the root file system: a secret cannot
//! end up in a layer, whatever happens to the run.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::Access;

/// A file lent to a process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LentFile {
    /// Absolute path inside the root; symlinks in it are followed inside the
    /// root. It is made when it does not exist, with its parents, and removed
    /// again after the run.
    pub target: String,
    #[serde(skip)] // contents travel beside the job: JSON would quadruple them
    pub content: Vec<u8>,
    /// Permission bits. A file without any `x` cannot be executed, whoever
    /// tries.
    pub mode: u32,
    /// Uid and gid as the process sees them; they must be mapped in the user
    /// namespace of the caller.
    pub owner: (u32, u32),
    /// Whether the process can write to it; what it writes is gone after it.
    pub access: Access,
}

impl LentFile {
    /// Returns a secret: readable by root alone, and by no means writable, as
    /// `RUN --mount=type=secret` has it by default.
    pub fn secret(target: impl Into<String>, content: Vec<u8>) -> Self {
        let access = Access::ReadOnly;
        Self { target: target.into(), content, mode: 0o400, owner: (0, 0), access }
    }

    /// Returns a script to be run, as the heredoc of a `RUN` has it.
    pub fn script(target: impl Into<String>, content: Vec<u8>) -> Self {
        let access = Access::ReadOnly;
        Self { target: target.into(), content, mode: 0o755, owner: (0, 0), access }
    }
}

/// Target and content of a file of the system such as `/etc/hosts`: readable
/// by all, writable by root.
impl From<(String, Vec<u8>)> for LentFile {
    fn from((target, content): (String, Vec<u8>)) -> Self {
        Self { target, content, mode: 0o644, owner: (0, 0), access: Access::ReadWrite }
    }
}

/// Without the content: it may be a secret.
impl fmt::Debug for LentFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, content: _, mode, owner, access } = self;
        formatter
            .debug_struct("LentFile")
            .field("target", target)
            .field("mode", &format_args!("{mode:o}"))
            .field("owner", owner)
            .field("access", access)
            .finish_non_exhaustive()
    }
}

/// A unix socket inside of the sandbox which leads to one outside, for as long
/// as the [`Running`](crate::Running) lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LentSocket {
    /// Absolute path inside the root, made and removed as for a [`LentFile`].
    pub target: String,
    /// The socket to forward to, in the mount namespace of the caller. It is
    /// connected to once for each connection from inside.
    pub upstream: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Uid and gid as the process sees them.
    pub owner: (u32, u32),
    /// What may pass.
    pub traffic: Traffic,
}

impl LentSocket {
    /// Returns a socket to an SSH agent, for root alone, that allows to use
    /// keys, as `RUN --mount=type=ssh` has it by default.
    pub fn ssh_agent(target: impl Into<String>, upstream: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            upstream: upstream.into(),
            mode: 0o600,
            owner: (0, 0),
            traffic: Traffic::UseKeys,
        }
    }
}

/// What may pass through a [`LentSocket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Traffic {
    /// Requests of the SSH agent protocol that list keys and sign with them.
    /// All others, such as removing keys or locking the agent, are answered
    /// with a failure, as BuildKit answers them.
    UseKeys,
    /// Any bytes.
    Raw,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_file_does_not_print_its_content() {
        let text = format!("{:?}", LentFile::secret("/run/secrets/a", b"hunter2".to_vec()));
        assert!(text.contains("/run/secrets/a") && text.contains("400"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("104"), "{text}");
    }
}
