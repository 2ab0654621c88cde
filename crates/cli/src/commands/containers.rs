//! `start`, `stop`, `kill`, `rm`, `wait`: one thing done to each container named.
//!
//! As with docker, a container that fails does not keep the others from their turn, each
//! success prints the name as typed, and the exit code is 1 when one failed.

use std::time::Duration;

use anyhow::Result;
use lathe_engine::container::{AnonymousVolumes, Containers, Error, Force, StopOptions, Streams};

use super::{Session, run::exit_code};
use crate::{
    args::{KillArgs, RemoveContainerArgs, StartArgs, StopArgs, WaitArgs},
    failure, term,
};

pub(super) fn start(session: &Session, args: &StartArgs) -> Result<u8> {
    let containers = session.containers();
    if args.attach || args.interactive {
        let [name] = args.containers.as_slice() else {
            anyhow::bail!("you cannot start and attach multiple containers at once");
        };
        let id = containers.find(name)?.record.id;
        let started = containers.start(&id, Streams::Attached)?;
        return Ok(exit_code(containers.follow_started(started)?));
    }
    each(&args.containers, |name| {
        let id = containers.find(name)?.record.id;
        match containers.start(&id, Streams::Detached) {
            Ok(started) => {
                warn(&started.warnings);
                Ok(name.to_owned())
            }
            // docker's start of a running container is no mistake.
            Err(Error::AlreadyRunning(_)) => Ok(name.to_owned()),
            Err(error) => Err(error.into()),
        }
    })
}

pub(super) fn stop(session: &Session, args: &StopArgs) -> Result<u8> {
    let containers = session.containers();
    // A negative time means to wait without end.
    let timeout = args
        .timeout
        .map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs));
    let options = StopOptions { signal: args.signal.clone(), timeout };
    each(&args.containers, |name| {
        containers.stop(&containers.find(name)?.record.id, &options)?;
        Ok(name.to_owned())
    })
}

pub(super) fn kill(session: &Session, args: &KillArgs) -> Result<u8> {
    let containers = session.containers();
    let signal = args.signal.as_deref().unwrap_or("KILL");
    each(&args.containers, |name| {
        containers.kill(&containers.find(name)?.record.id, signal)?;
        Ok(name.to_owned())
    })
}

pub(super) fn remove(session: &Session, args: &RemoveContainerArgs) -> Result<u8> {
    let containers = session.containers();
    let force = if args.force { Force::Yes } else { Force::No };
    let volumes = if args.volumes { AnonymousVolumes::Remove } else { AnonymousVolumes::Keep };
    each(&args.containers, |name| match remove_one(&containers, name, force, volumes) {
        // With force, what is gone already is as wanted, but said.
        Err(error @ Error::NotFound(_)) if args.force => {
            term::err(&format!("error: {error}\n"));
            Ok(String::new())
        }
        done => Ok(done.map(|()| name.to_owned())?),
    })
}

fn remove_one(
    containers: &Containers,
    name: &str,
    force: Force,
    volumes: AnonymousVolumes,
) -> Result<(), Error> {
    containers.remove(&containers.find(name)?.record.id, force, volumes)
}

pub(super) fn wait(session: &Session, args: &WaitArgs) -> Result<u8> {
    let containers = session.containers();
    each(&args.containers, |name| {
        Ok(containers.wait(&containers.find(name)?.record.id)?.to_string())
    })
}

/// Prints warnings of a start.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        term::err(&format!("warning: {warning}\n"));
    }
}

/// Does one thing for each name and prints what it returns.
pub(super) fn each(names: &[String], mut one: impl FnMut(&str) -> Result<String>) -> Result<u8> {
    let mut failed = false;
    for name in names {
        match one(name) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => term::out(&format!("{text}\n"))?,
            Err(error) => {
                term::err(&failure::report(&error).text);
                failed = true;
            }
        }
    }
    Ok(u8::from(failed))
}
