//! Decompressing and hashing on a thread of its own, while the caller makes files.
//!
//! Unpacking waits for the file system half of the time; gunzip and SHA-256 need a core for the
//! whole. The two are joined by a short channel of buffers that go round.

use crate::codec::Codec;
use crate::compression::fill;
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

/// What to do with what `consume` leaves of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is read and counts for the digest: all of it is the layer.
    Read,
    /// It is nobody's: what follows the end mark of an archive may be padding of any kind.
    Ignore,
}

/// Gives the decompressed stream to `consume`, and treats the rest of it as `rest` says.
pub(crate) fn decode<T>(
    reader: impl Read + Send,
    codec: Codec,
    limit: Option<u64>,
    rest: Rest,
    consume: impl FnOnce(&mut Chunks) -> Result<T>,
) -> Result<(T, Decoded)> {
    let (full, chunks) = mpsc::sync_channel(QUEUE);
    let (returned, empty) = mpsc::channel();
    std::thread::scope(|scope| {
        let decoder = scope.spawn(move || run(reader, codec, limit, &full, &empty));
        let mut chunks =
            Chunks { full: chunks, returned, present: Vec::new(), at: 0, ended: false };
        let consumed = consume(&mut chunks);
        if consumed.is_ok() && rest == Rest::Read {
            chunks.drain();
        }
        // Who stopped before the end does not want to know what is wrong behind.
        let stopped = rest == Rest::Ignore && !chunks.ended;
        // The decoder ends when nobody takes its buffers.
        drop(chunks);
        let decoded = decoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (consumed, decoded) {
            (Ok(consumed), Err(_)) if stopped => {
                Ok((consumed, Decoded { digest: Digester::default().finish(), size: 0 }))
            }
            // A broken stream looks cut off to the consumer; the decoder knows better.
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
            (Ok(consumed), Ok(decoded)) => Ok((consumed, decoded)),
        }
    })
}

fn run(
    reader: impl Read + Send,
    codec: Codec,
    limit: Option<u64>,
    full: &mpsc::SyncSender<Vec<u8>>,
    empty: &mpsc::Receiver<Vec<u8>>,
) -> Result<Decoded> {
    let mut decoder = codec.decoder(reader)?;
    let mut digester = Digester::default();
    let mut size = 0;
    loop {
        let mut buffer = empty.try_recv().unwrap_or_else(|_| vec![0; BUFFER]);
        buffer.resize(BUFFER, 0);
        let (count, failed) = fill(&mut decoder, &mut buffer);
        if count == 0 && failed.is_none() {
            return Ok(Decoded { digest: digester.finish(), size });
        }
        size += count as u64;
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            return Err(Error::LimitExceeded { limit });
        }
        buffer.truncate(count);
        digester.update(&buffer);
        // An empty buffer would look like the end, and hide the fault.
        if count > 0 && full.send(buffer).is_err() {
            // The consumer is done, or has its own error to tell; ours is not looked at.
            return Ok(Decoded { digest: digester.finish(), size });
        }
        if let Some(source) = failed {
            return Err(Error::ReadLayer { source });
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
    /// The decoder has no more, because it is done or failed.
    ended: bool,
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
            let next = self.full.recv().unwrap_or_else(|_| {
                self.ended = true;
                Vec::new()
            });
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
