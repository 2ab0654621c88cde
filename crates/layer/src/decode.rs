//! Decompressing and hashing on a thread of its own, while the caller makes files.
//!
//! Unpacking waits for the file system half of the time; gunzip and SHA-256 need a core for the
//! whole. The two are joined by a short channel of buffers that go round.

use crate::compression::Compression;
use crate::error::Error;
use crate::error::Result;
use lathe_oci::Digest;
use lathe_oci::Digester;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::sync::mpsc;

/// Bytes per buffer and buffers under way.
const BUFFER: usize = 256 * 1024;
const QUEUE: usize = 8;

/// What the stream was, to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Gives the decompressed stream to `consume` and reads it to its end, also what `consume` left.
pub(crate) fn decode<T>(
    reader: impl Read + Send,
    compression: Compression,
    limit: Option<u64>,
    consume: impl FnOnce(&mut Chunks) -> Result<T>,
) -> Result<(T, Decoded)> {
    let (full, chunks) = mpsc::sync_channel(QUEUE);
    let (returned, empty) = mpsc::channel();
    std::thread::scope(|scope| {
        let decoder = scope.spawn(move || run(reader, compression, limit, &full, &empty));
        let mut chunks = Chunks { full: chunks, returned, present: Vec::new(), at: 0 };
        let consumed = consume(&mut chunks);
        if consumed.is_ok() {
            chunks.drain();
        }
        // The decoder ends when nobody takes its buffers.
        drop(chunks);
        let decoded = decoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (consumed, decoded) {
            // A broken stream looks cut off to the consumer; the decoder knows better.
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
            (Ok(consumed), Ok(decoded)) => Ok((consumed, decoded)),
        }
    })
}

fn run(
    reader: impl Read + Send,
    compression: Compression,
    limit: Option<u64>,
    full: &mpsc::SyncSender<Vec<u8>>,
    empty: &mpsc::Receiver<Vec<u8>>,
) -> Result<Decoded> {
    let mut decoder = compression.decoder(reader)?;
    let mut digester = Digester::default();
    let mut size = 0;
    loop {
        let mut buffer = empty.try_recv().unwrap_or_else(|_| vec![0; BUFFER]);
        buffer.resize(BUFFER, 0);
        let count = crate::compression::read_full(&mut decoder, &mut buffer)
            .map_err(|source| Error::ReadLayer { source })?;
        if count == 0 {
            return Ok(Decoded { digest: digester.finish(), size });
        }
        size += count as u64;
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            return Err(Error::LimitExceeded { limit });
        }
        buffer.truncate(count);
        digester.update(&buffer);
        if full.send(buffer).is_err() {
            // The consumer failed and has its own error to tell; ours is not looked at.
            return Ok(Decoded { digest: digester.finish(), size });
        }
    }
}

/// Decompressed stream, buffer by buffer.
#[derive(Debug)]
pub(crate) struct Chunks {
    full: mpsc::Receiver<Vec<u8>>,
    returned: mpsc::Sender<Vec<u8>>,
    present: Vec<u8>,
    at: usize,
}

impl Chunks {
    fn drain(&mut self) {
        while let Ok(chunk) = self.full.recv() {
            // The decoder may have ended already.
            drop(self.returned.send(chunk));
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.present.len() {
            // An error of the channel is the end of the stream.
            let next = self.full.recv().unwrap_or_default();
            let used = std::mem::replace(&mut self.present, next);
            self.at = 0;
            if !used.is_empty() {
                drop(self.returned.send(used));
            }
        }
        Ok(&self.present[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
