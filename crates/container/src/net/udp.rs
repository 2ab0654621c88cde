//! UDP through a published port: one connected socket inside of the namespace per client, so
//! that answers find their way back, forgotten after a time of silence.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::event::epoll;
use rustix::event::epoll::EventFlags;

use super::bind::Bound;
use super::bind::HostSocket;
use super::forward::SWEEP;
use super::forward::Token;

/// Silence after which a client is forgotten, as docker's proxy has it.
const SILENCE: Duration = Duration::from_secs(90);
/// Most clients at once; the one that was silent longest makes room.
const SESSIONS: usize = 1024;
/// Datagrams per turn, so that a flood on one port leaves the others their turns.
const TURNS: usize = 64;

#[derive(Debug)]
struct Session {
    listener: usize,
    client: SocketAddr,
    socket: UdpSocket,
    last: Instant,
}

/// All UDP sessions of a forwarder.
#[derive(Debug, Default)]
pub(crate) struct Udp {
    sessions: Vec<Option<Session>>,
    by_client: HashMap<(usize, SocketAddr), usize>,
    swept: Option<Instant>,
}

impl Udp {
    /// Returns how long the loop may sleep.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        (!self.by_client.is_empty()).then_some(SWEEP)
    }

    /// Carries datagrams inward.
    pub(crate) fn receive(
        &mut self,
        epoll: &OwnedFd,
        listener: usize,
        socket: &UdpSocket,
        port: u16,
        buffer: &mut [u8],
    ) {
        for _ in 0..TURNS {
            let Ok((length, client)) = socket.recv_from(buffer) else { return };
            let Some(session) = self.session(epoll, listener, client, port) else { continue };
            session.last = Instant::now();
            // UDP may lose datagrams; nobody listening is told by silence.
            let _lost = session.socket.send(&buffer[..length]);
        }
    }

    /// Carries answers outward.
    pub(crate) fn answer(&mut self, index: usize, listeners: &[Bound], buffer: &mut [u8]) {
        let Some(Some(session)) = self.sessions.get_mut(index) else { return };
        let HostSocket::Udp(socket) = &listeners[session.listener].socket else { return };
        for _ in 0..TURNS {
            // An error is "would block", or a refusal that the read has now cleared.
            let Ok(length) = session.socket.recv(buffer) else { return };
            session.last = Instant::now();
            let _lost = socket.send_to(&buffer[..length], session.client);
        }
    }

    /// Forgets clients that have been silent.
    pub(crate) fn sweep(&mut self) {
        let now = Instant::now();
        if self.swept.is_some_and(|swept| now - swept < SWEEP) {
            return;
        }
        self.swept = Some(now);
        for slot in &mut self.sessions {
            if let Some(session) = slot
                && now - session.last > SILENCE
            {
                self.by_client.remove(&(session.listener, session.client));
                *slot = None;
            }
        }
    }

    fn session(
        &mut self,
        epoll: &OwnedFd,
        listener: usize,
        client: SocketAddr,
        port: u16,
    ) -> Option<&mut Session> {
        if let Some(index) = self.by_client.get(&(listener, client)) {
            return self.sessions[*index].as_mut();
        }
        let index = self.room();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        socket.set_nonblocking(true).ok()?;
        epoll::add(epoll, &socket, Token::Session(index).pack(), EventFlags::IN).ok()?;
        self.by_client.insert((listener, client), index);
        self.sessions[index] = Some(Session { listener, client, socket, last: Instant::now() });
        self.sessions[index].as_mut()
    }

    /// Returns an empty slot.
    fn room(&mut self) -> usize {
        if let Some(index) = self.sessions.iter().position(Option::is_none) {
            return index;
        }
        if self.sessions.len() < SESSIONS {
            self.sessions.push(None);
            return self.sessions.len() - 1;
        }
        let oldest = self
            .sessions
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| slot.as_ref().map(|session| (session.last, index)));
        let index = oldest.min().map_or(0, |(_, index)| index);
        if let Some(session) = self.sessions[index].take() {
            self.by_client.remove(&(session.listener, session.client));
        }
        index
    }
}
