//! Plain downloads: conditions, redirects, credentials, broken connections.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use lathe_event::Cancel;
use lathe_registry::{Error, GetRequest};

use crate::common::{bytes, client, client_with};

/// A web server that answers with what a function says, and remembers the requests.
struct Server {
    host: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves for as long as the test's process lives. `answer` gets the request's head.
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let host = listener.local_addr().expect("address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("stream");
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().expect("clone"));
                while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
                answer(&head, &mut stream);
            }
        });
        Self { host, requests }
    }

    /// Answers always with the same text.
    fn saying(reply: String) -> Self {
        Self::start(move |_, stream| send(stream, reply.as_bytes()))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // The client may have gone away, which some tests want.
    let _sent = stream.write_all(bytes);
}

fn ok(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn a_file_comes_with_what_the_server_says_of_it() {
    let headers = "ETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n";
    let server = Server::saying(ok(headers, "hello"));
    let file = client("", None).get(&server.url("/f"), &GetRequest::default()).unwrap().unwrap();
    assert_eq!(file.etag.as_deref(), Some("\"1\""));
    assert_eq!(file.last_modified.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(file.content_type.as_deref(), Some("text/plain"));
    assert_eq!(file.content_disposition.as_deref(), Some("attachment; filename=x"));
    assert_eq!(file.content_length, Some(5));
    assert_eq!(std::io::read_to_string(file.reader).unwrap(), "hello");
    let head = server.take().remove(0).to_lowercase();
    assert!(head.contains("accept-encoding: identity"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[test]
fn what_is_here_already_is_asked_for_and_not_sent_again() {
    let reply = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n";
    let server = Server::saying(reply.to_owned());
    let etag = GetRequest { etag: Some("\"1\"".to_owned()), ..GetRequest::default() };
    assert!(client("", None).get(&server.url("/f"), &etag).unwrap().is_none());
    assert!(server.take()[0].to_lowercase().contains("if-none-match: \"1\""));
    let unconditional = Server::saying(ok("ETag: W/\"1\"\r\n", "hello"));
    assert!(client("", None).get(&unconditional.url("/f"), &etag).unwrap().is_none());
    let other = Server::saying(ok("ETag: \"2\"\r\n", "hello"));
    assert!(client("", None).get(&other.url("/f"), &etag).unwrap().is_some());
    let nothing = client("", None).get(&server.url("/f"), &GetRequest::default());
    assert!(matches!(nothing, Err(Error::Refused(_))), "nobody asked for a 304");
}

#[test]
fn inv_registry_secrets_a_redirect_to_another_host_does_not_get_the_authorization() {
    let other = Server::saying(ok("", "there"));
    let location = other.url("/there");
    let server = Server::start(move |head, stream| {
        let location = if head.starts_with("GET /1 ") { "/2" } else { &location };
        let reply = format!(
            "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {location}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        send(stream, reply.as_bytes());
    });
    let url = format!("http://user:secret@{}/1", server.host);
    let file = client("", None).get(&url, &GetRequest::default()).unwrap().unwrap();
    assert_eq!(std::io::read_to_string(file.reader).unwrap(), "there");
    let own = server.take();
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|head| head.to_lowercase().contains("authorization: basic")));
    assert!(!other.take()[0].to_lowercase().contains("authorization"));
}

#[track_caller]
fn check_redirect(location: &str, expected: &str) {
    let location = location.to_owned();
    let server = Server::start(move |_, stream| {
        let reply = format!(
            "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {location}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        send(stream, reply.as_bytes());
    });
    let url = server.url("/a?secret=1");
    let error = client("", None).get(&url, &GetRequest::default()).expect_err(expected).to_string();
    let host = &server.host;
    assert_eq!(error, format!("download http://{host}/a: {host}: {expected}"));
}

#[test]
fn redirects_that_lead_nowhere_good_are_not_followed() {
    check_redirect("file:///etc/passwd", "redirects to what is no http(s) URL");
    check_redirect("ftp://a/b", "redirects to what is no http(s) URL");
    check_redirect("/a", "redirects more than 10 times");
    let metadata = "http://169.254.169.254/latest";
    check_redirect(metadata, "redirects to a link-local address (169.254.169.254)");
}

#[test]
fn other_schemes_are_refused() {
    for url in ["file:///etc/passwd", "ftp://a/b", "data:,x", "/etc/passwd"] {
        let error = client("", None).get(url, &GetRequest::default()).unwrap_err();
        assert!(matches!(error, Error::InvalidUrl(_)), "{url}: {error}");
    }
}

#[test]
fn refusals_say_what_the_status_means_and_not_how_to_log_in() {
    let check = |status: u16, expected: &str| {
        let reply =
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let server = Server::saying(reply);
        let error = client("", None).get(&server.url("/x"), &GetRequest::default()).unwrap_err();
        let host = &server.host;
        assert_eq!(error.to_string(), format!("download http://{host}/x: {host}: {expected}"));
    };
    check(404, "not found");
    check(401, "authentication required");
    check(403, "access denied");
    check(204, "no content (HTTP status 204)");
    check(410, "gone (HTTP status 410)");
}

/// Cuts the connection after the first half of the file, then obeys `If-Range` and `Range`.
fn cutting(content: Vec<u8>, etag: &'static str, second: &'static str) -> Server {
    Server::start(move |head, stream| {
        let half = content.len() / 2;
        let head = head.to_lowercase();
        if head.contains("range: bytes=") && head.contains(&format!("if-range: {second}")) {
            let (start, length) = (half, content.len());
            let reply = format!(
                "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: {}\r\n\
                 Content-Range: bytes {start}-{}/{length}\r\n\r\n",
                length - start,
                length - 1,
            );
            send(stream, reply.as_bytes());
            send(stream, &content[half..]);
            return;
        }
        let length = content.len();
        let reply = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: {etag}\r\nContent-Length: {length}\r\n\r\n"
        );
        send(stream, reply.as_bytes());
        send(stream, &content[..half]);
    })
}

#[test]
fn a_cut_connection_is_followed_by_one_that_goes_on() {
    let content = bytes(600_000);
    let server = cutting(content.clone(), "\"a\"", "\"a\"");
    let file = client("", None).get(&server.url("/x"), &GetRequest::default()).unwrap().unwrap();
    let mut got = Vec::new();
    { file.reader }.read_to_end(&mut got).unwrap();
    assert!(got == content);
    assert_eq!(server.take().len(), 2);
}

#[test]
fn half_a_file_is_an_error() {
    for (etag, second) in [("\"a\"", "\"b\""), ("W/\"a\"", "\"a\"")] {
        let server = cutting(bytes(600_000), etag, second);
        let url = server.url("/x");
        let mut file = client("", None).get(&url, &GetRequest::default()).unwrap().unwrap();
        let error = file.reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("the connection was cut"), "{error}");
    }
}

#[test]
fn a_canceled_download_ends() {
    let server = Server::start(|_, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        // Says nothing more until the client goes away.
        let _gone = stream.read(&mut [0]);
    });
    let cancel = Cancel::new();
    let client = client_with("", None, cancel.clone());
    let mut file = client.get(&server.url("/x"), &GetRequest::default()).unwrap().unwrap();
    let mut first = [0; 5];
    file.reader.read_exact(&mut first).unwrap();
    cancel.cancel();
    let error = file.reader.read(&mut first).unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    assert!(matches!(inner, Some(Error::Canceled)), "{error}");
}

#[test]
fn blocked_hosts_are_not_asked() {
    let server = Server::saying(ok("", "x"));
    let registries = format!("[registry.\"{}\"]\nblocked = true\n", server.host);
    let error = client(&registries, None).get(&server.url("/x"), &GetRequest::default());
    assert!(matches!(error, Err(Error::Blocked { .. })));
    assert!(server.take().is_empty());
}
