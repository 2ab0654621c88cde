//! Extended attributes by descriptor and by name.
//!
//! There is no `*at` call for them before Linux 6.13, and a descriptor opened with `O_PATH` is
//! refused, so a name in a directory is reached as `/proc/self/fd/<directory>/<name>` with the
//! `l…` calls, which do not follow the last component.

use lathe_tree::Xattrs;
use rustix::fd::AsRawFd as _;
use rustix::fd::BorrowedFd;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;

/// First guess for a list of names; a longer one is asked for again. Most files have none.
const LIST: usize = 256;

/// Largest list and largest value that Linux allows (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAXIMUM: usize = 64 * 1024;

type Io<T> = Result<T, Errno>;

/// Returns the attributes of an open file.
pub(crate) fn of_file(file: BorrowedFd<'_>) -> Io<Xattrs> {
    collect(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

/// Returns the attributes of `name` in an open directory, of a link itself if it is one.
pub(crate) fn of_name(dir: BorrowedFd<'_>, name: &OsStr) -> Io<Xattrs> {
    let path = proc_path(dir, name);
    collect(
        |buffer| rustix::fs::llistxattr(&path, buffer),
        |name, buffer| rustix::fs::lgetxattr(&path, name, buffer),
    )
}

/// Sets one attribute of `name` in an open directory, of a link itself if it is one.
pub(crate) fn set(dir: BorrowedFd<'_>, name: &OsStr, key: &[u8], value: &[u8]) -> Io<()> {
    rustix::fs::lsetxattr(proc_path(dir, name), key, value, XattrFlags::empty())
}

/// Removes one attribute of `name` in an open directory, of a link itself if it is one.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &OsStr, key: &[u8]) -> Io<()> {
    rustix::fs::lremovexattr(proc_path(dir, name), key)
}

/// Returns the path of `name` in an open directory for calls that take no descriptor.
pub(crate) fn proc_path(dir: BorrowedFd<'_>, name: &OsStr) -> OsString {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    OsString::from_vec(path)
}

fn collect(
    list: impl Fn(&mut [u8]) -> Io<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> Io<usize>,
) -> Io<Xattrs> {
    let mut small = [0; LIST];
    let mut large;
    let names: &[u8] = match list(&mut small) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Xattrs::new()),
        Ok(length) => &small[..length],
        Err(Errno::RANGE) => {
            large = vec![0; MAXIMUM];
            let length = list(&mut large)?;
            &large[..length]
        }
        Err(errno) => return Err(errno),
    };
    let mut xattrs = Xattrs::new();
    let mut buffer = vec![0; LIST];
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = match get(name, &mut buffer) {
            Err(Errno::RANGE) => {
                buffer.resize(MAXIMUM, 0);
                get(name, &mut buffer)
            }
            result => result,
        };
        match length {
            Ok(length) => drop(xattrs.insert(name.to_vec(), buffer[..length].to_vec())),
            // Listed but not ours to read (trusted.* without privilege, a label that vanished).
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(xattrs)
}
