//! What a shim does for commands while its container runs.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lathe_executor::Running;
use lathe_executor::TerminalSize;
use rustix::termios::Winsize;

use super::exec;
use super::prepare::ExecContext;
use super::prepare::Streams;
use crate::Error;
use crate::Result;
use crate::log::LogStream;
use crate::log::LogWriter;
use crate::protocol::Attach;
use crate::protocol::Channel;
use crate::protocol::Listener;
use crate::protocol::Packet;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::protocol::parse;
use crate::spec::StdinMode;
use crate::sys;

/// How long a send waits before it looks whether the container has ended.
const SEND_TICK: Duration = Duration::from_millis(500);

/// What the threads of a shim share. No lock is held while another is taken.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pid: i32,
    process: OwnedFd,
    pub(super) context: ExecContext,
    console: Option<OwnedFd>,
    stdin: Mutex<Option<Arc<std::fs::File>>>,
    /// Log and clients change together, so that an attaching client misses nothing and sees
    /// nothing twice.
    sinks: Mutex<Sinks>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Sinks {
    log: LogWriter,
    attached: Vec<Arc<Channel>>,
    waiting: Vec<Arc<Channel>>,
    /// Set once: whoever comes later is answered at once.
    exit_code: Option<i32>,
}

impl Shared {
    pub(super) fn new(
        running: &Running,
        context: ExecContext,
        log: LogWriter,
        streams: &Streams,
    ) -> Result<Self> {
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(Error::Channel);
        let (console, stdin) = match streams {
            Streams::Terminal(console) => (Some(copy(console)?), Some(copy(console)?)),
            Streams::Pipes { stdin, .. } => (None, stdin.as_ref().map(copy).transpose()?),
        };
        Ok(Self {
            pid: running.pid(),
            process: running.pidfd().try_clone_to_owned().map_err(Error::Channel)?,
            context,
            console,
            stdin: Mutex::new(stdin.map(|fd| Arc::new(fd.into()))),
            sinks: Mutex::new(Sinks {
                log,
                attached: Vec::new(),
                waiting: Vec::new(),
                exit_code: None,
            }),
            ended: AtomicBool::new(false),
        })
    }

    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes output of the container.
    pub(super) fn output(&self, stream: LogStream, bytes: &[u8]) {
        let mut sinks = self.sinks();
        // A full disk must not stop the container: its log has a gap then.
        let _gap = sinks.log.write(stream, bytes);
        sinks.attached.retain(|client| self.send(client, stream, bytes));
    }

    pub(super) fn output_ended(&self, stream: LogStream) {
        let _gap = self.sinks().log.finish(stream);
    }

    /// Sends output to a client; false when it is gone. A client that does not read holds the
    /// container back, as with docker, but not its end.
    fn send(&self, client: &Channel, stream: LogStream, bytes: &[u8]) -> bool {
        loop {
            match client.send_output(stream, bytes) {
                Ok(()) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if self.ended.load(Ordering::Acquire) {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    /// Notes that the process has ended: from now on nobody is waited for.
    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Tells all who wait and all who are attached.
    pub(super) fn tell_end(&self, code: i32) {
        let mut sinks = self.sinks();
        sinks.exit_code = Some(code);
        let Sinks { attached, waiting, .. } = &mut *sinks;
        for client in attached.drain(..).chain(waiting.drain(..)) {
            // One that is gone has nothing to be told.
            let _gone = client.send_message(&Response::Exited { code });
        }
    }

    /// Registers a client for the end, and for the output when it attaches.
    fn register(&self, client: &Arc<Channel>, output: bool) {
        let mut sinks = self.sinks();
        if let Some(code) = sinks.exit_code {
            drop(sinks);
            let _gone = client.send_message(&Response::Exited { code });
        } else if output {
            sinks.attached.push(Arc::clone(client));
        } else {
            sinks.waiting.push(Arc::clone(client));
        }
    }

    fn kill(&self, signal: i32) -> Response {
        if self.ended.load(Ordering::Acquire) {
            return Response::Ended;
        }
        match sys::send_signal(self.process.as_fd(), signal) {
            Ok(()) => Response::Done,
            Err(error) => Response::Failed { code: 1, message: format!("send signal: {error}") },
        }
    }

    fn resize(&self, size: TerminalSize) {
        if let Some(console) = &self.console {
            let size =
                Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A terminal whose processes have gone needs no size.
            let _gone = rustix::termios::tcsetwinsize(console, size);
        }
    }

    fn stdin(&self) -> MutexGuard<'_, Option<Arc<std::fs::File>>> {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to the process; the lock is not held meanwhile, since the process may not read.
    fn input(&self, bytes: &[u8]) {
        let stdin = self.stdin().clone();
        if let Some(mut stdin) = stdin.as_deref() {
            // A process that closed its input does not want it.
            let _unwanted = stdin.write_all(bytes);
        }
    }

    /// Ends the input of a process without terminal; a terminal has no end but Ctrl-D.
    fn end_input(&self) {
        if self.console.is_none() {
            drop(self.stdin().take());
        }
    }
}

/// Accepts connections for as long as the shim lives.
pub(super) fn start(shared: &Arc<Shared>, listener: Listener) -> Result<()> {
    let shared = Arc::clone(shared);
    let accept = move || {
        while let Ok(client) = listener.accept() {
            let shared = Arc::clone(&shared);
            // Without a thread for it the connection is closed, which the client sees.
            let _refused = std::thread::Builder::new()
                .name("client".to_owned())
                .spawn(move || converse(&shared, client));
        }
    };
    std::thread::Builder::new()
        .name("accept".to_owned())
        .spawn(accept)
        .map(drop)
        .map_err(Error::Channel)
}

/// Attaches the command that started the container, before anything was put out.
pub(super) fn attach(shared: &Arc<Shared>, control: &Channel, attach: Attach) -> Result<()> {
    let copy = control.as_fd().try_clone_to_owned().map_err(Error::Channel)?;
    let client = Arc::new(Channel::from_fd(copy));
    join(shared, &client, attach);
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || listen(&shared, &client, attach.stdin))
        .map(drop)
        .map_err(Error::Channel)
}

fn join(shared: &Shared, client: &Arc<Channel>, attach: Attach) {
    // A limit that cannot be set means waiting longer for a client that hangs.
    let _unlimited = client.limit_sending(SEND_TICK);
    if let Some(size) = attach.size {
        shared.resize(size);
    }
    shared.register(client, true);
}

/// Answers one connection to its end.
fn converse(shared: &Arc<Shared>, client: Channel) {
    let client = Arc::new(client);
    while let Ok(Some((request, fds))) = client.request() {
        match request {
            Request::Attach(attach) => {
                join(shared, &client, attach);
                return listen(shared, &client, attach.stdin);
            }
            Request::Exec(request) => return exec::run(shared, &client, &request, fds),
            Request::Wait => shared.register(&client, false),
            Request::Kill { signal } => {
                let _gone = client.send_message(&shared.kill(signal));
            }
            Request::Resize(size) => shared.resize(size),
            Request::Start { .. } => return,
        }
    }
}

/// Takes what an attached client sends.
fn listen(shared: &Shared, client: &Channel, stdin: StdinMode) {
    while let Ok(Some((packet, _))) = client.receive() {
        match packet {
            Packet::Stdin(bytes) if stdin == StdinMode::Open => shared.input(&bytes),
            Packet::StdinEnd if stdin == StdinMode::Open => shared.end_input(),
            Packet::Message(text) => {
                if let Ok(Request::Resize(size)) = parse(&text) {
                    shared.resize(size);
                }
            }
            Packet::Stdin(_) | Packet::StdinEnd | Packet::Output(..) => {}
        }
    }
    // Docker ends the input with the client that gave it.
    if stdin == StdinMode::Open {
        shared.end_input();
    }
}
