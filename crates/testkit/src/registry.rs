//! A registry in this process: real HTTP on a loopback port, with faults on demand.
//!
//! Speaks the distribution specification as far as clients use it, checks what it is sent
//! as strictly as a real registry does, records every request, and misbehaves exactly as a
//! test asks. One thread for each connection; no TLS.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufReader,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use lathe_oci::Digest;

mod http;
mod routes;

pub use http::Reply;
use http::{Incoming, read_request, write_reply};

/// A request that the registry got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`, `PUT`…
    pub method: String,
    /// Path with query.
    pub target: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` or `Content-Range` header.
    pub range: Option<String>,
    /// Length of the body, in bytes.
    pub body: usize,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answer with this instead of doing anything.
    Reply(Reply),
    /// Do it, but cut the connection after so many bytes of the answer's body.
    CutBody(usize),
    /// Read so many bytes of the request's body, keep them, and cut the connection.
    CutRequest(usize),
    /// Do it, but cut the connection instead of answering.
    LoseReply,
    /// Do it, but with these headers added or replaced in the answer.
    Headers(Vec<(String, String)>),
    /// Do it, but with another body.
    Body(Vec<u8>),
    /// Forget all tokens that were given out, then go on.
    ExpireTokens,
    /// Answer a request for a part with everything.
    IgnoreRange,
    /// Say nothing until the client goes away.
    Stall,
}

/// When something goes wrong.
#[derive(Debug, Clone)]
struct Planned {
    method: String,
    part: String,
    times: usize,
    fault: Fault,
}

/// How the registry wants to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody may do everything.
    #[default]
    Open,
    /// User and password with each request.
    Basic(String, String),
    /// Tokens of the service at `/token`, for this user and password; the anonymous may
    /// pull.
    Bearer(String, String),
}

/// What the registry holds. `pub(crate)` so that `routes` works on it.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) access: Access,
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    /// Which repository has which blob.
    pub(crate) links: BTreeSet<(String, Digest)>,
    /// By repository and tag or digest.
    pub(crate) manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    pub(crate) uploads: BTreeMap<String, Vec<u8>>,
    /// Tokens with the scopes that they are for.
    pub(crate) tokens: BTreeMap<String, Vec<String>>,
    pub(crate) counter: u64,
    faults: Vec<Planned>,
    requests: Vec<Recorded>,
}

/// The registry; it stops when dropped.
#[derive(Debug)]
pub struct FakeRegistry {
    address: SocketAddr,
    content: Arc<Mutex<Content>>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeRegistry {
    /// Starts an open registry.
    pub fn start() -> Self {
        Self::start_with(Access::Open)
    }

    /// Starts a registry that wants to be asked in a certain way.
    pub fn start_with(access: Access) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let content = Arc::new(Mutex::new(Content { access, ..Content::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let (content, stop) = (Arc::clone(&content), Arc::clone(&stop));
            std::thread::spawn(move || accept(&listener, &content, &stop))
        };
        Self { address, content, stop, acceptor: Some(acceptor) }
    }

    /// Returns host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Plans a fault for the next `times` requests of `method` whose target has `part`.
    pub fn fail(&self, method: &str, part: &str, times: usize, fault: Fault) {
        let (method, part) = (method.to_owned(), part.to_owned());
        self.content().faults.push(Planned { method, part, times, fault });
    }

    /// Puts a blob into a repository.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut content = self.content();
        content.blobs.insert(digest, bytes.to_vec());
        content.links.insert((repository.to_owned(), digest));
        digest
    }

    /// Puts a manifest into a repository, under a tag and its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Digest {
        let digest = Digest::of(bytes);
        let mut content = self.content();
        for name in [tag.to_owned(), digest.to_string()] {
            let value = (media_type.to_owned(), bytes.to_vec());
            content.manifests.insert((repository.to_owned(), name), value);
        }
        digest
    }

    /// Returns a blob, if the repository has it.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        let content = self.content();
        content.links.get(&(repository.to_owned(), *digest))?;
        content.blobs.get(digest).cloned()
    }

    /// Returns media type and bytes of a manifest by tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<(String, Vec<u8>)> {
        self.content().manifests.get(&(repository.to_owned(), name.to_owned())).cloned()
    }

    /// Returns the requests so far, and forgets them.
    pub fn take_requests(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.content().requests)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the acceptor; a connection that fails means that it is awake.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, content: &Arc<Mutex<Content>>, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let content = Arc::clone(content);
        // Ends with its client, which the test owns.
        std::thread::spawn(move || serve(&stream, &content));
    }
}

/// Serves one connection until either side has enough.
fn serve(stream: &TcpStream, content: &Mutex<Content>) {
    let mut reader = BufReader::new(stream);
    loop {
        let incoming = match read_request(&mut reader) {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return,
            Err(_) => {
                // What a TLS client says first is no HTTP: say so, as real servers do.
                drop(write_reply(stream, &Reply::new(400), false, None));
                drop(stream.shutdown(std::net::Shutdown::Both));
                return;
            }
        };
        let fault = take_fault(content, &incoming);
        if !answer(stream, &mut reader, content, incoming, fault) {
            // A reset would lose what was sent; the client sees the end instead.
            drop(stream.shutdown(std::net::Shutdown::Both));
            return;
        }
    }
}

fn take_fault(content: &Mutex<Content>, incoming: &Incoming) -> Option<Fault> {
    let mut content = lock(content);
    let planned = content.faults.iter_mut().find(|planned| {
        planned.times > 0
            && planned.method == incoming.method
            && incoming.target.contains(&planned.part)
    })?;
    planned.times -= 1;
    Some(planned.fault.clone())
}

/// Answers one request; tells whether the connection goes on.
fn answer(
    stream: &TcpStream,
    reader: &mut BufReader<&TcpStream>,
    content: &Mutex<Content>,
    mut incoming: Incoming,
    fault: Option<Fault>,
) -> bool {
    let read = match fault {
        Some(Fault::CutRequest(count)) => incoming.read_body(reader, Some(count)),
        _ => incoming.read_body(reader, None),
    };
    if read.is_err() {
        return false;
    }
    let mut content = lock(content);
    content.requests.push(Recorded {
        method: incoming.method.clone(),
        target: incoming.target.clone(),
        authorization: incoming.header("authorization").map(str::to_owned),
        range: incoming.header("range").or(incoming.header("content-range")).map(str::to_owned),
        body: incoming.body.len(),
    });
    let mut cut = None;
    let mut reply = match fault {
        Some(Fault::Reply(reply)) => reply,
        Some(Fault::CutRequest(_)) => {
            routes::keep_partial(&mut content, &incoming);
            return false;
        }
        Some(Fault::LoseReply) => {
            routes::route(&mut content, &incoming);
            return false;
        }
        Some(Fault::Stall) => {
            drop(content);
            // Returns when the client closes its side.
            drop(std::io::copy(reader, &mut std::io::sink()));
            return false;
        }
        Some(Fault::ExpireTokens) => {
            content.tokens.clear();
            routes::route(&mut content, &incoming)
        }
        Some(Fault::IgnoreRange) => {
            incoming.remove_header("range");
            routes::route(&mut content, &incoming)
        }
        Some(Fault::CutBody(count)) => {
            cut = Some(count);
            routes::route(&mut content, &incoming)
        }
        Some(Fault::Headers(headers)) => {
            let reply = routes::route(&mut content, &incoming);
            headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
        }
        Some(Fault::Body(body)) => routes::route(&mut content, &incoming).body(body),
        None => routes::route(&mut content, &incoming),
    };
    drop(content);
    if incoming.method == "HEAD" {
        reply = reply.headers_only();
    }
    write_reply(stream, &reply, true, cut).is_ok() && cut.is_none()
}
