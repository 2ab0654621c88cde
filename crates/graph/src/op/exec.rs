//! Processes, and what they are lent.

use lathe_oci::Platform;

use super::{InputIndex, Parts};

/// Network of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the build was told.
    #[default]
    Default,
    /// Loopback alone.
    None,
    /// The host's.
    Host,
}

/// Confinement of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Default capabilities and seccomp profile.
    #[default]
    Sandbox,
    /// All privileges of the builder.
    Insecure,
}

/// Whether a build without something that a process asks for goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// The process runs without it.
    #[default]
    Optional,
    /// The step fails.
    Required,
}

/// A process in a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOp {
    /// The root file system; `None` for an empty one.
    pub root: Option<InputIndex>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`, in order of definition.
    pub env: Vec<String>,
    /// `NAME=value` of the predefined proxy arguments: given to the process, no part of the
    /// identity.
    pub proxy_env: Vec<String>,
    /// Secrets that the process finds in its environment.
    pub secret_env: Vec<SecretEnv>,
    /// Working directory.
    pub cwd: String,
    /// `USER` as it stands; resolved in the root file system.
    pub user: String,
    /// Name of the machine that the process sees; the builder's default where `None`.
    pub hostname: Option<String>,
    /// For which platform its programs are made.
    pub platform: Platform,
    /// `RUN --mount`.
    pub mounts: Vec<ExecMount>,
    /// `RUN --network`.
    pub network: Network,
    /// `RUN --security`.
    pub security: Security,
    /// `RUN --device`.
    pub devices: Vec<Device>,
}

/// A secret as a variable (`RUN --mount=type=secret,env=NAME`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEnv {
    /// Name of the variable.
    pub name: String,
    /// Which secret.
    pub id: String,
    /// What happens without it.
    pub need: Need,
}

/// A device by its CDI name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As `vendor.com/class=name`.
    pub name: String,
    /// What happens without it.
    pub need: Need,
}

/// A mount of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecMount {
    /// Absolute path in the root file system.
    pub target: String,
    /// What is mounted.
    pub kind: ExecMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecMountKind {
    /// Files of another vertex.
    Bind {
        /// Whose.
        input: InputIndex,
        /// Path in it.
        source: String,
        /// Whether the process may write; what it writes is thrown away.
        writable: bool,
    },
    /// A folder that outlives the build.
    Cache(Cache),
    /// An empty file system in memory.
    Tmpfs {
        /// Limit in bytes.
        size: Option<u64>,
    },
    /// A file with these bytes, for a `RUN` script with its own interpreter line.
    File {
        /// The bytes.
        content: String,
        /// Permission bits.
        mode: u32,
    },
    /// A file with the value of a secret, which is no part of the identity.
    Secret(Lent),
    /// A socket that leads to an agent with keys (`SSH_AUTH_SOCK`).
    Ssh(Lent),
}

/// A secret or an agent that a process is lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// Which one.
    pub id: String,
    /// Permission bits of the file or socket.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// What happens without it.
    pub need: Need,
}

/// How processes of several builds share a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheSharing {
    /// Several use it at once.
    #[default]
    Shared,
    /// One that finds it in use gets another one.
    Private,
    /// One that finds it in use waits.
    Locked,
}

/// A cache mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Which cache.
    pub id: String,
    /// Files that a new cache begins with.
    pub seed: Option<(InputIndex, String)>,
    /// Who uses it at once.
    pub sharing: CacheSharing,
    /// Whether the process may write.
    pub writable: bool,
    /// Permission bits of a new cache.
    pub mode: u32,
    /// Owner and group of a new cache.
    pub owner: (u32, u32),
}

impl ExecOp {
    pub(super) fn parts(&self, parts: &mut Parts) {
        parts.add("op", "exec");
        parts.add_debug("root", self.root);
        parts.add_debug("command", &self.args);
        for variable in &self.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            parts.add(format!("variable {name}"), value);
        }
        for secret in &self.secret_env {
            parts.add_debug(format!("secret variable {}", secret.name), (&secret.id, secret.need));
        }
        parts.add("working directory", &self.cwd);
        parts.add("user", &self.user);
        parts.add_debug("host name", &self.hostname);
        parts.add("platform", &self.platform);
        for mount in &self.mounts {
            parts.add_debug(format!("mount {}", mount.target), &mount.kind);
        }
        parts.add_debug("network", self.network);
        parts.add_debug("security", self.security);
        for device in &self.devices {
            parts.add_debug(format!("device {}", device.name), device.need);
        }
    }
}
