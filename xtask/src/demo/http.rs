//! Just enough of HTTP/1.1 to ask a server on this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns an address of loopback that nobody listens on.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    listener.local_addr().context("read a port number")
}

/// Asks until there is an answer, and returns its body.
///
/// A forwarded port may take connections before the server behind it listens, so that even a connection which ends
/// without a word is asked again.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let start = Instant::now();
    loop {
        match ask(address, path) {
            Ok(body) => return Ok(body),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error)
                    .with_context(|| format!("no answer from http://{address}{path}"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("connect")?;
    stream.set_read_timeout(Some(PATIENCE)).context("set a time-out")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).context("send")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("receive")?;
    body(&String::from_utf8_lossy(&answer))
}

/// Returns the body of an answer; one that comes in chunks keeps their lengths, which no check minds.
fn body(answer: &str) -> Result<String> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("the answer is cut off") };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the answer is `{status}`");
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello").expect("is fine"), "hello");
        assert!(body("HTTP/1.1 404 Not Found\r\n\r\nhello").is_err());
        assert!(body("").is_err());
    }

    #[test]
    fn a_server_is_asked_until_it_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || {
            drop(listener.accept().expect("the first question"));
            let (mut stream, _) = listener.accept().expect("the second question");
            let mut question = [0; 512];
            let length = stream.read(&mut question).expect("a question");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nat last").expect("the answer");
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        assert_eq!(get(address, "/a").expect("an answer"), "at last");
        assert!(server.join().expect("a server").starts_with("GET /a HTTP/1.1\r\n"));
    }
}
