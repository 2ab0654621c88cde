//! A blob's reader that survives cut connections.

use std::{
    fmt,
    io::{self, Read},
};

use lathe_oci::{Descriptor, Reference};

use crate::{BlobReader, Client, Error, Result, blob::subject, transport::connection_error};

/// Bytes after which a connection counts as a good one: failures before it are forgotten.
const PROGRESS: u64 = 1024 * 1024;

/// Reads a blob to its end, and reconnects at the byte where a connection broke.
///
/// It gives up when as many connections in a row as the client's retry policy allows
/// brought less than a mebibyte each, so that a slow line gets there and a dead one ends.
pub struct ResumingReader<'a> {
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
    current: Option<BlobReader>,
    /// Next byte to be read.
    offset: u64,
    /// Offset of the last failure.
    failed_at: u64,
    failures: u32,
    progress: Box<dyn FnMut(u64) + Send + 'a>,
}

impl fmt::Debug for ResumingReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumingReader")
            .field("descriptor", &self.descriptor)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<'a> ResumingReader<'a> {
    /// Opens a blob at `offset` bytes. `progress` is told the offset after each read.
    pub fn open(
        client: &Client,
        reference: &Reference,
        descriptor: &Descriptor,
        offset: u64,
        progress: impl FnMut(u64) + Send + 'a,
    ) -> Result<Self> {
        let current = client.fetch_blob(reference, descriptor, offset)?;
        Ok(Self {
            client: client.clone(),
            reference: reference.clone(),
            descriptor: descriptor.clone(),
            current: Some(current),
            offset,
            failed_at: offset,
            failures: 0,
            progress: Box::new(progress),
        })
    }

    /// Returns the next byte's offset.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Waits for as long as `error` deserves, or gives up with it.
    fn failed(&mut self, error: Error) -> Result<()> {
        if self.offset - self.failed_at >= PROGRESS {
            self.failures = 0;
        }
        self.failed_at = self.offset;
        self.failures += 1;
        self.current = None;
        self.client.policy().wait(self.failures, error, self.client.cancel())
    }

    fn cut(&self, error: io::Error) -> Error {
        let subject = subject(&self.reference, &self.descriptor.digest);
        connection_error(&subject, self.reference.registry(), &ureq::Error::from(error))
    }
}

impl Read for ResumingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let reader = match &mut self.current {
                Some(reader) => reader,
                None => {
                    match self.client.fetch_blob(&self.reference, &self.descriptor, self.offset) {
                        Ok(reader) => self.current.insert(reader),
                        // It tried several times by itself already.
                        Err(error) => return Err(io::Error::other(error)),
                    }
                }
            };
            match reader.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    if count > 0 {
                        (self.progress)(self.offset);
                    }
                    return Ok(count);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    let error = self.cut(error);
                    self.failed(error).map_err(io::Error::other)?;
                }
            }
        }
    }
}

/// Tells whether another connection would not help.
fn is_final(error: &io::Error) -> bool {
    let canceled = || {
        error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
            .is_some_and(|inner| matches!(inner, Error::Canceled))
    };
    error.kind() == io::ErrorKind::InvalidData || canceled()
}
