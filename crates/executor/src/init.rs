//! The init stage: a single-threaded process between the caller and the
//! container.
//!
//! ```text
//! caller ──job──► init stage ──clone(new namespaces)──► process to be ──exec──► program
//!        ◄─report─           ◄────notes (stubs, terminal, failure)───
//! ```
//!
//! The stage stays for the life of the container. It is what makes the container
//! die with the caller: a parent-death signal is bound to the *thread* that
//! forked, and a container can switch off its own, but it cannot touch this
//! process, which sees the end of the caller's socket. And it removes the mount
//! stubs when the container is gone.

mod create;
mod cwd;
mod dev;
mod emulate;
mod exec;
mod identity;
mod lend;
mod mask;
mod mounts;
mod reaper;
mod stub;
mod supervise;
mod target;
mod tty;

use std::convert::Infallible;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use rustix::process::Signal;
use rustix::thread::ThreadNameSpaceType;

use crate::Lifetime;
use crate::Network;
use crate::channel::Channel;
use crate::spawn::INIT_NAME;
use crate::sys;
use crate::sys::Fork;
use crate::wire;
use crate::wire::Envelope;
use crate::wire::Failure;
use crate::wire::Job;
use crate::wire::Join;
use crate::wire::Note;
use crate::wire::Report;
use crate::wire::Task;
use supervise::Container;
use supervise::supervise;

/// Exit code of a stage or process that could not do its work; nobody but a
/// debugger sees it.
const FAILED: i32 = 125;

/// Runs the init stage when the program was started as one. Returns `None` in
/// every other case; otherwise the exit code which `main` has to end with.
///
/// To be called first thing in `main`, before any thread is started.
pub fn init_main() -> Option<i32> {
    if std::env::args_os().next()? != INIT_NAME {
        return None;
    }
    // The socket is standard input; keep it where the streams will not go.
    let Ok(fd) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return Some(FAILED);
    };
    let caller = Channel::from_fd(fd);
    Some(match run(caller) {
        Ok(()) => 0,
        Err((caller, failure)) => {
            // A caller that is gone does not want to know.
            let _gone = caller.send(&Report::Failed(failure), &[]);
            FAILED
        }
    })
}

type Contents = Vec<Vec<u8>>;

fn run(caller: Channel) -> Result<(), (Channel, Failure)> {
    let (job, contents, fds) = match receive_job(&caller) {
        Ok(received) => received,
        Err(failure) => return Err((caller, failure)),
    };
    if let Task::Emulate(lines) = &job.task {
        return emulate::run(&caller, lines).map_err(|failure| (caller, failure));
    }
    match fork(&job, &fds) {
        Err(failure) => Err((caller, failure)),
        Ok((Fork::Child, channel)) => {
            drop(caller);
            become_process(&job, contents, fds, &channel);
            Ok(())
        }
        Ok((Fork::Parent { pid, pidfd }, channel)) => {
            let (lifetime, cgroups) = match &job.task {
                Task::Create(sandbox) => (sandbox.lifetime, sandbox.cgroups.clone()),
                Task::Join(_) | Task::Emulate(_) => (Lifetime::OfParent, Vec::new()),
            };
            // The streams are the container's alone: whoever reads its output
            // must see the end when the container ends.
            drop((job, contents, fds));
            supervise(&caller, &channel, &Container { pid, pidfd, lifetime, cgroups })
                .map_err(|failure| (caller, failure))
        }
    }
}

fn receive_job(caller: &Channel) -> Result<(Job<'static>, Contents, Vec<OwnedFd>), Failure> {
    let failed = |error| Failure::setup("receive the job", error);
    // Whatever the caller's own parent left open is not for the container.
    sys::close_on_exec_from(3).map_err(failed)?;
    // Otherwise it would be called by the number of a descriptor.
    let _cosmetic = rustix::thread::set_name(c"lathe-init");
    let received = caller.receive::<Envelope>().map_err(failed)?;
    let (envelope, mut fds) =
        received.ok_or_else(|| failed(std::io::Error::from(std::io::ErrorKind::BrokenPipe)))?;
    let memfd = fds.remove(0);
    let (job, contents) = wire::unseal(&envelope, memfd).map_err(failed)?;
    Ok((job, contents, fds))
}

/// Makes the namespaces and the process in them, with a channel between.
fn fork(job: &Job<'_>, fds: &[OwnedFd]) -> Result<(Fork, Channel), Failure> {
    let flags = match &job.task {
        Task::Create(sandbox) => {
            let network = if sandbox.network == Network::None { libc::CLONE_NEWNET } else { 0 };
            // A cgroup namespace begins at the group in which it is made.
            let groups = if sandbox.cgroups.is_empty() { libc::CLONE_NEWCGROUP } else { 0 };
            libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWIPC
                | libc::CLONE_NEWUTS
                | groups
                | network
        }
        Task::Join(join) => {
            join_namespaces(join, fds)?;
            0
        }
        Task::Emulate(_) => 0,
    };
    let (up, down) = Channel::pair().map_err(|error| Failure::setup("make a socket", error))?;
    let fork =
        sys::clone_process(flags).map_err(|error| Failure::setup("create namespaces", error))?;
    let channel = if matches!(fork, Fork::Child) { down } else { up };
    Ok((fork, channel))
}

fn join_namespaces(join: &Join, fds: &[OwnedFd]) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::setup("join the namespaces", errno);
    // From now on the container can see this process: without dumpability
    // neither its descriptors nor its memory can be reached from there.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
    let namespaces = ThreadNameSpaceType::from_bits_retain(join.namespaces);
    let pidfd = fds.last().ok_or_else(|| failed(Errno::BADF))?;
    rustix::thread::move_into_thread_name_spaces(pidfd.as_fd(), namespaces).map_err(failed)
}

fn become_process(job: &Job<'_>, contents: Contents, fds: Vec<OwnedFd>, channel: &Channel) {
    let result = prepare(job, contents, fds, channel);
    let Err(failure) = result;
    let _gone = channel.send(&Note::Failed(failure), &[]);
}

fn prepare(
    job: &Job<'_>,
    mut contents: Contents,
    mut fds: Vec<OwnedFd>,
    channel: &Channel,
) -> Result<Infallible, Failure> {
    die_with_stage(channel)?;
    let filter = contents.remove(0);
    let mut init = crate::Init::Process;
    let mut user_namespace = None;
    let terminal = match &job.task {
        Task::Create(sandbox) => {
            init = sandbox.init;
            if sandbox.user_namespace.is_some() {
                user_namespace = fds.pop();
            }
            let network = fds.drain(3..).next();
            create::prepare(sandbox, &job.process, &contents, network, channel)?
        }
        Task::Join(_) => tty::join(&job.process, channel)?,
        Task::Emulate(_) => None,
    };
    fds.truncate(3);
    let given = exec::Given { streams: fds, terminal, user_namespace };
    exec::run(job, &filter, init, &given)
}

/// Ties the life of this process to the init stage's.
fn die_with_stage(channel: &Channel) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::setup("tie to the init stage", errno);
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // A stage that died before the line above sends no signal any more, but
    // its end of the channel is closed.
    let mut fds = [PollFd::new(channel, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut fds, Some(&now)) {
        Ok(0) => Ok(()),
        Ok(_) => Err(failed(Errno::CHILD)),
        Err(errno) => Err(failed(errno)),
    }
}
