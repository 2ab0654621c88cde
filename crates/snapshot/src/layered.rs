//! What a stack of layers shows, found out without mounting it.
//!
//! The layers are those of committed snapshots: nobody changes them, and each directory was looked
//! at before it is entered, so that paths are safe here and no link is ever followed.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::FileType;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use lathe_rootfs::Root;
use lathe_tree::Xattrs;

use crate::error::Error;
use crate::error::Result;
use crate::marks::PREFIXES;
use crate::marks::is_opaque;
use crate::marks::is_whiteout;

/// A directory as the stack shows it: those of the layers that show through, the top first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layered {
    pub(crate) parts: Vec<Part>,
}

/// A directory in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Counted from the top of the stack.
    pub(crate) layer: usize,
    /// On the host.
    pub(crate) path: PathBuf,
}

/// What a name is.
#[derive(Debug)]
pub(crate) enum Shown {
    Nothing,
    Directory(Layered),
    /// Anything else, in this layer.
    Other(usize),
}

impl Layered {
    /// Returns the root of a stack of directories of changes, the top first.
    pub(crate) fn root(stack: &[PathBuf]) -> Self {
        let part = |(layer, path): (usize, &PathBuf)| Part { layer, path: path.clone() };
        Self { parts: stack.iter().enumerate().map(part).collect() }
    }

    /// Returns the highest of the directories, whose owner, mode, attributes and time are shown.
    pub(crate) fn top(&self) -> &Path {
        &self.parts[0].path
    }

    /// Returns what a name in the directory is.
    pub(crate) fn child(&self, name: &OsStr) -> Result<Shown> {
        let mut parts = Vec::new();
        for part in &self.parts {
            let path = part.path.join(name);
            let Some(metadata) = try_lstat(&path)? else { continue };
            if !metadata.is_dir() {
                if parts.is_empty() && !is_whiteout(&path, &metadata) {
                    return Ok(Shown::Other(part.layer));
                }
                break;
            }
            let opaque = is_opaque(&path);
            parts.push(Part { layer: part.layer, path });
            if opaque {
                break;
            }
        }
        Ok(if parts.is_empty() { Shown::Nothing } else { Shown::Directory(Self { parts }) })
    }

    /// Returns what a path without links is.
    pub(crate) fn find(&self, path: &Path) -> Result<Shown> {
        let mut found = Shown::Directory(self.clone());
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            match found {
                Shown::Directory(directory) => found = directory.child(name)?,
                Shown::Nothing | Shown::Other(_) => return Ok(Shown::Nothing),
            }
        }
        Ok(found)
    }
}

impl Part {
    /// Returns the entries of the directory in this layer, in the order of the disk.
    pub(crate) fn entries(&self) -> Result<Vec<(OsString, EntryKind)>> {
        let failed = |source| Error::io("read", &self.path, source);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = EntryKind::of(&entry.path(), entry.file_type().map_err(failed)?)?;
            entries.push((entry.file_name(), kind));
        }
        Ok(entries)
    }
}

/// What an entry of a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A directory that merges with the one below, if there is one.
    Directory,
    /// A directory that hides what is below.
    Opaque,
    /// It removes what is below.
    Whiteout,
    /// It hides what is below.
    Other,
}

impl EntryKind {
    fn of(path: &Path, kind: FileType) -> Result<Self> {
        if kind.is_dir() {
            return Ok(if is_opaque(path) { Self::Opaque } else { Self::Directory });
        }
        // Other files need no look: what makes an empty file a whiteout counts only below
        // directories that say so, and no layer here has them but where nothing is mounted.
        if !kind.is_char_device() {
            return Ok(Self::Other);
        }
        let metadata = lstat(path)?;
        Ok(if is_whiteout(path, &metadata) { Self::Whiteout } else { Self::Other })
    }
}

/// Returns the attributes of a file of a layer, without overlay's.
pub(crate) fn xattrs(path: &Path) -> Result<Xattrs> {
    let failed = |source| Error::Copy { path: path.to_owned(), source };
    let root = Root::open(path).map_err(failed)?;
    let mut found = root.xattrs(Path::new("/")).map_err(failed)?;
    let prefixes = PREFIXES.map(str::as_bytes);
    found.retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
    Ok(found)
}

/// Returns what a file of a layer is, not following a link.
pub(crate) fn lstat(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).map_err(|source| Error::io("stat", path, source))
}

fn try_lstat(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(Error::io("stat", path, source)),
    }
}
