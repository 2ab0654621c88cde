//! What the kernel gives a new file by itself, so that only the difference has to be set.
//!
//! A new file belongs to the effective user and group and has the requested mode without the
//! umask. Two properties of the directory change that: its set-group-id bit hands down the group,
//! and a default ACL replaces the umask. Asking for both once per directory saves a `fchown` and
//! a `fchmod` per file.

use super::level::Target;
use crate::dir::raw_owner;
use lathe_tree::Owner;
use rustix::fd::BorrowedFd;
use rustix::fs::Mode;
use rustix::io::Errno;

/// Defaults of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Creation {
    pub(super) owner: Owner,
    /// `None` when it cannot be found out; then every mode is set.
    umask: Option<u32>,
}

impl Creation {
    pub(super) fn new() -> Self {
        let owner = Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        Self { owner, umask: read_umask() }
    }

    /// Sets owner and mode of an open file or directory that was made in `target` with the mode
    /// `made`, or had been there (`None`).
    pub(super) fn finish(
        &self,
        file: BorrowedFd<'_>,
        target: &Target,
        made: Option<u32>,
        owner: Owner,
        mode: u32,
    ) -> Result<(), Errno> {
        let owner_is_right = made.is_some() && target.makes_owner(self, owner);
        if !owner_is_right {
            let (uid, gid) = raw_owner(owner);
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        let has = match (made, self.umask) {
            (Some(made), Some(umask)) if target.plain => Some(made & 0o777 & !umask),
            _ => None,
        };
        if has != Some(mode) {
            // After the owner: changing that clears the set-id bits.
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }
}

/// Reads the umask without changing it, which would be seen by every thread (Linux 4.7).
fn read_umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}
