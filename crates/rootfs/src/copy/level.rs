//! One directory on both sides of a copy.
//!
//! The destination side is opened, and made if need be, when the first thing goes into it: a
//! directory that a filter only descends into exists only if something below it was kept.
//!
//! A level is shared by the tasks that work in it or below it. Who lets go of it last gives the
//! destination its metadata: making something in a directory changes its time.

use super::file::Rules;
use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Result;
use crate::walk::Selection;
use lathe_tree::Metadata;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

/// Source directory in the walk.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) source: Dir,
    metadata: Metadata,
    /// The one that it is in; `None` for the start.
    above: Option<Arc<Self>>,
    /// Directories above.
    pub(super) depth: usize,
    /// Whether the directory itself is copied, or only what is below it.
    selection: Selection,
    opened: OnceLock<Opened>,
    /// Held while the destination is made.
    opening: Mutex<()>,
}

/// Destination of a directory.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) target: Target,
    /// Whether it was made by this copy.
    pub(super) made: bool,
    /// What it gets of the source, after its content.
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

impl Level {
    /// Pairs the start of the copy with an open directory.
    pub(super) fn start(source: Dir, metadata: Metadata, opened: Opened) -> Self {
        Self {
            source,
            metadata,
            above: None,
            depth: 0,
            selection: Selection::Keep,
            opened: OnceLock::from(opened),
            opening: Mutex::default(),
        }
    }

    /// Pairs the directory `name` below a level with the one of that name, not opened yet.
    pub(super) fn below(
        above: Arc<Self>,
        name: &OsStr,
        metadata: Metadata,
        selection: Selection,
    ) -> Result<Self> {
        Ok(Self {
            source: above.source.open_dir(name)?,
            metadata,
            depth: above.depth + 1,
            above: Some(above),
            selection,
            opened: OnceLock::new(),
            opening: Mutex::default(),
        })
    }

    /// Returns the destination, which is opened or made at the first call.
    pub(super) fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let guard = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.open()?;
        let opened = self.opened.get_or_init(|| opened);
        drop(guard);
        Ok(opened)
    }

    fn open(&self) -> Result<Opened> {
        let above = self.above.as_ref().expect("the start of a copy is open").opened()?;
        let parent = above.target.dir();
        let name = self.source.path().file_name().expect("it is in the one above");
        let made = make(parent, name, self.metadata.mode)
            .map_err(|error| error.of_copy(|| self.source.path().to_owned()))?;
        let dir = parent.open_dir(name)?;
        let target = if made { above.target.made_below(dir)? } else { Target::new(dir)? };
        let finish = match self.selection {
            Selection::Descend | Selection::Skip if !made => Finish::Mode,
            _ => Finish::All,
        };
        Ok(Opened { target, made, finish })
    }

    /// Lets go of a level and, if nobody else holds it, of those above; returns how many
    /// directories got the metadata of their source.
    pub(super) fn release(level: Arc<Self>, rules: &Rules) -> Result<u64> {
        let mut last = Arc::into_inner(level);
        let mut finished = 0;
        while let Some(Self { source, metadata, above, opened, .. }) = last {
            if let Some(opened) = opened.into_inner() {
                rules.finish_directory(&source, &metadata, &opened)?;
                finished += u64::from(opened.finish == Finish::All);
            }
            last = above.and_then(Arc::into_inner);
        }
        Ok(finished)
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
