//! Why an operation failed.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that is to be copied does not exist.
    #[error("there is no `{path}` in {place}")]
    MissingSource {
        /// The path, from the root of where it was looked for.
        path: String,
        /// `the build context` or `stage builder`.
        place: String,
        /// Paths that do exist near it or have its name, to choose suggestions from.
        near: Vec<String>,
        /// Whether it exists, and the ignore file keeps it out.
        ignored_by: Option<PathBuf>,
    },
    /// A process ended with an error.
    #[error("`{command}` ended with exit code {code}")]
    Exit {
        /// The command, as the user wrote it.
        command: String,
        /// Its exit code; 128 + n if signal n killed it.
        code: i32,
        /// The last lines that it wrote.
        tail: String,
    },
    /// A process could not be started.
    #[error("cannot run `{command}`: {source}")]
    Spawn {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: lathe_executor::Error,
    },
    /// A secret that the step cannot do without was not given.
    #[error(
        "the step needs the secret `{id}`, which is not given; add `--secret id={id},src=FILE`"
    )]
    MissingSecret {
        /// Its id.
        id: String,
    },
    /// A secret is no secret by its size.
    #[error("the secret `{id}` has more than {limit} bytes")]
    SecretTooLarge {
        /// Its id.
        id: String,
        /// What is allowed.
        limit: u64,
    },
    /// A secret cannot be the value of a variable.
    #[error(
        "the secret `{id}` is no text and cannot be in the variable `{name}`; mount it as a file"
    )]
    SecretText {
        /// Its id.
        id: String,
        /// The variable.
        name: String,
    },
    /// An agent that the step cannot do without was not given.
    #[error("the step needs the SSH agent `{id}`, which is not given; add `--ssh {id}`")]
    MissingAgent {
        /// Its id.
        id: String,
    },
    /// An agent for keys cannot be started.
    #[error("cannot start the SSH agent `{id}`: {reason}")]
    Agent {
        /// Its id.
        id: String,
        /// In `ssh-add`'s words, most of the time.
        reason: String,
    },
    /// A device that the step cannot do without.
    #[error("the step needs the device `{name}`, and devices are not supported")]
    Device {
        /// By its CDI name.
        name: String,
    },
    /// This machine cannot run programs of a platform.
    #[error("cannot run programs for {platform} on this machine; {hint}")]
    ForeignPlatform {
        /// The platform.
        platform: String,
        /// What to do about it.
        hint: String,
    },
    /// The emulators cannot be set up.
    #[error("cannot set up an emulator for {platform}")]
    Emulation {
        /// The platform.
        platform: String,
        /// Why.
        #[source]
        source: lathe_executor::Error,
    },
    /// The limits of a process cannot be set.
    #[error(transparent)]
    Limits(#[from] lathe_executor::Unavailable),
    /// A user or group cannot be found in the root file system.
    #[error(transparent)]
    User(#[from] lathe_executor::user::UserError),
    /// The argument of `--chmod` is none.
    #[error("`--chmod={text}`: {source}")]
    Mode {
        /// The argument.
        text: String,
        /// What is wrong with it.
        #[source]
        source: lathe_tree::ModeError,
    },
    /// A pattern with wildcards is none.
    #[error(transparent)]
    Pattern(#[from] lathe_pattern::Error),
    /// A file of an input or of the result.
    #[error(transparent)]
    Rootfs(#[from] lathe_rootfs::Error),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] lathe_snapshot::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// An archive.
    #[error(transparent)]
    Layer(#[from] lathe_layer::Error),
    /// A source.
    #[error(transparent)]
    Source(#[from] lathe_source::Error),
    /// A record of the cache cannot be read.
    #[error("the cache record {key} is broken: `{text}`")]
    BrokenRecord {
        /// Its key.
        key: String,
        /// What it says.
        text: String,
    },
    /// Something of the machine.
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
    /// The user wanted it to stop.
    #[error("interrupted")]
    Cancelled,
}
