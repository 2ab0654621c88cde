//! One directory on both sides of a copy.
//!
//! The destination side is opened, and made if need be, when the first thing goes into it: a
//! directory that a filter only descends into exists only if something below it was kept.

use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Result;
use lathe_tree::Metadata;
use rustix::io::Errno;
use std::cell::OnceCell;
use std::ffi::OsStr;

/// Source directory with its counterpart.
pub(super) struct Level<'a> {
    pub(super) source: &'a Dir,
    pub(super) metadata: &'a Metadata,
    /// Level above and name in it; `None` for the start.
    above: Option<(&'a Self, &'a OsStr)>,
    opened: OnceCell<Opened>,
}

struct Opened {
    target: Target,
    made: bool,
}

impl<'a> Level<'a> {
    /// Pairs a source directory with an open one.
    pub(super) fn opened(source: &'a Dir, metadata: &'a Metadata, target: Target) -> Self {
        let opened = OnceCell::from(Opened { target, made: false });
        Self { source, metadata, above: None, opened }
    }

    /// Pairs the directory `name` below a level with the one of that name, not opened yet.
    pub(super) fn below(
        above: &'a Self,
        source: &'a Dir,
        metadata: &'a Metadata,
        name: &'a OsStr,
    ) -> Self {
        Self { source, metadata, above: Some((above, name)), opened: OnceCell::new() }
    }

    /// Returns whether the destination was made by this copy.
    pub(super) fn was_made(&self) -> bool {
        self.opened.get().is_some_and(|opened| opened.made)
    }

    /// Returns the destination, opened or made at the first call.
    pub(super) fn target(&self) -> Result<&Target> {
        if let Some(opened) = self.opened.get() {
            return Ok(&opened.target);
        }
        let (above, name) = self.above.expect("the start of a copy is open");
        let parent = above.target()?.dir();
        let made = make(parent, name, self.metadata.mode)?;
        let target = Target::new(parent.open_dir(name)?)?;
        Ok(&self.opened.get_or_init(|| Opened { target, made }).target)
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
