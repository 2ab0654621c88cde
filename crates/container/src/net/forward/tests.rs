use super::*;
use crate::net::bind::bind;
use crate::spec::PortMapping;
use crate::spec::Protocol;
use std::io::Read;
use std::io::Write;
use std::net::UdpSocket;

/// A namespace with a published port `container_port`; the host's port is returned.
fn published(protocol: Protocol, container_port: u16) -> Option<(Namespace, Forwarder, u16)> {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => {
            println!("SKIP port forwarding: {error}");
            return None;
        }
    };
    let mapping = PortMapping {
        host_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host_port: None,
        container_port,
        protocol,
    };
    let bound = bind(&[mapping]).unwrap();
    let host_port = bound[0].port.host_port;
    let forwarder = Forwarder::start(bound, namespace.try_clone().unwrap()).unwrap();
    Some((namespace, forwarder, host_port))
}

fn listen(namespace: &Namespace, address: &str) -> TcpListener {
    namespace.run("listen", || TcpListener::bind(address)).unwrap()
}

#[test]
fn bytes_and_half_close_go_through_both_ways() {
    let Some((namespace, _forwarder, port)) = published(Protocol::Tcp, 80) else { return };
    let service = listen(&namespace, "127.0.0.1:80");
    // More than all socket buffers hold, so that both directions block now and then.
    let question: Vec<u8> = (0..32_u32 << 20).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    std::thread::scope(|scope| {
        let want = &question;
        scope.spawn(move || {
            let (mut stream, _) = service.accept().unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            assert!(got == *want);
            stream.write_all(&got).unwrap();
        });
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(&question).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer == question);
    });
}

#[test]
fn a_service_on_ipv6_alone_is_reached() {
    let Some((namespace, _forwarder, port)) = published(Protocol::Tcp, 80) else { return };
    let service = listen(&namespace, "[::1]:80");
    std::thread::scope(|scope| {
        scope.spawn(move || service.accept().unwrap().0.write_all(b"hello").unwrap());
        let mut answer = String::new();
        TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
    });
}

#[test]
fn nobody_listening_closes_the_connection() {
    let Some((_namespace, _forwarder, port)) = published(Protocol::Tcp, 80) else { return };
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut answer = Vec::new();
    // Closed or reset, as the timing has it.
    let _ended = client.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn many_connections_at_once_are_served() {
    let Some((namespace, _forwarder, port)) = published(Protocol::Tcp, 80) else { return };
    let service = listen(&namespace, "0.0.0.0:80");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for stream in service.incoming().take(100) {
                let mut stream = stream.unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(&byte).unwrap();
            }
        });
        let mut clients: Vec<TcpStream> =
            (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        for (number, client) in (0_u8..).zip(&mut clients) {
            client.write_all(&[number]).unwrap();
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], number);
        }
    });
}

#[test]
fn dropping_the_forwarder_frees_the_port() {
    let Some((_namespace, forwarder, port)) = published(Protocol::Tcp, 80) else { return };
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
    drop(forwarder);
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[test]
fn datagrams_find_their_way_back() {
    let Some((namespace, _forwarder, port)) = published(Protocol::Udp, 53) else { return };
    let service = namespace.run("bind", || UdpSocket::bind("127.0.0.1:53")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = [0; 64];
            for _ in 0..2 {
                let (length, from) = service.recv_from(&mut buffer).unwrap();
                service.send_to(&buffer[..length], from).unwrap();
            }
        });
        for text in ["one", "two"] {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(text.as_bytes(), ("127.0.0.1", port)).unwrap();
            let mut buffer = [0; 64];
            let (length, _) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], text.as_bytes());
        }
    });
}

#[test]
fn the_end_is_passed_on_in_whichever_turn_it_comes() {
    let pair = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    };
    // Each turn reads a byte, so that the end comes in every turn once, the last one included.
    for bytes in 0..=TURNS {
        let ((mut source, from), (to, mut sink)) = (pair(), pair());
        source.write_all(&vec![1; bytes]).unwrap();
        source.shutdown(Shutdown::Write).unwrap();
        let mut direction = Direction::default();
        while !direction.ended {
            super::carry(&from, &to, &mut direction, &mut [0]).unwrap();
        }
        assert!(direction.closed, "{bytes} bytes");
        let mut received = Vec::new();
        sink.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), bytes);
    }
}
