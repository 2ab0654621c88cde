//! Starting and watching a sandboxed process, from the caller's side.

use std::os::fd::OwnedFd;

use lathe_event::Cancel;

use crate::Error;
use crate::Exit;
use crate::Process;
use crate::Result;
use crate::Sandbox;
use crate::Security;
use crate::Stdio;

/// A process that was started. Dropping it kills the process, unless its
/// lifetime is its own.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    console: Option<OwnedFd>,
}

impl Running {
    /// Returns the process id of the container's process 1, as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Takes the master side of the terminal, when one was asked for.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Sends a signal to the process.
    pub fn kill(&self, _signal: i32) -> Result<()> {
        Err(Error::InitKilled)
    }

    /// Waits for the end; cancelling kills the process and everything it started.
    pub fn wait(self, _cancel: &Cancel) -> Result<Exit> {
        Err(Error::InitKilled)
    }
}

/// Starts `process` in `sandbox`; returns once the program has been executed.
pub fn spawn(_sandbox: &Sandbox, _process: &Process, _stdio: Stdio) -> Result<Running> {
    Err(Error::InitKilled)
}

/// Starts `process` beside the running process `pid`, in its namespaces.
pub fn exec_into(
    _pid: i32,
    _security: Security,
    _process: &Process,
    _stdio: Stdio,
) -> Result<Running> {
    Err(Error::InitKilled)
}

/// Runs the init stage when the program was started as one. Returns `None` in
/// every other case; otherwise the exit code which `main` has to end with.
pub fn init_main() -> Option<i32> {
    None
}
