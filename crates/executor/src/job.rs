//! What to run and where: the values which callers fill in.
//!
//! They are plain values, so that a caller may build them in any order and a
//! test may compare them; whatever is illegal is found when the sandbox is
//! made, with the name of the part that is wrong. They double as the form in
//! which a job crosses to the init stage, hence `Serialize`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::LentFile;
use crate::LentSocket;

/// Where a process runs: a root file system and what is lent to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// An already mounted (or plain) directory which becomes `/`. One sandbox at
    /// a time: the mount points that one makes in it and removes after would be
    /// taken from under another.
    pub rootfs: PathBuf,
    /// Whether `/` itself can be written; mounts inside have their own say.
    pub rootfs_access: Access,
    /// Mounts below the root, in the order in which they are to be made.
    pub mounts: Vec<Mount>,
    /// The name in the new UTS namespace, of at most 64 bytes; the host's when
    /// `None`.
    pub hostname: Option<String>,
    /// Which network the process sees.
    pub network: Network,
    /// Files lent to the process, put on their targets after the mounts.
    pub files: Vec<LentFile>,
    /// Sockets lent to the process, put on their targets after the files.
    pub sockets: Vec<LentSocket>,
    /// Size of `/dev/shm` in bytes; docker's 64 MiB when `None` or 0.
    pub shm_size: Option<u64>,
    /// The user namespace in which the process runs, for instance
    /// `/proc/PID/ns/user`; the caller's when `None`. Everything else of the
    /// sandbox is made by the caller and stays its: a process in a namespace
    /// below has no power over mounts, network and devices.
    pub user_namespace: Option<PathBuf>,
    /// Directories of control groups to run in, from
    /// [`ControlGroup`](crate::ControlGroup); none for the caller's. They are
    /// removed when the process has ended.
    pub cgroups: Vec<PathBuf>,
    /// How far the process is held back.
    pub security: Security,
    /// Who is process 1.
    pub init: Init,
    /// What happens to the process when the one who spawned it dies.
    pub lifetime: Lifetime,
}

impl Sandbox {
    /// Returns a sandbox around `rootfs` as docker makes one by default:
    /// writable, with the host's network and nothing lent.
    pub fn new(rootfs: impl Into<PathBuf>) -> Self {
        Self {
            rootfs: rootfs.into(),
            rootfs_access: Access::ReadWrite,
            mounts: Vec::new(),
            hostname: None,
            network: Network::Host,
            files: Vec::new(),
            sockets: Vec::new(),
            shm_size: None,
            user_namespace: None,
            cgroups: Vec::new(),
            security: Security::Default,
            init: Init::Process,
            lifetime: Lifetime::OfParent,
        }
    }
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    ReadWrite,
    ReadOnly,
}

/// One mount inside the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path inside the root; symlinks in it are followed inside the root. It
    /// is made when it does not exist, and removed again after the run.
    pub target: String,
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the caller's mount namespace.
    Bind { source: PathBuf, access: Access, depth: Depth },
    /// A new tmpfs; `size` in bytes, the kernel's default when `None`; `mode`
    /// are the permission bits of its root directory.
    Tmpfs { size: Option<u64>, mode: u32 },
}

/// Whether mounts below a bind source come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// They do not, unless the kernel insists: in a user namespace it does for
    /// mounts that were made outside of it.
    Single,
    Recursive,
}

/// Which network a process sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The network of the caller.
    Host,
    /// A new network namespace in which only the loopback device is up.
    None,
    /// The network namespace behind this path, for instance
    /// `/proc/PID/ns/net` or a bind-mounted namespace file.
    Join(PathBuf),
}

/// How far a process is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// Docker's default capabilities, seccomp profile, masked and read-only
    /// paths.
    Default,
    /// All capabilities of the caller, for other users than root as well, no
    /// seccomp filter, nothing masked; from root of the machine also some
    /// devices of the host (loop, fuse, kvm, tun, kmsg).
    Insecure,
}

/// Who is process 1 of the new pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Init {
    /// The process itself, as docker has it.
    Process,
    /// A tiny init which forwards signals and reaps (`docker run --init`).
    Reaper,
}

/// What happens to a process when the one who spawned it dies, or drops its
/// [`Running`](crate::Running).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// It is killed, with everything it started.
    OfParent,
    /// It goes on.
    Own,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The program, found through `PATH` of `env` unless it has a slash, and
    /// its arguments.
    pub args: Vec<String>,
    /// `NAME=value`, complete: nothing of the caller's environment is added.
    pub env: Vec<String>,
    /// The working directory inside the root; it must exist.
    pub cwd: String,
    pub user: UserIds,
    /// A pseudo terminal in place of the three standard streams.
    pub terminal: Option<TerminalSize>,
    /// Limits to set. One that the caller may not give, because it is above the
    /// caller's own hard limit, is cut to that.
    pub rlimits: Vec<Rlimit>,
}

impl Process {
    /// Returns a process as root in `/`, without environment or terminal.
    pub fn new<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: UserIds::default(),
            terminal: None,
            rlimits: Vec::new(),
        }
    }
}

/// Numeric identity of a process. The default is root without further groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub additional: Vec<u32>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// One resource limit (`setrlimit(2)`), in the unit of its resource. Read from
/// docker's `NAME=SOFT[:HARD]` by `parse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    pub resource: Resource,
    /// [`UNLIMITED`](crate::UNLIMITED) for no limit.
    pub soft: u64,
    pub hard: u64,
}

/// A limited resource, by docker's `--ulimit` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// The standard streams of a process. With a terminal they are ignored.
#[derive(Debug)]
pub struct Stdio {
    pub stdin: Stdin,
    pub stdout: Output,
    pub stderr: Output,
}

impl Stdio {
    /// Returns the caller's own three streams.
    pub fn inherit() -> Self {
        Self { stdin: Stdin::Inherit, stdout: Output::Inherit, stderr: Output::Inherit }
    }
}

/// Where a process reads from.
#[derive(Debug)]
pub enum Stdin {
    Null,
    Inherit,
    Fd(OwnedFd),
}

/// Where a process writes to.
#[derive(Debug)]
pub enum Output {
    Null,
    Inherit,
    Fd(OwnedFd),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code as a shell shows it: 128 + n after signal n.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Returns whether the process ended by itself with code 0.
    pub fn success(self) -> bool {
        self.code == 0
    }
}
