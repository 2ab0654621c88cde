//! Lent files and sockets, in a tmpfs of their own that no path leads to.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;
use rustix::mount::MoveMountFlags;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::identity::UNMAPPED;
use super::mounts;
use super::target::Kind;
use super::target::Targets;
use crate::Access;
use crate::LentFile;
use crate::LentSocket;
use crate::Sandbox;
use crate::channel::Channel;
use crate::sys;
use crate::sys::Scope;
use crate::wire::Failure;
use crate::wire::Note;

/// Connections that wait until they are accepted.
const BACKLOG: i32 = 16;
const EXECUTABLE: u32 = 0o111;
/// Permission bits without set-user-id and its like.
const ORDINARY: u32 = 0o777;

/// What a sandbox lends, made and not yet on its targets.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    sandbox: &'a Sandbox,
    holder: Option<OwnedFd>,
    /// Whether anything may be executed from the holder.
    executable: bool,
}

impl<'a> Lent<'a> {
    /// Makes files and sockets. The tmpfs is attached where the root file system
    /// will cover it, because the mount of a file can be cloned only out of an
    /// attached file system (before Linux 6.15).
    pub(crate) fn make(
        sandbox: &'a Sandbox,
        contents: &[Vec<u8>],
        notes: &Channel,
    ) -> Result<Self, Failure> {
        let executable = sandbox.files.iter().any(|file| file.mode & EXECUTABLE != 0);
        if sandbox.files.is_empty() && sandbox.sockets.is_empty() {
            return Ok(Self { sandbox, holder: None, executable });
        }
        let holder = holder(executable)
            .map_err(|errno| Failure::setup("make a file system for lent files", errno))?;
        for (index, (file, content)) in sandbox.files.iter().zip(contents).enumerate() {
            write(&holder, &file_name(index), file, content)?;
        }
        for (index, socket) in sandbox.sockets.iter().enumerate() {
            listen(&holder, &socket_name(index), socket, notes)?;
        }
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&holder, "", CWD, &sandbox.rootfs, flags)
            .map_err(|errno| Failure::setup("mount the lent files", errno))?;
        Ok(Self { sandbox, holder: Some(holder), executable })
    }

    /// Puts everything on its target, in order.
    pub(crate) fn bind(&self, targets: &Targets<'_>) -> Result<(), Failure> {
        let Some(holder) = &self.holder else { return Ok(()) };
        for (index, file) in self.sandbox.files.iter().enumerate() {
            put(targets, holder, &file_name(index), &file.target, self.attributes(file))?;
        }
        for (index, socket) in self.sandbox.sockets.iter().enumerate() {
            put(targets, holder, &socket_name(index), &socket.target, 0)?;
        }
        Ok(())
    }

    /// Returns what the mount of a file has to have more than the holder.
    fn attributes(&self, file: &LentFile) -> u64 {
        let executable = file.mode & EXECUTABLE != 0;
        let noexec = if self.executable && !executable { sys::ATTR_NOEXEC } else { 0 };
        let rdonly = if file.access == Access::ReadOnly { sys::ATTR_RDONLY } else { 0 };
        noexec | rdonly
    }
}

fn file_name(index: usize) -> String {
    format!("f{index}")
}

fn socket_name(index: usize) -> String {
    format!("s{index}")
}

fn holder(executable: bool) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", "tmpfs")?;
    rustix::mount::fsconfig_set_string(&context, "mode", "755")?;
    // Secrets should not reach a disk. The kernel knows this since 6.4, and
    // allows it to root of the machine only.
    let _swappable = rustix::mount::fsconfig_set_flag(&context, "noswap");
    rustix::mount::fsconfig_create(&context)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if !executable {
        attributes |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
    }
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn write(holder: &OwnedFd, name: &str, file: &LentFile, content: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::setup(format!("lend `{}`", file.target), error);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(file.mode & ORDINARY);
    let made =
        rustix::fs::openat(holder, name, flags, mode).map_err(|errno| failed(errno.into()))?;
    let mut made = std::fs::File::from(made);
    std::io::Write::write_all(&mut made, content).map_err(failed)?;
    give(holder, name, &file.target, file.owner)?;
    // The owner comes first: changing it takes special bits away.
    if file.mode & !ORDINARY == 0 {
        Ok(())
    } else {
        set_mode(holder, name, &file.target, file.mode)
    }
}

/// Makes a listening socket and hands it over.
fn listen(
    holder: &OwnedFd,
    name: &str,
    socket: &LentSocket,
    notes: &Channel,
) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::setup(format!("listen on `{}`", socket.target), error);
    let make = || -> std::io::Result<OwnedFd> {
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // There is no `bindat`: a name relative to the working directory is the
        // only one that leads to a file system without a path.
        rustix::process::fchdir(holder)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(name)?)?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    };
    let listener = make().map_err(failed)?;
    give(holder, name, &socket.target, socket.owner)?;
    set_mode(holder, name, &socket.target, socket.mode)?;
    notes.send(&Note::Listener, &[listener.as_fd()]).map_err(failed)
}

/// Makes somebody else than root the owner.
fn give(holder: &OwnedFd, name: &str, target: &str, owner: (u32, u32)) -> Result<(), Failure> {
    let (uid, gid) = owner;
    if owner == (0, 0) {
        return Ok(());
    }
    let ids = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(holder, name, ids.0, ids.1, AtFlags::empty()).map_err(|errno| {
        let step = format!("give `{target}` to {uid}:{gid}");
        if errno == Errno::INVAL {
            return Failure::Setup { step, reason: UNMAPPED.to_owned() };
        }
        Failure::setup(step, errno)
    })
}

fn set_mode(holder: &OwnedFd, name: &str, target: &str, mode: u32) -> Result<(), Failure> {
    let mode = Mode::from_raw_mode(mode & 0o7777);
    rustix::fs::chmodat(holder, name, mode, AtFlags::empty())
        .map_err(|errno| Failure::setup(format!("set the mode of `{target}`"), errno))
}

fn put(
    targets: &Targets<'_>,
    holder: &OwnedFd,
    name: &str,
    path: &str,
    attributes: u64,
) -> Result<(), Failure> {
    let failed = |error| Failure::setup(format!("mount on `{path}`"), error);
    let target = targets.open(path, Kind::File)?;
    mounts::refuse_special(targets, path, &target)?;
    let mount =
        mounts::clone_mount(holder, name).map_err(|errno| failed(std::io::Error::from(errno)))?;
    if attributes != 0 {
        sys::set_mount_attributes(mount.as_fd(), Scope::Mount, attributes).map_err(failed)?;
    }
    mounts::attach(&mount, &target).map_err(|errno| failed(errno.into()))
}
