//! One directory on both sides of a copy.
//!
//! The destination side is opened, and made if need be, when the first thing goes into it: a
//! directory that a filter only descends into exists only if something below it was kept.

use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Result;
use crate::walk::Selection;
use lathe_tree::Metadata;
use rustix::io::Errno;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::sync::Arc;

/// Source directory and destination directory, both open.
///
/// Shared by the walk and by the files that are on their way into it; who lets go last gives it
/// its metadata.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Arc<Dir>,
    pub(super) target: Target,
    /// Of the source.
    pub(super) metadata: Metadata,
    /// Whether the destination was made by this copy.
    pub(super) made: bool,
    /// What the destination gets of the source, after its content.
    pub(super) finish: Finish,
}

/// What of a directory's metadata is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Owner, mode, attributes and time.
    All,
    /// The time: the destination of the copy itself, that had its metadata before.
    Time,
    /// The mode: a directory on the way to what was selected, that was there before.
    Mode,
}

/// Source directory in the walk.
pub(super) struct Level<'a> {
    pub(super) source: Arc<Dir>,
    metadata: &'a Metadata,
    /// Level above and name in it; `None` for the start.
    above: Option<(&'a Self, &'a OsStr)>,
    /// Whether the directory itself is copied, or only what is below it.
    selection: Selection,
    opened: OnceCell<Arc<Pair>>,
}

impl<'a> Level<'a> {
    /// Pairs the start of the copy with an open directory.
    pub(super) fn start(pair: Pair, metadata: &'a Metadata) -> Self {
        let source = Arc::clone(&pair.source);
        let opened = OnceCell::from(Arc::new(pair));
        Self { source, metadata, above: None, selection: Selection::Keep, opened }
    }

    /// Pairs the directory `name` below a level with the one of that name, not opened yet.
    pub(super) fn below(
        above: &'a Self,
        name: &'a OsStr,
        metadata: &'a Metadata,
        selection: Selection,
    ) -> Result<Self> {
        let source = Arc::new(above.source.open_dir(name)?);
        let above = Some((above, name));
        Ok(Self { source, metadata, above, selection, opened: OnceCell::new() })
    }

    /// Returns both sides; the destination is opened or made at the first call.
    pub(super) fn pair(&self) -> Result<&Arc<Pair>> {
        if let Some(pair) = self.opened.get() {
            return Ok(pair);
        }
        let (above, name) = self.above.expect("the start of a copy is open");
        let parent = above.pair()?.target.dir();
        let made = make(parent, name, self.metadata.mode)
            .map_err(|error| error.of_copy(|| self.source.path().to_owned()))?;
        let pair = Pair {
            source: Arc::clone(&self.source),
            target: Target::new(parent.open_dir(name)?)?,
            metadata: *self.metadata,
            made,
            finish: match self.selection {
                Selection::Descend | Selection::Skip if !made => Finish::Mode,
                _ => Finish::All,
            },
        };
        Ok(self.opened.get_or_init(|| Arc::new(pair)))
    }

    /// Returns both sides if anything was copied.
    pub(super) fn into_pair(self) -> Option<Arc<Pair>> {
        self.opened.into_inner()
    }
}

/// Makes the directory `name`; returns whether it was not there.
fn make(parent: &Dir, name: &OsStr, mode: u32) -> Result<bool> {
    // Writable for us until its content is there.
    match parent.create_dir(name, mode & 0o777 | 0o700) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {
            if parent.lstat(name)?.is_dir() {
                return Ok(false);
            }
            Err(Error::ReplaceFile { path: join_bytes(parent.path(), name) })
        }
        Err(error) => Err(error),
    }
}
