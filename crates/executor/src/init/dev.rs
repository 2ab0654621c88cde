//! A minimal /dev, as docker has it.

use std::os::fd::OwnedFd;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mounts;
use super::mounts::attach;
use super::mounts::filesystem;
use super::target::Targets;
use super::target::stat;
use super::tty;
use crate::Process;
use crate::Sandbox;
use crate::wire::Failure;

/// Devices of every container: name, major and minor number.
const DEVICES: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Size of `/dev/shm` in bytes, unless another is asked for.
const SHM_SIZE: u64 = 64 << 20;

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;

/// Mounts /dev and what is in it; returns the process's side of a new terminal
/// if it wants one.
pub(crate) fn populate(
    targets: &Targets<'_>,
    sandbox: &Sandbox,
    process: &Process,
) -> Result<Option<OwnedFd>, Failure> {
    let failed = |errno: Errno| Failure::setup("mount `/dev`", errno);
    let target = targets.open_plain("dev")?;
    let dev =
        filesystem("tmpfs", &[("mode", "755"), ("size", "65536k")], NOSUID).map_err(failed)?;
    attach(&dev, &target).map_err(failed)?;
    devices(&dev)?;
    for (name, text) in LINKS {
        rustix::fs::symlinkat(*text, &dev, *name).map_err(failed)?;
    }
    let pts = terminals().map_err(|errno| Failure::setup("mount `/dev/pts`", errno))?;
    below(&dev, "pts", &pts)?;
    let size = sandbox.shm_size.filter(|&size| size > 0).unwrap_or(SHM_SIZE).to_string();
    let options = [("mode", "1777"), ("size", size.as_str())];
    let shm = filesystem("tmpfs", &options, NOSUID | NOEXEC | NODEV).map_err(failed)?;
    below(&dev, "shm", &shm)?;
    // POSIX queues are a kernel option.
    match filesystem("mqueue", &[], NOSUID | NOEXEC | NODEV) {
        Err(Errno::NODEV) => {}
        mqueue => below(&dev, "mqueue", &mqueue.map_err(failed)?)?,
    }
    let Some(size) = process.terminal else { return Ok(None) };
    let terminal = tty::create(&pts, size, targets.notes)?;
    console(&dev, &terminal).map_err(|errno| Failure::setup("mount `/dev/console`", errno))?;
    Ok(Some(terminal))
}

/// Mounts `mount` on a new directory of /dev.
fn below(dev: &OwnedFd, name: &str, mount: &OwnedFd) -> Result<(), Failure> {
    let make = || {
        rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        attach(mount, &rustix::fs::openat(dev, name, flags, Mode::empty())?)
    };
    make().map_err(|errno| Failure::setup(format!("mount `/dev/{name}`"), errno))
}

/// A devpts of the container's own. Group 5 is `tty` everywhere; a user
/// namespace need not have it.
fn terminals() -> rustix::io::Result<OwnedFd> {
    let options = [("mode", "0620"), ("ptmxmode", "0666"), ("gid", "5")];
    match filesystem("devpts", &options, NOSUID | NOEXEC) {
        Err(Errno::INVAL) => filesystem("devpts", &options[..2], NOSUID | NOEXEC),
        other => other,
    }
}

/// Makes the device nodes, or lends the caller's where nodes cannot be made,
/// as in every user namespace.
fn devices(dev: &OwnedFd) -> Result<(), Failure> {
    let mut lend = false;
    for (name, major, minor) in DEVICES {
        let failed = |errno: Errno| Failure::setup(format!("make `/dev/{name}`"), errno);
        if !lend {
            let number = rustix::fs::makedev(*major, *minor);
            let mode = Mode::from_raw_mode(0o666);
            match rustix::fs::mknodat(dev, *name, FileType::CharacterDevice, mode, number) {
                Err(Errno::PERM) => lend = true,
                other => other.map_err(failed)?,
            }
        }
        if lend {
            let device = host_device(name, *major, *minor).map_err(failed)?;
            on_file(dev, name, &device).map_err(failed)?;
        }
    }
    Ok(())
}

/// The mount of the caller's null device.
pub(crate) fn null_device() -> rustix::io::Result<OwnedFd> {
    host_device("null", 1, 3)
}

fn host_device(name: &str, major: u32, minor: u32) -> rustix::io::Result<OwnedFd> {
    let mount = mounts::clone_mount(CWD, &format!("/dev/{name}"))?;
    let found = stat(&mount)?;
    let device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    if device && found.st_rdev == rustix::fs::makedev(major, minor) {
        Ok(mount)
    } else {
        Err(Errno::NXIO)
    }
}

/// Mounts `mount` on a new file of /dev.
fn on_file(dev: &OwnedFd, name: &str, mount: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::openat(dev, name, flags, Mode::from_raw_mode(0o666))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    attach(mount, &rustix::fs::openat(dev, name, flags, Mode::empty())?)
}

/// Shows the terminal as /dev/console, by descriptor: its path below /dev/pts is
/// of no use to anybody (CVE-2025-52565).
fn console(dev: &OwnedFd, terminal: &OwnedFd) -> rustix::io::Result<()> {
    on_file(dev, "console", &mounts::clone_mount(terminal, "")?)
}
