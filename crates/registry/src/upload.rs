//! Uploads: mount, monolithic, chunked, resumed
//! (distribution specification 1.1, section "Pushing a blob").
//!
//! The usual way is POST for a session and one PUT with all of the bytes. When the
//! connection breaks, the registry is asked how far it got and the rest is sent by PATCH;
//! a registry that forgot, or keeps no partial uploads, gets a new session. A registry (or
//! a proxy before it) that does not take the one PUT gets chunks. A blob that is still being made
//! goes by one PATCH of unknown length, as docker sends all of them.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use lathe_oci::{Descriptor, Digest, MediaType, Reference};

use crate::{
    Client, Error, Result, RetryPolicy,
    auth::{pull_scope, push_scope},
    blob::subject,
    transport::{Answer, Body, Call, Exchange, Method, Target},
    url::{Url, encode},
};

/// Length of a chunk, in bytes: large enough that round trips do not count, small enough
/// that proxies with a limit take it.
const CHUNK: u64 = 16 * 1024 * 1024;
/// Longest chunk that a registry may insist on, in bytes.
const LONGEST_CHUNK: u64 = 1024 * 1024 * 1024;

/// Something that can be read several times, from any offset: uploads are repeated.
pub trait BlobSource: Sync {
    /// Opens it at `offset` bytes.
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl BlobSource for File {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(FileReader { file: self, offset }))
    }
}

impl BlobSource for PathBuf {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = File::open(self)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

impl BlobSource for &[u8] {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(Box::new(&self[start..]))
    }
}

impl BlobSource for Vec<u8> {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(Box::new(&self[start..]))
    }
}

/// Bytes that come once: a second reader would have only what the first one left.
struct OnceSource<'a>(Mutex<Option<&'a mut (dyn Read + Send)>>);

impl BlobSource for OnceSource<'_> {
    fn open(&self, _: u64) -> io::Result<Box<dyn Read + '_>> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(content) => Ok(Box::new(content)),
            None => Err(io::Error::other("it has been sent already")),
        }
    }
}

/// Reads a file by offset, so that readers of one open file do not move each other.
struct FileReader<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// How a blob came to be in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    AlreadyThere,
    /// The registry linked it from another repository.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

impl Client {
    /// Links a blob from another repository of the same registry; tells whether the
    /// registry did it.
    pub fn mount_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        from: &Reference,
    ) -> Result<bool> {
        let scopes = scopes(reference, Some(from));
        let nothing: &[u8] = &[];
        self.push(reference, &scopes, |call| {
            let upload = Upload::new(self, call, reference, descriptor, &nothing, &|_| ());
            match upload.start(Some(from))? {
                Started::Mounted => Ok(true),
                Started::Session(session) => {
                    upload.abandon(&session);
                    Ok(false)
                }
            }
        })
    }

    /// Makes sure that a repository has a blob: looks for it, has it mounted from `from`
    /// (a repository of the same registry that probably has it), or sends its bytes.
    ///
    /// `progress` is told how many bytes have been sent; after a failure it may go back.
    pub fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        from: Option<&Reference>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed> {
        let from = from.filter(|from| may_mount(reference, from));
        let scopes = scopes(reference, from);
        self.push(reference, &scopes, |call| {
            if self.has_blob(call, reference, descriptor)? {
                return Ok(Pushed::AlreadyThere);
            }
            self.send_blob(call, (reference, descriptor), source, from, progress)
        })
    }

    /// As [`Client::push_blob`], for a blob that the repository does not have, as
    /// [`Client::blob_exists`] said.
    pub fn upload_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        from: Option<&Reference>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed> {
        let from = from.filter(|from| may_mount(reference, from));
        let scopes = scopes(reference, from);
        self.push(reference, &scopes, |call| {
            self.send_blob(call, (reference, descriptor), source, from, progress)
        })
    }

    fn send_blob(
        &self,
        call: Call<'_>,
        (reference, descriptor): (&Reference, &Descriptor),
        source: &dyn BlobSource,
        from: Option<&Reference>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed> {
        let upload = Upload::new(self, call, reference, descriptor, source, progress);
        match upload.start(from)? {
            Started::Mounted => Ok(Pushed::Mounted),
            Started::Session(session) => upload.run(session).map(|()| Pushed::Uploaded),
        }
    }

    /// Sends a blob while it is being made: neither its size nor its digest is known before
    /// `content` has ended, when `descriptor` tells them; `None` gives the upload up.
    ///
    /// What has been sent cannot be sent again, so nothing is tried twice: after an error whoever
    /// has kept the bytes uses [`Client::upload_blob`].
    pub fn stream_blob(
        &self,
        reference: &Reference,
        content: &mut (dyn Read + Send),
        descriptor: impl FnOnce() -> Option<Descriptor>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let scopes = scopes(reference, None);
        let source = OnceSource(Mutex::new(Some(content)));
        let subject = format!("push a layer to {}", reference.familiar_name());
        let unknown = Descriptor::new(MediaType::OciLayer, Digest::of(&[]), 0);
        self.push(reference, &scopes, |call| {
            let upload = Upload {
                subject,
                ..Upload::new(self, call, reference, &unknown, &source, progress)
            };
            let mut session = upload.restart()?;
            let body = Body::Stream { source: &source, offset: 0, length: None, progress };
            let exchange = Exchange::new(Method::PATCH, &upload.subject)
                .header("Content-Type", "application/octet-stream")
                .body(body);
            let answer = self.send(call, &exchange, Target::Url(&session.location))?;
            if !matches!(answer.status, 200..=299) {
                return Err(upload.refused(answer));
            }
            session.location = upload.location(&answer)?;
            answer.drain();
            let Some(descriptor) = descriptor() else {
                upload.abandon(&session);
                return Err(Error::Canceled);
            };
            Upload { descriptor: &descriptor, ..upload }.put(&session.location, descriptor.size, 0)
        })
    }
}

/// Tells whether a registry could link a blob from a repository.
fn may_mount(reference: &Reference, from: &Reference) -> bool {
    from.registry() == reference.registry() && from.repository() != reference.repository()
}

/// Returns what an upload must be allowed to do.
fn scopes(reference: &Reference, from: Option<&Reference>) -> Vec<String> {
    let mut scopes = vec![push_scope(reference.repository())];
    scopes.extend(from.map(|from| pull_scope(from.repository())));
    scopes
}

/// An upload that the registry has begun.
struct Session {
    /// Where the next request goes.
    location: Url,
    /// Bytes of a chunk, in bytes.
    chunk: u64,
}

enum Started {
    Mounted,
    Session(Session),
}

/// How the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All by one PUT.
    Whole,
    /// By PATCH, then an empty PUT.
    Chunks,
}

/// Where to go on after a failure.
struct Resumption {
    session: Session,
    offset: u64,
    manner: Manner,
}

/// One blob on its way to one endpoint.
struct Upload<'a> {
    client: &'a Client,
    call: Call<'a>,
    reference: &'a Reference,
    descriptor: &'a Descriptor,
    source: &'a dyn BlobSource,
    progress: &'a (dyn Fn(u64) + Sync),
    subject: String,
}

impl<'a> Upload<'a> {
    fn new(
        client: &'a Client,
        call: Call<'a>,
        reference: &'a Reference,
        descriptor: &'a Descriptor,
        source: &'a dyn BlobSource,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Self {
        let subject = format!("push {}", subject(reference, &descriptor.digest));
        Self { client, call, reference, descriptor, source, progress, subject }
    }

    /// Begins a session, or has the blob mounted.
    fn start(&self, from: Option<&Reference>) -> Result<Started> {
        let mut path = self.call.endpoint.path(self.reference.repository(), "blobs/uploads/");
        if let Some(from) = from {
            let digest = self.descriptor.digest.to_string();
            path.extend(["?mount=", &digest, "&from=", &encode(from.repository())]);
        }
        let exchange = Exchange::new(Method::POST, &self.subject).body(Body::Bytes(&[]));
        let answer = self.client.send(self.call, &exchange, Target::Path(&path))?;
        match answer.status {
            201 if from.is_some() => {
                answer.drain();
                Ok(Started::Mounted)
            }
            202 => {
                let least = answer.header("oci-chunk-min-length");
                let least = least.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
                let chunk = CHUNK.max(least.min(LONGEST_CHUNK));
                let location = self.location(&answer)?;
                answer.drain();
                Ok(Started::Session(Session { location, chunk }))
            }
            // No right to read the other repository is no reason not to push.
            401 | 403 | 404 | 405 if from.is_some() => {
                answer.drain();
                self.start(None)
            }
            _ => Err(self.refused(answer)),
        }
    }

    fn restart(&self) -> Result<Session> {
        match self.start(None)? {
            Started::Session(session) => Ok(session),
            Started::Mounted => unreachable!("nothing was to be mounted"),
        }
    }

    /// Sends the bytes until the registry has them all.
    fn run(&self, mut session: Session) -> Result<()> {
        let (mut offset, mut manner, mut attempt) = (0, Manner::Whole, 0);
        loop {
            let sent = match manner {
                Manner::Whole => self.put(&session.location, 0, self.descriptor.size),
                Manner::Chunks => self.send_chunks(&mut session, offset),
            };
            let Err(error) = sent else { return Ok(()) };
            let resumed = offset > 0;
            attempt += 1;
            let limited = attempt < self.call.policy.attempts;
            if manner == Manner::Whole && limited && wants_chunks(&error) {
                (session, offset, manner) = (self.restart()?, 0, Manner::Chunks);
                continue;
            }
            if resumed && limited && wants_restart(&error) {
                (session, offset, manner) = (self.restart()?, 0, Manner::Whole);
                continue;
            }
            self.call.policy.wait(attempt, error, self.client.cancel())?;
            let Some(next) = self.recover(&session, attempt)? else { return Ok(()) };
            Resumption { session, offset, manner } = next;
        }
    }

    /// Asks how far the registry got; `None` when it has the blob after all.
    fn recover(&self, session: &Session, attempt: u32) -> Result<Option<Resumption>> {
        let exchange = Exchange::new(Method::GET, &self.subject);
        let status = self.client.send(self.call, &exchange, Target::Url(&session.location));
        if let Ok(answer) = status
            && answer.status == 204
            && let Some(offset) = range_end(&answer).filter(|end| *end <= self.descriptor.size)
        {
            let location = self.location(&answer)?;
            answer.drain();
            let session = Session { location, chunk: session.chunk };
            return Ok(Some(Resumption { session, offset, manner: Manner::Chunks }));
        }
        // The answer to the last PUT may be all that was lost.
        if self.client.has_blob(self.call, self.reference, self.descriptor)? {
            return Ok(None);
        }
        // A proxy that cuts long requests cuts the next one as well.
        let manner = if attempt > 1 { Manner::Chunks } else { Manner::Whole };
        Ok(Some(Resumption { session: self.restart()?, offset: 0, manner }))
    }

    /// Ends a session by PUT with the bytes from `offset` on.
    fn put(&self, location: &Url, offset: u64, length: u64) -> Result<()> {
        let url = location.clone().with_query("digest", &self.descriptor.digest.to_string());
        let body = match length {
            0 => Body::Bytes(&[]),
            _ => self.stream(offset, length),
        };
        let exchange = Exchange::new(Method::PUT, &self.subject)
            .header("Content-Type", "application/octet-stream")
            .body(body);
        // Once: what a failure means for the session is found out by `recover`.
        let call = Call { policy: RetryPolicy { attempts: 1, ..self.call.policy }, ..self.call };
        let answer = self.client.send(call, &exchange, Target::Url(&url))?;
        match answer.status {
            200..=299 => {
                answer.drain();
                Ok(())
            }
            _ => Err(self.refused(answer)),
        }
    }

    /// Sends the bytes from `offset` on by PATCH, then ends the session.
    fn send_chunks(&self, session: &mut Session, mut offset: u64) -> Result<()> {
        let size = self.descriptor.size;
        while offset < size {
            let length = session.chunk.min(size - offset);
            let exchange = Exchange::new(Method::PATCH, &self.subject)
                .header("Content-Type", "application/octet-stream")
                .header("Content-Range", format!("{offset}-{}", offset + length - 1))
                .body(self.stream(offset, length));
            let target = Target::Url(&session.location);
            let answer = self.client.send(self.call, &exchange, target)?;
            if !matches!(answer.status, 200..=299) {
                return Err(self.refused(answer));
            }
            let end = range_end(&answer).unwrap_or(offset + length);
            if end <= offset || end > offset + length {
                return Err(answer.wrong(&self.subject, "lost count of the bytes sent"));
            }
            session.location = self.location(&answer)?;
            answer.drain();
            offset = end;
        }
        self.put(&session.location, size, 0)
    }

    fn stream(&self, offset: u64, length: u64) -> Body<'_> {
        Body::Stream { source: self.source, offset, length: Some(length), progress: self.progress }
    }

    /// Ends a session that is not wanted; the registry would do so by itself some day.
    fn abandon(&self, session: &Session) {
        let exchange = Exchange::new(Method::DELETE, &self.subject);
        if let Ok(answer) = self.client.send(self.call, &exchange, Target::Url(&session.location)) {
            answer.drain();
        }
    }

    fn location(&self, answer: &Answer) -> Result<Url> {
        answer
            .header("location")
            .and_then(|location| answer.url.join(location))
            .ok_or_else(|| answer.wrong(&self.subject, "does not say where to upload"))
    }

    fn refused(&self, answer: Answer) -> Error {
        answer.refusal(&self.subject, self.call.endpoint.auth.name())
    }
}

/// Returns how many bytes the registry has: `0-99` is a hundred. The `0-0` of an upload
/// without bytes looks like that of one byte, and is taken for unknown.
fn range_end(answer: &Answer) -> Option<u64> {
    let range = answer.header("range")?.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    (last > 0).then_some(last + 1)
}

/// Tells whether a refusal of one large PUT might be none of small ones.
fn wants_chunks(error: &Error) -> bool {
    let Error::Refused(refusal) = error else { return false };
    matches!(refusal.status, 404 | 405 | 411 | 413 | 415 | 416 | 501)
        || refusal.code == "UNSUPPORTED"
}

/// Tells whether a refusal to go on with an upload might be none of a new one.
fn wants_restart(error: &Error) -> bool {
    match error {
        Error::Refused(refusal) => matches!(refusal.status, 400 | 404 | 409 | 416),
        Error::Protocol { .. } => true,
        _ => false,
    }
}
