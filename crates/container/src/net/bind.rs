//! Binding the published ports on the host, before anything of the container runs.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;

use crate::Error;
use crate::Result;
use crate::spec::BoundPort;
use crate::spec::PortMapping;
use crate::spec::Protocol;

/// How often a free port of IPv4 is looked for whose number is free for IPv6 too.
const FREE_PORT_ATTEMPTS: usize = 16;

/// A socket bound on the host, and what it stands for.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) port: BoundPort,
    pub(crate) socket: HostSocket,
}

/// A socket of the host side.
#[derive(Debug)]
pub(crate) enum HostSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl HostSocket {
    fn port(&self) -> io::Result<u16> {
        Ok(match self {
            Self::Tcp(socket) => socket.local_addr()?.port(),
            Self::Udp(socket) => socket.local_addr()?.port(),
        })
    }
}

/// Binds all `mappings`, or none. A mapping without an address is bound for IPv4 and, where the
/// host has it, for IPv6 with the same number.
pub(crate) fn bind(mappings: &[PortMapping]) -> Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for mapping in mappings {
        match mapping.host_ip {
            Some(ip) => bound.push(bind_one(mapping, ip, mapping.host_port.unwrap_or(0))?),
            None => bound.extend(bind_both(mapping)?),
        }
    }
    Ok(bound)
}

fn bind_both(mapping: &PortMapping) -> Result<Vec<Bound>> {
    let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let four = bind_one(mapping, any4, mapping.host_port.unwrap_or(0))?;
        let number = four.port.host_port;
        match open(mapping.protocol, SocketAddr::new(any6, number)) {
            Ok(socket) => {
                let six = Bound { port: bound_port(mapping, any6, number), socket };
                return Ok(vec![four, six]);
            }
            // Somebody has the number for IPv6 alone: another one will do when any will.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && mapping.host_port.is_none()
                    && attempts < FREE_PORT_ATTEMPTS => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(bind_error(mapping.protocol, SocketAddr::new(any6, number), &error));
            }
            // A host without IPv6.
            Err(_) => return Ok(vec![four]),
        }
    }
}

fn bind_one(mapping: &PortMapping, ip: IpAddr, number: u16) -> Result<Bound> {
    let address = SocketAddr::new(ip, number);
    let socket = open(mapping.protocol, address)
        .map_err(|error| bind_error(mapping.protocol, address, &error))?;
    let number = socket.port().map_err(|error| bind_error(mapping.protocol, address, &error))?;
    Ok(Bound { port: bound_port(mapping, ip, number), socket })
}

fn bound_port(mapping: &PortMapping, host_ip: IpAddr, host_port: u16) -> BoundPort {
    let PortMapping { container_port, protocol, .. } = *mapping;
    BoundPort { host_ip, host_port, container_port, protocol }
}

fn open(protocol: Protocol, address: SocketAddr) -> io::Result<HostSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = rustix::net::socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier container in TIME_WAIT do not keep the port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(match protocol {
        Protocol::Tcp => {
            rustix::net::listen(&socket, 4096)?;
            HostSocket::Tcp(TcpListener::from(socket))
        }
        Protocol::Udp => HostSocket::Udp(UdpSocket::from(socket)),
    })
}

/// Returns docker's text for a port that cannot be bound, with the fix where there is one.
fn bind_error(protocol: Protocol, address: SocketAddr, error: &io::Error) -> Error {
    let protocol = match (protocol, address.is_ipv4()) {
        (Protocol::Tcp, true) => "tcp4",
        (Protocol::Tcp, false) => "tcp6",
        (Protocol::Udp, true) => "udp4",
        (Protocol::Udp, false) => "udp6",
    };
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
        io::ErrorKind::PermissionDenied => format!(
            "permission denied: ports below {} are kept for root; publish a higher one, or let \
             users bind this one: `sysctl net.ipv4.ip_unprivileged_port_start={}`",
            unprivileged_port_start(),
            address.port()
        ),
        _ => error.to_string(),
    };
    Error::Bind { protocol, address: address.to_string(), reason }
}

fn unprivileged_port_start() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(ip: Option<&str>, host_port: Option<u16>, protocol: Protocol) -> PortMapping {
        PortMapping {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port: 80,
            protocol,
        }
    }

    #[test]
    fn a_free_port_has_one_number_for_all_addresses() {
        let bound = bind(&[mapping(None, None, Protocol::Tcp)]).unwrap();
        let number = bound[0].port.host_port;
        assert_ne!(number, 0);
        assert!(bound.iter().all(|bound| bound.port.host_port == number));
    }

    #[test]
    fn a_taken_port_fails_with_dockers_words() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let first = bind(&[mapping(Some("127.0.0.1"), None, protocol)]).unwrap();
            let number = first[0].port.host_port;
            let error = bind(&[mapping(Some("127.0.0.1"), Some(number), protocol)]).unwrap_err();
            let name = if protocol == Protocol::Tcp { "tcp4" } else { "udp4" };
            assert_eq!(
                error.to_string(),
                format!("listen {name} 127.0.0.1:{number}: bind: address already in use")
            );
            assert_eq!(error.exit_code(), 125);
        }
    }
}
