//! Changes of files.

use super::{InputIndex, Parts};

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

/// The files of a layer on top of a root file system (`COPY --link`): the layer knows nothing of
/// what it is put on, so that it need not be made again when that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeOp {
    /// What is put on; `None` for an empty one.
    pub base: Option<InputIndex>,
    /// The layer: a file tree that was made on an empty one.
    pub layer: InputIndex,
}

impl MergeOp {
    pub(super) fn parts(&self, parts: &mut Parts) {
        parts.add("op", "merge");
        parts.add_debug("base", self.base);
        parts.add_debug("layer", self.layer);
    }
}

impl FileOp {
    pub(super) fn parts(&self, parts: &mut Parts) {
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
