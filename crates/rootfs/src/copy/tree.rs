//! The walk through a source directory, by several threads.
//!
//! Making files is all kernel time, and the kernel makes them one after the other in a directory,
//! so directories are what is done side by side: each is a task, listed and copied by one thread.
//! Only directories with very many files are divided, and large files are tasks of their own.

use super::CopyReport;
use super::file::FileCopier;
use super::file::Rules;
use super::file::Source;
use super::level::Level;
use super::links::Links;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Result;
use crate::listing::Listing;
use crate::root::Root;
use crate::root::unlink_for_replacement;
use crate::walk::Filter;
use crate::walk::Selection;
use lathe_stdx::Tasks;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Directories on one path. Each costs two descriptors.
const DEPTH: usize = 1000;

/// Names that one thread copies.
const CHUNK: usize = 1024;

/// Bytes from which on a file is copied beside the others of its directory.
const LARGE: u64 = 1024 * 1024;

/// Estimated microseconds that a directory takes.
const DIRECTORY: u64 = 100;

/// Estimated microseconds that a small file takes.
const FILE: u64 = 15;

/// What the threads of one copy share.
pub(super) struct TreeCopy<'a> {
    pub(super) rules: &'a Rules,
    pub(super) filter: Option<Filter<'a>>,
    pub(super) links: Links<'a>,
    pub(super) to: &'a Root,
    /// Path of the source inside its root.
    pub(super) start: &'a Path,
    pub(super) counts: Counts,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    pub(super) fn report(self) -> CopyReport {
        CopyReport {
            files: self.files.into_inner(),
            directories: self.directories.into_inner(),
            bytes: self.bytes.into_inner(),
        }
    }

    pub(super) fn add(&self, report: CopyReport) {
        self.files.fetch_add(report.files, Ordering::Relaxed);
        self.directories.fetch_add(report.directories, Ordering::Relaxed);
        self.bytes.fetch_add(report.bytes, Ordering::Relaxed);
    }
}

/// A part of the work.
#[derive(Debug)]
pub(super) enum Task {
    Directory { level: Arc<Level> },
    Below { above: Arc<Level>, name: Box<OsStr>, metadata: Metadata, selection: Selection },
    Chunk { level: Arc<Level>, listing: Arc<Listing>, range: Range<usize> },
    File { level: Arc<Level>, name: Box<OsStr>, metadata: Metadata },
}

/// What one thread works with.
pub(super) struct Scratch<'a> {
    copier: FileCopier<'a>,
    path: PathBuf,
}

impl<'a> TreeCopy<'a> {
    pub(super) fn scratch(&self) -> Scratch<'a> {
        Scratch { copier: FileCopier::new(self.rules), path: PathBuf::new() }
    }

    pub(super) fn work(
        &self,
        scratch: &mut Scratch<'a>,
        task: Task,
        tasks: &Tasks<Task, Error>,
    ) -> Result<()> {
        let mut report = CopyReport::default();
        let level = match task {
            Task::Directory { level } => self.directory(level, scratch, tasks, &mut report)?,
            Task::Below { above, name, metadata, selection } => {
                let level = Level::below(above, &name, metadata, selection)?;
                if level.depth > DEPTH {
                    return Err(Error::io("copy", level.source.path(), Errno::NAMETOOLONG));
                }
                if selection == Selection::Keep {
                    level.opened()?;
                }
                self.directory(Arc::new(level), scratch, tasks, &mut report)?
            }
            Task::Chunk { level, listing, range } => {
                self.chunk(&level, &listing, range, scratch, tasks, &mut report)?;
                level
            }
            Task::File { level, name, metadata } => {
                let copier = &mut scratch.copier;
                self.file(&level, &name, &metadata, copier, &mut report)?;
                level
            }
        };
        report.directories += Level::release(level, self.rules)?;
        self.counts.add(report);
        Ok(())
    }

    /// Copies what is in a directory; a part of very many names is left to other tasks.
    fn directory(
        &self,
        level: Arc<Level>,
        scratch: &mut Scratch<'a>,
        tasks: &Tasks<Task, Error>,
        report: &mut CopyReport,
    ) -> Result<Arc<Level>> {
        let listing = Listing::read(&level.source)?;
        let count = listing.len();
        if count <= CHUNK {
            self.chunk(&level, &listing, 0..count, scratch, tasks, report)?;
            return Ok(level);
        }
        let listing = Arc::new(listing);
        let chunk = |start| Task::Chunk {
            level: Arc::clone(&level),
            listing: Arc::clone(&listing),
            range: start..count.min(start + CHUNK),
        };
        let rest = count.div_ceil(CHUNK) - 1;
        tasks.add((CHUNK..count).step_by(CHUNK).map(chunk), (rest * CHUNK) as u64 * FILE);
        self.chunk(&level, &listing, 0..CHUNK, scratch, tasks, report)?;
        Ok(level)
    }

    fn chunk(
        &self,
        level: &Arc<Level>,
        listing: &Listing,
        range: Range<usize>,
        scratch: &mut Scratch<'a>,
        tasks: &Tasks<Task, Error>,
        report: &mut CopyReport,
    ) -> Result<()> {
        let (mut left, mut cost) = (Vec::new(), 0);
        scratch.path.clear();
        scratch.path.push(path_below(&level.source, self.start));
        for index in range {
            let name = listing.name(index);
            let path = &mut scratch.path;
            let Some(choice) = listing.choose(index, self.filter, path) else { continue };
            let is_file = choice.kind.is_some_and(|kind| kind != FileKind::Directory);
            if is_file && self.link_unseen(level, name, &scratch.copier)? {
                report.files += 1;
                continue;
            }
            let seen = listing.look(index, &level.source, choice, self.filter, path)?;
            let Some((metadata, selection)) = seen else { continue };
            if metadata.is_dir() {
                let above = Arc::clone(level);
                left.push(Task::Below { above, name: name.into(), metadata, selection });
                cost += DIRECTORY;
            } else if metadata.is_file() && metadata.size >= LARGE {
                left.push(Task::File { level: Arc::clone(level), name: name.into(), metadata });
                // About two bytes a nanosecond.
                cost += FILE + metadata.size / 2048;
            } else {
                self.file(level, name, &metadata, &mut scratch.copier, report)?;
            }
        }
        if !left.is_empty() {
            tasks.add(left, cost);
        }
        Ok(())
    }

    /// Makes another name of a file without looking at it, if that is right for every file; returns
    /// whether it did.
    fn link_unseen(&self, level: &Level, name: &OsStr, copier: &FileCopier<'_>) -> Result<bool> {
        if !self.rules.links_all() || !self.links.are_all_alike() {
            return Ok(false);
        }
        copier.link((&level.source, name), &level.opened()?.target, name)
    }

    /// Copies anything but a directory.
    fn file(
        &self,
        level: &Level,
        name: &OsStr,
        metadata: &Metadata,
        copier: &mut FileCopier<'_>,
        report: &mut CopyReport,
    ) -> Result<()> {
        let target = &level.opened()?.target;
        let source = Source { dir: &level.source, name, metadata };
        report.files += 1;
        if metadata.links <= 1 {
            report.bytes += copier.copy(source, target, name)?;
            return Ok(());
        }
        let group = self.links.group(&level.source, name, metadata);
        if copier.could_link(metadata)
            && self.links.may_be_linked(group)
            && copier.link((&level.source, name), target, name)?
        {
            return Ok(());
        }
        let mut bytes = None;
        let first = self.links.first(group, || {
            bytes = Some(copier.copy_apart(source, target, name)?);
            Ok(Arc::from(join_bytes(target.dir().path(), name)))
        })?;
        if bytes.is_none() && !self.link_to_first(&first, source, target.dir(), name)? {
            bytes = Some(copier.copy_apart(source, target, name)?);
        }
        report.bytes += bytes.unwrap_or(0);
        Ok(())
    }

    /// Makes another name of what was copied; returns whether the file could take it.
    fn link_to_first(
        &self,
        first: &Path,
        source: Source<'_>,
        dir: &Dir,
        name: &OsStr,
    ) -> Result<bool> {
        let from = || join_bytes(source.dir.path(), name);
        let (first_dir, first_name) = self.to.parent(first)?;
        unlink_for_replacement(dir, name).map_err(|error| error.of_copy(from))?;
        match first_dir.hard_link(&first_name, dir, name) {
            Err(error) if error.raw_os_error() == Some(Errno::MLINK.raw_os_error()) => Ok(false),
            result => result.map(|()| true),
        }
    }
}

/// Returns the path relative to the start.
fn path_below<'a>(dir: &'a Dir, start: &Path) -> &'a Path {
    dir.path().strip_prefix(start).expect("the directory is below the start")
}
