//! The stage's own work, once there is a process: to tell the caller about it, to
//! see who ends first, and to clean up.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;

use super::FAILED;
use super::stub;
use crate::Exit;
use crate::Lifetime;
use crate::cgroup;
use crate::channel::Channel;
use crate::sys;
use crate::wire::Failure;
use crate::wire::Note;
use crate::wire::Proc;
use crate::wire::Report;
use crate::wire::Stub;

/// The process to be, and what becomes of it.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) lifetime: Lifetime,
    pub(super) cgroups: Vec<PathBuf>,
}

/// Stays until the container has ended.
pub(super) fn supervise(
    caller: &Channel,
    channel: &Channel,
    container: &Container,
) -> Result<(), Failure> {
    let mut notes = Notes::collect(channel);
    if let Some(failure) = notes.failure.take() {
        wait(container);
        clean_up(container, &notes);
        return Err(failure);
    }
    for listener in std::mem::take(&mut notes.listeners) {
        let _gone = caller.send(&Report::Listener, &[listener.as_fd()]);
    }
    let mut fds = vec![container.pidfd.as_fd()];
    fds.extend(notes.terminal.as_ref().map(OwnedFd::as_fd));
    // If the caller is gone, the loop below sees it.
    let _gone = caller.send(&Report::Started { pid: container.pid, proc: notes.proc }, &fds);
    drop(notes.terminal.take());
    await_end(caller, container);
    let exit = wait(container);
    clean_up(container, &notes);
    let _gone = caller.send(&Report::Exited(exit), &[]);
    Ok(())
}

fn clean_up(container: &Container, notes: &Notes) {
    stub::remove(&notes.stubs);
    cgroup::remove(&container.cgroups);
}

/// What the process to be told before it executed the program.
#[derive(Default)]
struct Notes {
    stubs: Vec<(Stub, OwnedFd)>,
    terminal: Option<OwnedFd>,
    listeners: Vec<OwnedFd>,
    failure: Option<Failure>,
    proc: Proc,
}

impl Notes {
    fn collect(channel: &Channel) -> Self {
        let mut notes = Self::default();
        loop {
            match channel.receive::<Note>() {
                Ok(Some((Note::Stub(stub), fds))) => {
                    notes.stubs.extend(fds.into_iter().next().map(|parent| (stub, parent)));
                }
                Ok(Some((Note::Terminal, fds))) => notes.terminal = fds.into_iter().next(),
                Ok(Some((Note::Listener, fds))) => notes.listeners.extend(fds),
                Ok(Some((Note::Go | Note::Registry, _))) => {}
                Ok(Some((Note::SharedProc, _))) => notes.proc = Proc::Callers,
                Ok(Some((Note::Failed(failure), _))) => notes.failure = Some(failure),
                Ok(None) => return notes,
                Err(error) => {
                    notes.failure = Some(Failure::setup("prepare the container", error));
                    return notes;
                }
            }
        }
    }
}

/// Returns when the container has ended; kills it when the caller has.
fn await_end(caller: &Channel, container: &Container) {
    let watched = if container.lifetime == Lifetime::Own { 1 } else { 2 };
    loop {
        let mut fds =
            [PollFd::new(&container.pidfd, PollFlags::IN), PollFd::new(caller, PollFlags::IN)];
        if rustix::event::poll(&mut fds[..watched], None).is_err() {
            continue; // Interrupted: no other error is possible here.
        }
        if !fds[0].revents().is_empty() {
            return;
        }
        if !fds[1].revents().is_empty() {
            // The caller never says anything, so this is its end.
            let _gone = sys::send_signal(container.pidfd.as_fd(), libc::SIGKILL);
            return;
        }
    }
}

/// Waits until a child has ended.
pub(super) fn wait_child(pidfd: &OwnedFd) {
    let id = WaitId::PidFd(pidfd.as_fd());
    let wait = || rustix::process::waitid(id.clone(), WaitIdOptions::EXITED);
    while matches!(wait(), Err(Errno::INTR)) {}
}

/// Waits for the container. The kernel lets process 1 end only after all others
/// of its pid namespace.
fn wait(container: &Container) -> Exit {
    let id = WaitId::PidFd(container.pidfd.as_fd());
    loop {
        match rustix::process::waitid(id.clone(), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal();
                let code = status.exit_status().or(signal.map(|signal| 128 + signal));
                return Exit { code: code.unwrap_or(FAILED), signal };
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return Exit { code: FAILED, signal: None },
        }
    }
}
