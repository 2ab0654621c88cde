//! From a path to a file descriptor inside the root.
//!
//! The kernel does it (`openat2`), but for one question that it cannot answer: where a path leads
//! whose end does not exist yet. Docker follows a dangling symbolic link and makes what it points
//! to; [`real_path`] walks such a path component by component with `readlinkat` on directory
//! descriptors that are themselves opened inside the root.

use crate::error::Error;
use crate::error::PathFault;
use crate::error::Result;
use crate::path::check_nul;
use rustix::fd::AsFd;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::path::PathBuf;

/// The kernel answers EAGAIN when a rename or mount elsewhere raced with `..` in a link; on a
/// busy machine that can happen several times in a row.
const ATTEMPTS: usize = 256;

/// Symbolic links on one path, as in the kernel (MAXSYMLINKS).
const LINKS: usize = 40;

/// Opens a clean path inside `root`.
pub(crate) fn open_in(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> std::result::Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | resolve;
    let mut attempts = 0;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => attempts += 1,
            result => return result,
        }
    }
}

/// Flags of a descriptor that is used for `*at` calls and for listing.
pub(crate) fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Returns the path that `path` leads to with every symbolic link replaced, also the last one;
/// what does not exist is kept as it is.
pub(crate) fn real_path(root: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    check_nul(path)?;
    // Nearly always there are none, and the kernel says so at once.
    if open_in(root, path, OFlags::PATH, ResolveFlags::NO_SYMLINKS).is_ok() {
        return Ok(path.to_owned());
    }
    let mut todo: VecDeque<OsString> = components(path.as_os_str().as_bytes());
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let Some(target) = link_target(root, &real, &name)? else {
            real.push(name);
            continue;
        };
        links += 1;
        if links > LINKS {
            return Err(Error::path(path, PathFault::TooManyLinks));
        }
        if target.first() == Some(&b'/') {
            real = PathBuf::new();
        }
        let mut parts = components(&target);
        parts.append(&mut todo);
        todo = parts;
    }
    Ok(real)
}

/// Returns the target of the symbolic link `name` in the directory `parent`, `None` when it is
/// none or is not there.
fn link_target(root: BorrowedFd<'_>, parent: &Path, name: &OsStr) -> Result<Option<Vec<u8>>> {
    // `parent` has no links left, so NO_SYMLINKS only guards against a racing change.
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let dir = match open_in(root, parent, flags, ResolveFlags::NO_SYMLINKS) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(Error::io("open directory", parent, errno)),
    };
    match rustix::fs::readlinkat(dir.as_fd(), name, Vec::new()) {
        Ok(target) => Ok(Some(target.into_bytes())),
        Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::io("read link", &parent.join(name), errno)),
    }
}

fn components(path: &[u8]) -> VecDeque<OsString> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect()
}

/// Flags for a `*at` call on the last component itself.
pub(crate) const NOFOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
