//! Paths of /proc and /sys which docker hides or makes read-only.
//!
//! They tell about the host or change it, and the kernel does not divide them
//! by namespace. The lists are docker's defaults.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::mount::OpenTreeFlags;

use super::dev;
use super::mounts;
use super::target::Targets;
use super::target::stat;
use crate::sys;
use crate::sys::Scope;
use crate::wire::Failure;

const MASKED: &[&str] = &[
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

const READ_ONLY: &[&str] = &["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Hides and protects what exists of the two lists.
pub(crate) fn apply(targets: &Targets<'_>) -> Result<(), Failure> {
    let mut masks = Masks { targets, empty: None };
    for path in MASKED {
        masks.hide(path).map_err(|errno| Failure::setup(format!("mask `/{path}`"), errno))?;
    }
    masks
        .hide_throttling()
        .map_err(|errno| Failure::setup("mask `/sys/devices/system/cpu`", errno))?;
    for path in READ_ONLY {
        protect(targets, path)
            .map_err(|errno| Failure::setup(format!("make `/{path}` read-only"), errno))?;
    }
    Ok(())
}

struct Masks<'a> {
    targets: &'a Targets<'a>,
    /// An empty read-only directory, once one is attached somewhere.
    empty: Option<OwnedFd>,
}

impl Masks<'_> {
    /// Returns whether there was something to hide.
    fn hide(&mut self, path: &str) -> rustix::io::Result<bool> {
        let Some(target) = find(self.targets, path)? else { return Ok(false) };
        if FileType::from_raw_mode(stat(&target)?.st_mode) != FileType::Directory {
            // The null device comes from the caller's /dev and is checked to be
            // it (CVE-2025-31133).
            mounts::attach(&dev::null_device()?, &target)?;
            return Ok(true);
        }
        if let Some(empty) = &self.empty {
            mounts::attach(&mounts::clone_mount(empty, "")?, &target)?;
        } else {
            let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
                | MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let empty = mounts::filesystem("tmpfs", &[("mode", "755")], attributes)?;
            mounts::attach(&empty, &target)?;
            self.empty = Some(empty);
        }
        Ok(true)
    }

    /// Hides the throttle counters of every processor that has them: their
    /// timing tells what other containers do.
    fn hide_throttling(&mut self) -> rustix::io::Result<()> {
        let mut cpu = 0;
        while self.hide(&format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle"))? {
            cpu += 1;
        }
        Ok(())
    }
}

fn protect(targets: &Targets<'_>, path: &str) -> rustix::io::Result<()> {
    let Some(target) = find(targets, path)? else { return Ok(()) };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let mount = rustix::mount::open_tree(&target, "", flags)?;
    let attributes = sys::ATTR_RDONLY | sys::ATTR_NOSUID | sys::ATTR_NODEV | sys::ATTR_NOEXEC;
    sys::set_mount_attributes(mount.as_fd(), Scope::Tree, attributes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    mounts::attach(&mount, &target)
}

fn find(targets: &Targets<'_>, path: &str) -> rustix::io::Result<Option<OwnedFd>> {
    match targets.existing(path, ResolveFlags::NO_SYMLINKS) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}
