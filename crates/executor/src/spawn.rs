//! Starting and watching a sandboxed process, from the caller's side.
//!
//! The caller may have any number of threads, so it never forks by itself: it
//! spawns its own program again (`posix_spawn`), single-threaded, with an empty
//! environment and one socket as standard input. Job and descriptors go through
//! that socket, never as inheritable descriptors, which another thread's child
//! could catch.

mod check;
mod streams;

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio as ChildStdio;
use std::sync::Arc;

use lathe_event::Cancel;
use rustix::process::PidfdFlags;
use rustix::thread::ThreadNameSpaceType;

use crate::Error;
use crate::Exit;
use crate::Lifetime;
use crate::Network;
use crate::Process;
use crate::Result;
use crate::Sandbox;
use crate::Security;
use crate::Stdio;
use crate::channel::Channel;
use crate::exe;
use crate::relay::Relay;
use crate::relay::Route;
use crate::seccomp;
use crate::sys;
use crate::wire;
use crate::wire::Job;
use crate::wire::Join;
use crate::wire::Proc;
use crate::wire::Report;
use crate::wire::Task;

/// What the init stage is called; `main` recognizes it by this name.
pub(crate) const INIT_NAME: &str = "lathe-init";

/// A process that was started. Dropping it kills the process and waits until it
/// is gone, unless its lifetime is its own.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    pidfd: Arc<OwnedFd>,
    console: Option<OwnedFd>,
    proc: Proc,
    stage: Stage,
    /// Ends after the stage and with it the process.
    relay: Option<Relay>,
}

impl Running {
    /// Returns the id of the process as the caller sees it. For a spawned one
    /// it is process 1 of the container.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns a pidfd of the process, for `poll(2)` and signals.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Returns whether the container sees the caller's /proc with all of its
    /// processes, because the kernel allowed no new one: so it is inside of
    /// another container that masks parts of /proc. Worth a note to the user.
    pub fn shares_proc(&self) -> bool {
        self.proc == Proc::Callers
    }

    /// Takes the master side of the terminal, when one was asked for.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Sends a signal, by its number, to the process. A process that has ended
    /// already is no error.
    pub fn kill(&self, signal: i32) -> Result<()> {
        sys::send_signal(self.pidfd.as_fd(), signal).map_err(|source| Error::Signal {
            pid: self.pid,
            signal,
            source,
        })
    }

    /// Waits for the end. Cancelling kills the process, and with process 1
    /// everything in its pid namespace; the result is then the exit by SIGKILL.
    pub fn wait(mut self, cancel: &Cancel) -> Result<Exit> {
        let target = Arc::clone(&self.pidfd);
        let guard = cancel.on_cancel(move || {
            // A process that is gone already needs no killing.
            let _gone = sys::send_signal(target.as_fd(), libc::SIGKILL);
        });
        let report = self.stage.receive()?;
        drop(guard);
        self.stage.reap();
        match report {
            Some((Report::Exited(exit), _)) => Ok(exit),
            Some((Report::Failed(failure), _)) => Err(failure.into()),
            _ => Err(Error::InitKilled),
        }
    }
}

/// Starts `process` in `sandbox`; returns once the program has been executed.
///
/// The calling process must be root in its user namespace and have a mount
/// namespace of its own.
pub fn spawn(sandbox: &Sandbox, process: &Process, stdio: Stdio) -> Result<Running> {
    check::sandbox(sandbox)?;
    let mut fds = streams::open(stdio)?;
    if let Network::Join(path) = &sandbox.network {
        let namespace =
            File::open(path).map_err(|source| Error::Namespace { path: path.clone(), source })?;
        fds.push(namespace.into());
    }
    if let Some(path) = &sandbox.user_namespace {
        let namespace =
            File::open(path).map_err(|source| Error::Namespace { path: path.clone(), source })?;
        fds.push(namespace.into());
    }
    let contents: Vec<&[u8]> = sandbox.files.iter().map(|file| file.content.as_slice()).collect();
    let task = Task::Create(Cow::Borrowed(sandbox));
    let (mut running, listeners) = start(task, process, sandbox.security, &contents, fds)?;
    if !sandbox.sockets.is_empty() {
        let routes = sandbox.sockets.iter().zip(listeners).map(|(socket, listener)| Route {
            listener,
            upstream: socket.upstream.clone(),
            traffic: socket.traffic,
        });
        running.relay = Some(Relay::start(routes.collect()).map_err(Error::Relay)?);
    }
    Ok(running)
}

/// Starts `process` beside the running process `pid`, in all of its namespaces,
/// held back as `security` says.
///
/// When `pid` lives in another user namespace than the caller, the caller must
/// be in the parent of that namespace and have made it: call this before
/// entering a user namespace of one's own.
pub fn exec_into(pid: i32, security: Security, process: &Process, stdio: Stdio) -> Result<Running> {
    let namespace_error = |source| Error::Namespace { path: format!("/proc/{pid}").into(), source };
    let target = rustix::process::Pid::from_raw(pid)
        .ok_or_else(|| namespace_error(io::Error::from_raw_os_error(libc::ESRCH)))?;
    let pidfd = rustix::process::pidfd_open(target, PidfdFlags::empty())
        .map_err(|errno| namespace_error(errno.into()))?;
    let namespaces = foreign_namespaces(pid).map_err(namespace_error)?.bits();
    let mut fds = streams::open(stdio)?;
    fds.push(pidfd);
    let task = Task::Join(Join { namespaces });
    start(task, process, security, &[], fds).map(|(running, _)| running)
}

/// Returns the namespaces of a process in which the caller is not.
fn foreign_namespaces(pid: i32) -> io::Result<ThreadNameSpaceType> {
    let kinds = [
        ("user", ThreadNameSpaceType::USER),
        ("mnt", ThreadNameSpaceType::MOUNT),
        ("pid", ThreadNameSpaceType::PROCESS_ID),
        ("net", ThreadNameSpaceType::NETWORK),
        ("ipc", ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
        ("uts", ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("cgroup", ThreadNameSpaceType::CONTROL_GROUP),
    ];
    let mut foreign = ThreadNameSpaceType::empty();
    for (name, kind) in kinds {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{name}"))?;
        if theirs != std::fs::read_link(format!("/proc/self/ns/{name}"))? {
            foreign |= kind;
        }
    }
    Ok(foreign)
}

/// Starts a process. Returns the listening ends of its lent sockets, too.
fn start(
    task: Task<'_>,
    process: &Process,
    security: Security,
    files: &[&[u8]],
    fds: Vec<OwnedFd>,
) -> Result<(Running, Vec<OwnedFd>)> {
    if process.args.is_empty() {
        return Err(Error::NoCommand);
    }
    let lifetime = match &task {
        Task::Create(sandbox) => sandbox.lifetime,
        Task::Join(_) | Task::Emulate(_) => Lifetime::OfParent,
    };
    let mut stage = Stage::start(lifetime)?;
    // From here on the new program starts up on another core meanwhile.
    let filter = seccomp::program(security);
    let mut contents = vec![filter];
    contents.extend(files);
    let sizes = contents.iter().map(|content| content.len()).collect();
    let job = Job { task, process: Cow::Borrowed(process), security, sizes };
    let (envelope, memfd) = wire::seal(&job, &contents).map_err(Error::Channel)?;
    let mut sent = vec![memfd.as_fd()];
    sent.extend(fds.iter().map(OwnedFd::as_fd));
    stage.channel()?.send(&envelope, &sent).map_err(Error::Channel)?;
    drop(fds);
    let mut listeners = Vec::new();
    loop {
        match stage.receive()? {
            Some((Report::Listener, fds)) => listeners.extend(fds),
            Some((Report::Started { pid, proc }, fds)) => {
                let mut fds = fds.into_iter();
                let pidfd = Arc::new(fds.next().ok_or(Error::InitKilled)?);
                let console = fds.next();
                return Ok((Running { pid, pidfd, console, proc, stage, relay: None }, listeners));
            }
            Some((Report::Failed(failure), _)) => {
                stage.reap();
                return Err(failure.into());
            }
            Some((Report::Exited(_) | Report::Emulation, _)) | None => {
                return Err(Error::InitKilled);
            }
        }
    }
}

/// Makes a user namespace with a registry of emulators. Returns the registry,
/// which has to be kept open, and the namespace.
pub(crate) fn emulation(lines: Vec<String>) -> Result<(OwnedFd, OwnedFd)> {
    let mut stage = Stage::start(Lifetime::OfParent)?;
    let process = Cow::Owned(Process::new([""; 0]));
    let task = Task::Emulate(lines);
    let job = Job { task, process, security: Security::Default, sizes: Vec::new() };
    let (envelope, memfd) = wire::seal(&job, &[]).map_err(Error::Channel)?;
    stage.channel()?.send(&envelope, &[memfd.as_fd()]).map_err(Error::Channel)?;
    let report = stage.receive()?;
    stage.reap();
    match report {
        Some((Report::Emulation, fds)) => {
            <[OwnedFd; 2]>::try_from(fds).map(Into::into).map_err(|_| Error::InitKilled)
        }
        Some((Report::Failed(failure), _)) => Err(failure.into()),
        _ => Err(Error::InitKilled),
    }
}

/// The child process that is the init stage, and the channel to it.
#[derive(Debug)]
struct Stage {
    /// There until dropped.
    channel: Option<Channel>,
    /// There until reaped.
    child: Option<Child>,
    lifetime: Lifetime,
}

impl Stage {
    fn start(lifetime: Lifetime) -> Result<Self> {
        let (channel, theirs) = Channel::pair().map_err(Error::Channel)?;
        let path =
            exe::path().map_err(|source| Error::Start { path: "/proc/self/exe".into(), source })?;
        let child = Command::new(&path)
            .arg0(INIT_NAME)
            .env_clear()
            .stdin(ChildStdio::from(theirs.into_fd()))
            // Out of reach of a Ctrl-C, and of a kill of the caller's group:
            // the stage is the one that cleans up after the caller.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Start { path, source })?;
        Ok(Self { channel: Some(channel), child: Some(child), lifetime })
    }

    fn channel(&self) -> Result<&Channel> {
        self.channel.as_ref().ok_or(Error::InitKilled)
    }

    fn receive(&self) -> Result<Option<(Report, Vec<OwnedFd>)>> {
        self.channel()?.receive().map_err(Error::Channel)
    }

    /// Waits until the stage has ended, so that no zombie is left and nothing
    /// uses the root file system any more.
    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its exit status says nothing which its report did not.
            let _status = child.wait();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The stage takes the end of the channel as the end of the caller.
        self.channel = None;
        if self.lifetime == Lifetime::OfParent {
            self.reap();
        }
    }
}
