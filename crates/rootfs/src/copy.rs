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
//! | destination directory of a directory | keeps its mode when it exists, else 0755; *not* the source's |
//! | directories below | get the source's mode, owner and time, also when they exist |
//! | file over file or link | replaced, never written through |
//! | file over directory, directory over file | error |
//!
//! Speed is the point of the rest: each directory is opened once on both sides, files are named
//! relative to it, content moves inside the kernel (`data.rs`), and no call is made whose effect is
//! known to be there already (`creation.rs`).

mod data;
mod level;

use crate::creation::Creation;
use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Error;
use crate::error::Located as _;
use crate::error::Result;
use crate::path::clean;
use crate::root::DirOptions;
use crate::root::Root;
use crate::root::create_replacing;
use crate::root::unlink_for_replacement;
use crate::walk::Filter;
use crate::walk::Selection;
use crate::xattr;
use data::DataCopier;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::ModeChange;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use level::Level;
use rustix::fd::AsFd as _;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

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
    /// source and a destination of which neither is ever written to again.
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
    let mut copier = Copier {
        options: &request.options,
        data: DataCopier::default(),
        creation: Creation::new(),
        can_link: request.options.link == LinkPolicy::HardLink,
        linked: HashMap::new(),
        to: request.to,
        report: CopyReport::default(),
        depth: 0,
    };
    if metadata.is_dir() {
        copier.top_directory(&request.from.dir(&source)?, &metadata, &place)?;
    } else {
        let (source_dir, source_name) = request.from.parent(&source)?;
        let (dir, name) = request.to.parent(&place)?;
        let target = Target::new(dir)?;
        copier.file(&source_dir, &source_name, &metadata, &target, &name)?;
    }
    Ok(copier.report)
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

struct Copier<'a> {
    options: &'a CopyOptions<'a>,
    data: DataCopier,
    creation: Creation,
    /// Cleared when the kernel says that the two are on different file systems.
    can_link: bool,
    /// Where a source file with several names was copied to first.
    linked: HashMap<(Device, u64), PathBuf>,
    to: &'a Root,
    report: CopyReport,
    depth: usize,
}

impl Copier<'_> {
    fn top_directory(&mut self, source: &Dir, metadata: &Metadata, place: &Path) -> Result<()> {
        let existing = self.to.try_lstat(place)?;
        if existing.is_some_and(|existing| !existing.is_dir()) {
            return Err(Error::ReplaceFile { path: place.to_owned() });
        }
        if existing.is_none() {
            // Only for a directory copied by its own name, which brings its metadata along.
            let (parent, name) = self.to.parent(place)?;
            parent.create_dir(&name, 0o700)?;
        }
        let target = Target::new(self.to.dir(place)?)?;
        let level = Level::opened(source, metadata, target);
        self.children(&level, &mut PathBuf::new())?;
        if existing.is_none() {
            self.finish_directory(&level)?;
        }
        Ok(())
    }

    /// Copies what is in a source directory; `path` is relative to the source of the copy.
    fn children(&mut self, level: &Level<'_>, path: &mut PathBuf) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::io("copy", path, Errno::NAMETOOLONG));
        }
        for name in level.source.read_names()? {
            let metadata = level.source.lstat(&name)?;
            let selection = match self.options.filter {
                None => Selection::Keep,
                Some(filter) => {
                    path.push(&name);
                    let selection = filter(path, metadata.kind);
                    path.pop();
                    selection
                }
            };
            match (selection, metadata.is_dir()) {
                (Selection::Skip, _) | (Selection::Descend, false) => {}
                (Selection::Keep, false) => {
                    let target = level.target()?;
                    self.file(level.source, &name, &metadata, target, &name)?;
                }
                (selection, true) => self.directory(level, &name, &metadata, selection, path)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn directory(
        &mut self,
        above: &Level<'_>,
        name: &OsStr,
        metadata: &Metadata,
        selection: Selection,
        path: &mut PathBuf,
    ) -> Result<()> {
        let source = above.source.open_dir(name)?;
        let level = Level::below(above, &source, metadata, name);
        if selection == Selection::Keep {
            level.target()?;
        }
        path.push(name);
        self.children(&level, path)?;
        path.pop();
        // One that was only descended into keeps its metadata if it was there before.
        if selection == Selection::Keep || level.was_made() {
            self.finish_directory(&level)?;
        }
        Ok(())
    }

    /// Gives a directory the metadata of its source, once its content is there.
    fn finish_directory(&mut self, level: &Level<'_>) -> Result<()> {
        let target = level.target()?;
        let path = || target.dir().path().to_owned();
        let owner = self.options.owner.unwrap_or(level.metadata.owner());
        let mode = self.options.mode.apply(level.metadata.mode, FileKind::Directory);
        let made = level.was_made().then_some(level.metadata.mode | 0o700);
        let fd = target.dir().as_fd();
        self.creation.finish(fd, target, made, owner, mode).at("set metadata of", path)?;
        copy_xattrs(level.source.as_fd(), fd, path)?;
        let mtime = self.mtime(level.metadata);
        rustix::fs::futimens(fd, &crate::dir::timestamps(mtime)).at("change times", path)?;
        self.report.directories += 1;
        Ok(())
    }

    fn mtime(&self, source: &Metadata) -> Timestamp {
        match self.options.times {
            Times::Preserve => source.mtime,
            Times::Set(time) => time,
        }
    }

    /// Copies anything but a directory.
    fn file(
        &mut self,
        source: &Dir,
        source_name: &OsStr,
        metadata: &Metadata,
        target: &Target,
        name: &OsStr,
    ) -> Result<()> {
        self.report.files += 1;
        if metadata.links > 1 && self.link_to_earlier(metadata, target, name)? {
            return Ok(());
        }
        let wanted = Wanted {
            owner: self.options.owner.unwrap_or(metadata.owner()),
            mode: self.options.mode.apply(metadata.mode, metadata.kind),
            mtime: self.mtime(metadata),
        };
        match metadata.kind {
            FileKind::Regular => {
                self.regular(source, source_name, metadata, target, name, &wanted)?;
            }
            FileKind::Symlink => {
                unlink_for_replacement(target.dir(), name)?;
                target.dir().symlink(&source.read_link(source_name)?, name)?;
                if !target.makes_owner(&self.creation, wanted.owner) {
                    target.dir().set_owner(name, wanted.owner)?;
                }
                target.dir().set_times(name, wanted.mtime)?;
            }
            _ => special(metadata, target, name, &wanted)?,
        }
        if metadata.links > 1 {
            let place = join_bytes(target.dir().path(), name);
            self.linked.insert((metadata.file_system, metadata.inode), place);
        }
        Ok(())
    }

    fn regular(
        &mut self,
        source: &Dir,
        source_name: &OsStr,
        metadata: &Metadata,
        target: &Target,
        name: &OsStr,
        wanted: &Wanted,
    ) -> Result<()> {
        self.report.bytes += metadata.size;
        if self.can_link
            && wanted.is_that_of(metadata)
            && self.link_to_source(source, source_name, target, name)?
        {
            return Ok(());
        }
        let path = || join_bytes(target.dir().path(), name);
        let input = source.open_file(source_name)?;
        let output = create_replacing(target.dir(), name, metadata.mode)?;
        self.data.copy(&input, &output, metadata.size).at("copy to", path)?;
        let made = Some(metadata.mode & 0o777);
        self.creation
            .finish(output.as_fd(), target, made, wanted.owner, wanted.mode)
            .at("set metadata of", path)?;
        copy_xattrs(input.as_fd(), output.as_fd(), path)?;
        rustix::fs::futimens(&output, &crate::dir::timestamps(wanted.mtime))
            .at("change times", path)
    }

    /// Keeps hard links among the copied files; returns whether the file was there already.
    fn link_to_earlier(&self, metadata: &Metadata, target: &Target, name: &OsStr) -> Result<bool> {
        let Some(earlier) = self.linked.get(&(metadata.file_system, metadata.inode)) else {
            return Ok(false);
        };
        let (dir, earlier_name): (Dir, OsString) = self.to.parent(earlier)?;
        unlink_for_replacement(target.dir(), name)?;
        dir.hard_link(&earlier_name, target.dir(), name)?;
        Ok(true)
    }

    /// Tries to make the destination another name of the source; returns whether it is.
    fn link_to_source(
        &mut self,
        source: &Dir,
        source_name: &OsStr,
        target: &Target,
        name: &OsStr,
    ) -> Result<bool> {
        let mut result = source.hard_link(source_name, target.dir(), name);
        if errno_of(&result) == Some(Errno::EXIST) {
            unlink_for_replacement(target.dir(), name)?;
            result = source.hard_link(source_name, target.dir(), name);
        }
        match errno_of(&result) {
            None => result.map(|()| true),
            // Another file system: no file of this copy can be linked.
            Some(Errno::XDEV) => {
                self.can_link = false;
                Ok(false)
            }
            // Too many names, or not ours to link (fs.protected_hardlinks).
            Some(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
            Some(_) => result.map(|()| false),
        }
    }
}

fn special(metadata: &Metadata, target: &Target, name: &OsStr, wanted: &Wanted) -> Result<()> {
    unlink_for_replacement(target.dir(), name)?;
    target.dir().make_node(name, metadata.kind, wanted.mode, metadata.device)?;
    target.dir().set_owner(name, wanted.owner)?;
    target.dir().set_mode(name, wanted.mode)?;
    target.dir().set_times(name, wanted.mtime)
}

/// What a copied file shall have.
struct Wanted {
    owner: Owner,
    mode: u32,
    mtime: Timestamp,
}

impl Wanted {
    fn is_that_of(&self, metadata: &Metadata) -> bool {
        self.owner == metadata.owner() && self.mode == metadata.mode && self.mtime == metadata.mtime
    }
}

fn errno_of(result: &Result<()>) -> Option<Errno> {
    let error = result.as_ref().err()?;
    error.raw_os_error().map(Errno::from_raw_os_error)
}

/// Copies the extended attributes of an open file to another; one call when there are none.
fn copy_xattrs(
    from: rustix::fd::BorrowedFd<'_>,
    to: rustix::fd::BorrowedFd<'_>,
    path: impl Fn() -> PathBuf,
) -> Result<()> {
    for (name, value) in xattr::of_file(from).at("read extended attributes of source of", &path)? {
        // Marks of an overlay below belong to it, and labels to the host's policy.
        let foreign = name.starts_with(b"trusted.overlay.")
            || name.starts_with(b"user.overlay.")
            || (name.starts_with(b"security.") && name != b"security.capability");
        if foreign {
            continue;
        }
        match rustix::fs::fsetxattr(to, &name[..], &value, XattrFlags::empty()) {
            // As BuildKit: the destination may be unable to hold it (tmpfs, user namespace).
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(Error::io("set extended attribute of", &path(), errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
