//! `COPY` of one source to one destination, as BuildKit does it.
//!
//! The rules (fsutil's `copy` under BuildKit's file operation), of which half surprise:
//!
//! | case | what happens |
//! |---|---|
//! | source is a link | followed inside its root; links *below* a source directory are copied as links |
//! | source is a directory | its content goes into the destination, merged |
//! | destination ends in `/`, or is a directory | a file keeps its name in it |
//! | destination is a link | followed inside the root, also a dangling one |
//! | directories that are missing above | made with mode 0755 and the owner of the copy |
//! | destination directory of a directory | keeps its mode when it exists, else 0755; *not* the source's; but gets its time |
//! | directories below | get the source's mode, owner and time, also when they exist |
//! | file over file or link | replaced, never written through |
//! | file over directory, directory over file | error |
//!
//! Speed is the point of the rest: each directory is opened once on both sides, files are named
//! relative to it, content moves inside the kernel (`data.rs`), and no call is made whose effect is
//! known to be there already (`creation.rs`); directories are copied side by side (`tree.rs`).

mod data;
mod file;
mod level;
mod links;
mod tree;

use crate::creation::Target;
use crate::dir::Dir;
use crate::error::Error;
use crate::error::Result;
use crate::path::clean;
use crate::root::DirOptions;
use crate::root::Root;
use crate::walk::Filter;
use file::FileCopier;
use file::Rules;
use file::Source;
use lathe_tree::Metadata;
use lathe_tree::ModeChange;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use level::Finish;
use level::Level;
use level::Opened;
use links::Links;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tree::Counts;
use tree::Task;
use tree::TreeCopy;

/// Most threads: beyond, file systems only wait for themselves.
const THREADS: usize = 8;

/// One source to one destination.
#[derive(Debug)]
pub struct CopyRequest<'a> {
    pub from: &'a Root,
    /// File or directory in `from`; a link is followed.
    pub source: &'a Path,
    pub to: &'a Root,
    /// Path in `to`; a slash at its end says that it is a directory.
    pub destination: &'a Path,
    pub options: CopyOptions<'a>,
}

/// How to copy.
pub struct CopyOptions<'a> {
    /// Owner of all that is made; that of the source when `None`.
    pub owner: Option<Owner>,
    pub mode: ModeChange,
    pub times: Times,
    /// Modification time of directories made above the destination; the present when `None`.
    pub parent_mtime: Option<Timestamp>,
    /// Whether of a source directory the content is copied (`COPY`), not the directory by name.
    pub contents_of_directory: bool,
    /// What below a source directory is copied; asked with paths relative to it.
    pub filter: Option<Filter<'a>>,
    pub link: LinkPolicy,
    /// Tells names of one file apart that do not belong together. Without it, all names that a
    /// file has below the source are names of one file in the destination, too.
    pub identity: Option<Identity<'a>>,
    pub overlay: OverlayMarks,
}

/// Which of several places a name of a file stems from, asked with the path in the source root.
///
/// Two names below the source are copied as names of one file only if the file is the same *and*
/// the answers are equal. It is asked only about files with more than one name. In the view of an
/// overlay it says which layer holds the name: layers share files that have nothing else to do
/// with each other.
pub type Identity<'a> = &'a (dyn Fn(&Path, &Metadata) -> u64 + Sync);

/// What becomes of the marks by which a layer of an overlay removes something below it: whiteouts
/// (character devices 0:0), and directories and files marked by an extended attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayMarks {
    /// Attributes are left out; a whiteout is a device like any other.
    Drop,
    /// All are copied: the source is a directory of changes, and so is the destination.
    Keep,
}

impl std::fmt::Debug for CopyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOptions")
            .field("owner", &self.owner)
            .field("mode", &self.mode)
            .field("times", &self.times)
            .field("parent_mtime", &self.parent_mtime)
            .field("contents_of_directory", &self.contents_of_directory)
            .field("filter", &self.filter.is_some())
            .field("link", &self.link)
            .field("identity", &self.identity.is_some())
            .field("overlay", &self.overlay)
            .finish()
    }
}

impl Default for CopyOptions<'_> {
    /// As a `COPY` from another stage without flags.
    fn default() -> Self {
        Self {
            owner: None,
            mode: ModeChange::Keep,
            times: Times::Preserve,
            parent_mtime: None,
            contents_of_directory: true,
            filter: None,
            link: LinkPolicy::Never,
            identity: None,
            overlay: OverlayMarks::Drop,
        }
    }
}

/// Modification times of what is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Those of the source.
    Preserve,
    /// This one.
    Set(Timestamp),
}

/// Whether a regular file may become another name of the source file instead of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPolicy {
    Never,
    /// Where owner, mode and time stay as they are and both are on one file system. Only for a
    /// source and a destination of which neither is ever written to again, and for the only copy
    /// into that destination: names that several copies gave to one file would count as linked.
    HardLink,
}

/// What a copy did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyReport {
    /// Files of any kind but directories.
    pub files: u64,
    /// Directories made or updated.
    pub directories: u64,
    /// Bytes of the regular files that were copied, not linked.
    pub bytes: u64,
}

/// Copies one source to one destination.
pub fn copy(request: &CopyRequest<'_>) -> Result<CopyReport> {
    let source = request.from.real_path(request.source)?;
    let metadata = request.from.lstat(&source)?;
    let place = prepare_destination(request, &metadata)?;
    let rules = Rules::new(&request.options);
    if !metadata.is_dir() {
        let (dir, name) = request.from.parent(&source)?;
        let (target, new_name) = request.to.parent(&place)?;
        let file = Source { dir: &dir, name: &name, metadata: &metadata };
        let bytes = FileCopier::new(&rules).copy(file, &Target::new(target)?, &new_name)?;
        return Ok(CopyReport { files: 1, directories: 0, bytes });
    }
    let level = Arc::new(start(request, request.from.dir(&source)?, &metadata, &place)?);
    let tree = TreeCopy {
        rules: &rules,
        filter: request.options.filter,
        links: Links::new(request.options.identity),
        to: request.to,
        start: &source,
        counts: Counts::default(),
    };
    let threads = lathe_stdx::threads().min(THREADS);
    let work = |scratch: &mut _, task, tasks: &_| tree.work(scratch, task, tasks);
    lathe_stdx::parallel_tasks(Task::Directory { level }, threads, || tree.scratch(), work)?;
    Ok(tree.counts.report())
}

/// Opens the destination of a directory.
fn start(
    request: &CopyRequest<'_>,
    source: Dir,
    metadata: &Metadata,
    place: &Path,
) -> Result<Level> {
    let existing = request.to.try_lstat(place)?;
    if existing.is_some_and(|existing| !existing.is_dir()) {
        let (from, to) = (source.path().to_owned(), place.to_owned());
        return Err(Error::DirectoryOverFile { from, to });
    }
    let made = existing.is_none();
    if made {
        // Only for a directory copied by its own name, which brings its metadata along.
        let (parent, name) = request.to.parent(place)?;
        parent.create_dir(&name, metadata.mode & 0o777 | 0o700)?;
    }
    let target = Target::new(request.to.dir(place)?)?;
    let finish = if made { Finish::All } else { Finish::Time };
    Ok(Level::start(source, *metadata, Opened { target, made, finish }))
}

/// Makes the directories above the destination and returns where the source goes.
fn prepare_destination(request: &CopyRequest<'_>, source: &Metadata) -> Result<PathBuf> {
    let (to, destination) = (request.to, request.destination);
    let options = DirOptions {
        owner: request.options.owner.unwrap_or(Owner::ROOT),
        mode: 0o755,
        mtime: request.options.parent_mtime,
    };
    let text = destination.as_os_str().as_bytes();
    if text.ends_with(b"/") || text.ends_with(b"/.") || text == b"." {
        to.create_dir_all(destination, &options)?;
    } else if let Some(parent) = clean(destination).parent() {
        to.create_dir_all(parent, &options)?;
    }
    let mut place = to.real_path(destination)?;
    let existing = to.try_lstat(&place)?;
    let base = clean(request.source).file_name().map(OsStr::to_owned);
    // The root has no name of its own: only its content can be copied.
    let contents = request.options.contents_of_directory || base.is_none();
    let into_directory = match (source.is_dir(), &existing) {
        (true, Some(_)) => !contents,
        (false, Some(existing)) => existing.is_dir(),
        (_, None) => false,
    };
    if let (true, Some(base)) = (into_directory, base) {
        place.push(base);
    }
    if source.is_dir() && contents && existing.is_none() {
        to.create_dir_all(&place, &options)?;
    } else if let Some(parent) = place.parent() {
        to.create_dir_all(parent, &options)?;
    }
    Ok(place)
}

#[cfg(test)]
mod tests;
