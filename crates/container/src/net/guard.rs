//! A process that cleans up after its owner, however the owner ends.
//!
//! Network helpers must go when a shim or build is killed. The kernel's own means does not
//! reach them: `PR_SET_PDEATHSIG` is cleared when a process changes its credentials, which pasta
//! does. So a guard stands between: it starts the helper, waits for the end of its socket, which
//! comes when the owner closes it or dies, kills the helper and runs the clean-up commands.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;
use crate::protocol::Channel;
use crate::protocol::Packet;
use crate::protocol::parse;

/// What a guard does.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct GuardJob {
    /// Program and arguments of the helper; it gets the three descriptors sent along as its
    /// standard streams.
    pub(crate) helper: Vec<String>,
    /// Commands to run at the end.
    pub(crate) cleanup: Vec<Vec<String>>,
}

/// The owner's side of a guard. Dropping it ends the helper and waits until all is cleaned up.
#[derive(Debug)]
pub(crate) struct Guard {
    channel: Option<Channel>,
    process: Child,
}

impl Guard {
    /// Starts a guard for `job`; `streams` are the helper's standard streams.
    pub(crate) fn start(job: &GuardJob, streams: &[OwnedFd]) -> Result<Self> {
        use std::os::fd::AsFd as _;
        let fail = |source| Error::Network { step: "start the guard process", source };
        let (channel, theirs) = Channel::pair().map_err(fail)?;
        let process = Command::new("/proc/self/exe")
            .arg0(crate::SHIM_NAME)
            .arg("guard")
            .stdin(theirs.into_fd())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Ctrl-C on a build's terminal must not end the guard before it has cleaned up.
            .process_group(0)
            .spawn()
            .map_err(fail)?;
        let guard = Self { channel: Some(channel), process };
        let fds: Vec<_> = streams.iter().map(|stream| stream.as_fd()).collect();
        if let Some(channel) = &guard.channel {
            channel.send_with(job, &fds).map_err(fail)?;
        }
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.channel.take());
        // It reports nothing: what it could not clean up, a later one cannot either.
        let _status = self.process.wait();
    }
}

/// The guard process; ends with the owner of `channel`.
pub(crate) fn guard_main(channel: &Channel) -> io::Result<()> {
    let Some((Packet::Message(text), streams)) = channel.receive()? else { return Ok(()) };
    let job: GuardJob = parse(&text).map_err(io::Error::other)?;
    let mut helper = start_helper(&job.helper, streams);
    // The owner says nothing more: this is its end.
    let _end = channel.receive();
    if let Some(helper) = &mut helper {
        // An error is a helper that has ended by itself.
        let _ended = helper.kill();
        let _status = helper.wait();
    }
    for command in &job.cleanup {
        if let [program, arguments @ ..] = command.as_slice() {
            let _status = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
    Ok(())
}

/// Starts the helper; when it cannot be started, its streams are closed, which its starter sees.
fn start_helper(helper: &[String], streams: Vec<OwnedFd>) -> Option<Child> {
    let [program, arguments @ ..] = helper else { return None };
    let mut streams = streams.into_iter();
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (streams.next(), streams.next(), streams.next())
    else {
        return None;
    };
    Command::new(program)
        .args(arguments)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .current_dir("/")
        .spawn()
        .ok()
}
