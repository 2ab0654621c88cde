//! One entry after the other.

use super::Owners;
use super::SkipReason;
use super::Skipped;
use super::Whiteouts;
use super::place::Places;
use crate::error::Error;
use crate::error::Fault;
use crate::error::Result;
use crate::tar::CopyError;
use crate::tar::Header;
use crate::tar::Kind;
use crate::tar::Reader;
use crate::whiteout;
use lathe_rootfs::Creation;
use lathe_rootfs::Dir;
use lathe_rootfs::DirOptions;
use lathe_rootfs::Root;
use lathe_rootfs::Target;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

/// Most reports that are kept: an image with thousands of foreign owners is one problem.
const REPORTS: usize = 100;

/// How entries are applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) whiteouts: Whiteouts,
    pub(crate) owners: Owners,
    /// Owner of everything, in place of the archive's.
    pub(crate) owner: Option<Owner>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) entries: u64,
    pub(crate) unpacked_size: u64,
    pub(crate) implicit_directories: Vec<PathBuf>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Puts the entries of one archive into a tree.
pub(crate) struct Applier<'a> {
    root: &'a Root,
    pub(super) rules: Rules,
    creation: Creation,
    places: Places,
    /// Paths without links that this archive made or changed, with those above them.
    pub(super) touched: HashSet<PathBuf>,
    /// What directories get when nothing goes into them any more. By path without links.
    late: BTreeMap<PathBuf, Late>,
    outcome: Outcome,
}

/// Mode of a file: the one that it was made with, if it was made, and the one that it shall have.
#[derive(Debug, Clone, Copy)]
struct Made {
    with: Option<u32>,
    mode: u32,
}

/// What a directory gets at the end.
#[derive(Debug, Clone, Copy)]
struct Late {
    mtime: Timestamp,
    /// A mode that keeps its owner out; only the privileged could still write there.
    mode: Option<u32>,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(root: &'a Root, rules: Rules) -> Self {
        Self {
            root,
            rules,
            creation: Creation::new(),
            places: Places::default(),
            touched: HashSet::new(),
            late: BTreeMap::new(),
            outcome: Outcome::default(),
        }
    }

    /// Applies all entries.
    pub(crate) fn apply<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        while let Some(header) = reader.next()? {
            self.outcome.entries += 1;
            self.entry(&header, reader)?;
        }
        Ok(())
    }

    /// Sets what had to wait.
    pub(crate) fn finish(self) -> Result<Outcome> {
        // From the inside: a directory that is closed already cannot be looked into.
        for (path, late) in self.late.iter().rev() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            // Something else may have come in its place; then there is nothing to set.
            let Some(dir) = self.root.dir_without_links(parent)? else { continue };
            match dir.set_times(name, late.mtime) {
                Err(error) if error.is_not_found() => continue,
                result => result?,
            }
            if let Some(mode) = late.mode {
                dir.set_mode(name, mode)?;
            }
        }
        Ok(self.outcome)
    }

    fn entry<R: BufRead>(&mut self, header: &Header, reader: &mut Reader<R>) -> Result<()> {
        if header.path.contains(&0) || header.link.contains(&0) {
            return Err(Error::malformed(&header.path, Fault::Nul));
        }
        let cleaned = lathe_rootfs::clean(Path::new(OsStr::from_bytes(&header.path)));
        if cleaned.as_os_str().is_empty() {
            // As containerd and Docker: the root keeps its own metadata.
            return match header.kind {
                Kind::File(FileKind::Directory) => Ok(()),
                _ => Err(Error::malformed(&header.path, Fault::ReplacesRoot)),
            };
        }
        if self.rules.whiteouts != Whiteouts::Literal && self.whiteout(&cleaned)? {
            return Ok(());
        }
        let path = cleaned.as_ref();
        let name = path.file_name().expect("a clean path that is not empty ends in a name");
        let target = self.place(path.parent().expect("it has a name in something"))?;
        if self.rules.whiteouts == Whiteouts::Remove {
            self.touch(&target.dir().path().join(name));
        }
        match header.kind {
            Kind::File(FileKind::Regular) => self.regular(header, reader, &target, name),
            Kind::File(FileKind::Directory) => self.directory(header, &target, path),
            Kind::File(FileKind::Symlink) => self.symlink(header, &target, name),
            Kind::File(_) => self.special(header, &target, name),
            Kind::HardLink => self.hard_link(header, &target, name),
        }
    }

    /// Opens the directory at `path`, made with those above it if it is not there.
    pub(super) fn place(&mut self, path: &Path) -> Result<Rc<Target>> {
        if let Some(target) = self.places.find(path) {
            return Ok(target);
        }
        let dir = match self.root.dir_without_links(path)? {
            Some(dir) => dir,
            None => self.find_or_make(path)?,
        };
        let target = Rc::new(Target::new(dir)?);
        self.places.push(path.to_owned(), Rc::clone(&target));
        Ok(target)
    }

    fn find_or_make(&mut self, path: &Path) -> Result<Dir> {
        let mtime = Timestamp::default();
        // Nobody said whose they are: not the archive, and `--chown` speaks of its entries.
        let owner = self.creation.owner();
        let options = DirOptions { owner, mode: 0o755, mtime: Some(mtime) };
        for made in self.root.create_dir_all(path, &options)? {
            self.touch(&made);
            self.late.insert(made.clone(), Late { mtime, mode: None });
            self.outcome.implicit_directories.push(made);
        }
        // The path of the opened directory is the one without links.
        Ok(self.root.dir(&self.root.real_path(path)?)?)
    }

    /// Opens the directory at `path` if there is one.
    pub(super) fn existing_dir(&self, path: &Path) -> Result<Option<Dir>> {
        let real = self.root.real_path(path)?;
        Ok(self.root.dir_without_links(&real)?)
    }

    /// Remembers that this archive has `path`, which has no links in it: where the target shows
    /// the lower layers too, a whiteout spares it.
    fn touch(&mut self, path: &Path) {
        if self.rules.whiteouts != Whiteouts::Remove {
            return;
        }
        for above in path.ancestors() {
            if above.as_os_str().is_empty() || !self.touched.insert(above.to_owned()) {
                return;
            }
        }
    }

    pub(super) fn skip(&mut self, path: &Path, reason: SkipReason) {
        if self.outcome.skipped.len() < REPORTS {
            self.outcome.skipped.push(Skipped { path: path.to_owned(), reason });
        }
    }

    /// Removes `name` so that something else can take its place; returns what it was.
    pub(super) fn clear(&mut self, dir: &Dir, name: &OsStr) -> Result<()> {
        if let Some(metadata) = dir.try_lstat(name)? {
            self.clear_known(dir, name, &metadata)?;
        }
        Ok(())
    }

    fn clear_known(&mut self, dir: &Dir, name: &OsStr, metadata: &Metadata) -> Result<()> {
        if matches!(metadata.kind, FileKind::Directory | FileKind::Symlink) {
            self.places.clear();
            self.late.remove(&dir.path().join(name));
        }
        Ok(dir.remove(name)?)
    }

    /// Runs `make`; if something is in its place, removes that and runs it again.
    fn make<T>(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        make: impl Fn() -> lathe_rootfs::Result<T>,
    ) -> Result<T> {
        match make() {
            Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {
                self.clear(dir, name)?;
                Ok(make()?)
            }
            result => Ok(result?),
        }
    }

    fn regular<R: BufRead>(
        &mut self,
        header: &Header,
        reader: &mut Reader<R>,
        target: &Target,
        name: &OsStr,
    ) -> Result<()> {
        let dir = target.dir();
        let mut file = self.make(dir, name, || dir.create_file(name, header.mode))?;
        let failed = |source| Error::UnpackEntry { path: dir.path().join(name), source };
        self.outcome.unpacked_size +=
            reader.copy_content(&mut file).map_err(|error| match error {
                CopyError::Read(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Error::malformed(&header.path, Fault::Truncated)
                }
                CopyError::Read(source) => Error::ReadLayer { source },
                CopyError::Write(source) => failed(source),
            })?;
        let made = Made { with: Some(header.mode & 0o777), mode: header.mode };
        self.finish_open(&file, header, (target, name), made)?;
        self.xattrs(header, dir, name, Some(&file))?;
        lathe_rootfs::set_file_times(&file, header.mtime).map_err(failed)
    }

    fn directory(&mut self, header: &Header, target: &Target, path: &Path) -> Result<()> {
        let (dir, name) = (target.dir(), path.file_name().unwrap_or_default());
        // Ours to write to until its content is there.
        let mode = header.mode & 0o777 | 0o700;
        let mut made = Some(mode);
        match dir.create_dir(name, mode) {
            Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {
                let replaced = dir.lstat(name)?;
                if replaced.is_dir() {
                    made = None;
                } else if replaced.kind == FileKind::Symlink
                    && self.rules.whiteouts == Whiteouts::Literal
                {
                    return self.linked_directory(header, path);
                } else {
                    self.clear_known(dir, name, &replaced)?;
                    dir.create_dir(name, mode)?;
                    self.keep_removed(dir, name, &replaced)?;
                }
            }
            result => result?,
        }
        let child = dir.open_dir(name)?;
        let open = header.mode | 0o700;
        let late = (open != header.mode).then_some(header.mode);
        self.finish_open(&child, header, (target, name), Made { with: made, mode: open })?;
        self.xattrs(header, dir, name, None)?;
        self.late.insert(child.path().to_owned(), Late { mtime: header.mtime, mode: late });
        self.places.push(path.to_owned(), Rc::new(Target::new(child)?));
        Ok(())
    }

    /// Applies the entry of a directory where there is a link: where that leads. Of an archive
    /// only; a layer that has a directory there replaces the link.
    fn linked_directory(&mut self, header: &Header, path: &Path) -> Result<()> {
        let real = self.root.real_path(path)?;
        // What is extracted to keeps its own metadata.
        let Some(parent) = real.parent() else { return Ok(()) };
        let target = self.place(parent)?;
        self.directory(header, &target, &real)
    }

    fn symlink(&mut self, header: &Header, target: &Target, name: &OsStr) -> Result<()> {
        let dir = target.dir();
        let link = OsStr::from_bytes(&header.link);
        self.make(dir, name, || dir.symlink(link, name))?;
        let owner = self.owner(header);
        if !target.makes_owner(&self.creation, owner) {
            let result = dir.set_owner(name, owner);
            self.owned(result, dir, name)?;
        }
        self.xattrs(header, dir, name, None)?;
        Ok(dir.set_times(name, header.mtime)?)
    }

    fn special(&mut self, header: &Header, target: &Target, name: &OsStr) -> Result<()> {
        let dir = target.dir();
        let Kind::File(kind) = header.kind else { return Ok(()) };
        let path = dir.path().join(name);
        if kind == FileKind::CharDevice && header.device == Device::default() {
            self.skip(&path, SkipReason::OverlayMark);
            return Ok(());
        }
        let made = self.make(dir, name, || dir.make_node(name, kind, header.mode, header.device));
        match made {
            Err(Error::Rootfs(error))
                if kind.is_device() && error.io_kind() == Some(io::ErrorKind::PermissionDenied) =>
            {
                self.skip(&path, SkipReason::Device);
                return Ok(());
            }
            result => result?,
        }
        let result = dir.set_owner(name, self.owner(header));
        self.owned(result, dir, name)?;
        dir.set_mode(name, header.mode)?;
        self.xattrs(header, dir, name, None)?;
        Ok(dir.set_times(name, header.mtime)?)
    }

    fn hard_link(&mut self, header: &Header, target: &Target, name: &OsStr) -> Result<()> {
        let dir = target.dir();
        let link = lathe_rootfs::clean(Path::new(OsStr::from_bytes(&header.link)));
        let missing =
            || Error::MissingLinkTarget { path: dir.path().join(name), target: link.to_path_buf() };
        if link.as_os_str().is_empty() {
            return Err(missing());
        }
        let (existing_dir, existing_name) = match self.root.parent(&link) {
            Err(error) if error.is_not_found() => return Err(missing()),
            result => result?,
        };
        let source = existing_dir.try_lstat(&existing_name)?.ok_or_else(missing)?;
        let same = |other: Metadata| {
            (other.inode, other.file_system) == (source.inode, source.file_system)
        };
        if dir.try_lstat(name)?.is_some_and(same) {
            // Another name of it already, perhaps the very same: removing it could lose it.
            return Ok(());
        }
        self.make(dir, name, || existing_dir.hard_link(&existing_name, dir, name))?;
        if self.rules.whiteouts == Whiteouts::Literal {
            self.hard_link_metadata(header, dir, name, &source)?;
        }
        Ok(())
    }

    /// Gives a file what the entry of its further name says, where that differs.
    fn hard_link_metadata(
        &mut self,
        header: &Header,
        dir: &Dir,
        name: &OsStr,
        source: &Metadata,
    ) -> Result<()> {
        let owner = self.owner(header);
        if source.owner() != owner {
            let result = dir.set_owner(name, owner);
            self.owned(result, dir, name)?;
        }
        // Changing the owner clears the set-id bits.
        let differs = source.mode != header.mode || source.owner() != owner;
        if differs && source.kind != FileKind::Symlink {
            dir.set_mode(name, header.mode)?;
        }
        if source.mtime != header.mtime {
            dir.set_times(name, header.mtime)?;
        }
        Ok(())
    }

    fn owner(&self, header: &Header) -> Owner {
        self.rules.owner.unwrap_or(Owner { uid: header.uid, gid: header.gid })
    }

    /// Sets owner and mode of an open file or directory.
    fn finish_open(
        &mut self,
        file: impl std::os::fd::AsFd,
        header: &Header,
        (target, name): (&Target, &OsStr),
        made: Made,
    ) -> Result<()> {
        let owner = self.owner(header);
        let path = || target.dir().path().join(name);
        let failed = |source| Error::UnpackEntry { path: path(), source };
        match self.creation.finish(&file, target, made.with, owner, made.mode) {
            Err(error) if self.is_unmapped(&error) => {
                self.skip(&path(), SkipReason::Owner);
                lathe_rootfs::set_file_mode(&file, made.mode).map_err(failed)
            }
            result => result.map_err(failed),
        }
    }

    fn owned(&mut self, result: lathe_rootfs::Result<()>, dir: &Dir, name: &OsStr) -> Result<()> {
        match result {
            Err(lathe_rootfs::Error::Io { source, .. }) if self.is_unmapped(&source) => {
                self.skip(&dir.path().join(name), SkipReason::Owner);
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn is_unmapped(&self, error: &io::Error) -> bool {
        self.rules.owners == Owners::Available && error.kind() == io::ErrorKind::InvalidInput
    }

    fn xattrs(
        &mut self,
        header: &Header,
        dir: &Dir,
        name: &OsStr,
        file: Option<&File>,
    ) -> Result<()> {
        for (key, value) in &header.xattrs {
            let path = || dir.path().join(name);
            if whiteout::is_overlay_attribute(key) {
                self.skip(&path(), SkipReason::OverlayMark);
                continue;
            }
            let result = match file {
                Some(file) => lathe_rootfs::set_file_xattr(file, key, value)
                    .map_err(|source| Error::UnpackEntry { path: path(), source }),
                None => dir.set_xattr(name, key, value).map_err(Error::Rootfs),
            };
            let kind = match &result {
                Err(Error::UnpackEntry { source, .. }) => Some(source.kind()),
                Err(Error::Rootfs(error)) => error.io_kind(),
                _ => None,
            };
            if let Some(io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) = kind {
                self.skip(&path(), SkipReason::Xattr);
                continue;
            }
            result?;
        }
        Ok(())
    }
}
