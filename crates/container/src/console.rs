//! The terminal side of attached commands: raw mode, signals, sizes, and the streams.
//!
//! Output is handled on the calling thread. Input has a thread of its own, since it may have to
//! wait for a container that does not read while its output must flow on.

use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lathe_executor::TerminalSize;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SfdFlags;
use nix::sys::signalfd::SignalFd;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;

use crate::Error;
use crate::Result;
use crate::log::LogStream;
use crate::protocol::Channel;
use crate::protocol::Packet;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::protocol::STREAM_LIMIT;
use crate::protocol::parse;
use crate::spec::StdinMode;
use crate::spec::Terminal;

/// How being attached came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited(i32),
    /// The user typed the detach keys; the container runs on.
    Detached,
    /// The shim went away without a word.
    Lost,
}

/// In place of an exit code: the user left the container running.
pub(crate) const DETACHED: i32 = -1;

/// Docker's detach keys: Ctrl-P, Ctrl-Q.
const DETACH_KEYS: [u8; 2] = [0x10, 0x11];

/// Signals which go to the container. Not those by which a shell stops and continues this
/// command, nor those which only concern this process.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// Returns the size of this command's terminal, when there is one and it is wanted.
pub(crate) fn size(terminal: Terminal) -> Option<TerminalSize> {
    if terminal == Terminal::None {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stdin()))
        .ok()?;
    Some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// A terminal in raw mode; as it was when dropped.
#[derive(Debug)]
struct Raw(Option<Termios>);

impl Raw {
    fn enter(terminal: Terminal, stdin: StdinMode) -> Result<Self> {
        let fail = |errno: rustix::io::Errno| Error::Terminal {
            step: "set raw mode",
            source: errno.into(),
        };
        let input = std::io::stdin();
        let wanted = terminal == Terminal::Allocate && stdin == StdinMode::Open;
        if !wanted || !input.is_terminal() {
            return Ok(Self(None));
        }
        let before = rustix::termios::tcgetattr(&input).map_err(fail)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&input, OptionalActions::Now, &raw).map_err(fail)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no repair.
            let _gone = rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Signals as something to poll. They stay blocked: the command ends with this.
fn signals() -> Result<SignalFd> {
    let fail = |errno: nix::Error| Error::Terminal { step: "take signals", source: errno.into() };
    let mut set = SigSet::from_iter(PASSED_ON);
    set.add(Signal::SIGWINCH);
    set.thread_block().map_err(fail)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(fail)
}

/// What `poll` found.
struct Ready {
    first: bool,
    second: bool,
    signals: bool,
}

fn wait(
    first: BorrowedFd<'_>,
    second: Option<BorrowedFd<'_>>,
    signals: &SignalFd,
) -> Result<Ready> {
    // Polling a descriptor twice does no harm, and spares a vector.
    let other = second.unwrap_or(first);
    let mut fds = [
        PollFd::new(&first, PollFlags::IN),
        PollFd::from_borrowed_fd(other, PollFlags::IN),
        PollFd::new(signals, PollFlags::IN),
    ];
    loop {
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(Error::Terminal { step: "wait for events", source: errno.into() });
            }
        }
    }
    let [first, other, signals] = fds.map(|fd| !fd.revents().is_empty());
    Ok(Ready { first, second: second.is_some() && other, signals })
}

/// Carries the streams of an attached container until its end.
pub(crate) fn attached(
    channel: Channel,
    terminal: Terminal,
    stdin: StdinMode,
    signal: &dyn Fn(i32),
) -> Result<Outcome> {
    let signals = signals()?;
    let _raw = Raw::enter(terminal, stdin)?;
    let channel = Arc::new(channel);
    let (detached, detach) = io::pipe().map_err(Error::Channel)?;
    // The other end must live on when no thread holds it: its closing means detaching.
    let _open = match stdin {
        StdinMode::Closed => Some(detach),
        StdinMode::Open => {
            let channel = Arc::clone(&channel);
            input_thread(move || send_input(&channel, terminal, detach))?;
            None
        }
    };
    loop {
        let ready = wait(channel.as_fd(), Some(detached.as_fd()), &signals)?;
        if ready.signals {
            for number in pending(&signals) {
                if number == libc::SIGWINCH {
                    resize(&channel, terminal);
                } else {
                    signal(number);
                }
            }
        }
        if ready.first
            && let Some(outcome) = receive(&channel)?
        {
            return Ok(outcome);
        }
        if ready.second {
            return Ok(Outcome::Detached);
        }
    }
}

fn pending(signals: &SignalFd) -> impl Iterator<Item = i32> {
    std::iter::from_fn(|| {
        let received = signals.read_signal().ok().flatten()?;
        i32::try_from(received.ssi_signo).ok()
    })
}

fn resize(channel: &Channel, terminal: Terminal) {
    if let Some(size) = size(terminal) {
        // A container that has ended needs no size.
        let _gone = channel.send_message(&Request::Resize(size));
    }
}

/// Takes one packet; returns the outcome when it was the last.
fn receive(channel: &Channel) -> Result<Option<Outcome>> {
    match channel.receive().map_err(Error::Channel)? {
        None => Ok(Some(Outcome::Lost)),
        Some((Packet::Output(stream, bytes), _)) => {
            put_out(stream, &bytes);
            Ok(None)
        }
        Some((Packet::Message(text), _)) => match parse::<Response>(&text)? {
            Response::Exited { code } => Ok(Some(Outcome::Exited(code))),
            _ => Ok(None),
        },
        Some((Packet::Stdin(_) | Packet::StdinEnd, _)) => Ok(None),
    }
}

/// Writes past the standard library's line buffer. Whoever reads our output may have had
/// enough (`| head`): the container goes on, as with docker.
fn put_out(stream: LogStream, bytes: &[u8]) {
    let _closed = match stream {
        LogStream::Stdout => write_all(std::io::stdout().as_fd(), bytes),
        LogStream::Stderr => write_all(std::io::stderr().as_fd(), bytes),
    };
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}

fn input_thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(Error::Channel)
}

/// Sends standard input to its end. The writer `detach` closes only with the detach keys.
fn send_input(channel: &Channel, terminal: Terminal, detach: io::PipeWriter) {
    let mut keys = DetachKeys::default();
    let ended = read_input(|bytes| {
        let detach = terminal == Terminal::Allocate && keys.typed(bytes);
        channel.send_stdin(bytes).is_ok() && !detach
    });
    if keys.complete() {
        drop(detach);
        return;
    }
    if ended {
        // A container that has ended needs no end of input.
        let _gone = channel.send_stdin(&[]);
    }
    // Left open to the end of the process.
    std::mem::forget(detach);
}

/// Reads standard input and gives it away in pieces until it ends (true) or is not wanted.
fn read_input(mut give: impl FnMut(&[u8]) -> bool) -> bool {
    let mut buffer = vec![0; STREAM_LIMIT];
    let mut input = std::io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) if give(&buffer[..count]) => {}
            Ok(_) => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

/// Watches what is typed for the detach keys.
#[derive(Debug, Default)]
struct DetachKeys {
    matched: usize,
}

impl DetachKeys {
    fn typed(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.complete() {
                break;
            }
            self.matched = if *byte == DETACH_KEYS[self.matched] {
                self.matched + 1
            } else {
                usize::from(*byte == DETACH_KEYS[0])
            };
        }
        self.complete()
    }

    fn complete(&self) -> bool {
        self.matched == DETACH_KEYS.len()
    }
}

/// Waits for the end of an exec. With a terminal, `console` is its master side, and the streams
/// go through this process.
pub(crate) fn exec(
    channel: &Channel,
    console: Option<&OwnedFd>,
    stdin: StdinMode,
) -> Result<Outcome> {
    let terminal = if console.is_some() { Terminal::Allocate } else { Terminal::None };
    let signals = signals()?;
    let _raw = Raw::enter(terminal, stdin)?;
    if let (Some(console), StdinMode::Open) = (console, stdin) {
        let console = console.try_clone().map_err(Error::Channel)?;
        input_thread(move || {
            read_input(|bytes| write_all(console.as_fd(), bytes).is_ok());
        })?;
    }
    let mut open = console;
    loop {
        let ready = wait(channel.as_fd(), open.map(OwnedFd::as_fd), &signals)?;
        if ready.signals {
            for number in pending(&signals) {
                match console {
                    Some(console) if number == libc::SIGWINCH => set_size(console),
                    _ if number == libc::SIGWINCH => {}
                    // A process that has ended needs no signal.
                    _ => drop(channel.send_message(&Request::Kill { signal: number })),
                }
            }
        }
        if ready.second
            && let Some(console) = open
            && !copy_once(console)
        {
            open = None;
        }
        if ready.first
            && let Some(outcome) = receive(channel)?
        {
            drain(open);
            return Ok(outcome);
        }
    }
}

fn set_size(console: &OwnedFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout()) {
        // A terminal whose process has gone needs no size.
        let _gone = rustix::termios::tcsetwinsize(console, size);
    }
}

/// Copies what the terminal has; false when it has come to its end.
fn copy_once(console: &OwnedFd) -> bool {
    let mut buffer = [0; 16 << 10];
    match rustix::io::retry_on_intr(|| rustix::io::read(console, &mut buffer)) {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            put_out(LogStream::Stdout, &buffer[..count]);
            true
        }
    }
}

/// Copies what a terminal still holds after its process has ended.
fn drain(console: Option<&OwnedFd>) {
    let Some(console) = console else { return };
    // Non-blocking, since a child of the process may hold the terminal open.
    if rustix::io::ioctl_fionbio(console, true).is_ok() {
        while copy_once(console) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_however_they_are_typed() {
        for (pieces, want) in [
            (vec![&b"\x10\x11"[..]], true),
            (vec![b"ls\x10", b"\x11"], true),
            (vec![b"\x10\x10\x11"], true),
            (vec![b"\x10a\x11"], false),
            (vec![b"\x11\x10"], false),
        ] {
            let mut keys = DetachKeys::default();
            let found = pieces.iter().any(|piece| keys.typed(piece));
            assert_eq!(found, want, "{pieces:?}");
        }
    }
}
