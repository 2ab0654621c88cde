//! Containers that outlive the command that started them.
//!
//! There is no daemon. Each running container is owned by a *shim*: a detached re-execution of
//! the program (`argv[0]` = `lathe-shim`), which holds the mount of the root file system and the
//! network namespace, writes the log, forwards the published ports, and answers on a socket in
//! the container's directory. The program must call [`shim_main`] first thing in `main`.
//!
//! ```text
//! lathe run ──create──► containers/<id>/{config,state}.json
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
#![forbid(unsafe_code)]

mod containers;
mod error;
mod record;
mod spec;

pub use containers::{
    AnonymousVolumes, ContainerView, Detach, ExecSpec, Force, STOP_TIMEOUT, StopOptions,
};
pub use error::{Error, Result};
pub use record::{AnonymousVolume, ContainerId, ContainerRecord, ContainerState, Status};
pub use spec::{
    Access, BoundPort, ContainerSpec, ExposedPort, ExtraHost, HostAddress, ImageSpec, Init,
    NetworkMode, NetworkSpec, PortMapping, ProcessSpec, Protocol, PublishAll, Removal, StdinMode,
    Terminal, VolumeSource, VolumeSpec,
};
