//! Blobs: does it exist, read it from an offset.

use std::{
    fmt,
    io::{self, Read},
};

use lathe_event::Cancel;
use lathe_oci::{Descriptor, Digest, Reference};

use crate::{
    Client, Error, Result, RetryPolicy,
    auth::{pull_scope, push_scope},
    endpoint::Endpoint,
    manifest::repository_at,
    transport::{Call, Exchange, Method, Target},
};

impl Client {
    /// Reads a blob from `offset` (bytes) to its end.
    ///
    /// The reader ends after exactly as many bytes as the descriptor says; more or fewer
    /// are errors. The digest is for the caller to check, who sees all bytes. The `urls` of
    /// foreign layers are not followed.
    pub fn fetch_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobReader> {
        if offset >= descriptor.size {
            return Ok(BlobReader::empty(self.cancel().clone()));
        }
        self.pull(reference, |endpoint, policy| {
            self.fetch_blob_at(endpoint, policy, reference, descriptor, offset)
        })
    }

    fn fetch_blob_at(
        &self,
        endpoint: &Endpoint,
        policy: RetryPolicy,
        reference: &Reference,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobReader> {
        let subject = subject(reference, &descriptor.digest);
        let path = endpoint.path(reference.repository(), &format!("blobs/{}", descriptor.digest));
        let scopes = [pull_scope(&repository_at(endpoint, reference))];
        let mut exchange = Exchange::new(Method::GET, &subject);
        if offset > 0 {
            exchange = exchange.header("Range", format!("bytes={offset}-"));
        }
        let call = Call { endpoint, scopes: &scopes, policy };
        let answer = self.send(call, &exchange, Target::Path(&path))?;
        let start = match answer.status {
            200 => 0,
            206 => answer.range_start().filter(|start| *start == offset).ok_or_else(|| {
                answer.wrong(&subject, "answers with another part than was asked for")
            })?,
            _ => return Err(answer.refusal(&subject, endpoint.auth.name())),
        };
        let expected = descriptor.size - start;
        let told = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
        if let Some(told) = told.filter(|told| *told != expected) {
            let reason = format!("has {told} bytes where {expected} are expected");
            return Err(answer.wrong(&subject, reason));
        }
        let mut reader = BlobReader {
            body: Some(answer.into_reader()),
            remaining: expected,
            cancel: self.cancel().clone(),
        };
        // A registry without ranges sends all of it: what is there already is read over.
        let skip = offset - start;
        let skipped = io::copy(&mut (&mut reader).take(skip), &mut io::sink());
        match skipped {
            Ok(count) if count == skip => Ok(reader),
            _ if self.cancel().is_cancelled() => Err(Error::Canceled),
            _ => Err(Error::Connection {
                subject,
                host: endpoint.host.clone(),
                reason: "the connection was cut".to_owned(),
                hint: "",
                transient: true,
            }),
        }
    }

    /// Tells whether a repository has a blob. Mirrors are not asked: who wants to know is
    /// about to push.
    pub fn blob_exists(&self, reference: &Reference, descriptor: &Descriptor) -> Result<bool> {
        let scopes = [push_scope(reference.repository())];
        self.push(reference, &scopes, |call| self.has_blob(call, reference, descriptor))
    }

    /// Asks one endpoint for a blob's presence.
    pub(crate) fn has_blob(
        &self,
        call: Call<'_>,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<bool> {
        let subject = subject(reference, &descriptor.digest);
        let blob = format!("blobs/{}", descriptor.digest);
        let path = call.endpoint.path(reference.repository(), &blob);
        let exchange = Exchange::new(Method::HEAD, &subject);
        let answer = self.send(call, &exchange, Target::Path(&path))?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(answer.refusal(&subject, call.endpoint.auth.name())),
        }
    }
}

/// Names a blob for error messages.
pub(crate) fn subject(reference: &Reference, digest: &Digest) -> String {
    format!("blob {} of {}", digest, reference.familiar_name())
}

/// The bytes of a blob as they arrive.
///
/// Its errors are the connection's; [`crate::ResumingReader`] gets over them.
pub struct BlobReader {
    /// `None` when there was nothing left to ask for.
    body: Option<ureq::BodyReader<'static>>,
    /// Bytes still to come.
    remaining: u64,
    cancel: Cancel,
}

impl BlobReader {
    const fn empty(cancel: Cancel) -> Self {
        Self { body: None, remaining: 0, cancel }
    }

    /// Returns how many bytes are still to come.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(Error::Canceled));
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.remaining == 0 {
            // One more read lets the connection go back to the pool, and finds bytes that
            // should not be there.
            return match body.read(&mut [0])? {
                0 => {
                    self.body = None;
                    Ok(0)
                }
                _ => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the blob is longer than its descriptor says",
                )),
            };
        }
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        match body.read(&mut buffer[..most]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.remaining -= count as u64;
                Ok(count)
            }
            Err(_) if self.cancel.is_cancelled() => Err(io::Error::other(Error::Canceled)),
            Err(error) => Err(error),
        }
    }
}
