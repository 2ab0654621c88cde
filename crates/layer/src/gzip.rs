//! Gzip on several cores with bytes that do not depend on how many.
//!
//! The input comes in blocks of one MiB; each is deflated on its own and ends on a byte border, so
//! that the pieces put one after the other are one deflate stream, in one gzip member that every
//! reader takes. Which thread did a piece, and when, leaves no trace.
//!
//! Cost: matches do not reach over a block's border, 0.2 % of size. The bytes depend on the pinned
//! version of libdeflate; a golden digest in the tests notices when they change.

mod deflate;
mod sample;
mod walk;

use crate::block::Block;
use crate::block::Pool;
use deflate::Deflater;
use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

/// Level of `gzip` by default, of Docker too.
const LEVEL: u8 = 6;

/// No flags, no time, no operating system (255).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Most threads: each holds a few MiB.
const MOST_THREADS: usize = 32;

/// Compresses blocks into `output`.
pub(crate) struct Gzip<W> {
    output: W,
    /// The first block, until there is a second: small layers need no threads.
    first: Option<Arc<Block>>,
    crc: crc32fast::Hasher,
    size: u64,
    level: u8,
    threads: usize,
    workers: Option<Workers>,
}

struct Workers {
    jobs: mpsc::Sender<Job>,
    /// Results in the order of the blocks.
    pending: VecDeque<mpsc::Receiver<Piece>>,
    /// Buffers of what was compressed.
    pool: Arc<Pool>,
}

struct Job {
    block: Arc<Block>,
    result: mpsc::Sender<Piece>,
}

struct Piece {
    compressed: Vec<u8>,
    crc: crc32fast::Hasher,
}

impl<W: Write> Gzip<W> {
    pub(crate) fn new(mut output: W, level: Option<u8>, threads: usize) -> io::Result<Self> {
        output.write_all(&HEADER)?;
        Ok(Self {
            output,
            first: None,
            crc: crc32fast::Hasher::new(),
            size: 0,
            level: level.unwrap_or(LEVEL),
            threads: threads.clamp(1, MOST_THREADS),
            workers: None,
        })
    }

    /// Takes the next block; all but the last have the same size.
    pub(crate) fn write(&mut self, block: Arc<Block>) -> io::Result<()> {
        self.size += block.len() as u64;
        if self.size == block.len() as u64 {
            self.first = Some(block);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            self.submit(first)?;
        }
        self.submit(block)
    }

    /// Writes what is left and the trailer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if let Some(first) = self.first.take() {
            let Piece { compressed, crc } =
                piece(&mut Deflater::new(self.level), &first, Vec::new());
            self.output.write_all(&compressed)?;
            self.crc = crc;
        }
        while self.workers.as_ref().is_some_and(|workers| !workers.pending.is_empty()) {
            self.write_oldest()?;
        }
        self.output.write_all(&deflate::END)?;
        self.output.write_all(&self.crc.finalize().to_le_bytes())?;
        // The size modulo 2^32 (RFC 1952, 2.3.1).
        self.output.write_all(&self.size.to_le_bytes()[..4])?;
        Ok(self.output)
    }

    fn submit(&mut self, block: Arc<Block>) -> io::Result<()> {
        let (level, threads) = (self.level, self.threads);
        let workers = self.workers.get_or_insert_with(|| Workers::start(level, threads));
        let (result, receiver) = mpsc::channel();
        workers.jobs.send(Job { block, result }).map_err(|_| worker_died())?;
        workers.pending.push_back(receiver);
        // Enough in flight that nobody waits, few enough that memory stays bounded.
        if workers.pending.len() > 2 * threads {
            self.write_oldest()?;
        }
        Ok(())
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let workers = self.workers.as_mut().expect("a piece is pending");
        let Some(receiver) = workers.pending.pop_front() else { return Ok(()) };
        let Piece { compressed, crc } = receiver.recv().map_err(|_| worker_died())?;
        self.crc.combine(&crc);
        self.output.write_all(&compressed)?;
        workers.pool.put(compressed);
        Ok(())
    }
}

impl Workers {
    /// Starts threads that end when the writer is dropped.
    fn start(level: u8, threads: usize) -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        let pool = Arc::<Pool>::default();
        for _ in 0..threads {
            let (received, pool) = (Arc::clone(&received), Arc::clone(&pool));
            std::thread::spawn(move || {
                let mut deflater = Deflater::new(level);
                loop {
                    let job = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Job { block, result }) = job else { return };
                    let piece = piece(&mut deflater, &block, pool.take(0));
                    // The writer is gone after an error; nobody wants the piece then.
                    drop(result.send(piece));
                }
            });
        }
        Self { jobs, pending: VecDeque::new(), pool }
    }
}

fn piece(deflater: &mut Deflater, block: &[u8], mut compressed: Vec<u8>) -> Piece {
    deflater.deflate(block, &mut compressed);
    let mut crc = crc32fast::Hasher::new();
    crc.update(block);
    Piece { compressed, crc }
}

fn worker_died() -> io::Error {
    io::Error::other("a compression thread died")
}

#[cfg(test)]
mod tests;
