//! A new container: from fresh namespaces to a process that stands in `/` of
//! the root file system.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use nix::sched::CloneFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::mount::MoveMountFlags;
use rustix::mount::OpenTreeFlags;
use rustix::mount::UnmountFlags;
use rustix::thread::LinkNameSpaceType;

use super::dev;
use super::lend::Lent;
use super::mask;
use super::mounts;
use super::target::Targets;
use crate::Access;
use crate::Network;
use crate::Process;
use crate::Sandbox;
use crate::Security;
use crate::cgroup;
use crate::channel::Channel;
use crate::net;
use crate::sys;
use crate::sys::Scope;
use crate::wire::Failure;

/// Prepares everything that is not of the process itself; `contents` are those
/// of the lent files. Returns its side of the terminal, when it gets one.
pub(crate) fn prepare(
    sandbox: &Sandbox,
    process: &Process,
    contents: &[Vec<u8>],
    namespace: Option<OwnedFd>,
    notes: &Channel,
) -> Result<Option<OwnedFd>, Failure> {
    // Modes are given exactly; the process gets docker's mask at its end.
    rustix::process::umask(Mode::empty());
    // A session of its own, so that the container has no controlling terminal
    // of the caller's to push characters into.
    rustix::process::setsid().map_err(|errno| Failure::setup("start a session", errno))?;
    join_groups(sandbox)?;
    join_network(sandbox, namespace)?;
    if let Some(name) = &sandbox.hostname {
        rustix::system::sethostname(name.as_bytes())
            .map_err(|errno| Failure::setup(format!("set the host name `{name}`"), errno))?;
    }
    let propagation = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", propagation)
        .map_err(|errno| Failure::setup("make the mounts private", errno))?;
    let mut root = clone_root(sandbox)?;
    let lent = Lent::make(sandbox, contents, notes)?;
    attach_root(sandbox, &root)?;
    let targets = Targets { root: root.as_fd(), notes };
    mounts::proc(&targets)?;
    let terminal = dev::populate(&targets, sandbox, process)?;
    mounts::sys(&targets, sandbox.security)?;
    for mount in &sandbox.mounts {
        mounts::user(&targets, mount)?;
    }
    lent.bind(&targets)?;
    if sandbox.security == Security::Default {
        mask::apply(&targets)?;
    }
    if sandbox.rootfs_access == Access::ReadOnly {
        root = cover_read_only(&root)
            .map_err(|error| Failure::setup("make the root read-only", error))?;
    }
    pivot(&root)?;
    Ok(terminal)
}

fn join_groups(sandbox: &Sandbox) -> Result<(), Failure> {
    if sandbox.cgroups.is_empty() {
        return Ok(());
    }
    let failed = |error| Failure::setup("join the control group", error);
    cgroup::join(&sandbox.cgroups).map_err(failed)?;
    nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).map_err(|errno| failed(errno.into()))
}

fn join_network(sandbox: &Sandbox, namespace: Option<OwnedFd>) -> Result<(), Failure> {
    match (&sandbox.network, namespace) {
        (Network::None, _) => {
            net::loopback_up().map_err(|error| Failure::setup("set the loopback device up", error))
        }
        (Network::Join(path), Some(namespace)) => {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).map_err(|errno| {
                Failure::setup(format!("join the network namespace `{}`", path.display()), errno)
            })
        }
        (Network::Join(_) | Network::Host, _) => Ok(()),
    }
}

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

/// Returns a mount of the root file system of our own, attached nowhere yet.
fn clone_root(sandbox: &Sandbox) -> Result<OwnedFd, Failure> {
    rustix::mount::open_tree(CWD, &sandbox.rootfs, CLONE)
        .map_err(|errno| root_failure(sandbox, errno))
}

/// Mounts the root file system over itself: `pivot_root` wants a mount point.
fn attach_root(sandbox: &Sandbox, root: &OwnedFd) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(root, "", CWD, &sandbox.rootfs, flags)
        .map_err(|errno| root_failure(sandbox, errno))
}

fn root_failure(sandbox: &Sandbox, errno: Errno) -> Failure {
    Failure::setup(format!("root file system `{}`", sandbox.rootfs.display()), errno)
}

/// Covers the prepared root with a read-only copy of its mounts. The one below
/// stays writable, for the removal of the stubs; only the init stage's
/// descriptors lead there.
fn cover_read_only(root: &OwnedFd) -> std::io::Result<OwnedFd> {
    let flags = CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH;
    let cover = rustix::mount::open_tree(root, "", flags)?;
    sys::set_mount_attributes(cover.as_fd(), Scope::Mount, sys::ATTR_RDONLY)?;
    mounts::attach(&cover, root)?;
    Ok(cover)
}

/// Makes `root` the root directory and lets go of the old one.
fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::setup("change the root directory", errno);
    rustix::process::fchdir(root).map_err(failed)?;
    // The old root ends up on top of the new one, where it is taken off at
    // once (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".").map_err(failed)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}
