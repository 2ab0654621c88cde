//! What can go wrong between this machine and a registry.
//!
//! Messages name the thing asked for and the host that was asked. They never hold a
//! credential, a token or the query of a URL (which may be a signature).

use std::{io, path::PathBuf, time::Duration};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request, a configuration file or a credential could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A local file could not be used.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as `read`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `registries.toml` is wrong; the message shows the line.
    #[error("{}:{line}:{column}: {message}{excerpt}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong, with a suggestion where there is one.
        message: String,
        /// The line and a caret below the place; begins with a line break.
        excerpt: String,
    },
    /// A certificate or key file holds nothing usable.
    #[error("{}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of credentials is not what its format asks for.
    #[error("{}: {reason}", path.display())]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A `docker-credential-*` program failed.
    #[error("{program}: {reason}")]
    CredentialProgram {
        /// The program's name.
        program: String,
        /// What it said.
        reason: String,
    },
    /// `registries.toml` forbids this registry.
    #[error("registry `{host}` is blocked in registries.toml")]
    Blocked {
        /// The registry.
        host: String,
    },
    /// A URL that is never followed. It is shown without user, password and query.
    #[error("`{0}` is no http or https URL")]
    InvalidUrl(String),
    /// The registry answered, with a no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// No connection, or it broke, or the other side is no registry.
    #[error("{subject}: {host}: {reason}{hint}")]
    Connection {
        /// What was asked for.
        subject: String,
        /// Who was asked.
        host: String,
        /// What happened.
        reason: String,
        /// What the user may do; empty, or begins with `; `.
        hint: &'static str,
        /// Whether the same request may succeed later.
        transient: bool,
    },
    /// The registry answered with something that the protocol does not allow.
    #[error("{subject}: {host}: {reason}")]
    Protocol {
        /// What was asked for.
        subject: String,
        /// Who was asked.
        host: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// What is to be pushed could not be read.
    #[error("read {subject}: {source}")]
    Content {
        /// What was to be pushed.
        subject: String,
        /// Why it could not be read.
        #[source]
        source: io::Error,
    },
    /// A document or digest is wrong.
    #[error("{subject}: {source}")]
    Document {
        /// What was asked for.
        subject: String,
        /// What is wrong with it.
        #[source]
        source: lathe_oci::Error,
    },
    /// The registry and all of its mirrors failed.
    #[error("{error} (mirrors tried first: {mirrors})")]
    Mirrors {
        /// What the registry itself said.
        #[source]
        error: Box<Self>,
        /// What each mirror said.
        mirrors: String,
    },
    /// The user stopped the work.
    #[error("canceled")]
    Canceled,
}

/// A registry's refusal: its status and what its error document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub subject: String,
    /// Who was asked.
    pub host: String,
    /// The HTTP status.
    pub status: u16,
    /// The code of the error document, as `MANIFEST_UNKNOWN`; empty where there is none.
    pub code: String,
    /// What the error document says, in one line.
    pub message: String,
    /// What the user may do; empty where nothing comes to mind.
    pub hint: String,
    /// For how long the registry wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl std::error::Error for Refusal {}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.host, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl Error {
    /// Tells whether the registry said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status == 404,
            Self::Mirrors { error, .. } => error.is_not_found(),
            _ => false,
        }
    }

    /// Tells whether the registry wants other credentials than it got.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.status, 401 | 403),
            Self::Mirrors { error, .. } => error.is_denied(),
            _ => false,
        }
    }

    /// Tells whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => is_transient_status(refusal.status),
            Self::Connection { transient, .. } => *transient,
            Self::Mirrors { error, .. } => error.is_transient(),
            _ => false,
        }
    }

    /// Returns how long the registry wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

/// Tells whether a status is about the moment and not about the request.
pub(crate) const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}
