//! Counting the system calls of a command and all its children.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::sh::Cmd;

/// System calls that cost alike and are counted as one.
///
/// What is left out depends on chance: what waits, what the allocator and the threads do, and reads and writes of
/// pipes, whose pieces depend on who comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Asking for a file's attributes, or for the names in a folder.
    Look,
    Open,
    /// Making, removing, renaming, and setting attributes.
    Change,
    /// Reading and writing at a place, as databases do, and copies in the kernel.
    Data,
    Lock,
    Mount,
    /// Programs that are started.
    Program,
    /// What a process does to itself on its way into a sandbox.
    Setup,
}

impl Class {
    pub(super) const ALL: [Self; 8] = [
        Self::Look,
        Self::Open,
        Self::Change,
        Self::Data,
        Self::Lock,
        Self::Mount,
        Self::Program,
        Self::Setup,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Open => "open",
            Self::Change => "change",
            Self::Data => "data",
            Self::Lock => "lock",
            Self::Mount => "mount",
            Self::Program => "program",
            Self::Setup => "setup",
        }
    }

    /// Returns the calls, with blanks between them.
    fn calls(self) -> &'static str {
        match self {
            Self::Look => {
                "stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat \
                 getdents64 getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr"
            }
            Self::Open => "open openat openat2 creat",
            Self::Change => {
                "mkdir mkdirat rmdir mknod mknodat link linkat symlink symlinkat unlink unlinkat rename renameat \
                 renameat2 chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utimensat truncate ftruncate \
                 setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr"
            }
            Self::Data => {
                "pread64 pwrite64 preadv pwritev copy_file_range sendfile splice fsync fdatasync syncfs"
            }
            Self::Lock => "flock fcntl",
            Self::Mount => {
                "mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr pivot_root unshare \
                 setns"
            }
            Self::Program => "execve execveat",
            Self::Setup => {
                "rt_sigaction prctl prlimit64 setuid setgid setresuid setresgid setgroups capset seccomp chdir fchdir \
                 chroot setsid sethostname"
            }
        }
    }

    /// Returns the class of a call as `strace` writes it: `openat(AT_FDCWD, …`.
    fn of(call: &str) -> Option<Self> {
        let (name, arguments) = call.split_once('(')?;
        let class =
            Self::ALL.into_iter().find(|class| class.calls().split(' ').any(|one| one == name))?;
        // Programs that are not optimized ask whether descriptors are open before they close them.
        let is_lock = name != "fcntl" || arguments.contains("LK");
        is_lock.then_some(class)
    }
}

/// How many calls of each class there were.
pub(super) type Counts = BTreeMap<Class, f64>;

/// Runs a command and counts its calls; `log` is a file for them.
pub(super) fn count(command: &Cmd, log: &Path) -> Result<Counts> {
    let file = log.display().to_string();
    let mut strace = vec!["-f", "-qq", "-s", "0", "-e", "signal=none", "-o", &file];
    // Cargo leads the loader of programs to folders of its own, in which it looks for each library.
    strace.extend(["-E", "LD_LIBRARY_PATH"]);
    command.clone().below("strace", strace).run()?;
    let text = fs::read(log).with_context(|| format!("read {}", log.display()))?;
    Ok(read(&String::from_utf8_lossy(&text)))
}

/// Reads lines of `strace -f`: a process id and a call. The second half of one that was interrupted by another
/// process' is no further call.
fn read(text: &str) -> Counts {
    let mut counts: Counts = Class::ALL.into_iter().map(|class| (class, 0.0)).collect();
    for line in text.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if let Some(class) = Class::of(call) {
            *counts.entry(class).or_default() += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_by_class() {
        let text = "12 statx(3, \"\"..., AT_STATX_SYNC_AS_STAT) = 0\n\
                    12    openat2(4, \"\"..., {flags=O_RDONLY} <unfinished ...>\n\
                    345 newfstatat(AT_FDCWD, \"\"..., {}, 0) = -1 ENOENT (No such file or directory)\n\
                    12 <... openat2 resumed>, 24) = 5\n345 fcntl(3, F_GETFD) = 1\n\
                    345 fcntl(3, F_SETLK, {}) = 0\n12 futex(0x1, FUTEX_WAIT) = 0\n12 +++ exited with 0 +++\n";
        let counts = read(text);
        let found = [Class::Look, Class::Open, Class::Lock].map(|class| counts[&class].to_bits());
        assert_eq!(found, [2.0_f64, 1.0, 1.0].map(f64::to_bits));
    }

    #[test]
    fn each_call_has_one_class() {
        let mut all: Vec<&str> =
            Class::ALL.iter().flat_map(|class| class.calls().split(' ')).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
