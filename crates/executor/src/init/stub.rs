//! Removing what the sandbox made in the root file system.
//!
//! Everything goes through the directory descriptors that were used for the
//! making, by plain names, so no symlink which the container may have put in
//! the way is ever followed (CVE-2024-23652).

use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;

use crate::wire::Stub;

/// Removes stubs, the last made first. What is no longer as it was made stays:
/// the container replaced or filled it, so it is the container's.
pub(crate) fn remove(stubs: &[(Stub, OwnedFd)]) {
    for (stub, parent) in stubs.iter().rev() {
        // A stub that cannot be removed is an empty file or directory in the
        // result: not worth failing a run that succeeded.
        let _kept = remove_one(stub, parent);
    }
}

fn remove_one(stub: &Stub, parent: &OwnedFd) -> rustix::io::Result<()> {
    let name = stub.name.as_slice();
    let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (found.st_dev, found.st_ino) != stub.identity || (!stub.directory && found.st_size != 0) {
        return Ok(());
    }
    let now = rustix::fs::fstat(parent)?;
    let flags = if stub.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    rustix::fs::unlinkat(parent, name, flags)?;
    // The parent gets back the time it had before, unless the container has
    // changed it too; then the time of that change.
    let current = modified(&now);
    let time = if current == stub.modified_after { stub.modified_before } else { current };
    let times =
        Timestamps { last_access: timespec(stub.access_before), last_modification: timespec(time) };
    rustix::fs::utimensat(parent, ".", &times, AtFlags::empty())
}

/// Returns the modification time of a file as the stub records hold it.
pub(crate) fn modified(stat: &rustix::fs::Stat) -> (i64, i64) {
    (stat.st_mtime, nanoseconds(stat.st_mtime_nsec))
}

/// Returns the access time of a file as the stub records hold it.
pub(crate) fn accessed(stat: &rustix::fs::Stat) -> (i64, i64) {
    (stat.st_atime, nanoseconds(stat.st_atime_nsec))
}

/// The field's type differs between architectures.
fn nanoseconds(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(0)
}

fn timespec((tv_sec, tv_nsec): (i64, i64)) -> Timespec {
    Timespec { tv_sec, tv_nsec }
}
