//! What a command and a container's shim say to each other.
//!
//! A seqpacket socket: one message is one packet, never torn, and the death of either side shows
//! as an end. The first byte tells what a packet is; the streams of an attached process travel as
//! plain bytes after it, everything else as JSON.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use lathe_executor::TerminalSize;
use rustix::net::AddressFamily;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt::Timeout;
use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;
use crate::log::LogStream;
use crate::spec::BoundPort;
use crate::spec::StdinMode;
use crate::spec::Terminal;

/// Largest packet: well below the kernel's default send buffer of 208 KiB.
const LIMIT: usize = 128 << 10;
/// Most bytes of a stream in one packet.
pub(crate) const STREAM_LIMIT: usize = 32 << 10;
/// Most descriptors with one packet.
const FDS: usize = 4;

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First message of the command that made the shim.
    Start {
        attach: Option<Attach>,
    },
    /// Streams of a running container.
    Attach(Attach),
    /// Answered once the container has ended.
    Wait,
    Kill {
        signal: i32,
    },
    /// The three standard streams come along as descriptors, unless a terminal is asked for.
    Exec(ExecRequest),
    /// Of the terminal of the connection's container.
    Resize(TerminalSize),
}

/// Which streams an attached command takes part in. Output always comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attach {
    pub(crate) stdin: StdinMode,
    /// Size of the command's terminal, when it is one.
    pub(crate) size: Option<TerminalSize>,
}

/// A further process beside the container's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) terminal: Terminal,
    pub(crate) size: Option<TerminalSize>,
}

/// What a shim answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Response {
    Started {
        ports: Vec<BoundPort>,
        warnings: Vec<String>,
    },
    /// An exec runs; with a terminal, its master side comes along.
    ExecStarted,
    Failed {
        code: i32,
        message: String,
    },
    Exited {
        code: i32,
    },
    Done,
    /// The container has ended meanwhile.
    Ended,
}

/// One packet.
#[derive(Debug)]
pub(crate) enum Packet {
    /// JSON, of a [`Request`] or [`Response`] as the direction has it.
    Message(Vec<u8>),
    Stdin(Vec<u8>),
    StdinEnd,
    Output(LogStream, Vec<u8>),
}

/// A packet and the descriptors that came with it.
pub(crate) type Received = (Packet, Vec<OwnedFd>);

const MESSAGE: u8 = b'M';
const STDIN: u8 = b'I';
const STDIN_END: u8 = b'E';
const STDOUT: u8 = b'O';
const STDERR: u8 = b'S';

/// One end of a conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Returns the two ends of a new conversation.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Takes over an end which came as a plain descriptor.
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Connects to the socket `name` in `folder`; `None` when nobody listens there.
    pub(crate) fn connect(folder: BorrowedFd<'_>, name: &str) -> io::Result<Option<Self>> {
        let socket = seqpacket()?;
        match rustix::net::connect(&socket, &address(folder, name)?) {
            Ok(()) => Ok(Some(Self(socket))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Limits how long one `send` may wait for a reader that does not read.
    pub(crate) fn limit_sending(&self, time: Duration) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_timeout(&self.0, Timeout::Send, Some(time))?)
    }

    pub(crate) fn send_message(&self, message: &impl Serialize) -> io::Result<()> {
        self.send_with(message, &[])
    }

    pub(crate) fn send_with(
        &self,
        message: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send(MESSAGE, &serde_json::to_vec(message)?, fds)
    }

    /// Sends output; at most [`STREAM_LIMIT`] bytes at once.
    pub(crate) fn send_output(&self, stream: LogStream, bytes: &[u8]) -> io::Result<()> {
        let kind = match stream {
            LogStream::Stdout => STDOUT,
            LogStream::Stderr => STDERR,
        };
        self.send(kind, bytes, &[])
    }

    /// Sends input; at most [`STREAM_LIMIT`] bytes at once. No bytes are the end of the input.
    pub(crate) fn send_stdin(&self, bytes: &[u8]) -> io::Result<()> {
        self.send(if bytes.is_empty() { STDIN_END } else { STDIN }, bytes, &[])
    }

    fn send(&self, kind: u8, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.len() >= LIMIT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(bytes)];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Waits for a packet; `None` once the other side is gone.
    pub(crate) fn receive(&self) -> io::Result<Option<Received>> {
        let mut bytes = vec![0; LIMIT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let parts = &mut [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.0, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
        });
        let length = match received {
            Ok(message) => message.bytes,
            // A side that dies with unread packets resets the connection.
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if length == 0 {
            return Ok(None);
        }
        bytes.truncate(length);
        Ok(Some((packet(bytes)?, fds)))
    }

    /// Waits for a response.
    pub(crate) fn response(&self) -> Result<Option<(Response, Vec<OwnedFd>)>> {
        self.message()
    }

    /// Waits for a request.
    pub(crate) fn request(&self) -> Result<Option<(Request, Vec<OwnedFd>)>> {
        self.message()
    }

    fn message<T: serde::de::DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>> {
        match self.receive().map_err(Error::Channel)? {
            None => Ok(None),
            Some((Packet::Message(text), fds)) => Ok(Some((parse(&text)?, fds))),
            Some(_) => Err(Error::Channel(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads a message's JSON.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(Error::Message)
}

fn packet(mut bytes: Vec<u8>) -> io::Result<Packet> {
    let kind = bytes.remove(0);
    match kind {
        MESSAGE => Ok(Packet::Message(bytes)),
        STDIN => Ok(Packet::Stdin(bytes)),
        STDIN_END => Ok(Packet::StdinEnd),
        STDOUT => Ok(Packet::Output(LogStream::Stdout, bytes)),
        STDERR => Ok(Packet::Output(LogStream::Stderr, bytes)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Returns the address of a socket file. An address holds 108 bytes, and the store may lie
/// deeper: so the way leads through the descriptor of its directory.
fn address(folder: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok(SocketAddrUnix::new(Path::new(&path))?)
}

/// The socket on which a shim is asked.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Listens on the socket `name` in `folder`, in place of what an earlier shim left there.
    pub(crate) fn bind(folder: BorrowedFd<'_>, name: &str) -> io::Result<Self> {
        match rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let socket = seqpacket()?;
        rustix::net::bind(&socket, &address(folder, name)?)?;
        rustix::net::listen(&socket, 64)?;
        Ok(Self(socket))
    }

    pub(crate) fn accept(&self) -> io::Result<Channel> {
        let socket =
            rustix::io::retry_on_intr(|| rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC))?;
        Ok(Channel(socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_streams_and_descriptors_arrive_as_sent() {
        let (one, other) = Channel::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        one.send_with(&Request::Kill { signal: 9 }, &[file.as_fd()]).unwrap();
        one.send_stdin(b"abc").unwrap();
        one.send_stdin(b"").unwrap();
        one.send_output(LogStream::Stderr, b"x").unwrap();
        drop(one);
        let (request, fds) = other.request().unwrap().unwrap();
        assert_eq!(request, Request::Kill { signal: 9 });
        assert_eq!(fds.len(), 1);
        assert!(matches!(other.receive().unwrap(), Some((Packet::Stdin(b), _)) if b == b"abc"));
        assert!(matches!(other.receive().unwrap(), Some((Packet::StdinEnd, _))));
        let output = other.receive().unwrap();
        assert!(matches!(output, Some((Packet::Output(LogStream::Stderr, _), _))));
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn a_socket_deeper_than_an_address_can_say_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let fd = std::fs::File::open(&deep).unwrap();
        assert!(Channel::connect(fd.as_fd(), "shim.sock").unwrap().is_none());
        let listener = Listener::bind(fd.as_fd(), "shim.sock").unwrap();
        let client = Channel::connect(fd.as_fd(), "shim.sock").unwrap().unwrap();
        client.send_message(&Request::Wait).unwrap();
        let (request, _) = listener.accept().unwrap().request().unwrap().unwrap();
        assert_eq!(request, Request::Wait);
        drop(listener);
        assert!(Channel::connect(fd.as_fd(), "shim.sock").unwrap().is_none());
    }
}
