//! Containers that outlive the command that started them.
//!
//! There is no daemon. Each running container is owned by a *shim*: a detached re-execution of
//! the program (`argv[0]` = `lathe-shim`), which holds the mount of the root file system and the
//! network namespace, writes the log, forwards the published ports, and answers on a socket in
//! the container's directory. The program must call [`shim_main`] first thing in `main`.
//!
//! ```text
//! lathe run ──create──► row in the index, containers/<id>/state.json
//!     │ start                                      ▲ writes
//!     └────► lathe-shim ──lathe_executor::spawn──► process 1
//!               ▲  shim.sock: attach, wait, kill, exec
//! lathe logs, stop, exec, …
//! ```
//!
//! Read first: [`ContainerSpec`], [`Containers`], then `shim.rs`.
//!
//! # Invariants
//! - INV-CONTAINER-1: a container runs exactly while its shim holds the lock in the container's
//!   directory; no decision is taken by a process id.
//! - INV-CONTAINER-2: two containers never have the same name: claiming a name is one atomic
//!   step in the file system.
//! - INV-CONTAINER-3: when the shim dies, however it dies, the container's processes, its
//!   network helper and its mounts go with it.
//! - INV-CONTAINER-4: a published port is bound before `start` returns.
#![deny(unsafe_code)]

mod console;
mod containers;
mod error;
mod files;
mod follow;
mod log;
mod name;
mod net;
pub mod parse;
mod protocol;
mod record;
mod run;
mod shim;
mod signal;
mod spec;
#[expect(unsafe_code, reason = "what safe wrappers do not offer")]
mod sys;
mod time;
mod volume;

pub use containers::{
    AnonymousVolumes, ContainerView, Containers, Force, STOP_TIMEOUT, StopOptions,
};
pub use error::{Error, Result};
pub use follow::Follow;
pub use log::{LogLine, LogStream};
pub use net::shared::{SharedNetwork, Unavailable, build_network};
pub use record::{AnonymousVolume, ContainerId, ContainerRecord, ContainerState, Status};
pub use run::{Detach, ExecSpec, Started, Streams};
pub use shim::shim_main;
pub use signal::parse_signal;
pub use spec::{
    Access, BoundPort, ContainerSpec, ExposedPort, ExtraHost, HostAddress, ImageSpec, Init,
    NetworkMode, NetworkSpec, PortMapping, ProcessSpec, Protocol, PublishAll, Removal, StdinMode,
    Terminal, VolumeSource, VolumeSpec,
};

/// `argv[0]` of a shim and of a guard; `main` recognizes them by it.
pub(crate) const SHIM_NAME: &str = "lathe-shim";
