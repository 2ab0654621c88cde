//! The operations, and the named parts by which each is told from another.
//!
//! [`Op::parts`] is the one place where an operation becomes text: the definition digest, the
//! cache key and the explanation of a cache miss are all made of it. A field that is not
//! listed there does not count.

use lathe_oci::{Digest, Platform};

/// Position in the list of a vertex's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputIndex(pub u32);

/// A named part of an operation; the name is one that users may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As `args` or `env PATH`.
    pub name: String,
    /// The value, in full.
    pub value: String,
}

/// What a vertex does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Brings files from outside of the build.
    Source(SourceOp),
    /// Runs a process.
    Exec(ExecOp),
    /// Changes files.
    File(FileOp),
}

/// Files from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOp {
    /// The file tree of an image.
    Image {
        /// The reference as the user wrote it, for messages; no part of the identity.
        name: String,
        /// The manifest.
        manifest: Digest,
        /// For which platform it was chosen.
        platform: Platform,
    },
    /// A folder of this machine. What is in it is known only by looking, so that it has no
    /// key of its own: what copies from it is keyed by content.
    Local {
        /// `context`, or the name of a named context.
        name: String,
    },
}

/// Network of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the build was told.
    #[default]
    Default,
    /// Loopback alone.
    None,
    /// The host's.
    Host,
}

/// Confinement of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Default capabilities and seccomp profile.
    #[default]
    Sandbox,
    /// All privileges of the builder.
    Insecure,
}

/// A process in a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOp {
    /// The root file system; `None` for an empty one.
    pub root: Option<InputIndex>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`, in order of definition.
    pub env: Vec<String>,
    /// `NAME=value` of the predefined proxy arguments: given to the process, no part of the
    /// identity.
    pub proxy_env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// `USER` as it stands; resolved in the root file system.
    pub user: String,
    /// `RUN --mount`.
    pub mounts: Vec<ExecMount>,
    /// `RUN --network`.
    pub network: Network,
    /// `RUN --security`.
    pub security: Security,
}

/// A mount of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecMount {
    /// Absolute path in the root file system.
    pub target: String,
    /// What is mounted.
    pub kind: ExecMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecMountKind {
    /// Files of another vertex.
    Bind {
        /// Whose.
        input: InputIndex,
        /// Path in it.
        source: String,
        /// Whether the process may write; what it writes is thrown away.
        writable: bool,
    },
    /// A folder that outlives the build.
    Cache(Cache),
    /// An empty file system in memory.
    Tmpfs {
        /// Limit in bytes.
        size: Option<u64>,
    },
    /// A file with these bytes, for a `RUN` script with its own interpreter line.
    File {
        /// The bytes.
        content: String,
        /// Permission bits.
        mode: u32,
    },
}

/// A cache mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Which cache.
    pub id: String,
    /// Files that a new cache begins with.
    pub seed: Option<(InputIndex, String)>,
    /// `shared`, `private` or `locked`.
    pub sharing: &'static str,
    /// Whether the process may write.
    pub writable: bool,
    /// Permission bits of a new cache.
    pub mode: u32,
    /// Owner and group of a new cache.
    pub owner: (u32, u32),
}

/// Changes of files on top of a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOp {
    /// What is changed; `None` for an empty one.
    pub base: Option<InputIndex>,
    /// The changes, in order.
    pub actions: Vec<FileAction>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// Copies from an input.
    Copy(CopyAction),
    /// Makes a directory.
    MakeDir(MakeDirAction),
    /// Makes a file.
    MakeFile(MakeFileAction),
}

/// Whether a local archive is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpack {
    /// Never (`COPY`).
    Never,
    /// If its content is that of an archive (`ADD`).
    ByContent,
}

/// `COPY` or `ADD` of local files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyAction {
    /// Where from.
    pub from: InputIndex,
    /// Which paths.
    pub select: Selector,
    /// Where to; ends with `/` if it must be a directory. Absolute.
    pub destination: String,
    /// `--chown` as it stands; resolved in the base. Root where `None`.
    pub owner: Option<String>,
    /// `--chmod` as it stands.
    pub mode: Option<String>,
    /// What to do with archives.
    pub unpack: Unpack,
    /// Whether source folders are kept (`--parents`).
    pub parents: bool,
}

/// The paths of an input that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Paths or patterns, relative to the input's root, without `.` and `..`.
    pub paths: Vec<String>,
    /// Patterns to leave out (`--exclude`).
    pub exclude: Vec<String>,
}

/// A directory to make, with its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakeDirAction {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// `USER` as it stands; resolved in the base. Root where `None`.
    pub owner: Option<String>,
}

/// A file to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakeFileAction {
    /// Absolute path; ends with `/` if `name` goes into it as a directory.
    pub path: String,
    /// Name of the file where `path` is a directory.
    pub name: String,
    /// The bytes.
    pub content: String,
    /// `--chown` as it stands.
    pub owner: Option<String>,
    /// `--chmod` as it stands; `0644` where `None`.
    pub mode: Option<String>,
}

impl Op {
    /// Returns the named parts by which this operation is told from another, in fixed order.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Parts(Vec::new());
        match self {
            Self::Source(SourceOp::Image { manifest, platform, .. }) => {
                parts.add("op", "image");
                parts.add("manifest", manifest);
                parts.add("platform", platform);
            }
            Self::Source(SourceOp::Local { name }) => {
                parts.add("op", "local");
                parts.add("context", name);
            }
            Self::Exec(exec) => exec.parts(&mut parts),
            Self::File(file) => file.parts(&mut parts),
        }
        parts.0
    }
}

struct Parts(Vec<Part>);

impl Parts {
    fn add(&mut self, name: impl Into<String>, value: impl std::fmt::Display) {
        self.0.push(Part { name: name.into(), value: format!("{value}") });
    }

    fn add_debug(&mut self, name: impl Into<String>, value: impl std::fmt::Debug) {
        self.add(name, format!("{value:?}"));
    }
}

impl ExecOp {
    fn parts(&self, parts: &mut Parts) {
        parts.add("op", "exec");
        parts.add_debug("root", self.root);
        parts.add_debug("command", &self.args);
        for variable in &self.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            parts.add(format!("variable {name}"), value);
        }
        parts.add("working directory", &self.cwd);
        parts.add("user", &self.user);
        for mount in &self.mounts {
            parts.add_debug(format!("mount {}", mount.target), &mount.kind);
        }
        parts.add_debug("network", self.network);
        parts.add_debug("security", self.security);
    }
}

impl FileOp {
    fn parts(&self, parts: &mut Parts) {
        parts.add("op", "file");
        parts.add_debug("base", self.base);
        for action in &self.actions {
            match action {
                FileAction::Copy(copy) => copy.parts(parts),
                FileAction::MakeDir(dir) => {
                    parts.add("make directory", &dir.path);
                    parts.add("mode", format!("{:o}", dir.mode));
                    parts.add_debug("owner", &dir.owner);
                }
                FileAction::MakeFile(file) => {
                    parts.add("make file", format!("{}{}", file.path, file.name));
                    parts.add("content", &file.content);
                    parts.add_debug("owner", &file.owner);
                    parts.add_debug("mode", &file.mode);
                }
            }
        }
    }
}

impl CopyAction {
    fn parts(&self, parts: &mut Parts) {
        parts.add_debug("copy from", self.from);
        parts.add_debug("sources", &self.select.paths);
        parts.add_debug("excluded", &self.select.exclude);
        parts.add("destination", &self.destination);
        parts.add_debug("owner", &self.owner);
        parts.add_debug("mode", &self.mode);
        parts.add_debug("unpack", self.unpack);
        parts.add("parents", self.parents);
    }
}
