//! What can go wrong on the way into the namespaces, each with what the user can do about it.

use std::io;
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the namespaces could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `kernel.unprivileged_userns_clone` is 0 (a Debian and Arch patch of the kernel).
    #[error(
        "user namespaces are switched off for normal users on this machine; \
         as root run `sysctl kernel.unprivileged_userns_clone=1`, or run lathe as root"
    )]
    UsernsSwitchedOff,
    /// `AppArmor` restricts user namespaces (Ubuntu 23.10 and later).
    #[error(
        "AppArmor does not let this program use user namespaces; give it a profile with `userns,`, \
         or as root run `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run lathe as root"
    )]
    UsernsRestrictedByAppArmor,
    /// `user.max_user_namespaces` is 0 or used up.
    #[error(
        "no further user namespace is allowed on this machine (user.max_user_namespaces is {limit}); \
         as root run `sysctl user.max_user_namespaces=15000`, or run lathe as root"
    )]
    TooManyUserns {
        /// The limit as the kernel tells it.
        limit: u64,
    },
    /// `unshare(CLONE_NEWUSER)` was refused and no known switch explains it.
    #[error(
        "the kernel refuses a user namespace (inside a container, it needs \
         `--security-opt seccomp=unconfined` or `--privileged`)"
    )]
    UsernsRefused(#[source] io::Error),
    /// Root has no `CAP_SYS_ADMIN`, and a user namespace is not to be had either.
    #[error("root lacks CAP_SYS_ADMIN here, and a user namespace cannot be made instead")]
    RootWithoutSysAdmin(#[source] Box<Self>),
    /// The process has more than one thread.
    #[error("a user namespace can only be entered while the process has one thread")]
    NotSingleThreaded,
    /// A kernel call failed.
    #[error("{call}")]
    Kernel {
        /// The name of the call and what it was for.
        call: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The process whose namespaces should be joined is gone or not ours.
    #[error("join the namespaces of process {pid}")]
    Join {
        /// Its process id.
        pid: i32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn kernel(call: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Kernel { call, source: source.into() }
    }
}
