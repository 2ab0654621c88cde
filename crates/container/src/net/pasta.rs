//! A way out through `pasta` (of passt): packets of a tap device in the namespace become
//! sockets of an unprivileged process outside.
//!
//! The namespace is given as pasta's standard input and its pid file is its standard output:
//! pasta gives up its capabilities before it opens paths, so that `/proc/<other>/…` is closed to
//! it, and its later versions close all other descriptors. It writes the pid file when the
//! device is configured, which is the sign that we wait for.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::pipe::PipeFlags;

use super::guard::Guard;
use super::guard::GuardJob;
use super::namespace::Namespace;
use crate::Error;
use crate::Result;

/// Address of the container in its own network; every namespace is alone in its network, so all
/// may have the same.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);
const GATEWAY: &str = "10.88.0.1";
/// Where pasta answers name queries by the host's first name server.
pub(crate) const NAME_SERVER: &str = "169.254.1.1";

/// How long pasta may take to set the device up; it takes about 10 ms.
const READY_SECONDS: i64 = 5;

/// Starts pasta for `namespace`; returns when the device is configured. The error is a sentence
/// for the user.
pub(crate) fn start(program: &Path, namespace: &Namespace) -> Result<Guard> {
    let fail = |source| Error::Network { step: "start pasta", source };
    let (ready, ready_end) = pipe().map_err(fail)?;
    let (errors, errors_end) = pipe().map_err(fail)?;
    let target = namespace.as_fd().try_clone_to_owned().map_err(fail)?;
    let job = GuardJob { helper: command(program), cleanup: Vec::new() };
    let guard = Guard::start(&job, &[target, ready_end, errors_end])?;
    if is_ready(&ready).map_err(fail)? {
        return Ok(guard);
    }
    drop(guard);
    let mut text = String::new();
    // What pasta said is a courtesy: without it the message is only shorter.
    let _unreadable = File::from(errors).take(4096).read_to_string(&mut text);
    let reason = text
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("Failed to send"))
        .unwrap_or("it ended without a word");
    Err(fail(io::Error::other(reason.to_owned())))
}

fn command(program: &Path) -> Vec<String> {
    let arguments = [
        "--foreground",
        "--quiet",
        "--config-net",
        "--no-netns-quit",
        "--no-map-gw",
        "-4",
        "--netns",
        "/proc/self/fd/0",
        "--pid",
        "/proc/self/fd/1",
        "--runas",
        "0",
        // No ports by itself in either direction: publishing is the forwarder's work, and the
        // host's loopback services are none of the container's business.
        "-t",
        "none",
        "-u",
        "none",
        "-T",
        "none",
        "-U",
        "none",
        "--ns-ifname",
        "eth0",
        "-n",
        "24",
        "-g",
        GATEWAY,
        "--dns-forward",
        NAME_SERVER,
    ];
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    command.extend(["-a".to_owned(), ADDRESS.to_string()]);
    command
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Returns whether pasta wrote its pid before it ended.
fn is_ready(ready: &OwnedFd) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: READY_SECONDS, tv_nsec: 0 };
    let mut fds = [PollFd::new(ready, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&timeout)))? == 0 {
        return Ok(false);
    }
    let mut byte = [0];
    Ok(rustix::io::read(ready.as_fd(), &mut byte)? > 0)
}
