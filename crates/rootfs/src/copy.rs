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
//! known to be there already (`creation.rs`); files are copied by several threads (`crew.rs`).

mod crew;
mod data;
mod file;
mod level;

use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Result;
use crate::path::clean;
use crate::root::DirOptions;
use crate::root::Root;
use crate::root::unlink_for_replacement;
use crate::walk::Filter;
use crate::walk::Selection;
use crew::BATCH;
use crew::Batch;
use crew::Crew;
use crew::Shared;
use file::Rules;
use file::Source;
use lathe_tree::Device;
use lathe_tree::Metadata;
use lathe_tree::ModeChange;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use level::Finish;
use level::Level;
use level::Pair;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Directories on one path. Each costs two descriptors and a stack frame.
const DEPTH: usize = 1000;

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
    /// Bytes of regular files.
    pub bytes: u64,
}

/// Copies one source to one destination.
pub fn copy(request: &CopyRequest<'_>) -> Result<CopyReport> {
    let source = request.from.real_path(request.source)?;
    let metadata = request.from.lstat(&source)?;
    let place = prepare_destination(request, &metadata)?;
    let shared = Shared::new(Rules::new(&request.options));
    let copied = std::thread::scope(|scope| {
        let mut copier = Copier {
            filter: request.options.filter,
            crew: Crew::new(scope, &shared),
            linked: HashMap::new(),
            to: request.to,
            report: CopyReport::default(),
            depth: 0,
        };
        if metadata.is_dir() {
            copier.start(request.from.dir(&source)?, &metadata, &place)?;
        } else {
            let (dir, name) = request.from.parent(&source)?;
            let (target, new_name) = request.to.parent(&place)?;
            let file = Source { dir: &dir, name: &name, metadata: &metadata };
            copier.count(&metadata);
            copier.crew.own.copy(file, &Target::new(target)?, &new_name)?;
        }
        Ok(copier.report)
    });
    match shared.into_error() {
        Some(error) => Err(error),
        None => copied,
    }
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

/// The walk through the source.
struct Copier<'a, 'scope, 'env> {
    filter: Option<Filter<'a>>,
    crew: Crew<'scope, 'env>,
    /// Where a source file with several names was copied to first.
    linked: HashMap<(Device, u64), PathBuf>,
    to: &'a Root,
    report: CopyReport,
    depth: usize,
}

impl Copier<'_, '_, '_> {
    fn start(&mut self, source: Dir, metadata: &Metadata, place: &Path) -> Result<()> {
        let existing = self.to.try_lstat(place)?;
        if existing.is_some_and(|existing| !existing.is_dir()) {
            let (from, to) = (source.path().to_owned(), place.to_owned());
            return Err(Error::DirectoryOverFile { from, to });
        }
        let made = existing.is_none();
        if made {
            // Only for a directory copied by its own name, which brings its metadata along.
            let (parent, name) = self.to.parent(place)?;
            parent.create_dir(&name, metadata.mode & 0o777 | 0o700)?;
        }
        let target = Target::new(self.to.dir(place)?)?;
        let source = Arc::new(source);
        let finish = if made { Finish::All } else { Finish::Time };
        let pair = Pair { source, target, metadata: *metadata, made, finish };
        self.children(Level::start(pair, metadata), &mut PathBuf::new())
    }

    /// Copies what is in a source directory; `path` is relative to the source of the copy.
    fn children(&mut self, level: Level<'_>, path: &mut PathBuf) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::io("copy", path, Errno::NAMETOOLONG));
        }
        let mut files = Vec::new();
        for name in level.source.read_names()? {
            let metadata = level.source.lstat(&name)?;
            let selection = self.filter.map_or(Selection::Keep, |filter| {
                path.push(&name);
                let selection = filter(path, metadata.kind);
                path.pop();
                selection
            });
            match (selection, metadata.is_dir()) {
                (Selection::Skip, _) | (Selection::Descend, false) => {}
                (Selection::Keep | Selection::Lazy, false) if metadata.links > 1 => {
                    self.file_with_links(&level, &name, &metadata)?;
                }
                (Selection::Keep | Selection::Lazy, false) => files.push((name, metadata)),
                (selection, true) => {
                    let below = Level::below(&level, &name, &metadata, selection)?;
                    if selection == Selection::Keep {
                        below.pair()?;
                    }
                    path.push(&name);
                    self.children(below, path)?;
                    path.pop();
                }
            }
            if files.len() == BATCH {
                self.submit(&level, std::mem::take(&mut files))?;
            }
        }
        if !files.is_empty() {
            self.submit(&level, files)?;
        }
        self.depth -= 1;
        match level.into_pair() {
            Some(pair) => {
                self.report.directories += u64::from(pair.finish == Finish::All);
                self.crew.release(pair)
            }
            None => Ok(()),
        }
    }

    fn submit(&mut self, level: &Level<'_>, files: Vec<(OsString, Metadata)>) -> Result<()> {
        if self.crew.has_failed() {
            // The error is told by who had it; any stops the walk.
            return Err(Error::io("copy", level.source.path(), Errno::CANCELED));
        }
        for (_, metadata) in &files {
            self.count(metadata);
        }
        let pair = Arc::clone(level.pair()?);
        self.crew.submit(Batch { pair, files })
    }

    fn count(&mut self, metadata: &Metadata) {
        self.report.files += 1;
        if metadata.is_file() {
            self.report.bytes += metadata.size;
        }
    }

    /// Copies a file with several names, at once since another name may follow.
    fn file_with_links(
        &mut self,
        level: &Level<'_>,
        name: &OsStr,
        metadata: &Metadata,
    ) -> Result<()> {
        let pair = Arc::clone(level.pair()?);
        let dir = pair.target.dir();
        let identity = (metadata.file_system, metadata.inode);
        if let Some(earlier) = self.linked.get(&identity) {
            let (earlier_dir, earlier_name) = self.to.parent(earlier)?;
            let from = || join_bytes(level.source.path(), name);
            unlink_for_replacement(dir, name).map_err(|error| error.of_copy(from))?;
            earlier_dir.hard_link(&earlier_name, dir, name)?;
            self.report.files += 1;
        } else {
            self.count(metadata);
            let source = Source { dir: &level.source, name, metadata };
            self.crew.own.copy(source, &pair.target, name)?;
            self.linked.insert(identity, join_bytes(dir.path(), name));
        }
        self.crew.release(pair)
    }
}

#[cfg(test)]
mod tests;
