//! Starting containers and processes in them, from the side of the command.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::Error;
use crate::Result;
use crate::SHIM_NAME;
use crate::console;
use crate::console::Outcome;
use crate::containers::Containers;
use crate::containers::StopOptions;
use crate::protocol::Attach;
use crate::protocol::Channel;
use crate::protocol::ExecRequest;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::record::ContainerId;
use crate::shim::TRUSTED_XATTRS;
use crate::shim::USER_XATTRS;
use crate::spec::BoundPort;
use crate::spec::StdinMode;
use crate::spec::Terminal;

/// Whether a command takes part in a container's streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Streams {
    /// The container runs in the background.
    #[default]
    Detached,
    /// Output comes here; input goes there when the container's is open.
    Attached,
}

/// Whether a command waits for the end of what it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detach {
    #[default]
    No,
    Yes,
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

/// A container that was started.
#[derive(Debug)]
pub struct Started {
    pub id: ContainerId,
    /// Published ports as they are bound.
    pub ports: Vec<BoundPort>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
    channel: Channel,
    shim: Child,
    terminal: Terminal,
    stdin: StdinMode,
}

impl Containers {
    /// Starts a container that does not run. Returns once its program runs; whatever fails
    /// before that is the error, and its [`Error::exit_code`] is docker's.
    pub fn start(&self, id: &ContainerId, streams: Streams) -> Result<Started> {
        let view = self.find(id.as_str())?;
        let process = &view.record.spec.process;
        let Some(lock) = (if view.is_running() { None } else { self.lock_stopped(id)? }) else {
            return Err(Error::AlreadyRunning(id.clone()));
        };
        let attach = match streams {
            Streams::Detached => None,
            Streams::Attached => {
                Some(Attach { stdin: process.stdin, size: console::size(process.terminal) })
            }
        };
        let (channel, shim) = self.start_shim(id, lock)?;
        channel.send_message(&Request::Start { attach }).map_err(Error::Channel)?;
        match channel.response() {
            Ok(Some((Response::Started { ports, warnings }, _))) => Ok(Started {
                id: id.clone(),
                ports,
                warnings,
                channel,
                shim,
                terminal: process.terminal,
                stdin: process.stdin,
            }),
            Ok(Some((Response::Failed { code, message }, _))) => {
                reap(shim);
                Err(Error::Start { code, message })
            }
            Ok(_) => {
                reap(shim);
                Err(Error::ShimLost(id.clone()))
            }
            Err(error) => Err(error),
        }
    }

    fn start_shim(&self, id: &ContainerId, lock: OwnedFd) -> Result<(Channel, Child)> {
        let (channel, theirs) = Channel::pair().map_err(Error::Channel)?;
        let program = "/proc/self/exe";
        let shim = Command::new(program)
            .arg0(SHIM_NAME)
            .arg("shim")
            .arg(self.store.directory())
            .args([id.as_str(), if self.userxattr { USER_XATTRS } else { TRUSTED_XATTRS }])
            .stdin(theirs.into_fd())
            .stdout(lock)
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()
            .map_err(|source| Error::Shim { path: program.into(), source })?;
        Ok((channel, shim))
    }

    /// Takes part in the streams of a running container until it ends; returns its exit code.
    pub fn attach(&self, id: &ContainerId) -> Result<i32> {
        let view = self.find(id.as_str())?;
        let process = &view.record.spec.process;
        let channel = self.connect(id)?.ok_or_else(|| Error::NotRunning(id.clone()))?;
        let attach = Attach { stdin: process.stdin, size: console::size(process.terminal) };
        channel.send_message(&Request::Attach(attach)).map_err(Error::Channel)?;
        self.follow(id, channel, process.terminal, process.stdin)
    }

    /// Takes part in the streams of a container that was just started with
    /// [`Streams::Attached`], until it ends; returns its exit code. Signals to this process go
    /// to the container.
    ///
    /// Must be called on the main thread, without other threads, as the last thing of a command:
    /// a thread that reads standard input is left behind.
    pub fn follow_started(&self, started: Started) -> Result<i32> {
        let Started { id, channel, shim, terminal, stdin, .. } = started;
        let code = self.follow(&id, channel, terminal, stdin);
        if matches!(code, Ok(code) if code != console::DETACHED) {
            reap(shim);
        }
        code.map(|code| if code == console::DETACHED { 0 } else { code })
    }

    fn follow(
        &self,
        id: &ContainerId,
        channel: Channel,
        terminal: Terminal,
        stdin: StdinMode,
    ) -> Result<i32> {
        let signal = |number| {
            // A container that has ended meanwhile needs no signal.
            let _ended = self.signal(id, number);
        };
        match console::attached(channel, terminal, stdin, &signal)? {
            Outcome::Exited(code) => Ok(code),
            Outcome::Detached => Ok(console::DETACHED),
            Outcome::Lost => self.last_exit_code(id),
        }
    }

    /// Stops a container if it runs and starts it.
    pub fn restart(&self, id: &ContainerId, options: &StopOptions) -> Result<Started> {
        self.stop(id, options)?;
        self.start(id, Streams::Detached)
    }

    /// Runs a command in a running container, on this process' standard streams, and returns its
    /// exit code: 0 for one that runs on in the background.
    pub fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<i32> {
        let channel = self.connect(id)?.ok_or_else(|| Error::NotRunning(id.clone()))?;
        let request = Request::Exec(ExecRequest {
            command: spec.command.clone(),
            env: spec.env.clone(),
            working_dir: spec.working_dir.clone(),
            user: spec.user.clone(),
            terminal: spec.terminal,
            size: console::size(spec.terminal),
        });
        send_exec(&channel, &request, spec)?;
        let console = match channel.response()? {
            Some((Response::ExecStarted, fds)) => fds.into_iter().next(),
            Some((Response::Failed { code, message }, _)) => {
                return Err(Error::Exec { code, message });
            }
            // The container ended at this moment.
            _ => return Err(Error::NotRunning(id.clone())),
        };
        if spec.detach == Detach::Yes {
            return Ok(0);
        }
        match console::exec(&channel, console.as_ref(), spec.stdin)? {
            Outcome::Exited(code) => Ok(code),
            // The container ended, and with it everything in it.
            Outcome::Detached | Outcome::Lost => Ok(137),
        }
    }
}

/// Sends the request with the streams that the process gets. Without a terminal they are this
/// process' own: nothing is copied on the way.
fn send_exec(channel: &Channel, request: &Request, spec: &ExecSpec) -> Result<()> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("open", "/dev/null".as_ref()))?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let own: [BorrowedFd<'_>; 3] = match (spec.detach, spec.stdin) {
        (Detach::Yes, _) => [null.as_fd(); 3],
        (Detach::No, StdinMode::Closed) => [null.as_fd(), stdout.as_fd(), stderr.as_fd()],
        (Detach::No, StdinMode::Open) => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
    };
    let streams: &[BorrowedFd<'_>] = match spec.terminal {
        Terminal::None => &own,
        Terminal::Allocate => &[],
    };
    channel.send_with(request, streams).map_err(Error::Channel)
}

/// Waits for a shim that has said its last word, so that its lock is free and no zombie stays.
fn reap(mut shim: Child) {
    // An error is a shim that somebody else has waited for.
    let _status = shim.wait();
}
