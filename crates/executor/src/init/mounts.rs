//! /proc, /sys and the caller's mounts.
//!
//! Everything is mounted with the descriptor calls (`fsopen`, `open_tree`,
//! `move_mount`; Linux 5.2): a file system is made first and put on an already
//! found target after, so no path is looked up twice and nothing that changes
//! in between can move a mount elsewhere.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;
use rustix::mount::MoveMountFlags;
use rustix::mount::OpenTreeFlags;

use super::target::Kind;
use super::target::Targets;
use super::target::failure;
use super::target::stat;
use crate::Access;
use crate::Depth;
use crate::Mount;
use crate::MountKind;
use crate::Security;
use crate::sys;
use crate::sys::Scope;
use crate::wire::Failure;
use crate::wire::Note;

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);
const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
/// `f_type` of procfs (`linux/magic.h`).
const PROC_MAGIC: u64 = 0x9fa0;

/// Makes a file system of type `kind`, attached nowhere yet.
pub(crate) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(&context, *key, *value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Puts a detached mount on a target.
pub(crate) fn attach(mount: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// Clones the mount of one file or directory.
pub(crate) fn clone_mount(
    directory: impl std::os::fd::AsFd,
    path: &str,
) -> rustix::io::Result<OwnedFd> {
    let flags = if path.is_empty() { CLONE | OpenTreeFlags::AT_EMPTY_PATH } else { CLONE };
    rustix::mount::open_tree(directory, path, flags)
}

/// Mounts /proc of the new pid namespace.
///
/// In a user namespace the kernel allows that only where the outer /proc is
/// not masked in parts; inside of another container the outer one is lent.
pub(crate) fn proc(targets: &Targets<'_>) -> Result<(), Failure> {
    let target = targets.open_plain("proc")?;
    let mounted = match filesystem("proc", &[], SAFE) {
        Err(Errno::PERM) => {
            targets
                .notes
                .send(&Note::SharedProc, &[])
                .map_err(|error| Failure::setup("mount `/proc`", error))?;
            lend("/proc", SAFE_BITS)
        }
        other => other,
    };
    mounted
        .and_then(|mount| attach(&mount, &target))
        .map_err(|errno| Failure::setup("mount `/proc`", errno))
}

const SAFE_BITS: u64 = sys::ATTR_NOSUID | sys::ATTR_NODEV | sys::ATTR_NOEXEC;

/// Mounts /sys, read-only unless the container is privileged.
///
/// A user namespace that does not own its network namespace cannot mount a
/// sysfs and gets the outer one read-only.
pub(crate) fn sys(targets: &Targets<'_>, security: Security) -> Result<(), Failure> {
    let target = targets.open_plain("sys")?;
    let (attributes, bits) = match security {
        Security::Default => {
            (SAFE | MountAttrFlags::MOUNT_ATTR_RDONLY, SAFE_BITS | sys::ATTR_RDONLY)
        }
        Security::Insecure => (SAFE, SAFE_BITS),
    };
    let (mounted, own) = match filesystem("sysfs", &[], attributes) {
        Err(Errno::PERM) => (lend("/sys", bits), false),
        other => (other, true),
    };
    mounted
        .and_then(|mount| attach(&mount, &target))
        .map_err(|errno| Failure::setup("mount `/sys`", errno))?;
    if own {
        // Programs read their limits there; a kernel without cgroup v2 has
        // none to read.
        let _absent = control_groups(targets, attributes);
    }
    Ok(())
}

fn control_groups(targets: &Targets<'_>, attributes: MountAttrFlags) -> rustix::io::Result<()> {
    let target = targets.existing("sys/fs/cgroup", ResolveFlags::NO_SYMLINKS)?;
    attach(&filesystem("cgroup2", &[], attributes)?, &target)
}

/// A recursive bind of a directory of the caller's.
fn lend(path: &str, attributes: u64) -> rustix::io::Result<OwnedFd> {
    let mount = rustix::mount::open_tree(CWD, path, CLONE | OpenTreeFlags::AT_RECURSIVE)?;
    sys::set_mount_attributes(mount.as_fd(), Scope::Tree, attributes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    Ok(mount)
}

/// Makes one of the caller's mounts.
pub(crate) fn user(targets: &Targets<'_>, mount: &Mount) -> Result<(), Failure> {
    let (made, kind) = match &mount.kind {
        MountKind::Bind { source, access, depth } => bind_source(source, *access, *depth)?,
        MountKind::Tmpfs { size, mode } => (tmpfs(*size, *mode), Kind::Directory),
    };
    let failed = |errno: Errno| Failure::setup(format!("mount on `{}`", mount.target), errno);
    let made = made.map_err(failed)?;
    let target = targets.open(&mount.target, kind)?;
    refuse_special(targets, &mount.target, &target)?;
    attach(&made, &target).map_err(failed)
}

fn tmpfs(size: Option<u64>, mode: u32) -> rustix::io::Result<OwnedFd> {
    let mode = format!("{mode:o}");
    let size = size.map(|size| size.to_string());
    let mut options = vec![("mode", mode.as_str())];
    options.extend(size.as_deref().map(|size| ("size", size)));
    filesystem("tmpfs", &options, SAFE.difference(MountAttrFlags::MOUNT_ATTR_NOEXEC))
}

type Source = (rustix::io::Result<OwnedFd>, Kind);

fn bind_source(source: &Path, access: Access, depth: Depth) -> Result<Source, Failure> {
    let failed = |error: std::io::Error| {
        Failure::setup(format!("mount source `{}`", source.display()), error)
    };
    let (tree, scope) = match (clone_source(source, depth), depth) {
        // In a user namespace a folder cannot be had without what the host has
        // mounted below it: that would show what these mounts hide.
        (Err(Errno::INVAL), Depth::Single) => (clone_source(source, Depth::Recursive), Scope::Tree),
        (tree, Depth::Single) => (tree, Scope::Mount),
        (tree, Depth::Recursive) => (tree, Scope::Tree),
    };
    let tree = tree.map_err(|errno| failed(errno.into()))?;
    let attributes = if access == Access::ReadOnly { sys::ATTR_RDONLY } else { 0 };
    sys::set_mount_attributes(tree.as_fd(), scope, attributes).map_err(failed)?;
    let stat = stat(&tree).map_err(|errno| failed(errno.into()))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok((Ok(tree), if directory { Kind::Directory } else { Kind::File }))
}

fn clone_source(source: &Path, depth: Depth) -> rustix::io::Result<OwnedFd> {
    let more = match depth {
        Depth::Single => OpenTreeFlags::empty(),
        Depth::Recursive => OpenTreeFlags::AT_RECURSIVE,
    };
    rustix::mount::open_tree(CWD, source, CLONE | more)
}

/// Refuses targets which would take away what the sandbox relies on: the root
/// itself, and anything in /proc (CVE-2019-16884).
pub(crate) fn refuse_special(
    targets: &Targets<'_>,
    path: &str,
    target: &OwnedFd,
) -> Result<(), Failure> {
    let check = || -> rustix::io::Result<Option<&str>> {
        let (found, root) = (stat(target)?, rustix::fs::fstat(targets.root)?);
        if (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino) {
            return Ok(Some("is the root directory"));
        }
        let filesystem = rustix::fs::fstatfs(target)?;
        Ok((magic(filesystem.f_type) == PROC_MAGIC).then_some("is inside of /proc"))
    };
    match check().map_err(|errno| failure(path, errno))? {
        None => Ok(()),
        Some(reason) => Err(Failure::Setup {
            step: format!("mount on `{path}`"),
            reason: format!("the target {reason}"),
        }),
    }
}

/// The field's type differs between architectures.
fn magic(kind: impl TryInto<u64>) -> u64 {
    kind.try_into().unwrap_or(0)
}
