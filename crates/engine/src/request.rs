//! What a user asks of a build: made once at the edge, read only after that.

use std::{num::NonZeroUsize, path::PathBuf};

use lathe_exporter::ExportSpec;
use lathe_frontend::FrontendOptions;
use lathe_oci::Reference;
use lathe_source::PullPolicy;

/// A build. All paths are absolute, all references parsed.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// What is built.
    pub inputs: Inputs,
    /// What the Dockerfile is asked for.
    pub frontend: FrontendOptions,
    /// Whether registries are asked about names that are known here.
    pub pull: PullPolicy,
    /// How processes are run.
    pub run: RunRequest,
    /// `--tag`, in order.
    pub tags: Vec<Reference>,
    /// `--output`; the image goes into the store where there is none.
    pub exports: Vec<ExportSpec>,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub epoch: Option<i64>,
    /// `--jobs`: how many steps may run at once.
    pub jobs: NonZeroUsize,
}

/// What is built.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The Dockerfile.
    pub dockerfile: DockerfileInput,
    /// The build context; `None` if there is none (`-`).
    pub context: Option<PathBuf>,
}

/// Where the Dockerfile is.
#[derive(Clone, Debug)]
pub enum DockerfileInput {
    /// A file.
    Path(PathBuf),
    /// Text, from standard input.
    Text(String),
}

/// `--network`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// A network of its own with a way out, where the machine can do that; else the host's.
    #[default]
    Default,
    /// The host's.
    Host,
    /// Loopback alone.
    None,
}

/// How processes are run.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// `--network`.
    pub network: NetworkMode,
    /// `--ca`: a file of certificates in PEM form to lend to processes.
    pub certificates: Option<PathBuf>,
    /// `--add-host`, as `(name, address)`.
    pub hosts: Vec<(String, String)>,
}
