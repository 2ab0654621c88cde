//! `RUN --mount`: comma-separated options, typed.
//!
//! Two steps, because values may hold variables: [`Mount`] is what was typed,
//! [`Mount::resolve`] expands the values and checks them together.

use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// A `--mount` as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The options, in order; a later one wins.
    pub options: Vec<MountOption>,
    /// The value of the flag.
    pub span: Span,
}

/// One `key[=value]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Which option.
    pub key: MountKey,
    /// The value, unexpanded; `None` without `=`.
    pub value: Option<Word>,
    /// The whole option.
    pub span: Span,
}

/// The options of all mount types; synonyms are one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MountKey {
    /// `type`
    Type,
    /// `from`; never expanded.
    From,
    /// `source`, `src`
    Source,
    /// `target`, `dst`, `destination`
    Target,
    /// `readonly`, `ro`
    ReadOnly,
    /// `readwrite`, `rw`
    ReadWrite,
    /// `id`
    Id,
    /// `sharing`
    Sharing,
    /// `required`
    Required,
    /// `size`
    Size,
    /// `mode`
    Mode,
    /// `uid`
    Uid,
    /// `gid`
    Gid,
    /// `env`
    Env,
}

/// A mount with all values known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSpec {
    /// `type=bind`, the default.
    Bind(BindMount),
    /// `type=cache`
    Cache(CacheMount),
    /// `type=tmpfs`
    Tmpfs(TmpfsMount),
    /// `type=secret`
    Secret(SecretMount),
    /// `type=ssh`
    Ssh(SshMount),
}

/// Whether the command may write to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes fail.
    ReadOnly,
    /// Writes succeed; for a bind mount they are thrown away.
    ReadWrite,
}

/// How builds that run at once share a cache mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All use it at once.
    #[default]
    Shared,
    /// Each gets its own if it is taken.
    Private,
    /// One after the other.
    Locked,
}

/// Files of a stage, an image or the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindMount {
    /// Where; relative to the working directory.
    pub target: String,
    /// A path in `from`; `/` by default.
    pub source: String,
    /// A stage, image or context; the main context by default.
    pub from: Option<String>,
    /// Read-only by default.
    pub access: Access,
}

/// A directory that outlives the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMount {
    /// Where; relative to the working directory.
    pub target: String,
    /// `None`: the cleaned target.
    pub id: Option<String>,
    /// What a new cache starts with: a stage, image or context.
    pub from: Option<String>,
    /// A path in `from`; `/` by default.
    pub source: String,
    /// Shared by default.
    pub sharing: Sharing,
    /// Writable by default.
    pub access: Access,
    /// Mode of a new directory; `0o755` by default.
    pub mode: Option<u32>,
    /// Owner of a new directory; 0 by default.
    pub uid: Option<u32>,
    /// Group of a new directory; 0 by default.
    pub gid: Option<u32>,
}

/// An empty file system in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmpfsMount {
    /// Where; relative to the working directory.
    pub target: String,
    /// The limit in bytes.
    pub size: Option<u64>,
}

/// A secret of the build, as a file or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMount {
    /// The name of the secret; from the target's file name if not given.
    pub id: String,
    /// The file; `None` if only `env` is wanted, else
    /// `/run/secrets/<id>` by default.
    pub target: Option<String>,
    /// The variable to set.
    pub env: Option<String>,
    /// Whether a missing secret is an error.
    pub required: bool,
    /// `0o400` by default.
    pub mode: u32,
    /// 0 by default.
    pub uid: u32,
    /// 0 by default.
    pub gid: u32,
}

/// A socket of an SSH agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshMount {
    /// Which agent; `default` by default.
    pub id: String,
    /// The socket; `None`: `/run/buildkit/ssh_agent.N`.
    pub target: Option<String>,
    /// Whether a missing agent is an error.
    pub required: bool,
    /// `0o600` by default.
    pub mode: u32,
    /// 0 by default.
    pub uid: u32,
    /// 0 by default.
    pub gid: u32,
}

impl Mount {
    /// The value of `from`, which is never expanded.
    pub fn from(&self) -> Option<&Word> {
        let option = self.options.iter().rev().find(|option| option.key == MountKey::From)?;
        option.value.as_ref()
    }
}

/// What is wrong with a `--mount`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A key that no mount has.
    #[error("unknown mount option `{key}`")]
    UnknownKey {
        /// As typed.
        key: String,
        /// A key that was probably meant.
        near: Option<&'static str>,
        /// The option.
        span: Span,
    },
    /// `key` where `key=value` is needed.
    #[error("mount option `{key}` needs a value")]
    MissingValue {
        /// As typed.
        key: String,
        /// The option.
        span: Span,
    },
    /// A value that is none of those possible.
    #[error("invalid value `{value}` for mount option `{key}`: {expected}")]
    InvalidValue {
        /// The option.
        key: &'static str,
        /// After expansion.
        value: String,
        /// What it should be.
        expected: &'static str,
        /// A value that was probably meant.
        near: Option<&'static str>,
        /// The option.
        span: Span,
    },
    /// An option that this type of mount does not have.
    #[error("mount option `{key}` is not for mounts of type `{kind}`")]
    NotForType {
        /// The option.
        key: &'static str,
        /// The type.
        kind: &'static str,
        /// The option.
        span: Span,
    },
    /// An option that this type of mount must have.
    #[error("a mount of type `{kind}` needs `{needed}`")]
    MissingOption {
        /// The type.
        kind: &'static str,
        /// What is needed.
        needed: &'static str,
        /// The whole mount.
        span: Span,
    },
    /// A variable in `from`.
    #[error("`from` of a mount cannot hold a variable")]
    VariableInFrom {
        /// The value.
        span: Span,
    },
    /// Quotes that do not pair up.
    #[error("misplaced `\"` in the mount options")]
    BadQuotes {
        /// The whole mount.
        span: Span,
    },
    /// `source` and `id` of a secret say the same.
    #[error("a secret takes `source` or `id`, not both")]
    SourceAndId {
        /// The whole mount.
        span: Span,
    },
}

impl MountError {
    /// Where in the file.
    pub const fn span(&self) -> Span {
        match self {
            Self::UnknownKey { span, .. }
            | Self::MissingValue { span, .. }
            | Self::InvalidValue { span, .. }
            | Self::NotForType { span, .. }
            | Self::MissingOption { span, .. }
            | Self::VariableInFrom { span }
            | Self::BadQuotes { span }
            | Self::SourceAndId { span } => *span,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownKey { near: Some(near), .. }
            | Self::InvalidValue { near: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            Self::VariableInFrom { .. } => Some(
                "give the image a name with `FROM $IMAGE AS name` and write `from=name`".to_owned(),
            ),
            Self::MissingValue { key, .. } => Some(format!("write `{key}=…`")),
            Self::NotForType { key, .. } => Some(format!("leave `{key}` out")),
            Self::MissingOption { needed: "id", .. } => Some("add `,id=name`".to_owned()),
            Self::MissingOption { needed, .. } => Some(format!("add `,{needed}=/path`")),
            Self::BadQuotes { .. } => {
                Some("quote whole options, as in `\"target=/a,b\"`, or none".to_owned())
            }
            Self::SourceAndId { .. } => Some("leave `source` out".to_owned()),
            Self::UnknownKey { .. } | Self::InvalidValue { .. } => None,
        }
    }
}

impl From<MountError> for Diagnostic {
    fn from(error: MountError) -> Self {
        let mut diagnostic = Self::error(error.span(), error.to_string());
        diagnostic.help = error.help();
        diagnostic
    }
}

mod read;
mod resolve;

pub use resolve::parse_size;
#[cfg(test)]
mod tests;

impl Mount {
    /// Reads the value of a `--mount` flag. What is wrong goes to
    /// `diagnostics`; what is right is kept.
    pub(crate) fn read(value: &Word, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut errors = Vec::new();
        let mount = read::mount(value, &mut errors);
        let readable = errors.is_empty();
        diagnostics.extend(errors.into_iter().map(Diagnostic::from));
        if readable && !value.raw.contains(['$', '\\', '`', '\'', '"']) {
            // Without variables the check does not have to wait.
            let checked = mount.resolve(|word| Ok::<_, MountError>(word.raw.clone()));
            diagnostics.extend(checked.err().map(Diagnostic::from));
        }
        mount
    }

    /// Expands the values with `expand` and checks them together.
    ///
    /// `expand` is not called for `from`, which is never expanded.
    pub fn resolve<E: From<MountError>>(
        &self,
        expand: impl FnMut(&Word) -> Result<String, E>,
    ) -> Result<MountSpec, E> {
        resolve::resolve(self, expand)
    }
}
