//! Walking a tree in a fixed order.

use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Result;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Xattrs;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// What a filter decides of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The entry belongs to the selection.
    Keep,
    /// The directory does if anything below it does: then it is as if kept, else as if skipped
    /// (a directory on the way to a `!` pattern of a `.dockerignore`). Of a file the same as
    /// `Keep`.
    Lazy,
    /// The directory does not, but what is below it is to be asked about (`--parents`, `!`
    /// patterns of `--exclude`). It is made or counted only when something below is kept; one
    /// that was there before gets the mode of the source, and nothing else of it. Of a file the
    /// same as `Skip`.
    Descend,
    /// Neither the entry nor what is below it.
    Skip,
}

impl Selection {
    /// Returns what is left when two filters have a say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |selection| match selection {
            Self::Skip => 0,
            Self::Descend => 1,
            Self::Lazy => 2,
            Self::Keep => 3,
        };
        if rank(other) < rank(self) { other } else { self }
    }
}

/// Decides by path relative to the start of the walk or copy; asked from several threads.
pub type Filter<'a> = &'a (dyn Fn(&Path, FileKind) -> Selection + Sync);

/// One file of a walk.
#[derive(Debug)]
pub struct Entry {
    /// Relative to the start of the walk.
    pub path: PathBuf,
    pub metadata: Metadata,
    /// The opened directory that the file is in.
    pub parent: Arc<Dir>,
}

impl Entry {
    /// Returns the last component of the path.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Opens the file, which is a regular one, for reading.
    pub fn open(&self) -> Result<File> {
        self.parent.open_file(self.name())
    }

    /// Returns the target of the symbolic link.
    pub fn read_link(&self) -> Result<OsString> {
        self.parent.read_link(self.name())
    }

    /// Returns the extended attributes.
    pub fn xattrs(&self) -> Result<Xattrs> {
        self.parent.xattrs(self.name())
    }
}

/// Iterator over the entries below a directory.
#[derive(Debug)]
pub struct Walk {
    /// Directories from the start down to the present one, with the names still to come.
    frames: Vec<Frame>,
    /// Directory yielded last, entered by the next step unless it is skipped.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Frame {
    dir: Arc<Dir>,
    path: PathBuf,
    names: std::vec::IntoIter<OsString>,
}

#[derive(Debug)]
struct Pending {
    parent: Arc<Dir>,
    path: PathBuf,
}

impl Walk {
    pub(crate) fn new(dir: Dir) -> Result<Self> {
        let mut walk = Self { frames: Vec::new(), pending: None };
        walk.enter(dir, PathBuf::new())?;
        Ok(walk)
    }

    /// Leaves out what is below the directory that was yielded last.
    pub fn skip_directory(&mut self) {
        self.pending = None;
    }

    fn enter(&mut self, dir: Dir, path: PathBuf) -> Result<()> {
        let names = dir.read_names()?.into_iter();
        self.frames.push(Frame { dir: Arc::new(dir), path, names });
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        if let Some(Pending { parent, path }) = self.pending.take() {
            let dir = parent.open_dir(path.file_name().unwrap_or_default())?;
            self.enter(dir, path)?;
        }
        while let Some(frame) = self.frames.last_mut() {
            let Some(name) = frame.names.next() else {
                self.frames.pop();
                continue;
            };
            let metadata = frame.dir.lstat(&name)?;
            let path = join_bytes(&frame.path, &name);
            let parent = Arc::clone(&frame.dir);
            if metadata.is_dir() {
                self.pending = Some(Pending { parent: Arc::clone(&parent), path: path.clone() });
            }
            return Ok(Some(Entry { path, metadata, parent }));
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            // An error ends the walk; it must not be yielded for ever.
            self.frames.clear();
        }
        step.transpose()
    }
}
