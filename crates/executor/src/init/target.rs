//! Finding and making mount targets inside the root file system.
//!
//! The root file system is hostile: any name in it may be a symlink to
//! anywhere. A target is therefore always a descriptor, found by `openat2` in
//! the root or by a walk that opens one name after the other without following,
//! and that keeps the descriptors of the directories above for `..`, so that
//! nothing it does can leave the root.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Component;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::StatxFlags;
use rustix::io::Errno;

use super::stub;
use crate::channel::Channel;
use crate::wire::Failure;
use crate::wire::Note;
use crate::wire::Stub;

/// Longest chain of symlinks, as in the kernel.
const LINKS: u32 = 40;

/// What a target has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// The root file system, as a place for mounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Targets<'a> {
    pub(crate) root: BorrowedFd<'a>,
    /// Where made stubs are told.
    pub(crate) notes: &'a Channel,
}

impl Targets<'_> {
    /// Returns the target of a mount, symlinks followed inside the root; makes
    /// what is missing.
    pub(crate) fn open(&self, path: &str, kind: Kind) -> Result<OwnedFd, Failure> {
        let target = match self.existing(path, ResolveFlags::empty()) {
            Err(Errno::NOENT) => self.walk(path, kind),
            other => other,
        };
        target.map_err(|errno| failure(path, errno))
    }

    /// Returns a directory directly below the root, which must not be a symlink:
    /// the places of /proc, /sys and /dev, which programs trust (CVE-2019-19921).
    pub(crate) fn open_plain(&self, name: &str) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::openat(self.root, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => self.make(self.root, OsStr::new(name), Kind::Directory),
            other => other,
        };
        let target = opened.map_err(|errno| failure(name, errno))?;
        let stat = rustix::fs::fstat(&target).map_err(|errno| failure(name, errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(target),
            FileType::Symlink => Err(Failure::Setup {
                step: format!("mount `/{name}`"),
                reason: "is a symlink in the root file system".to_owned(),
            }),
            _ => Err(failure(name, Errno::NOTDIR)),
        }
    }

    /// Returns what exists at `path`, found inside the root.
    pub(crate) fn existing(&self, path: &str, extra: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | extra;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve)
    }

    fn walk(&self, path: &str, kind: Kind) -> rustix::io::Result<OwnedFd> {
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut rest: VecDeque<OsString> = names(Path::new(path)).into();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                above.pop();
                continue;
            }
            let parent = above.last().map_or(self.root, OwnedFd::as_fd);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = || rustix::fs::openat(parent, &name, flags, Mode::empty());
            let found = match open() {
                Err(Errno::NOENT) => {
                    let kind = if rest.is_empty() { kind } else { Kind::Directory };
                    match self.make(parent, &name, kind) {
                        // In a mount that is shared another sandbox may have
                        // been faster.
                        Err(Errno::EXIST) => open()?,
                        other => other?,
                    }
                }
                other => other?,
            };
            let stat = rustix::fs::fstat(&found)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                above.push(found);
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP);
            }
            let text = rustix::fs::readlinkat(&found, "", Vec::new())?;
            let text = Path::new(OsStr::from_bytes(text.to_bytes()));
            if text.is_absolute() {
                above.clear();
            }
            names(text).into_iter().rev().for_each(|name| rest.push_front(name));
        }
        above.pop().ok_or(Errno::BUSY)
    }

    /// Returns whether a directory is on one of the caller's mounts. What is
    /// made there stays, as docker leaves it in volumes: another container may
    /// have mounted on it meanwhile, and removing a mount point takes away the
    /// mount.
    fn is_shared(&self, directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
        Ok(mount_id(directory)? != mount_id(self.root)?)
    }

    /// Makes one file or directory, opens it and tells about it.
    fn make(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        kind: Kind,
    ) -> rustix::io::Result<OwnedFd> {
        let before = rustix::fs::fstat(parent)?;
        if kind == Kind::Directory {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        if self.is_shared(parent)? {
            return Ok(made);
        }
        let stat = rustix::fs::fstat(&made)?;
        let stub = Stub {
            name: name.as_bytes().to_vec(),
            directory: kind == Kind::Directory,
            identity: (stat.st_dev, stat.st_ino),
            access_before: stub::accessed(&before),
            modified_before: stub::modified(&before),
            modified_after: stub::modified(&rustix::fs::fstat(parent)?),
        };
        self.notes.send(&Note::Stub(stub), &[parent]).map_err(|_| Errno::PIPE)?;
        Ok(made)
    }
}

/// Returns the number of the mount that a descriptor is on (Linux 5.8).
fn mount_id(fd: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let flags = AtFlags::EMPTY_PATH;
    Ok(rustix::fs::statx(fd, "", flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}

fn names(path: &Path) -> Vec<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Returns the failure to find or make a mount target.
pub(crate) fn failure(path: &str, errno: Errno) -> Failure {
    Failure::setup(format!("mount target `/{}`", path.trim_start_matches('/')), errno)
}

/// Returns the metadata of an open target.
pub(crate) fn stat(target: &OwnedFd) -> rustix::io::Result<rustix::fs::Stat> {
    rustix::fs::statat(target, "", AtFlags::EMPTY_PATH)
}
