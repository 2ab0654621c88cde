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
use crate::Security;
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
    let nodes = devices(&dev)?;
    if (nodes, sandbox.security) == (Nodes::Made, Security::Insecure) {
        privileged(&dev)?;
    }
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

/// Where the devices of a sandbox come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    Made,
    Lent,
}

/// Makes the device nodes, or lends the caller's where nodes cannot be made,
/// as in every user namespace.
fn devices(dev: &OwnedFd) -> Result<Nodes, Failure> {
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
    Ok(if lend { Nodes::Lent } else { Nodes::Made })
}

/// Devices of the host which an insecure process gets from root of the machine,
/// where the host has them: BuildKit's list. The loop devices come after.
const PRIVILEGED: &[&str] = &["kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control"];
/// How many loop devices there are beyond those that the host has already: one
/// that is freshly made by `loop-control` must have a node.
const MORE_LOOPS: u32 = 8;

fn privileged(dev: &OwnedFd) -> Result<(), Failure> {
    for name in PRIVILEGED {
        let failed = |errno: Errno| Failure::setup(format!("make `/dev/{name}`"), errno);
        let Some((kind, mode, number)) = host_node(name).map_err(failed)? else { continue };
        if let Some((directory, _)) = name.split_once('/') {
            rustix::fs::mkdirat(dev, directory, Mode::from_raw_mode(0o755)).map_err(failed)?;
        }
        rustix::fs::mknodat(dev, *name, kind, mode, number).map_err(failed)?;
    }
    loops(dev).map_err(|errno| Failure::setup("make `/dev/loop0`", errno))
}

fn loops(dev: &OwnedFd) -> rustix::io::Result<()> {
    if host_node("loop-control")?.is_none() {
        return Ok(());
    }
    let mut more = MORE_LOOPS;
    for index in 0.. {
        let name = format!("loop{index}");
        let mode = match host_node(&name)? {
            Some((_, mode, _)) => mode,
            None if more == 0 => return Ok(()),
            None => {
                more -= 1;
                Mode::from_raw_mode(0o660)
            }
        };
        rustix::fs::mknodat(dev, name, FileType::BlockDevice, mode, rustix::fs::makedev(7, index))?;
    }
    Ok(())
}

/// Returns kind, mode and number of a device of the host, if it is there.
fn host_node(name: &str) -> rustix::io::Result<Option<(FileType, Mode, u64)>> {
    match rustix::fs::lstat(format!("/dev/{name}")) {
        Ok(found) => {
            let kind = FileType::from_raw_mode(found.st_mode);
            let device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
            Ok(device.then(|| (kind, Mode::from_raw_mode(found.st_mode), found.st_rdev)))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
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
