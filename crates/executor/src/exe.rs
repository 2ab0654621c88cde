//! The program itself, in a form which a container cannot write to.
//!
//! Until the container's program is executed, its process 1 is this program,
//! and an image can make it execute itself again (`#!/proc/self/exe`). Whoever
//! then opens `/proc/PID/exe` for writing would overwrite the program on the
//! host (CVE-2019-5736). So the init stage is started from a private read-only
//! mount of the program, which no path leads to and whose writes fail with
//! `EROFS`; where such a mount cannot be made, from a sealed copy in memory.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::mount::OpenTreeFlags;

use crate::sys;
use crate::sys::Scope;

const SELF: &str = "/proc/self/exe";

/// Returns the path to start the init stage from; valid in a child until exec.
pub(crate) fn path() -> io::Result<PathBuf> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    let program = if let Some(program) = PROGRAM.get() {
        program
    } else {
        let opened = mounted().or_else(|_| copied())?;
        PROGRAM.get_or_init(|| opened)
    };
    Ok(PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd())))
}

/// A read-only mount of the program, attached nowhere.
fn mounted() -> io::Result<OwnedFd> {
    // The magic link leads into the mount namespace in which the program was
    // started, and mounts of another namespace cannot be cloned: go by path,
    // and make sure that it still is the same file.
    let path = std::fs::read_link(SELF)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(rustix::fs::CWD, &path, flags)?;
    let found = rustix::fs::fstat(&mount)?;
    let running = std::fs::metadata(Path::new(SELF))?;
    if (found.st_dev, found.st_ino) != (running.dev(), running.ino()) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    sys::set_mount_attributes(mount.as_fd(), Scope::Mount, sys::ATTR_RDONLY)?;
    Ok(mount)
}

/// A sealed copy of the program in memory.
fn copied() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memfd = rustix::fs::memfd_create("lathe-init", flags)?;
    let mut copy = File::from(memfd);
    io::copy(&mut File::open(SELF)?, &mut copy)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    // A memfd that is open for writing cannot be executed: go on with a
    // read-only descriptor of it.
    Ok(File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()))?.into())
}
