//! The terminal of a process: made in the container's own devpts, its master
//! handed to the caller.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::Process;
use crate::TerminalSize;
use crate::channel::Channel;
use crate::wire::Failure;
use crate::wire::Note;

/// `f_type` of devpts (`linux/magic.h`).
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Makes a terminal in the devpts `pts` and tells its master side.
pub(crate) fn create(
    pts: &OwnedFd,
    size: TerminalSize,
    notes: &Channel,
) -> Result<OwnedFd, Failure> {
    let failed = |errno: Errno| Failure::setup("make a terminal", errno);
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(pts, "ptmx", flags, Mode::empty()).map_err(failed)?;
    rustix::pty::unlockpt(&master).map_err(failed)?;
    // The other side comes out of the master, not out of a path.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(failed)?;
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).map_err(failed)?;
    notes
        .send(&Note::Terminal, &[master.as_fd()])
        .map_err(|error| Failure::setup("hand over the terminal", error))?;
    Ok(terminal)
}

/// Makes a terminal for a process that joins a container, in the container's
/// devpts.
pub(crate) fn join(process: &Process, notes: &Channel) -> Result<Option<OwnedFd>, Failure> {
    rustix::process::setsid().map_err(|errno| Failure::setup("start a session", errno))?;
    let Some(size) = process.terminal else { return Ok(None) };
    let failed = |errno: Errno| Failure::setup("open `/dev/pts`", errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The container may have put anything there.
    let pts = rustix::fs::openat2(CWD, "/dev/pts", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(failed)?;
    let kind = rustix::fs::fstatfs(&pts).map_err(failed)?.f_type;
    if u64::try_from(kind).ok() != Some(DEVPTS_MAGIC) {
        return Err(failed(Errno::NODEV));
    }
    create(&pts, size, notes).map(Some)
}
