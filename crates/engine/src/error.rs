//! Why a build failed, in the user's words.

use std::path::PathBuf;

use lathe_dockerfile::Diagnostic;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose turn it is: decides exit code and tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The user's: a file, a flag, a name.
    User,
    /// A step of the build failed.
    Step,
    /// The machine's, the network's, a registry's.
    Environment,
    /// Nobody's: it was interrupted.
    Interrupted,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile is wrong; rendered with lines and carets.
    #[error("{rendered}")]
    Dockerfile {
        /// All findings, as text.
        rendered: String,
        /// The same as values.
        findings: Vec<Diagnostic>,
    },
    /// A step failed; rendered with its line.
    #[error("{rendered}")]
    Step {
        /// The failure as text.
        rendered: String,
        /// The exit code of the process, if one ran.
        code: Option<i32>,
    },
    /// There is no Dockerfile.
    #[error("there is no Dockerfile at `{}`", path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
        /// Files beside it whose names look alike.
        near: Vec<PathBuf>,
    },
    /// The build context is no folder.
    #[error("the build context `{}` is not a folder", .0.display())]
    NoContext(PathBuf),
    /// `SOURCE_DATE_EPOCH` names something without a time of its own.
    #[error("SOURCE_DATE_EPOCH: {0} has no time of its own")]
    NoTime(String),
    /// The build argument that says which rules apply is wrong.
    #[error("BUILDKIT_DOCKERFILE_CHECK={value}: {reason}")]
    Check {
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
        /// What to type.
        help: String,
    },
    /// An archive on standard input was built a second time.
    #[error("the build context was read from standard input already")]
    ReadTwice,
    /// A named context has a name that means something else.
    #[error("`{0}` cannot be the name of a build context")]
    ReservedContext(String),
    /// A flag gives no leave for what is asked.
    #[error("{what} is not allowed")]
    NotAllowed {
        /// What is asked.
        what: String,
        /// The value of `--allow`.
        entitlement: &'static str,
    },
    /// A file of the request cannot be read.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The disk of the store is full, and nothing more may be removed to make room.
    #[error("{failure}\nthe disk of the store is full{}", match .freed {
        0 => String::new(),
        freed => format!(", even after {} MiB of unused cache were removed", freed >> 20),
    })]
    DiskFull {
        /// What failed.
        failure: Box<Self>,
        /// Bytes that were freed before the last try.
        freed: u64,
    },
    /// No build is remembered, or none with that id.
    #[error("{}", match .0 {
        Some(id) => format!("no build `{id}` is remembered"),
        None => "no build is remembered".to_owned(),
    })]
    NoBuild(Option<String>),
    /// A build has no such step.
    #[error("the build {build} has no step `{step}`")]
    NoStep {
        /// What was asked for.
        step: String,
        /// The build's id.
        build: String,
    },
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
    /// The store.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A document of the image.
    #[error(transparent)]
    Document(#[from] lathe_oci::Error),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// The cache.
    #[error(transparent)]
    Worker(#[from] lathe_worker::Error),
    /// Where the image was to go.
    #[error(transparent)]
    Exporter(#[from] lathe_exporter::Error),
    /// An image that is wanted.
    #[error(transparent)]
    Source(#[from] lathe_source::Error),
    /// A file of a context.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
    /// The configuration of registries, or one of them.
    #[error(transparent)]
    Registry(#[from] lathe_registry::Error),
    /// The network of processes.
    #[error(transparent)]
    Container(#[from] lathe_container::Error),
}

impl Error {
    /// Returns whose turn it is.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Dockerfile { .. }
            | Self::NoDockerfile { .. }
            | Self::NoContext(_)
            | Self::NoTime(_)
            | Self::ReadTwice
            | Self::Check { .. }
            | Self::ReservedContext(_)
            | Self::NoBuild(_)
            | Self::NoStep { .. }
            | Self::NotAllowed { .. } => FailureKind::User,
            Self::Step { .. } => FailureKind::Step,
            Self::Interrupted => FailureKind::Interrupted,
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Store(_)
            | Self::Document(_)
            | Self::Snapshot(_)
            | Self::Worker(_)
            | Self::Exporter(_)
            | Self::Source(_)
            | Self::Rootfs(_)
            | Self::Registry(_)
            | Self::Container(_) => FailureKind::Environment,
        }
    }

    /// Returns what the user can do, as something that can be typed.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDockerfile { near, .. } => {
                let near = near.first()?;
                Some(format!("did you mean `-f {}`?", near.display()))
            }
            Self::NoContext(_) => {
                Some("give the folder with the sources: `lathe build .`".to_owned())
            }
            Self::NoTime(_) => Some(
                "a folder has none: give seconds, as `--build-arg SOURCE_DATE_EPOCH=0`".to_owned(),
            ),
            Self::Check { help, .. } => Some(help.clone()),
            Self::DiskFull { .. } => Some(
                "all that is left is in use: `lathe builder du` and `lathe images` show by what"
                    .to_owned(),
            ),
            Self::NotAllowed { entitlement, .. } => Some(format!("add `--allow {entitlement}`")),
            _ => None,
        }
    }
}
