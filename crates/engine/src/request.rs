//! What a user asks of a build: made once at the edge, read only after that.

use std::{
    collections::BTreeMap,
    io::Read,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use lathe_exporter::{Annotation, ExportSpec};
use lathe_frontend::{FrontendOptions, Remote};
use lathe_oci::Reference;
use lathe_source::PullPolicy;
use lathe_worker::RunOptions;

/// A build. All paths are absolute, all references parsed.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// What is built.
    pub inputs: Inputs,
    /// What the Dockerfile is asked for. Its contexts and ignore file are filled in from `inputs`.
    pub frontend: FrontendOptions,
    /// Whether registries are asked about names that are known here.
    pub pull: PullPolicy,
    /// How processes are run.
    pub run: RunRequest,
    /// `--tag`, in order.
    pub tags: Vec<Reference>,
    /// `--output`; the image goes into the store where there is none.
    pub exports: Vec<ExportSpec>,
    /// `--annotation`.
    pub annotations: Vec<Annotation>,
    /// How the layers of the build are kept.
    pub layers: Layering,
    /// Where the user is: outputs may delete files below it without leave.
    pub working_dir: PathBuf,
    /// `--jobs`: how many steps may run at once.
    pub jobs: NonZeroUsize,
    /// `store.max-size`: the store is brought below that many bytes before the build.
    pub max_size: Option<u64>,
}

/// How the layers of a build are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layering {
    /// One for each step.
    #[default]
    Steps,
    /// One on top of the base image's (`--squash`).
    Squashed,
}

/// What is built.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The Dockerfile.
    pub dockerfile: DockerfileInput,
    /// The build context.
    pub context: ContextInput,
    /// `--build-context`, by name as typed.
    pub named: BTreeMap<String, NamedInput>,
}

/// Where the Dockerfile is.
#[derive(Clone, Debug)]
pub enum DockerfileInput {
    /// A file.
    Path(PathBuf),
    /// Text, from standard input.
    Text(String),
    /// A file of a context that is not a folder of this machine; relative.
    Inside(PathBuf),
}

/// Where the build context is.
#[derive(Clone, Debug)]
pub enum ContextInput {
    /// There is none: the Dockerfile alone was given.
    Empty,
    /// A folder of this machine.
    Folder(PathBuf),
    /// An archive that is read once, compressed or not.
    Archive(Stream),
    /// A repository, an archive of a web server, or a Dockerfile of one.
    Remote(Remote),
}

/// Where a named context is.
#[derive(Clone, Debug)]
pub enum NamedInput {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `docker-image://`
    Image(Reference),
    /// `oci-layout://`: a folder, and which image of it.
    Layout {
        /// The layout.
        folder: PathBuf,
        /// Which image.
        image: lathe_source::LayoutReference,
    },
    /// A repository, or a file of a web server.
    Remote(Remote),
}

/// Bytes that can be read once.
#[derive(Clone)]
pub struct Stream(Arc<Mutex<Option<Box<dyn Read + Send>>>>);

impl Stream {
    /// Wraps what is to be read.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(reader)))))
    }

    /// Returns the reader, the first time.
    pub(crate) fn take(&self) -> Option<Box<dyn Read + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
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

/// How processes are run. None of it is part of a cache key.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// `--network`.
    pub network: NetworkMode,
    /// `--ca`: a file of certificates in PEM form to lend to processes.
    pub certificates: Option<PathBuf>,
    /// What they are lent, and how they are held back.
    pub options: RunOptions,
}
