//! Clients of a lent agent socket.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

fn connect() -> UnixStream {
    UnixStream::connect("/run/buildkit/ssh_agent.0").unwrap()
}

/// Says something and prints the first five bytes of the answer.
fn ask(stream: &mut UnixStream, kind: u8) {
    stream.write_all(&[0, 0, 0, 1, kind]).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    println!("{answer:?}");
}

/// Prints when the other side has nothing more to say.
fn print_end(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    // A connection that is cut reports a reset, when something was unread.
    let _reset = stream.read_to_end(&mut rest);
    println!("end{}", String::from_utf8_lossy(&rest));
}

/// A small request, one that fits in no buffer, and a half-close.
pub(super) fn whole() {
    let mut stream = connect();
    ask(&mut stream, 11);
    let large = [&200_001_u32.to_be_bytes()[..], &[13], &vec![7; 200_000]].concat();
    let mut answer = vec![0; large.len()];
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&large).unwrap());
        (&stream).read_exact(&mut answer).unwrap();
    });
    println!("large {} {}", answer.len(), if answer == large { "same" } else { "different" });
    stream.shutdown(Shutdown::Write).unwrap();
    print_end(&mut stream);
}

pub(super) fn remove() {
    let mut stream = connect();
    ask(&mut stream, 19);
    stream.shutdown(Shutdown::Write).unwrap();
    print_end(&mut stream);
}

pub(super) fn garbage() {
    let mut stream = connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    print_end(&mut stream);
    ask(&mut connect(), 11);
}

pub(super) fn gone() {
    print_end(&mut connect());
    print_end(&mut connect());
}

/// Asks and waits for an answer for ever.
pub(super) fn hold() {
    let mut stream = connect();
    stream.write_all(&[0, 0, 0, 1, 11]).unwrap();
    print_end(&mut stream);
}
