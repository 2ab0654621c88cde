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

/// A folder that goes with its value.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    /// What the folder's file system is, for the report.
    pub(super) kind: &'static str,
}

impl Place {
    /// Makes a folder on a tmpfs that has room for all, else one for temporary files.
    pub(super) fn make() -> Result<Self> {
        let (base, kind) = if has_room(Path::new(SHARED_MEMORY)) {
            (PathBuf::from(SHARED_MEMORY), "tmpfs")
        } else {
            (std::env::temp_dir(), "disk")
        };
        let folder = base.join(format!("lathe-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
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

/// Returns whether a file system is there, has room, and has the memory that this room would take.
fn has_room(folder: &Path) -> bool {
    let free = |state: StatVfs| state.f_bavail * state.f_frsize;
    statvfs(folder).is_ok_and(|state| free(state) > ROOM)
        && available_memory().is_some_and(|bytes| bytes > ROOM + (2 << 30))
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
