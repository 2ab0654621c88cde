//! One opened directory and the single names in it.
//!
//! What works on many files of a directory (copying, unpacking, packing) resolves the directory
//! once and then speaks in names: shorter for the kernel than whole paths, and no symbolic link
//! can be met on the way. A name never contains a slash; no call here follows a link.

use crate::error::Error;
use crate::error::Located as _;
use crate::error::Result;
use crate::listing::Listing;
use crate::resolve::NOFOLLOW;
use crate::resolve::directory_flags;
use crate::xattr;
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
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::StatxFlags;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Directory opened inside a root.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    pub(crate) fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Returns the path inside the root by which the directory was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Returns what the directory itself is.
    pub fn metadata(&self) -> Result<Metadata> {
        let path = || self.path.clone();
        metadata_at(self.fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH).at("stat", path)
    }

    /// Returns what `name` is.
    pub fn lstat(&self, name: &OsStr) -> Result<Metadata> {
        metadata_at(self.fd.as_fd(), name, NOFOLLOW).at("stat", || self.path_of(name))
    }

    /// Returns what `name` is, `None` when nothing is there.
    pub fn try_lstat(&self, name: &OsStr) -> Result<Option<Metadata>> {
        match metadata_at(self.fd.as_fd(), name, NOFOLLOW) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("stat", &self.path_of(name), errno)),
        }
    }

    /// Returns the target of a symbolic link.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString> {
        // Sized for the common short target, so that one call is enough.
        let target = rustix::fs::readlinkat(self.fd.as_fd(), name, Vec::with_capacity(256))
            .at("read link", || self.path_of(name))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Returns the names in the directory in byte order.
    pub fn names(&self) -> Result<Vec<OsString>> {
        // A descriptor of its own: the position in the listing belongs to the open file, and
        // another thread may be reading through this one.
        self.open_dir(OsStr::new("."))?.read_names()
    }

    /// As `names`, for a directory that nobody has listed or shares.
    pub(crate) fn read_names(&self) -> Result<Vec<OsString>> {
        let listing = Listing::read(self)?;
        Ok((0..listing.len()).map(|index| listing.name(index).to_owned()).collect())
    }

    /// Opens the directory `name`.
    pub fn open_dir(&self, name: &OsStr) -> Result<Self> {
        let flags = directory_flags() | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::empty())
            .at("open directory", || self.path_of(name))?;
        let path = if name == "." { self.path.clone() } else { self.path_of(name) };
        Ok(Self { fd, path })
    }

    /// Opens the regular file `name` for reading, without touching its access time if allowed.
    ///
    /// The caller has seen that it is a regular file; should it have become a FIFO since, opening
    /// still does not hang.
    pub fn open_file(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::empty());
        // Only the owner (or CAP_FOWNER) may ask for NOATIME.
        let fd = match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => open(flags),
            result => result,
        };
        Ok(File::from(fd.at("open", || self.path_of(name))?))
    }

    /// Makes the regular file `name`, which must not exist.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> Result<File> {
        self.try_create_file(name, mode).at("create", || self.path_of(name))
    }

    pub(crate) fn try_create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // No set-id bit before the owner is right.
        let mode = Mode::from_raw_mode(mode & 0o777);
        Ok(File::from(rustix::fs::openat(self.fd.as_fd(), name, flags, mode)?))
    }

    /// Makes the directory `name`, which must not exist; the umask applies.
    pub fn create_dir(&self, name: &OsStr, mode: u32) -> Result<()> {
        rustix::fs::mkdirat(self.fd.as_fd(), name, Mode::from_raw_mode(mode))
            .at("create directory", || self.path_of(name))
    }

    /// Makes the symbolic link `name`, which must not exist.
    pub fn symlink(&self, target: &OsStr, name: &OsStr) -> Result<()> {
        rustix::fs::symlinkat(target, self.fd.as_fd(), name)
            .at("create symbolic link", || self.path_of(name))
    }

    /// Gives the file `name` the second name `new_name` in `new_dir`; of a symbolic link itself.
    pub fn hard_link(&self, name: &OsStr, new_dir: &Self, new_name: &OsStr) -> Result<()> {
        rustix::fs::linkat(self.fd.as_fd(), name, new_dir.fd.as_fd(), new_name, AtFlags::empty())
            .at("create hard link", || new_dir.path_of(new_name))
    }

    /// Makes the device, FIFO or socket `name`, which must not exist; the umask applies.
    pub fn make_node(&self, name: &OsStr, kind: FileKind, mode: u32, device: Device) -> Result<()> {
        let kind = match kind {
            FileKind::CharDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::Fifo => FileType::Fifo,
            FileKind::Socket => FileType::Socket,
            FileKind::Regular | FileKind::Directory | FileKind::Symlink => FileType::RegularFile,
        };
        let number = rustix::fs::makedev(device.major, device.minor);
        let mode = Mode::from_raw_mode(mode & 0o777);
        rustix::fs::mknodat(self.fd.as_fd(), name, kind, mode, number)
            .at("create special file", || self.path_of(name))
    }

    /// Renames `name`, replacing a file or empty directory at `new_name`.
    pub fn rename(&self, name: &OsStr, new_dir: &Self, new_name: &OsStr) -> Result<()> {
        rustix::fs::renameat(self.fd.as_fd(), name, new_dir.fd.as_fd(), new_name)
            .at("rename", || self.path_of(name))
    }

    /// Removes `name` with all that is below it; nothing there is fine.
    pub fn remove(&self, name: &OsStr) -> Result<()> {
        crate::remove::remove_tree(self, name)
    }

    /// Sets the owner of `name`.
    pub fn set_owner(&self, name: &OsStr, owner: Owner) -> Result<()> {
        let (uid, gid) = raw_owner(owner);
        rustix::fs::chownat(self.fd.as_fd(), name, Some(uid), Some(gid), NOFOLLOW)
            .at("change owner", || self.path_of(name))
    }

    /// Sets the permission bits of `name`, which is no symbolic link (one is refused: ENOTSUP).
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> Result<()> {
        self.try_set_mode(name, Mode::from_raw_mode(mode)).at("change mode", || self.path_of(name))
    }

    fn try_set_mode(&self, name: &OsStr, mode: Mode) -> std::result::Result<(), Errno> {
        // fchmodat has no NOFOLLOW before Linux 6.6. A descriptor with O_PATH names the file
        // itself, and its entry under /proc changes just that; for a link the kernel says
        // EOPNOTSUPP.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::empty())?;
        rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), mode)
    }

    /// Sets access and modification time of `name`, of a symbolic link itself.
    pub fn set_times(&self, name: &OsStr, mtime: Timestamp) -> Result<()> {
        rustix::fs::utimensat(self.fd.as_fd(), name, &timestamps(mtime), NOFOLLOW)
            .at("change times", || self.path_of(name))
    }

    /// Returns the extended attributes of `name`, of a symbolic link itself.
    pub fn xattrs(&self, name: &OsStr) -> Result<Xattrs> {
        xattr::of_name(self.fd.as_fd(), name).at("read extended attributes", || self.path_of(name))
    }

    /// Sets an extended attribute of `name`, of a symbolic link itself.
    pub fn set_xattr(&self, name: &OsStr, key: &[u8], value: &[u8]) -> Result<()> {
        xattr::set(self.fd.as_fd(), name, key, value)
            .at("set extended attribute", || self.path_of(name))
    }

    /// Removes an extended attribute of `name`; that it has none is fine.
    pub fn remove_xattr(&self, name: &OsStr, key: &[u8]) -> Result<()> {
        match xattr::remove(self.fd.as_fd(), name, key) {
            Ok(()) | Err(Errno::NODATA) => Ok(()),
            Err(errno) => Err(Error::io("remove extended attribute", &self.path_of(name), errno)),
        }
    }
}

/// What [`Metadata`] holds; some file systems have to work for the rest.
const FIELDS: StatxFlags =
    StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME).difference(StatxFlags::BLOCKS);

/// Asks the kernel what `name` is.
pub(crate) fn metadata_at(
    dir: BorrowedFd<'_>,
    name: impl Arg,
    flags: AtFlags,
) -> std::result::Result<Metadata, Errno> {
    let flags = flags | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(dir, name, flags, FIELDS)?;
    let mode = u32::from(stat.stx_mode);
    let kind = FileKind::from_raw_mode(mode).ok_or(Errno::IO)?;
    let device = |major, minor| Device { major, minor };
    let is_device = kind.is_device();
    Ok(Metadata {
        kind,
        mode: mode & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: stat.stx_size,
        mtime: timestamp(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        device: if is_device {
            device(stat.stx_rdev_major, stat.stx_rdev_minor)
        } else {
            Device::default()
        },
        links: u64::from(stat.stx_nlink),
        ctime: timestamp(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        file_system: device(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
    })
}

fn timestamp(seconds: i64, nanos: u32) -> Timestamp {
    Timestamp { seconds, nanos }
}

/// Both times of a file: a build looks at the modification time alone.
pub(crate) fn timestamps(mtime: Timestamp) -> Timestamps {
    let time = rustix::fs::Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanos) as _ };
    Timestamps { last_access: time, last_modification: time }
}

pub(crate) fn raw_owner(owner: Owner) -> (Uid, Gid) {
    (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid))
}

/// Joins for messages and reports; `name` may be any bytes.
pub(crate) fn join_bytes(path: &Path, name: &OsStr) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::from(name);
    }
    let mut joined = Vec::with_capacity(path.as_os_str().len() + name.len() + 1);
    joined.extend_from_slice(path.as_os_str().as_bytes());
    joined.push(b'/');
    joined.extend_from_slice(name.as_bytes());
    PathBuf::from(OsString::from_vec(joined))
}

/// Sets access and modification time of an open file.
pub fn set_file_times(file: &File, mtime: Timestamp) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(mtime))?)
}

/// Returns the extended attributes of an open file; cheaper than by name.
pub fn file_xattrs(file: &File) -> io::Result<Xattrs> {
    Ok(xattr::of_file(file.as_fd())?)
}

/// Sets an extended attribute of an open file.
pub fn set_file_xattr(file: &File, key: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(file, key, value, rustix::fs::XattrFlags::empty())?)
}

/// Sets the permission bits of an open file or directory.
pub fn set_file_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}
