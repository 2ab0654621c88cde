//! Decompressing and hashing on threads of their own, while the caller makes files.
//!
//! Unpacking waits for the file system half of the time; gunzip needs a core for the whole, and
//! SHA-256 a third of one. They are joined by short channels of buffers that go round.

use crate::block::Block;
use crate::block::Pool;
use crate::codec::Codec;
use crate::compression::fill;
use crate::error::Error;
use crate::error::Result;
use crate::hashing::Hashing;
use lathe_oci::Digest;
use lathe_oci::Digester;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::sync::Arc;
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
    /// It is nobody's: what follows the end mark of an archive may be padding of any kind. There
    /// is no digest then.
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
    let hashing = (rest == Rest::Read).then(Hashing::default);
    std::thread::scope(|scope| {
        let decoder = scope.spawn(move || run(reader, codec, limit, hashing, &full));
        let mut chunks = Chunks { full: chunks, present: None, at: 0, ended: false };
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
    mut hashing: Option<Hashing>,
    full: &mpsc::SyncSender<Arc<Block>>,
) -> Result<Decoded> {
    let mut decoder = codec.decoder(reader)?;
    let pool = Arc::<Pool>::default();
    let mut size = 0;
    let done = |hashing: Option<Hashing>, size| {
        let digest = hashing.map_or_else(|| Digester::default().finish(), Hashing::finish);
        Ok(Decoded { digest, size })
    };
    loop {
        let mut buffer = pool.take_full(BUFFER);
        let (count, failed) = fill(&mut decoder, &mut buffer);
        if count == 0 && failed.is_none() {
            return done(hashing, size);
        }
        size += count as u64;
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            return Err(Error::LimitExceeded { limit });
        }
        buffer.truncate(count);
        let block = Arc::new(Block::new(buffer, &pool));
        if let Some(hashing) = &mut hashing {
            // A short layer is one buffer, and not worth a thread.
            if count == BUFFER {
                hashing.move_apart();
            }
            hashing.update(&block);
        }
        // An empty buffer would look like the end, and hide the fault.
        if count > 0 && full.send(block).is_err() {
            // The consumer is done, or has its own error to tell; ours is not looked at.
            return done(hashing, size);
        }
        if let Some(source) = failed {
            return Err(Error::ReadLayer { source });
        }
    }
}

/// Decompressed stream, buffer by buffer.
#[derive(Debug)]
pub(crate) struct Chunks {
    full: mpsc::Receiver<Arc<Block>>,
    present: Option<Arc<Block>>,
    at: usize,
    /// The decoder has no more, because it is done or failed.
    ended: bool,
}

impl Chunks {
    fn drain(&mut self) {
        while self.full.recv().is_ok() {}
    }

    fn rest(&self) -> &[u8] {
        self.present.as_ref().map_or(&[], |block| &block[self.at..])
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
        if self.rest().is_empty() && !self.ended {
            // An error of the channel is the end of the stream.
            self.present = self.full.recv().ok();
            self.ended = self.present.is_none();
            self.at = 0;
        }
        Ok(self.rest())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
