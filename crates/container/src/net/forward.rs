//! Carries connections to published ports into a container's network namespace.
//!
//! One thread, which lives in the namespace: what it accepts was bound outside and so belongs to
//! the host's network, what it connects belongs to the container's. All sockets are non-blocking
//! in one epoll set, level-triggered; a socket is registered only for what is wanted of it right
//! now, so that an idle or blocked connection costs nothing. Bytes go through one buffer of the
//! loop; a connection holds memory only while its reader is slower than its writer.
//!
//! A connection is made to the loopback address, so that it needs no device in the namespace and
//! no way out. A service that does not listen: the connection is closed, as docker's proxy does.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;
use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::bind::Bound;
use super::bind::HostSocket;
use super::namespace::Namespace;
use super::udp::Udp;
use crate::Error;
use crate::Result;

/// Most connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// Size of the loop's buffer.
const BUFFER: usize = 128 << 10;
/// How often one direction is served before the others have their turn.
const TURNS: usize = 16;
/// How long the loop waits at most while there are UDP sessions to grow old.
pub(crate) const SWEEP: Duration = Duration::from_secs(15);

/// The forwarder of one container. Dropping it closes all ports and connections.
#[derive(Debug)]
pub(crate) struct Forwarder {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts forwarding `bound` into `namespace`.
    pub(crate) fn start(bound: Vec<Bound>, namespace: Namespace) -> Result<Self> {
        let fail = |source| Error::Network { step: "start the port forwarder", source };
        let (stop, stopped) = UnixStream::pair().map_err(fail)?;
        let ring = Loop::new(bound, stopped).map_err(fail)?;
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ports".to_owned())
            .spawn(move || {
                let entered = namespace.enter();
                let inside = entered.is_ok();
                // The receiver waits below for exactly this.
                let _sent = ready.send(entered);
                if inside {
                    ring.run();
                }
            })
            .map_err(fail)?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self { stop: Some(stop), thread: Some(thread) }),
            Ok(Err(error)) => Err(fail(error)),
            Err(_) => Err(fail(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the loop closed the ports as well.
            let _panicked = thread.join();
        }
    }
}

/// What an event in the epoll set is about; packed into its 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Stop,
    Listener(usize),
    Client(usize),
    Server(usize),
    Session(usize),
}

impl Token {
    pub(crate) fn pack(self) -> EventData {
        let (kind, index) = match self {
            Self::Stop => (0, 0),
            Self::Listener(index) => (1, index),
            Self::Client(index) => (2, index),
            Self::Server(index) => (3, index),
            Self::Session(index) => (4, index),
        };
        EventData::new_u64((index as u64) << 3 | kind)
    }

    fn unpack(data: EventData) -> Self {
        let index = usize::try_from(data.u64() >> 3).unwrap_or(usize::MAX);
        match data.u64() & 7 {
            0 => Self::Stop,
            1 => Self::Listener(index),
            2 => Self::Client(index),
            3 => Self::Server(index),
            _ => Self::Session(index),
        }
    }
}

/// A socket in the epoll set, with what it is registered for.
#[derive(Debug)]
struct Side {
    stream: TcpStream,
    registered: EventFlags,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    /// Read and not yet written.
    pending: Vec<u8>,
    written: usize,
    /// The reading side has ended.
    ended: bool,
    /// The writing side was told so.
    closed: bool,
}

impl Direction {
    fn waiting(&self) -> bool {
        self.written < self.pending.len()
    }
}

#[derive(Debug)]
struct Connection {
    client: Side,
    server: Side,
    /// Port of the service, for a second attempt; `None` once connected.
    connecting: Option<(u16, IpAddr)>,
    inward: Direction,
    outward: Direction,
}

struct Loop {
    epoll: OwnedFd,
    stop: UnixStream,
    listeners: Vec<Bound>,
    accepting: bool,
    limit: usize,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Slots emptied in this round: events of the round may still name them.
    emptied: Vec<usize>,
    udp: Udp,
    buffer: Box<[u8]>,
}

impl Loop {
    fn new(listeners: Vec<Bound>, stop: UnixStream) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &stop, Token::Stop.pack(), EventFlags::IN)?;
        for (index, bound) in listeners.iter().enumerate() {
            epoll::add(&epoll, fd(bound), Token::Listener(index).pack(), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            stop,
            listeners,
            accepting: true,
            limit: connection_limit(),
            connections: Vec::new(),
            free: Vec::new(),
            emptied: Vec::new(),
            udp: Udp::default(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = self.udp.timeout().and_then(|time| Timespec::try_from(time).ok());
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            for event in events.drain(..) {
                match Token::unpack(event.data) {
                    Token::Stop => return drop(self.stop),
                    Token::Listener(index) => self.listener(index),
                    Token::Client(index) | Token::Server(index) => self.turn(index),
                    Token::Session(index) => {
                        self.udp.answer(index, &self.listeners, &mut self.buffer);
                    }
                }
            }
            self.udp.sweep();
            self.free.append(&mut self.emptied);
            self.accept_again();
        }
    }

    fn listener(&mut self, index: usize) {
        match &self.listeners[index].socket {
            HostSocket::Tcp(_) => self.accept(index),
            HostSocket::Udp(socket) => {
                let port = self.listeners[index].port.container_port;
                self.udp.receive(&self.epoll, index, socket, port, &mut self.buffer);
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let Bound { socket: HostSocket::Tcp(listener), port } = &self.listeners[index] else {
            return;
        };
        let port = port.container_port;
        for _ in 0..TURNS {
            if self.open_connections() >= self.limit {
                self.accepting = false;
                break;
            }
            match accept_one(listener) {
                Ok(client) => {
                    if let Ok(connection) = connect(client, port) {
                        let index = Self::place(&mut self.connections, &mut self.free, connection);
                        turn(&self.epoll, &mut self.connections, index, &mut self.buffer)
                            .then(|| self.emptied.push(index));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // Out of descriptors: wait until a connection ends. Everything else is
                    // about a client that went away meanwhile.
                    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                        self.accepting = false;
                        self.limit = self.open_connections().max(1);
                    }
                    break;
                }
            }
        }
        if !self.accepting {
            self.register_listeners(EventFlags::empty());
        }
    }

    fn open_connections(&self) -> usize {
        self.connections.len() - self.free.len() - self.emptied.len()
    }

    /// Listens again once there is room.
    fn accept_again(&mut self) {
        if !self.accepting && self.open_connections() < self.limit {
            self.accepting = true;
            self.register_listeners(EventFlags::IN);
        }
    }

    fn register_listeners(&self, flags: EventFlags) {
        for (index, bound) in self.listeners.iter().enumerate() {
            if matches!(bound.socket, HostSocket::Tcp(_)) {
                // Both descriptors are open and registered: this cannot fail.
                let _done =
                    epoll::modify(&self.epoll, fd(bound), Token::Listener(index).pack(), flags);
            }
        }
    }

    fn place(
        connections: &mut Vec<Option<Connection>>,
        free: &mut Vec<usize>,
        connection: Connection,
    ) -> usize {
        if let Some(index) = free.pop() {
            connections[index] = Some(connection);
            return index;
        }
        connections.push(Some(connection));
        connections.len() - 1
    }

    fn turn(&mut self, index: usize) {
        if turn(&self.epoll, &mut self.connections, index, &mut self.buffer) {
            self.emptied.push(index);
        }
    }
}

fn fd(bound: &Bound) -> std::os::fd::BorrowedFd<'_> {
    match &bound.socket {
        HostSocket::Tcp(socket) => socket.as_fd(),
        HostSocket::Udp(socket) => socket.as_fd(),
    }
}

/// Returns how many connections the limit of open files allows, two descriptors each.
fn connection_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (files.saturating_sub(64) / 2).clamp(1, CONNECTIONS)
}

fn accept_one(listener: &TcpListener) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(TcpStream::from(rustix::net::accept_with(listener, flags)?))
}

/// Begins a connection to the service on `port` of the namespace in which the thread is.
fn connect(client: TcpStream, port: u16) -> io::Result<Connection> {
    // Whoever sends small packets wants them sent: the two ends' own settings decide.
    client.set_nodelay(true)?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (stream, address) = match begin(address, port) {
        Ok(stream) => (stream, address),
        Err(_) => (begin(IpAddr::V6(Ipv6Addr::LOCALHOST), port)?, Ipv6Addr::LOCALHOST.into()),
    };
    Ok(Connection {
        client: Side { stream: client, registered: EventFlags::empty() },
        server: Side { stream, registered: EventFlags::empty() },
        connecting: Some((port, address)),
        inward: Direction::default(),
        outward: Direction::default(),
    })
}

fn begin(address: IpAddr, port: u16) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddr::new(address, port)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Moves what can be moved on one connection; returns true when it is over and its slot empty.
fn turn(
    epoll: &OwnedFd,
    connections: &mut [Option<Connection>],
    index: usize,
    buffer: &mut [u8],
) -> bool {
    let Some(slot) = connections.get_mut(index) else { return false };
    let Some(connection) = slot else { return false };
    let over = match step(connection, buffer) {
        Ok(over) => over || register(epoll, index, connection).is_err(),
        Err(_) => true,
    };
    if over {
        // Closing the sockets takes them out of the epoll set.
        *slot = None;
    }
    over
}

/// Returns whether the connection is over; an error ends it as well.
fn step(connection: &mut Connection, buffer: &mut [u8]) -> io::Result<bool> {
    if connection.connecting.is_some() && !connected(connection)? {
        return Ok(false);
    }
    let Connection { client, server, inward, outward, .. } = connection;
    carry(&client.stream, &server.stream, inward, buffer)?;
    carry(&server.stream, &client.stream, outward, buffer)?;
    Ok(inward.closed && outward.closed)
}

/// Returns whether the service has answered. A refused connection over IPv4 is tried over IPv6
/// once: some services listen there alone.
fn connected(connection: &mut Connection) -> io::Result<bool> {
    let stream = &connection.server.stream;
    let failure = stream.take_error()?;
    match (failure, connection.connecting) {
        (None, _) => match stream.peer_addr() {
            Ok(_) => {
                connection.connecting = None;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        },
        (Some(_), Some((port, IpAddr::V4(_)))) => {
            let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
            let stream = begin(address, port)?;
            // The old socket leaves the epoll set as it is closed.
            connection.server = Side { stream, registered: EventFlags::empty() };
            connection.connecting = Some((port, address));
            connected(connection)
        }
        (Some(error), _) => Err(error),
    }
}

/// Moves bytes from one side to the other until one of them would block.
fn carry(
    mut from: &TcpStream,
    mut to: &TcpStream,
    direction: &mut Direction,
    buffer: &mut [u8],
) -> io::Result<()> {
    for _ in 0..TURNS {
        if direction.waiting() {
            let Some(count) = ready(to.write(&direction.pending[direction.written..]))? else {
                return Ok(());
            };
            direction.written += count;
            if direction.waiting() {
                return Ok(());
            }
            // A burst's buffer is given back rather than kept for the connection's life.
            *direction = Direction { ended: direction.ended, ..Direction::default() };
        }
        if direction.ended {
            return close(to, direction);
        }
        let Some(count) = ready(from.read(buffer))? else { return Ok(()) };
        if count == 0 {
            direction.ended = true;
            // Not left for a further turn: no event would bring it, as nothing is read any more.
            return close(to, direction);
        }
        let written = ready(to.write(&buffer[..count]))?.unwrap_or(0);
        if written < count {
            direction.pending.extend_from_slice(&buffer[written..count]);
        }
    }
    Ok(())
}

/// Tells the writing side once that there is no more.
fn close(to: &TcpStream, direction: &mut Direction) -> io::Result<()> {
    if std::mem::replace(&mut direction.closed, true) {
        return Ok(());
    }
    match to.shutdown(Shutdown::Write) {
        // The other side has gone altogether, which its own direction finds out.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// Makes "would block" a value.
fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Registers both sides for exactly what the connection waits for.
fn register(epoll: &OwnedFd, index: usize, connection: &mut Connection) -> io::Result<()> {
    let Connection { client, server, connecting, inward, outward } = connection;
    if connecting.is_some() {
        set(epoll, client, Token::Client(index), EventFlags::empty())?;
        return set(epoll, server, Token::Server(index), EventFlags::OUT);
    }
    set(epoll, client, Token::Client(index), wanted(inward, outward))?;
    set(epoll, server, Token::Server(index), wanted(outward, inward))
}

/// Returns what a side is waited for that is read for `reads` and written for `writes`.
fn wanted(reads: &Direction, writes: &Direction) -> EventFlags {
    let mut flags = EventFlags::empty();
    if !reads.ended && !reads.waiting() {
        flags |= EventFlags::IN;
    }
    if writes.waiting() {
        flags |= EventFlags::OUT;
    }
    flags
}

/// A side of which nothing is wanted is taken out of the set: the kernel reports a hang-up even
/// when nothing was asked for, over and over.
fn set(epoll: &OwnedFd, side: &mut Side, token: Token, flags: EventFlags) -> io::Result<()> {
    if side.registered == flags {
        return Ok(());
    }
    if flags.is_empty() {
        epoll::delete(epoll, &side.stream)?;
    } else if side.registered.is_empty() {
        epoll::add(epoll, &side.stream, token.pack(), flags)?;
    } else {
        epoll::modify(epoll, &side.stream, token.pack(), flags)?;
    }
    side.registered = flags;
    Ok(())
}

#[cfg(test)]
mod tests;
