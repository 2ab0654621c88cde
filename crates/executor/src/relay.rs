//! Forwarding the connections of lent sockets, from the caller's side.
//!
//! The sockets are made inside of the sandbox, in its private tmpfs, so that
//! nothing of them is left on the host when the caller is killed; only their
//! listening ends come here. One thread for each sandbox serves all
//! connections, so that a process which opens many costs no threads. It ends,
//! with all connections, when the [`Relay`] is dropped.

mod agent;

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::thread::JoinHandle;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::Shutdown;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::pipe::PipeFlags;

use crate::Traffic;
use agent::Requests;

/// Connections at a time; more wait until one of these is closed.
const CONNECTIONS: usize = 64;
/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;
/// What the thread needs of a stack: the chunk, and some.
const STACK: usize = 256 << 10;

/// One listening socket of a sandbox, and where it leads.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) listener: OwnedFd,
    pub(crate) upstream: PathBuf,
    pub(crate) traffic: Traffic,
}

/// The thread that forwards.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Closed to stop the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts to forward.
    pub(crate) fn start(routes: Vec<Route>) -> io::Result<Self> {
        for route in &routes {
            rustix::io::ioctl_fionbio(&route.listener, true)?;
        }
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let thread = std::thread::Builder::new()
            .name("lathe-relay".to_owned())
            .stack_size(STACK)
            .spawn(move || run(routes, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to return, and a panic has been printed already.
            let _ended = thread.join();
        }
    }
}

fn run(mut routes: Vec<Route>, stopped: &OwnedFd) {
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let Some(ready) = wait(&routes, &connections, stopped) else { return };
        let (accepting, moving) = ready.split_at(routes.len());
        let mut pairs = moving.chunks_exact(2);
        connections.retain_mut(|connection| {
            let ready = pairs.next().is_some_and(|pair| pair.contains(&true));
            !ready || matches!(connection.advance(), Ok(Progress::Open))
        });
        let mut accepting = accepting.iter();
        routes.retain(|route| {
            let ready = accepting.next() == Some(&true);
            // A listener that cannot accept any more would be ready for ever.
            !ready || accept(route, &mut connections).is_ok()
        });
    }
}

/// Waits until something can be done. Returns which of the routes, and of each
/// connection which of its two sides, is ready; `None` to stop.
fn wait(routes: &[Route], connections: &[Connection], stopped: &OwnedFd) -> Option<Vec<bool>> {
    let mut fds = Vec::with_capacity(1 + routes.len() + 2 * connections.len());
    fds.push(PollFd::new(stopped, PollFlags::IN));
    // A descriptor without interest would still report its hang-up, over and
    // over again; the end of this pipe is no news when it is told twice.
    let idle = PollFd::new(stopped, PollFlags::empty());
    let full = connections.len() >= CONNECTIONS;
    fds.extend(routes.iter().map(|route| {
        if full { idle.clone() } else { PollFd::new(&route.listener, PollFlags::IN) }
    }));
    for connection in connections {
        for (side, interest) in connection.interests() {
            let busy = !interest.is_empty();
            fds.push(if busy { PollFd::from_borrowed_fd(side, interest) } else { idle.clone() });
        }
    }
    while let Err(errno) = rustix::event::poll(&mut fds, None) {
        if errno != Errno::INTR {
            return None;
        }
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    if ready.next() == Some(true) { None } else { Some(ready.collect()) }
}

/// Takes one connection. One whose other end cannot be reached is closed, which
/// is what a client sees of an agent that has ended, too.
fn accept(route: &Route, connections: &mut Vec<Connection>) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let client = match rustix::net::accept_with(&route.listener, flags) {
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
        other => other?,
    };
    if let Ok(agent) = connect(&route.upstream) {
        connections.push(Connection::new(client, agent, route.traffic));
    }
    Ok(())
}

/// Connects without waiting: an agent whose queue is full would stop all.
fn connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    if let Ok(address) = SocketAddrUnix::new(path) {
        rustix::net::connect(&socket, &address)?;
    } else {
        // Addresses have 108 bytes; paths may have more.
        let held = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let short = format!("/proc/self/fd/{}", held.as_raw_fd());
        rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?;
    }
    Ok(socket)
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Done,
}

/// A connection from inside, and the one that it is forwarded to.
#[derive(Debug)]
struct Connection {
    client: OwnedFd,
    agent: OwnedFd,
    up: Flow,
    down: Flow,
}

impl Connection {
    fn new(client: OwnedFd, agent: OwnedFd, traffic: Traffic) -> Self {
        let requests = match traffic {
            Traffic::UseKeys => Some(Requests::default()),
            Traffic::Raw => None,
        };
        Self { client, agent, up: Flow::new(requests), down: Flow::new(None) }
    }

    /// Returns what to wait for on either side.
    fn interests(&self) -> [(BorrowedFd<'_>, PollFlags); 2] {
        let of = |read: &Flow, written: &Flow| {
            let mut interest = PollFlags::empty();
            interest.set(PollFlags::IN, read.wants_input());
            interest.set(PollFlags::OUT, written.has_output());
            interest
        };
        [
            (self.client.as_fd(), of(&self.up, &self.down)),
            (self.agent.as_fd(), of(&self.down, &self.up)),
        ]
    }

    /// Moves what can be moved. An error ends the connection.
    fn advance(&mut self) -> rustix::io::Result<Progress> {
        self.up.step(&self.client, &self.agent)?;
        self.down.step(&self.agent, &self.client)?;
        let done = self.up.end == End::Passed && self.down.end == End::Passed;
        Ok(if done { Progress::Done } else { Progress::Open })
    }
}

/// How far the end of a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Seen,
    Passed,
}

/// One direction of a connection.
#[derive(Debug)]
struct Flow {
    buffer: Vec<u8>,
    sent: usize,
    end: End,
    requests: Option<Requests>,
}

impl Flow {
    fn new(requests: Option<Requests>) -> Self {
        Self { buffer: Vec::new(), sent: 0, end: End::Open, requests }
    }

    fn has_output(&self) -> bool {
        self.sent < self.buffer.len()
    }

    fn wants_input(&self) -> bool {
        self.end == End::Open && !self.has_output()
    }

    /// Reads if there is room, writes if there is something, and passes the end
    /// of the stream on: the other direction may go on for long.
    fn step(&mut self, from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
        if self.wants_input() {
            match self.fill(from) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => other?,
            }
        }
        if self.has_output() {
            match rustix::net::send(to, &self.buffer[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.end == End::Seen && !self.has_output() {
            self.end = End::Passed;
            rustix::net::shutdown(to, Shutdown::Write)?;
        }
        Ok(())
    }

    fn fill(&mut self, from: &OwnedFd) -> rustix::io::Result<()> {
        let mut chunk = [0; CHUNK];
        let (count, _) = rustix::net::recv(from, &mut chunk, RecvFlags::empty())?;
        self.buffer.clear();
        self.sent = 0;
        if count == 0 {
            self.end = End::Seen;
        }
        match &mut self.requests {
            None => self.buffer.extend_from_slice(&chunk[..count]),
            Some(requests) => requests
                .pass(&chunk[..count], &mut self.buffer)
                .map_err(|agent::Garbage| Errno::PROTO)?,
        }
        Ok(())
    }
}
