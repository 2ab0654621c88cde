//! Runs one process in a root file system, isolated.
//!
//! [`spawn`] re-executes the calling program as a single-threaded init stage
//! (`argv[0]` = `lathe-init`), which makes the namespaces, the mounts and the
//! identity of the process and then becomes it. The program must therefore
//! call [`init_main`] first thing in `main`.
//!
//! Around it: [`LentFile`] and [`LentSocket`] (secrets, scripts, the SSH agent),
//! [`ControlGroup`] (limits), [`interpreter_for`] and [`Emulation`] (programs of
//! other architectures).
//!
//! Invariants:
//! - No path of the root file system is ever resolved outside of it.
//! - A process outlives neither its [`Running`] nor the caller, unless asked.
//! - Nothing that the sandbox makes in the root file system stays there.
//! - What is lent is in memory only, never in the root file system.
//! - No file descriptor and no environment variable of the caller reaches the
//!   process, other than the ones it was given.

mod caps;
mod cgroup;
mod channel;
mod emulation;
mod env;
mod error;
mod exe;
mod hosts;
mod init;
mod job;
mod lent;
mod net;
mod relay;
mod seccomp;
mod spawn;
mod sys;
mod ulimit;
pub mod user;
mod wire;

pub use cgroup::ControlGroup;
pub use cgroup::ResourceLimits;
pub use cgroup::Unavailable;
pub use emulation::Availability;
pub use emulation::Emulation;
pub use emulation::Registration;
pub use emulation::interpreter_for;
pub use env::DEFAULT_PATH;
pub use env::EnvDefaults;
pub use env::default_env;
pub use error::Error;
pub use error::Result;
pub use hosts::BUILD_HOSTNAME;
pub use hosts::build_hosts;
pub use init::init_main;
pub use job::Access;
pub use job::Depth;
pub use job::Exit;
pub use job::Init;
pub use job::Lifetime;
pub use job::Mount;
pub use job::MountKind;
pub use job::Network;
pub use job::Output;
pub use job::Process;
pub use job::Resource;
pub use job::Rlimit;
pub use job::Sandbox;
pub use job::Security;
pub use job::Stdin;
pub use job::Stdio;
pub use job::TerminalSize;
pub use job::UserIds;
pub use lent::LentFile;
pub use lent::LentSocket;
pub use lent::Traffic;
pub use net::NetworkNamespace;
pub use spawn::Running;
pub use spawn::exec_into;
pub use spawn::spawn;
pub use ulimit::UNLIMITED;
pub use ulimit::UlimitError;
