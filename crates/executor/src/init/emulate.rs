//! A user namespace with a registry of emulators, for root of the machine.
//!
//! The namespace maps every id to itself, so that a process in it owns the same
//! files as outside. Only somebody outside may write such a map: the stage does,
//! for a child that is born in the namespace, fills the registry and ends.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use super::FAILED;
use super::die_with_stage;
use super::supervise::wait_child;
use crate::channel::Channel;
use crate::emulation;
use crate::sys;
use crate::sys::Fork;
use crate::wire::Failure;
use crate::wire::Note;
use crate::wire::Report;

const ALL_IDS: &str = "0 0 4294967295";

/// Makes registry and namespace and hands them to the caller.
pub(super) fn run(caller: &Channel, lines: &[String]) -> Result<(), Failure> {
    let failed = |error| Failure::setup("make a user namespace for emulators", error);
    let (up, down) = Channel::pair().map_err(failed)?;
    match sys::clone_process(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).map_err(failed)? {
        Fork::Child => {
            drop(up);
            child(lines, &down)
        }
        Fork::Parent { pid, pidfd } => {
            drop(down);
            let made = parent(pid, &up);
            drop(up);
            wait_child(&pidfd);
            let (registry, namespace) = made?;
            caller.send(&Report::Emulation, &[registry.as_fd(), namespace.as_fd()]).map_err(failed)
        }
    }
}

fn parent(pid: i32, child: &Channel) -> Result<(OwnedFd, OwnedFd), Failure> {
    let failed = |error| Failure::setup("make a user namespace for emulators", error);
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{map}"), ALL_IDS).map_err(failed)?;
    }
    let namespace = File::open(format!("/proc/{pid}/ns/user")).map_err(failed)?;
    child.send(&Note::Go, &[]).map_err(failed)?;
    match child.receive::<Note>().map_err(failed)? {
        Some((Note::Registry, mut fds)) if fds.len() == 1 => Ok((fds.remove(0), namespace.into())),
        Some((Note::Failed(failure), _)) => Err(failure),
        _ => Err(failed(std::io::ErrorKind::BrokenPipe.into())),
    }
}

#[expect(clippy::exit, reason = "the child ends here; the stage goes on in its parent")]
fn child(lines: &[String], stage: &Channel) -> ! {
    let failed = |error| Failure::setup("register emulators", error);
    let work = || -> Result<(), Failure> {
        die_with_stage(stage)?;
        // Not before the map is written: the program would belong to nobody.
        stage.receive::<Note>().map_err(failed)?;
        let registry = emulation::register(lines).map_err(failed)?;
        stage.send(&Note::Registry, &[registry.as_fd()]).map_err(failed)
    };
    let code = match work() {
        Ok(()) => 0,
        Err(failure) => {
            let _gone = stage.send(&Note::Failed(failure), &[]);
            FAILED
        }
    };
    std::process::exit(code)
}
