//! The process that owns a container.
//!
//! It is made by `start`, with one end of a conversation as standard input and the locked lock
//! file as standard output. It prepares everything, starts the process, tells how that went, and
//! then serves the socket until the process ends. It stays single-threaded until the process
//! runs: the kernel ties "die with the parent" to the thread that started a process, and that is
//! the main thread here, which lives to the end.

mod exec;
mod output;
mod prepare;
mod serve;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use lathe_event::Cancel;
use lathe_store::Store;
use nix::sched::CloneFlags;

use crate::Error;
use crate::Result;
use crate::SHIM_NAME;
use crate::containers::Containers;
use crate::net::guard::guard_main;
use crate::protocol::Attach;
use crate::protocol::Channel;
use crate::protocol::Listener;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::record;
use crate::record::ContainerId;
use crate::record::ContainerRecord;
use crate::record::ContainerState;
use crate::record::Status;
use crate::spec::Removal;
use crate::sys;
use prepare::Prepared;
use serve::Shared;

/// Arguments that tell where overlay keeps its marks.
pub(crate) const USER_XATTRS: &str = "user";
pub(crate) const TRUSTED_XATTRS: &str = "trusted";

/// Name of the socket in the container's directory.
pub(crate) const SOCKET: &str = "shim.sock";

/// Runs the shim, or a network helper's guard, when the program was started as one. Returns
/// `None` in every other case; otherwise the exit code which `main` has to end with.
///
/// Must be called first thing in `main`, while the process has one thread.
pub fn shim_main() -> Option<i32> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != SHIM_NAME {
        return None;
    }
    sys::close_inherited();
    let arguments: Vec<OsString> = arguments.collect();
    let result = match arguments.as_slice() {
        [kind] if kind == "guard" => take_fd(0).and_then(|fd| guard_main(&Channel::from_fd(fd))),
        [kind, store, id, xattrs] if kind == "shim" => take_fds().and_then(|(control, lock)| {
            let xattrs = xattrs == USER_XATTRS;
            run(Path::new(store), &id.to_string_lossy(), xattrs, &control, lock)
                .map_err(|error| io::Error::other(error.chain()))
        }),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    // There is nobody to tell: whoever asked has been answered on the socket.
    Some(i32::from(result.is_err()))
}

/// Moves a standard stream out of the way, closed on exec, and puts `/dev/null` in its place.
fn take_fd(number: i32) -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let taken = match number {
        0 => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?,
        _ => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?,
    };
    match number {
        0 => rustix::stdio::dup2_stdin(&null)?,
        _ => rustix::stdio::dup2_stdout(&null)?,
    }
    Ok(taken)
}

fn take_fds() -> io::Result<(Channel, OwnedFd)> {
    Ok((Channel::from_fd(take_fd(0)?), take_fd(1)?))
}

/// What a shim works with.
struct Shim {
    containers: Containers,
    record: ContainerRecord,
    folder: PathBuf,
    /// Held until the process ends, last of all.
    _lock: OwnedFd,
}

fn run(store: &Path, id: &str, userxattr: bool, control: &Channel, lock: OwnedFd) -> Result<()> {
    let Some((Request::Start { attach }, _)) = control.request()? else { return Ok(()) };
    let made = detach().and_then(|()| Shim::open(store, id, userxattr, lock));
    let result = match made {
        Ok(shim) => return shim.start(control, attach),
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        fail(control, error);
    }
    result
}

fn fail(control: &Channel, error: &Error) {
    let response = Response::Failed { code: error.exit_code(), message: error.chain() };
    // Whoever started us may be gone; the state tells it as well.
    let _gone = control.send_message(&response);
}

/// Leaves the session and the mount namespace of the command that started this process.
fn detach() -> Result<()> {
    let fail = |step| move |errno: nix::Error| Error::Network { step, source: errno.into() };
    nix::unistd::setsid().map_err(fail("leave the session"))?;
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(fail("make a mount namespace"))?;
    // Modes of what is made in volumes and the root file system are chosen there.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

impl Shim {
    fn open(store: &Path, id: &str, userxattr: bool, lock: OwnedFd) -> Result<Self> {
        let containers = Containers::new(&Store::open(store)?, userxattr);
        let id = ContainerId::parse(id).ok_or_else(|| Error::NotFound(id.to_owned()))?;
        let record = containers.record(&id)?;
        let folder = containers.folder(&id);
        Ok(Self { containers, record, folder, _lock: lock })
    }

    fn start(self, control: &Channel, attach: Option<Attach>) -> Result<()> {
        let prepared = match Prepared::new(&self.containers, &self.record, attach) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.give_up(&error)?;
                fail(control, &error);
                return Err(error);
            }
        };
        self.own(control, attach, prepared)
    }

    /// Records that the container could not be started; with `--rm` it goes at once.
    fn give_up(&self, error: &Error) -> Result<()> {
        if self.record.spec.removal == Removal::OnExit {
            return self.containers.erase(&self.record, crate::AnonymousVolumes::Remove);
        }
        let mut state = record::read_state(&self.folder)?.unwrap_or_else(ContainerState::created);
        state.exit_code = error.exit_code();
        state.error = Some(error.chain());
        if state.status == Status::Running {
            state = state.exited(error.exit_code(), record::now());
        }
        record::write_state(&self.folder, &state)
    }

    /// Owns the running container until its end.
    fn own(self, control: &Channel, attach: Option<Attach>, prepared: Prepared) -> Result<()> {
        let folder = File::open(&self.folder).map_err(Error::io("open", &self.folder))?;
        let listener = Listener::bind(folder.as_fd(), SOCKET).map_err(Error::Channel)?;
        let Prepared { running, network, rootfs, streams, log, warnings, context } = prepared;
        let state = ContainerState {
            status: Status::Running,
            pid: running.pid(),
            started: Some(record::now()),
            ports: network.ports.clone(),
            address: network.address,
            ..ContainerState::created()
        };
        record::write_state(&self.folder, &state)?;
        let shared = Arc::new(Shared::new(&running, context, log, &streams)?);
        // The one who asked may have been killed: the container runs all the same.
        let _gone =
            control.send_message(&Response::Started { ports: network.ports.clone(), warnings });
        if let Some(attach) = attach {
            serve::attach(&shared, control, attach)?;
        }
        let pumps = output::start(&shared, streams)?;
        serve::start(&shared, listener)?;
        let exit = running.wait(&Cancel::new());
        // Process 1 takes all writers with it, so that the pumps come to an end.
        shared.ended();
        pumps.join();
        let code = exit.map_or(137, |exit| exit.code);
        // Ports are free and mounts gone before anybody is told that the container is.
        drop(network);
        drop(rootfs);
        self.finish(&state, code)?;
        shared.tell_end(code);
        Ok(())
    }

    fn finish(&self, state: &ContainerState, code: i32) -> Result<()> {
        let state = state.exited(code, record::now());
        record::write_state(&self.folder, &state)?;
        if self.record.spec.removal == Removal::OnExit {
            return self.containers.erase(&self.record, crate::AnonymousVolumes::Remove);
        }
        // After the state, so that whoever finds no socket finds the exit code.
        let socket = self.folder.join(SOCKET);
        std::fs::remove_file(&socket).map_err(Error::io("remove", &socket))
    }
}
