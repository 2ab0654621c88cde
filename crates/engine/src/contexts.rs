//! What a build reads, made ready: the Dockerfile's text, the build context and the named ones.
//!
//! A folder of this machine is read where it lies, when something asks for it. Everything else
//! is brought first, and is a snapshot after that: the Dockerfile may lie in it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lathe_dockerfile::go_bool;
use lathe_frontend::{Epoch, FrontendOptions, NamedContext, Remote};
use lathe_graph::SourceOp;
use lathe_oci::Reference;
use lathe_rootfs::Root;
use lathe_source::{Context, Download, Fetched, Remotes, SshAccess};
use lathe_store::SnapshotId;
use lathe_worker::{ContextFiles, SshSource};

use crate::{
    BuildRequest, ContextInput, DockerfileInput, Engine, Error, NamedInput, Result,
    dockerfile::{MAX_SIZE, Source},
};

/// Name of the build context among the contexts.
pub(crate) const MAIN: &str = "context";

/// The inputs of a build, as the phases read them.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// The Dockerfile.
    pub(crate) dockerfile: Source,
    /// Where the files of each context are.
    pub(crate) files: BTreeMap<String, ContextFiles>,
    /// What the request asks of the Dockerfile, with the contexts and the ignore file filled in.
    pub(crate) frontend: FrontendOptions,
    /// Brings downloads and repositories.
    pub(crate) remotes: Remotes,
    /// Times of contexts that have one.
    times: BTreeMap<String, i64>,
}

/// Returns what brings downloads and repositories for this build.
fn remotes(engine: &Engine, request: &BuildRequest) -> Remotes {
    let secrets = request.run.options.secrets.clone();
    let ssh = match request.run.options.ssh.get("default") {
        Some(SshSource::Agent(socket)) => SshAccess::Agent(socket.clone()),
        Some(SshSource::Keys(files)) => SshAccess::Keys(files.clone()),
        None => SshAccess::Environment,
    };
    Remotes {
        images: engine.images.clone(),
        snapshots: engine.snapshots.clone(),
        secrets: Arc::new(move |id| secrets.get(id)?.value().ok()),
        ssh,
    }
}

impl Contexts {
    /// Brings what has to be there before the Dockerfile can be read, and reads it.
    pub(crate) fn open(engine: &Engine, request: &BuildRequest) -> Result<Self> {
        let remotes = remotes(engine, request);
        let mut opened = Opened { remotes, files: BTreeMap::new(), times: BTreeMap::new() };
        let text = opened.main(request)?;
        let dockerfile = match text {
            Some(text) => Source { name: "Dockerfile".to_owned(), text },
            None => opened.dockerfile(engine, request)?,
        };
        let mut frontend = request.frontend.clone();
        for (name, input) in &request.inputs.named {
            let name = context_name(name);
            if name == MAIN || name == "scratch" {
                return Err(Error::ReservedContext(name));
            }
            let meaning = opened.named(&name, input, request)?;
            frontend.contexts.insert(name, meaning);
        }
        if let ContextInput::Folder(path) = &request.inputs.context {
            let dockerfile = match &request.inputs.dockerfile {
                DockerfileInput::Path(path) => Some(path.as_path()),
                DockerfileInput::Text(_) | DockerfileInput::Inside(_) => None,
            };
            let context = Arc::new(Context::open(path, dockerfile)?);
            frontend.ignore = context.ignore();
            opened.files.insert(MAIN.to_owned(), ContextFiles::Open(context));
        }
        let Opened { remotes, files, times } = opened;
        Ok(Self { dockerfile, files, frontend, remotes, times })
    }

    /// Returns the time that `SOURCE_DATE_EPOCH` means, in seconds since 1970.
    pub(crate) fn epoch(&self, epoch: &Epoch) -> Result<Option<i64>> {
        let (what, time) = match epoch {
            Epoch::Unset => return Ok(None),
            Epoch::Seconds(seconds) => return Ok(Some(*seconds)),
            Epoch::Context(name) => {
                let what = if name == MAIN { "the build context" } else { name.as_str() };
                (format!("`{what}`"), self.times.get(name).copied())
            }
            Epoch::Source(source) => {
                let fetched = match source {
                    SourceOp::Http(http) => self.remotes.http(http, None)?,
                    SourceOp::Git(git) => self.remotes.git(git, None)?,
                    SourceOp::Image { .. } | SourceOp::Local { .. } => return Ok(None),
                };
                ("the download of the stage".to_owned(), fetched.time)
            }
        };
        time.map(Some).ok_or(Error::NoTime(what))
    }
}

/// Contexts that are open by now.
struct Opened {
    remotes: Remotes,
    files: BTreeMap<String, ContextFiles>,
    times: BTreeMap<String, i64>,
}

impl Opened {
    fn keep(&mut self, name: &str, fetched: &Fetched) {
        self.files.insert(name.to_owned(), ContextFiles::Snapshot(fetched.snapshot));
        self.times.extend(fetched.time.map(|time| (name.to_owned(), time)));
    }

    /// Opens the build context; returns the Dockerfile if that is all it is.
    fn main(&mut self, request: &BuildRequest) -> Result<Option<String>> {
        match &request.inputs.context {
            // A folder is opened once the Dockerfile is known, whose ignore file may be its own.
            ContextInput::Empty | ContextInput::Folder(_) => {}
            ContextInput::Archive(stream) => {
                let reader = stream.take().ok_or(Error::ReadTwice)?;
                let fetched = self.remotes.archive(reader, "standard input")?;
                self.keep(MAIN, &fetched);
            }
            ContextInput::Remote(Remote::Git(git)) => {
                let asked = request.frontend.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
                let keep = asked.and_then(|value| go_bool(value)).unwrap_or(false);
                let keep_git_dir = git.keep_git_dir || keep;
                let git = lathe_graph::GitSource { keep_git_dir, ..git.clone() };
                let fetched = self.remotes.git(&git, None)?;
                self.keep(MAIN, &fetched);
            }
            ContextInput::Remote(Remote::Http(http)) => match self.remotes.http_context(http)? {
                Download::Archive(fetched) => self.keep(MAIN, &fetched),
                Download::Text(bytes) => {
                    return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
                }
            },
        }
        Ok(None)
    }

    fn dockerfile(&self, engine: &Engine, request: &BuildRequest) -> Result<Source> {
        let DockerfileInput::Inside(path) = &request.inputs.dockerfile else {
            return Source::read(&request.inputs);
        };
        match self.files.get(MAIN) {
            Some(ContextFiles::Snapshot(snapshot)) => inside(engine, *snapshot, path),
            Some(ContextFiles::Folder(_) | ContextFiles::Open(_)) | None => {
                Err(Error::NoDockerfile { path: path.clone(), near: Vec::new() })
            }
        }
    }

    fn named(
        &mut self,
        name: &str,
        input: &NamedInput,
        request: &BuildRequest,
    ) -> Result<NamedContext> {
        match input {
            NamedInput::Image(reference) => return Ok(NamedContext::Image(reference.clone())),
            NamedInput::Layout { folder, image } => {
                let platform = &request.frontend.platform;
                let images = &self.remotes.images;
                let (reference, _) = lathe_source::import_layout(images, folder, image, platform)?;
                return Ok(NamedContext::Image(reference));
            }
            NamedInput::Folder(path) => {
                if !path.is_dir() {
                    return Err(Error::NoContext(path.clone()));
                }
                self.files.insert(name.to_owned(), ContextFiles::Folder(path.clone()));
            }
            NamedInput::Remote(Remote::Git(git)) => {
                let fetched = self.remotes.git(git, None)?;
                self.keep(name, &fetched);
            }
            NamedInput::Remote(Remote::Http(http)) => {
                // As BuildKit has it: one file by the name `context`, never unpacked.
                let http = lathe_graph::HttpSource { name: MAIN.to_owned(), ..http.clone() };
                let fetched = self.remotes.http(&http, None)?;
                self.keep(name, &fetched);
            }
        }
        Ok(NamedContext::Files)
    }
}

/// Returns a name as stages and images are looked up by: in lower case, images without `:latest`.
fn context_name(name: &str) -> String {
    let name = name.to_lowercase();
    match Reference::parse(&name) {
        Ok(reference) => reference.with_default_tag().shortest(),
        Err(_) => name,
    }
}

/// Reads the Dockerfile of a context that is a snapshot.
fn inside(engine: &Engine, snapshot: SnapshotId, path: &Path) -> Result<Source> {
    let mounted = engine.snapshots.view(snapshot)?;
    let root = Root::open(mounted.path())?;
    let lower = path.with_file_name("dockerfile");
    let usual = path.file_name().is_some_and(|name| name == "Dockerfile");
    let mut candidates: Vec<PathBuf> = vec![path.to_owned()];
    candidates.extend(usual.then_some(lower));
    for candidate in candidates {
        if root.try_stat(&candidate)?.is_some_and(|found| found.is_file()) {
            let bytes = root.read(&candidate, MAX_SIZE)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Source { name: candidate.display().to_string(), text });
        }
    }
    let names = root.list(Path::new(""))?;
    let like = |name: &&std::ffi::OsString| name.to_string_lossy().contains("ockerfile");
    let near = names.iter().filter(like).map(PathBuf::from).collect();
    Err(Error::NoDockerfile { path: path.to_owned(), near })
}

/// Reads a file of this machine.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source: io::Error| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_named_as_stages_and_images_are() {
        let check = |typed: &str, expected: &str| assert_eq!(context_name(typed), expected);
        check("Base", "base");
        check("alpine:latest", "alpine");
        check("alpine", "alpine");
        check("alpine:3.20", "alpine:3.20");
        check("docker.io/library/alpine", "alpine");
        check("ghcr.io/a/b", "ghcr.io/a/b");
    }
}
