//! Why a command around images failed, in docker's words where docker has some.

use crate::FailureKind;

/// The result of these commands.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No name and no id says so.
    #[error("No such image: {name}")]
    NoSuchImage {
        /// What was asked for, with its tag.
        name: String,
        /// Names that look alike, the nearest first.
        near: Vec<String>,
    },
    /// Several ids begin so.
    #[error("ambiguous image ID prefix `{prefix}`: it begins {}", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// The ids, short.
        ids: Vec<String>,
    },
    /// An image cannot be removed, or not without force.
    #[error("conflict: {0}")]
    Conflict(String),
    /// An image is pushed by a name that it has.
    #[error("An image does not exist locally with the tag: {0}")]
    NotTagged(String),
    /// A digest cannot be given as a name.
    #[error("refusing to create a tag with a digest reference")]
    DigestTag,
    /// There is no such filter.
    #[error("invalid filter '{0}'")]
    InvalidFilter(String),
    /// A filter's value is none.
    #[error("invalid value for filter '{key}': {reason}")]
    InvalidFilterValue {
        /// The filter.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A history that does not fit its layers.
    #[error("too many non-empty layers in History section")]
    HistoryTooLong,
    /// The store.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A reference, or a document of an image.
    #[error(transparent)]
    Document(#[from] lathe_oci::Error),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// A pull, or unpacking.
    #[error(transparent)]
    Source(#[from] lathe_source::Error),
    /// An archive, or a push.
    #[error(transparent)]
    Exporter(#[from] lathe_exporter::Error),
    /// A registry.
    #[error(transparent)]
    Registry(#[from] lathe_registry::Error),
}

impl Error {
    /// Returns whose turn it is.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::NoSuchImage { .. }
            | Self::Ambiguous { .. }
            | Self::Conflict(_)
            | Self::NotTagged(_)
            | Self::DigestTag
            | Self::InvalidFilter(_)
            | Self::InvalidFilterValue { .. }
            | Self::Document(_) => FailureKind::User,
            Self::Source(lathe_source::Error::Cancelled)
            | Self::Exporter(lathe_exporter::Error::Cancelled)
            | Self::Registry(lathe_registry::Error::Canceled) => FailureKind::Interrupted,
            Self::HistoryTooLong
            | Self::Store(_)
            | Self::Snapshot(_)
            | Self::Source(_)
            | Self::Exporter(_)
            | Self::Registry(_) => FailureKind::Environment,
        }
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchImage { near, .. } => {
                let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
                (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
            }
            Self::NotTagged(name) => {
                Some(format!("give an image the name first: `lathe tag IMAGE {name}`"))
            }
            _ => None,
        }
    }
}
