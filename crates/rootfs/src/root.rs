//! Operations by path below a root.
//!
//! Each resolves the directory part inside the root and then acts on one name ([`Dir`]).

use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::dir::metadata_at;
use crate::dir::raw_owner;
use crate::dir::timestamps;
use crate::error::Error;
use crate::error::Located as _;
use crate::error::Result;
use crate::path::check_nul;
use crate::path::clean;
use crate::path::split;
use crate::resolve;
use crate::resolve::directory_flags;
use crate::walk::Walk;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;
use rustix::fd::AsFd;
use rustix::fd::AsRawFd as _;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

/// Directory that stands for `/` of everything reached through it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    host_path: PathBuf,
}

/// What a directory gets that [`Root::create_dir_all`] makes.
#[derive(Debug, Clone, Copy)]
pub struct DirOptions {
    pub owner: Owner,
    pub mode: u32,
    /// The time of making when `None`.
    pub mtime: Option<Timestamp>,
}

impl Default for DirOptions {
    fn default() -> Self {
        Self { owner: Owner::ROOT, mode: 0o755, mtime: None }
    }
}

/// What a file gets that [`Root::write_file`] makes.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    pub owner: Owner,
    pub mode: u32,
    /// The time of writing when `None`.
    pub mtime: Option<Timestamp>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { owner: Owner::ROOT, mode: 0o644, mtime: None }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opening and reading.
impl Root {
    /// Opens the directory `host_path` of the host as a root.
    pub fn open(host_path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(host_path, flags, Mode::empty())
            .at("open root directory", || host_path.to_owned())?;
        Ok(Self { fd, host_path: host_path.to_owned() })
    }

    /// Returns the path of the host by which the root was opened, for messages.
    pub fn host_path(&self) -> &Path {
        &self.host_path
    }

    /// Returns a second handle of the same root.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self.fd.try_clone().at("duplicate root", || self.host_path.clone())?;
        Ok(Self { fd, host_path: self.host_path.clone() })
    }

    /// Opens the directory at `path`, following links inside the root.
    pub fn dir(&self, path: &Path) -> Result<Dir> {
        let path = clean(path);
        check_nul(&path)?;
        let fd = self
            .open_fd(&path, directory_flags(), ResolveFlags::empty())
            .at("open directory", || path.clone().into_owned())?;
        Ok(Dir::new(fd, path.into_owned()))
    }

    /// Opens the directory at `path` if no component of it is a symbolic link.
    pub fn dir_without_links(&self, path: &Path) -> Result<Option<Dir>> {
        let path = clean(path);
        check_nul(&path)?;
        match self.open_fd(&path, directory_flags(), ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Ok(Some(Dir::new(fd, path.into_owned()))),
            Err(Errno::LOOP | Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::io("open directory", &path, errno)),
        }
    }

    /// Opens the directory that holds `path` and returns it with the last name.
    pub fn parent(&self, path: &Path) -> Result<(Dir, OsString)> {
        let path = clean(path);
        let (parent, name) = split(&path)?;
        let fd = self
            .open_fd(parent, directory_flags(), ResolveFlags::empty())
            .at("open directory of", || path.to_path_buf())?;
        Ok((Dir::new(fd, parent.to_owned()), name.to_owned()))
    }

    /// Returns what `path` leads to, following links.
    pub fn stat(&self, path: &Path) -> Result<Metadata> {
        let (path, fd) = self.locate(path)?;
        metadata_at(fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH).at("stat", || path)
    }

    /// As [`Root::stat`], `None` when nothing is there.
    pub fn try_stat(&self, path: &Path) -> Result<Option<Metadata>> {
        found(self.stat(path))
    }

    /// Returns what `path` is, not following a link at its end.
    pub fn lstat(&self, path: &Path) -> Result<Metadata> {
        if clean(path).as_os_str().is_empty() {
            return self.stat(path);
        }
        let (dir, name) = self.parent(path)?;
        dir.lstat(&name)
    }

    /// As [`Root::lstat`], `None` when nothing is there.
    pub fn try_lstat(&self, path: &Path) -> Result<Option<Metadata>> {
        found(self.lstat(path))
    }

    /// Returns the target of the symbolic link at `path`.
    pub fn read_link(&self, path: &Path) -> Result<OsString> {
        let (dir, name) = self.parent(path)?;
        dir.read_link(&name)
    }

    /// Returns where `path` leads with every link replaced, also one at its end and one that
    /// dangles; what does not exist is kept as it is. The result is clean and has no links.
    pub fn real_path(&self, path: &Path) -> Result<PathBuf> {
        resolve::real_path(self.fd.as_fd(), &clean(path))
    }

    /// Opens the regular file that `path` leads to. Anything else is an error and is not opened:
    /// a FIFO would block and a device could act.
    pub fn open_file(&self, path: &Path) -> Result<File> {
        let (path, fd) = self.locate(path)?;
        let metadata = metadata_at(fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH)
            .at("stat", || path.clone())?;
        if !metadata.is_file() {
            return Err(Error::Kind { path, found: metadata.kind, wanted: FileKind::Regular });
        }
        let file = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(file, flags, Mode::empty()).at("open", || path)?;
        Ok(File::from(file))
    }

    /// Reads the regular file that `path` leads to, of at most `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file = self.open_file(path)?;
        let mut content = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .at("read", || path.to_owned())?;
        if content.len() as u64 > limit {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        Ok(content)
    }

    /// Returns the names in the directory that `path` leads to, in byte order.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        self.dir(path)?.read_names()
    }

    /// Returns the entries below the directory that `path` leads to, in byte order of their path
    /// components, a directory before its content. Paths are relative to `path`; links are
    /// entries and not followed.
    pub fn walk(&self, path: &Path) -> Result<Walk> {
        Walk::new(self.dir(path)?)
    }

    /// Returns the extended attributes of what is at `path`, not following a link at its end.
    pub fn xattrs(&self, path: &Path) -> Result<Xattrs> {
        let (dir, name) = self.place(path)?;
        dir.xattrs(&name)
    }

    fn locate(&self, path: &Path) -> Result<(PathBuf, OwnedFd)> {
        let path = clean(path);
        check_nul(&path)?;
        let fd = self
            .open_fd(&path, OFlags::PATH, ResolveFlags::empty())
            .at("look up", || path.to_path_buf())?;
        Ok((path.into_owned(), fd))
    }

    fn open_fd(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> std::result::Result<OwnedFd, Errno> {
        resolve::open_in(self.fd.as_fd(), path, flags, resolve)
    }

    /// As [`Root::parent`]; the root itself is `.` in itself.
    pub(crate) fn place(&self, path: &Path) -> Result<(Dir, OsString)> {
        if clean(path).as_os_str().is_empty() {
            return Ok((self.dir(path)?, OsString::from(".")));
        }
        self.parent(path)
    }
}

/// Making, changing and removing.
impl Root {
    /// Makes the directory `path` with those above it, as `mkdir -p`; returns what it made.
    ///
    /// Links on the way are followed inside the root; a dangling one leads to where its target is
    /// made, as Docker does.
    pub fn create_dir_all(&self, path: &Path, options: &DirOptions) -> Result<Vec<PathBuf>> {
        let path = clean(path);
        check_nul(&path)?;
        // Nearly always it is there.
        if self.open_fd(&path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()).is_ok() {
            return Ok(Vec::new());
        }
        let real = self.real_path(&path)?;
        let mut made = Vec::new();
        let mut dirs = Vec::new();
        let mut dir = self.dir(Path::new(""))?;
        for name in &real {
            let (child, fresh) = open_or_create(&dir, name, options.mode)?;
            if fresh {
                made.push(join_bytes(dir.path(), name));
                dirs.push(dir);
            }
            dir = child;
        }
        // `dirs` holds the parents; the last made directory is `dir`. Times come last and from
        // the inside, since making a child changes them.
        dirs.push(dir);
        for dir in dirs.iter().rev().take(made.len()) {
            finish_dir(dir, options)?;
        }
        Ok(made)
    }

    /// Writes a regular file, replacing what is not a directory. A link at `path` is replaced, not
    /// followed; the directory must exist.
    pub fn write_file(&self, path: &Path, content: &[u8], options: &FileOptions) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let mut file = create_replacing(&dir, &name, options.mode)?;
        let path = || path.to_owned();
        file.write_all(content).at("write", path)?;
        let (uid, gid) = raw_owner(options.owner);
        rustix::fs::fchown(&file, Some(uid), Some(gid)).at("change owner", path)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(options.mode)).at("change mode", path)?;
        if let Some(mtime) = options.mtime {
            rustix::fs::futimens(&file, &timestamps(mtime)).at("change times", path)?;
        }
        Ok(())
    }

    /// Makes a symbolic link; `path` must not exist. The target is not looked at.
    pub fn symlink(&self, target: &OsStr, path: &Path) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        dir.symlink(target, &name)
    }

    /// Gives the file at `existing` the second name `path`. Neither is followed at its end.
    pub fn hard_link(&self, existing: &Path, path: &Path) -> Result<()> {
        let (existing_dir, existing_name) = self.parent(existing)?;
        let (dir, name) = self.parent(path)?;
        existing_dir.hard_link(&existing_name, &dir, &name)
    }

    /// Makes a device, FIFO or socket with exactly these permission bits.
    pub fn make_node(&self, path: &Path, kind: FileKind, mode: u32, device: Device) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        dir.make_node(&name, kind, mode, device)?;
        dir.set_mode(&name, mode)
    }

    /// Removes what is at `path` with all below it, not following a link; nothing there is fine.
    /// Of the root itself only the content is removed.
    pub fn remove(&self, path: &Path) -> Result<()> {
        if clean(path).as_os_str().is_empty() {
            let dir = self.dir(path)?;
            return dir.names()?.iter().try_for_each(|name| dir.remove(name));
        }
        match self.parent(path) {
            Ok((dir, name)) => dir.remove(&name),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Renames `path` to `new_path`, replacing a file or empty directory there.
    pub fn rename(&self, path: &Path, new_path: &Path) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let (new_dir, new_name) = self.parent(new_path)?;
        dir.rename(&name, &new_dir, &new_name)
    }

    /// Sets the owner of what is at `path`, never through a link.
    pub fn set_owner(&self, path: &Path, owner: Owner) -> Result<()> {
        let (dir, name) = self.place(path)?;
        dir.set_owner(&name, owner)
    }

    /// Sets the permission bits of what is at `path`; a link is refused.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let (dir, name) = self.place(path)?;
        dir.set_mode(&name, mode)
    }

    /// Sets the times of what is at `path`, never through a link.
    pub fn set_times(&self, path: &Path, mtime: Timestamp) -> Result<()> {
        let (dir, name) = self.place(path)?;
        dir.set_times(&name, mtime)
    }

    /// Sets an extended attribute of what is at `path`, never through a link.
    pub fn set_xattr(&self, path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
        let (dir, name) = self.place(path)?;
        dir.set_xattr(&name, key, value)
    }
}

/// Makes the regular file `name`, in place of what is not a directory.
pub(crate) fn create_replacing(dir: &Dir, name: &OsStr, mode: u32) -> Result<File> {
    let exists = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AlreadyExists;
    match dir.try_create_file(name, mode) {
        Err(error) if exists(&error) => {
            unlink_for_replacement(dir, name)?;
            dir.create_file(name, mode)
        }
        result => result.at("create", || join_bytes(dir.path(), name)),
    }
}

/// Removes what is at `name` unless it is a directory.
pub(crate) fn unlink_for_replacement(dir: &Dir, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(dir.as_fd(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Err(Error::ReplaceDirectory { path: join_bytes(dir.path(), name) }),
        Err(errno) => Err(Error::io("remove", &join_bytes(dir.path(), name), errno)),
    }
}

/// Opens the directory `name`, made if it is not there; returns whether it was.
pub(crate) fn open_or_create(dir: &Dir, name: &OsStr, mode: u32) -> Result<(Dir, bool)> {
    match dir.open_dir(name) {
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
        result => return result.map(|child| (child, false)),
    }
    match dir.create_dir(name, mode) {
        Ok(()) => Ok((dir.open_dir(name)?, true)),
        // Another thread of the build was faster.
        Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {
            Ok((dir.open_dir(name)?, false))
        }
        Err(error) => Err(error),
    }
}

fn finish_dir(dir: &Dir, options: &DirOptions) -> Result<()> {
    let path = || dir.path().to_owned();
    let (uid, gid) = raw_owner(options.owner);
    rustix::fs::fchown(dir, Some(uid), Some(gid)).at("change owner", path)?;
    rustix::fs::fchmod(dir, Mode::from_raw_mode(options.mode)).at("change mode", path)?;
    if let Some(mtime) = options.mtime {
        rustix::fs::futimens(dir, &timestamps(mtime)).at("change times", path)?;
    }
    Ok(())
}

fn found(result: Result<Metadata>) -> Result<Option<Metadata>> {
    match result {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
