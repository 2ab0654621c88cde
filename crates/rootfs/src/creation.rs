//! What the kernel gives a new file by itself, so that only the difference has to be set.
//!
//! A new file belongs to the effective user and group and has the requested mode without the
//! umask. Two properties of the directory change that: its set-group-id bit hands down the group,
//! and a default ACL replaces the umask. Asking for both once per directory saves a `fchown` and
//! a `fchmod` per file.

use crate::dir::Dir;
use crate::dir::raw_owner;
use crate::error::Result;
use lathe_tree::Owner;
use rustix::fd::AsFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use std::io;

/// Directory in which files are made.
#[derive(Debug)]
pub struct Target {
    dir: Dir,
    /// Whether new files get the process's defaults: no set-group-id bit, no default ACL.
    plain: bool,
}

impl Target {
    /// Looks at what the directory hands down to new files.
    pub fn new(dir: Dir) -> Result<Self> {
        let set_group_id = dir.metadata()?.mode & 0o2000 != 0;
        let has_default_acl = || {
            let mut no_value = [0_u8; 0];
            let name = "system.posix_acl_default";
            let acl = rustix::fs::fgetxattr(dir.as_fd(), name, &mut no_value[..]);
            !matches!(acl, Err(Errno::NODATA | Errno::OPNOTSUPP))
        };
        let plain = !set_group_id && !has_default_acl();
        Ok(Self { dir, plain })
    }

    /// As [`Target::new`] for a directory that was just made in this one, with no special bits:
    /// what it hands down it has inherited.
    pub(crate) fn made_below(&self, dir: Dir) -> Result<Self> {
        if self.plain { Ok(Self { dir, plain: true }) } else { Self::new(dir) }
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns whether a file made here belongs to `owner` at once.
    pub fn makes_owner(&self, creation: &Creation, owner: Owner) -> bool {
        self.plain && owner == creation.owner
    }
}

/// Defaults of the process. Whoever changes the umask afterwards gets wrong modes.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    owner: Owner,
    /// `None` when it cannot be found out; then every mode is set.
    umask: Option<u32>,
}

impl Default for Creation {
    fn default() -> Self {
        Self::new()
    }
}

impl Creation {
    /// Asks for the effective ids and the umask.
    pub fn new() -> Self {
        let owner = Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        Self { owner, umask: read_umask() }
    }

    /// Returns the owner of new files.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Sets owner and mode of an open file or directory that was made in `target` with the mode
    /// `made`, or had been there (`None`).
    ///
    /// The error is EINVAL when the user namespace does not map the owner.
    pub fn finish(
        &self,
        file: impl AsFd,
        target: &Target,
        made: Option<u32>,
        owner: Owner,
        mode: u32,
    ) -> io::Result<()> {
        let owner_is_right = made.is_some() && target.makes_owner(self, owner);
        if !owner_is_right {
            let (uid, gid) = raw_owner(owner);
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        let has = match (made, self.umask) {
            (Some(made), Some(umask)) if target.plain => Some(made & 0o777 & !umask),
            _ => None,
        };
        if has != Some(mode) {
            // After the owner: changing that clears the set-id bits.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
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
