//! What a user asks of a container: plain values, filled from an image's config and flags.
//!
//! They are also part of a container's row in the store (hence `Serialize`), so that `start` runs
//! again what `create` was told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use lathe_store::SnapshotId;
use serde::Deserialize;
use serde::Serialize;

/// Everything that `create` needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The name asked for; one is made up when `None`.
    pub name: Option<String>,
    /// Which image the container is made of.
    pub image: ImageSpec,
    /// What runs inside.
    pub process: ProcessSpec,
    /// The host name inside; the short id when `None`.
    pub hostname: Option<String>,
    /// Network and ports.
    pub network: NetworkSpec,
    /// `-v` and `--mount`, in the order of the command line.
    pub volumes: Vec<VolumeSpec>,
    /// The image's VOLUMEs: each gets an anonymous volume unless `volumes` has its target.
    pub image_volumes: Vec<String>,
    /// Whether the root file system can be written.
    pub rootfs_access: Access,
    /// Who is process 1.
    pub init: Init,
    /// Whether the container goes when its process ends.
    pub removal: Removal,
    /// The signal that asks the process to end (`STOPSIGNAL`), a name or number; SIGTERM when
    /// `None`.
    pub stop_signal: Option<String>,
    /// The image's and the command line's labels.
    pub labels: BTreeMap<String, String>,
}

/// The image that a container is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// As the user named it.
    pub name: String,
    /// Digest of the image's config.
    pub id: String,
    /// The image's top snapshot; `None` for an image without layers.
    pub snapshot: Option<SnapshotId>,
}

/// The process of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// ENTRYPOINT or `--entrypoint`; may be empty.
    pub entrypoint: Vec<String>,
    /// CMD or the command line's arguments; may be empty.
    pub command: Vec<String>,
    /// `NAME=value`: the image's, then the user's. A later one replaces an earlier one; PATH,
    /// HOSTNAME, HOME and (with a terminal) TERM are added where missing.
    pub env: Vec<String>,
    /// Working directory, made when it does not exist; empty for `/`.
    pub working_dir: String,
    /// `name|uid[:group|gid]`; empty for root.
    pub user: String,
    /// Whether the process has a terminal (`-t`).
    pub terminal: Terminal,
    /// Whether its standard input stays open (`-i`).
    pub stdin: StdinMode,
}

/// Whether a process gets a pseudo terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Terminal {
    #[default]
    None,
    Allocate,
}

/// What a process reads from standard input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinMode {
    /// Nothing: `/dev/null`.
    #[default]
    Closed,
    /// What the attached client sends; its end is the end of the input.
    Open,
}

/// Whether something can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    #[default]
    ReadWrite,
    ReadOnly,
}

/// Who is process 1 of the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Init {
    /// The container's process.
    #[default]
    Process,
    /// A tiny init that reaps and forwards signals (`--init`).
    Reaper,
}

/// What happens to a container whose process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// It stays, and can be started again.
    #[default]
    Keep,
    /// It is removed with its anonymous volumes (`--rm`).
    OnExit,
}

/// Network of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub mode: NetworkMode,
    /// `-p`.
    pub publish: Vec<PortMapping>,
    /// Ports of the image and of `--expose`.
    pub exposed: Vec<ExposedPort>,
    /// `-P`: every exposed port gets a free port of the host.
    pub publish_all: PublishAll,
    /// `--add-host name:ip`, as lines of `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// `--dns`: name servers in place of the host's.
    pub dns: Vec<String>,
}

/// Which network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// A namespace of its own with a way out where the machine allows one.
    #[default]
    Private,
    /// The host's network.
    Host,
    /// A namespace of its own with the loopback device alone.
    None,
}

/// Whether all exposed ports are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishAll {
    #[default]
    No,
    Yes,
}

/// Transport protocol of a port.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

/// A port that the image listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    pub port: u16,
    pub protocol: Protocol,
}

/// One published port as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Address on the host; all of IPv4 and IPv6 when `None`.
    pub host_ip: Option<IpAddr>,
    /// Port on the host; a free one when `None`.
    pub host_port: Option<u16>,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// One published port as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    pub host_ip: IpAddr,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// A name given with `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    pub name: String,
    pub address: HostAddress,
}

/// What a name given with `--add-host` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAddress {
    Ip(IpAddr),
    /// `host-gateway`: the host as the container sees it.
    Gateway,
}

/// A mount that the user asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    pub source: VolumeSource,
    /// Absolute path inside.
    pub target: String,
    pub access: Access,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// An absolute path of the host; made as a directory when it does not exist.
    Host(PathBuf),
    /// A volume of the store, made on first use and filled with the image's content.
    Named(String),
    /// A volume that goes with the container.
    Anonymous,
    /// A memory file system.
    Tmpfs,
}
