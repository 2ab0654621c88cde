//! All containers of one store: what a command can ask of them.
//!
//! A command of a normal user lives in a user namespace of its own and can neither signal nor
//! join a container of an earlier command. So nothing here touches a running container but
//! through the socket of its shim, as root too: one way, tested once.

use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::Result;
use crate::record::ContainerId;
use crate::record::ContainerRecord;
use crate::record::ContainerState;
use crate::spec::ContainerSpec;
use crate::spec::StdinMode;
use crate::spec::Terminal;

/// A container as `ps` and `inspect` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    pub record: ContainerRecord,
    pub state: ContainerState,
}

/// How long a container may take to end by itself, by default.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How `stop` asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// Name or number of the signal; the container's own when `None`.
    pub signal: Option<String>,
    /// Time until it is killed; [`STOP_TIMEOUT`] when `None`.
    pub timeout: Option<Duration>,
}

/// Whether a running container is killed to be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Force {
    #[default]
    No,
    Yes,
}

/// Whether the anonymous volumes go with a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnonymousVolumes {
    #[default]
    Keep,
    Remove,
}

/// A command to run inside of a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    pub command: Vec<String>,
    /// `NAME=value`, on top of the container's.
    pub env: Vec<String>,
    /// The container's when `None`.
    pub working_dir: Option<String>,
    /// The container's when `None`.
    pub user: Option<String>,
    pub terminal: Terminal,
    pub stdin: StdinMode,
    pub detach: Detach,
}

/// Whether a command waits for the end of what it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detach {
    #[default]
    No,
    Yes,
}
