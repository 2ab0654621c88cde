//! Why an input of a build cannot be had.

use std::path::PathBuf;

use lathe_oci::Platform;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What could not be had, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] lathe_registry::Error),
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A document is not what it should be.
    #[error(transparent)]
    Document(#[from] lathe_oci::Error),
    /// A snapshot could not be made.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// A layer could not be unpacked.
    #[error(transparent)]
    Layer(#[from] lathe_layer::Error),
    /// A folder could not be read.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
    /// A pattern of an ignore file is none.
    #[error("`{}`: {source}", path.display())]
    Ignore {
        /// The ignore file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: lathe_pattern::Error,
    },
    /// An index has no image for the platform that is asked for.
    #[error("{image} has no image for {platform}, only for {available}")]
    NoPlatform {
        /// Its name.
        image: String,
        /// What is asked for.
        platform: Platform,
        /// What there is.
        available: String,
    },
    /// Indexes lead to each other, as no tool makes them.
    #[error("{0} is an index of indexes without end")]
    NestedIndex(String),
    /// The files of a layer are not those that the config tells.
    #[error("layer {layer} of {image} has diffID {actual}, its config says {expected}")]
    WrongDiffId {
        /// Name of the image.
        image: String,
        /// The blob.
        layer: String,
        /// What it has.
        actual: String,
        /// What it should have.
        expected: String,
    },
    /// The media type of a layer is none that can be unpacked.
    #[error("layer {layer} of {image} has the media type `{media_type}`, which cannot be unpacked")]
    UnknownLayer {
        /// Name of the image.
        image: String,
        /// The blob.
        layer: String,
        /// Its type.
        media_type: String,
    },
    /// A folder that should be an OCI layout lacks something.
    #[error("{} {reason}", folder.display())]
    Layout {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it, as a sentence about it.
        reason: String,
    },
    /// A download is another file than the one that is wanted.
    #[error("{what} has the digest {got}, but {wanted} is wanted")]
    Checksum {
        /// Where it is from.
        what: String,
        /// What was asked for.
        wanted: String,
        /// What came.
        got: String,
    },
    /// A download has a name that is none of a file.
    #[error("a download cannot have the file name `{0}`")]
    FileName(String),
    /// A download is larger than the disk has room for.
    #[error(
        "{what} has {needed} bytes, but only {free} are free at {}; \
         `lathe system prune` or another store with --root makes room",
        folder.display()
    )]
    NoSpace {
        /// Where it is from.
        what: String,
        /// Its size in bytes.
        needed: u64,
        /// Free bytes.
        free: u64,
        /// Where they are.
        folder: PathBuf,
    },
    /// Not an archive, where one is needed.
    #[error("{0} is no tar archive, compressed or not")]
    NoArchive(String),
    /// A server says that nothing has changed since nobody ever asked.
    #[error("{0}: the server says that it has not changed, but it is not here")]
    NotModified(String),
    /// The program git is not there.
    #[error(
        "git is needed for this and is not installed; install the package `git` of the system \
         (`apt install git`, `dnf install git`, `apk add git`)"
    )]
    NoGit,
    /// Git failed, or its server refused.
    #[error("cannot {action} {url}: {message}")]
    Git {
        /// What was tried, as `fetch`.
        action: &'static str,
        /// The repository, without credentials.
        url: String,
        /// Git's words.
        message: String,
    },
    /// The URL of a repository is none that is followed.
    #[error("`{url}` cannot be used as the URL of a repository: {reason}")]
    GitUrl {
        /// As given, without credentials.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// A repository has no such branch, tag or commit.
    #[error("{url} has no branch, tag or commit `{name}`{hint}")]
    GitName {
        /// The repository.
        url: String,
        /// The name.
        name: String,
        /// What may be meant; empty, or begins with `; `.
        hint: String,
    },
    /// A repository has no such commit.
    #[error("{url} has no commit {commit}, or does not give it away")]
    GitCommit {
        /// The repository.
        url: String,
        /// The id.
        commit: String,
    },
    /// A name means another commit than the one that is wanted.
    #[error("`{name}` of {url} is commit {got}, but {wanted} is wanted")]
    GitChecksum {
        /// The repository.
        url: String,
        /// The name.
        name: String,
        /// What was asked for.
        wanted: String,
        /// What the name means.
        got: String,
    },
    /// A commit has no such folder.
    #[error("commit {commit} of {url} has no folder `{folder}`; links are not followed")]
    GitFolder {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The folder.
        folder: String,
    },
    /// A submodule cannot be had.
    #[error(
        "submodule `{}` of {url}: {reason}; `?submodules=false` leaves submodules out",
        path.display()
    )]
    Submodule {
        /// The repository.
        url: String,
        /// Where the submodule is in it.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The user wanted it to stop.
    #[error("interrupted")]
    Cancelled,
    /// Reading or writing a blob failed.
    #[error("cannot {action} {subject}: {source}")]
    Io {
        /// What was done.
        action: &'static str,
        /// With what.
        subject: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}
