//! Where the work lies: on a tmpfs if one has room, so that a disk has no say in what is measured.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{StatVfs, statvfs};

use crate::sh::{self, Cmd};

/// A tmpfs that every Linux machine has.
const SHARED_MEMORY: &str = "/dev/shm";

/// What the contexts and the stores of the tools take when most of them are there.
const ROOM: u64 = 9 << 30;

/// Memory that is left for the tools themselves.
const SPARE: u64 = 2 << 30;

/// A folder that goes with its value.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    /// What the folder's file system is, for the report.
    pub(super) kind: &'static str,
}

impl Place {
    /// Makes a folder on a tmpfs if there is memory for all of it, else one for temporary files.
    pub(super) fn make() -> Result<Self> {
        let name = format!("lathe-bench-{}", std::process::id());
        let has_memory = available_memory().is_some_and(|bytes| bytes > ROOM + SPARE);
        let shared = Path::new(SHARED_MEMORY);
        let is_shared = has_memory && has_room(shared);
        let folder = if is_shared { shared.join(&name) } else { std::env::temp_dir().join(&name) };
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        // Containers often have a small one only.
        let is_tmpfs = is_shared || has_memory && mount_tmpfs(&folder);
        let kind = if is_tmpfs { "tmpfs" } else { "disk" };
        println!("work and stores of the tools: {} ({kind})", folder.display());
        Ok(Self { folder, kind })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Returns whether a file system is there and has room.
fn has_room(folder: &Path) -> bool {
    let free = |state: StatVfs| state.f_bavail * state.f_frsize;
    statvfs(folder).is_ok_and(|state| free(state) > ROOM)
}

/// Mounts a tmpfs, which only root may; returns whether it is there.
fn mount_tmpfs(folder: &Path) -> bool {
    // Files of the largest context, twice.
    let size = format!("size={},nr_inodes=4m", 2 * ROOM);
    let mount = Cmd::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder);
    sh::is_root() && mount.succeeds()
}

/// Returns the bytes of memory that could be had, as the kernel guesses.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Removes what tools have left; some of them, and builds that failed, leave mounts, which would make `rm` fail.
pub(super) fn remove(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut points: Vec<&str> =
        points.filter(|point| Path::new(point).starts_with(folder)).collect();
    points.reverse();
    for point in points {
        // One that stays keeps its files, of which the removal below then tells.
        let _unmounted = Cmd::new("umount").arg(point).succeeds();
    }
    if folder.exists()
        && let Err(error) = fs::remove_dir_all(folder)
    {
        println!("{} is left: {error}", folder.display());
    }
}

/// Returns whether an own mount may be made, as the floors of builds need it.
pub(super) fn may_mount() -> bool {
    sh::is_root() && Cmd::new("unshare").args(["--mount", "true"]).succeeds()
}
