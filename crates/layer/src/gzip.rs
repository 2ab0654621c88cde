//! Gzip on several cores with bytes that do not depend on how many.
//!
//! The input is cut into blocks of one MiB; each is deflated on its own and ends with a sync flush
//! on a byte boundary, so that the pieces put one after the other are one deflate stream, in one
//! gzip member that every reader takes. Which thread did a piece, and when, leaves no trace.
//!
//! Cost: matches do not reach over a block's border, 0.2 % of size. The bytes depend on the pinned
//! versions of flate2 and zlib-rs; a golden digest in the tests notices when they change.

use flate2::Compress;
use flate2::FlushCompress;
use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

/// Bytes per piece. Part of what determines the output.
const BLOCK: usize = 1024 * 1024;

/// Level of `gzip` by default, of Docker too.
const LEVEL: u8 = 6;

/// No flags, no time, no operating system (255).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses what is written to it into `output`.
pub(crate) struct GzipWriter<W> {
    output: W,
    block: Vec<u8>,
    crc: crc32fast::Hasher,
    size: u64,
    level: u8,
    threads: usize,
    /// Started at the second block: small layers need none.
    workers: Option<Workers>,
}

struct Workers {
    jobs: mpsc::Sender<Job>,
    /// Results in the order of the blocks.
    pending: VecDeque<mpsc::Receiver<Piece>>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

struct Job {
    block: Vec<u8>,
    result: mpsc::Sender<Piece>,
}

struct Piece {
    compressed: io::Result<Vec<u8>>,
    crc: crc32fast::Hasher,
    block: Vec<u8>,
}

impl<W: Write> GzipWriter<W> {
    pub(crate) fn new(mut output: W, level: Option<u8>, threads: usize) -> io::Result<Self> {
        output.write_all(&HEADER)?;
        Ok(Self {
            output,
            block: Vec::with_capacity(BLOCK),
            crc: crc32fast::Hasher::new(),
            size: 0,
            level: level.unwrap_or(LEVEL),
            threads: threads.max(1),
            workers: None,
        })
    }

    /// Writes what is left and the trailer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        while self.workers.as_ref().is_some_and(|workers| !workers.pending.is_empty()) {
            self.write_oldest()?;
        }
        let last = deflate(&self.block, self.level, FlushCompress::Finish)?;
        self.crc.update(&self.block);
        self.output.write_all(&last)?;
        self.output.write_all(&self.crc.finalize().to_le_bytes())?;
        // The size modulo 2^32 (RFC 1952, 2.3.1).
        self.output.write_all(&self.size.to_le_bytes()[..4])?;
        Ok(self.output)
    }

    fn submit(&mut self) -> io::Result<()> {
        let (level, threads) = (self.level, self.threads);
        let workers = self.workers.get_or_insert_with(|| Workers::start(level, threads));
        let empty = workers.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
        let block = std::mem::replace(&mut self.block, empty);
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
        let Piece { compressed, crc, mut block } = receiver.recv().map_err(|_| worker_died())?;
        block.clear();
        workers.spare.push(block);
        self.crc.combine(&crc);
        self.output.write_all(&compressed?)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block waits for the next byte, since the last one is flushed differently.
        if self.block.len() == BLOCK {
            self.submit()?;
        }
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Where blocks end must depend on the input alone.
        Ok(())
    }
}

impl Workers {
    /// Starts threads that end when the writer is dropped.
    fn start(level: u8, threads: usize) -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..threads {
            let received = Arc::clone(&received);
            std::thread::spawn(move || {
                loop {
                    let job = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Job { block, result }) = job else { return };
                    let compressed = deflate(&block, level, FlushCompress::Sync);
                    let mut crc = crc32fast::Hasher::new();
                    crc.update(&block);
                    // The writer is gone after an error; nobody wants the piece then.
                    drop(result.send(Piece { compressed, crc, block }));
                }
            });
        }
        Self { jobs, pending: VecDeque::new(), spare: Vec::new() }
    }
}

fn worker_died() -> io::Error {
    io::Error::other("a compression thread died")
}

/// Deflates one block without header, ended by `flush`.
fn deflate(block: &[u8], level: u8, flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(flate2::Compression::new(level.into()), false);
    // Room for incompressible input in stored blocks, and for the flush marker.
    let mut output = Vec::with_capacity(block.len() + block.len() / 1024 + 64);
    loop {
        let consumed = usize::try_from(compress.total_in()).expect("a block fits in memory");
        let status = compress.compress_vec(&block[consumed..], &mut output, flush)?;
        let all = compress.total_in() == block.len() as u64;
        let done = match flush {
            FlushCompress::Finish => status == flate2::Status::StreamEnd,
            // With room left over, the flush is complete.
            _ => all && output.len() < output.capacity(),
        };
        if done {
            return Ok(output);
        }
        output.reserve(64 * 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn gzip(content: &[u8], threads: usize, step: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), None, threads).expect("header written");
        for part in content.chunks(step) {
            writer.write_all(part).expect("written");
        }
        writer.finish().expect("finished")
    }

    /// Bytes with some order in them, and the same on every machine.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 0 { state.to_le_bytes()[3] } else { b'a' }
        };
        (0..size).map(|_| next()).collect()
    }

    #[test]
    fn output_is_one_member_and_does_not_depend_on_threads_or_write_sizes() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17] {
            let content = sample(size);
            let expected = gzip(&content, 1, BLOCK);
            for (threads, step) in [(2, 65_537), (4, 1_000_003)] {
                assert!(gzip(&content, threads, step) == expected, "{size} by {threads}");
            }
            let mut back = Vec::new();
            // Reads one member only.
            let mut decoder = flate2::read::GzDecoder::new(&expected[..]);
            decoder.read_to_end(&mut back).expect("valid gzip");
            assert!(back == content, "{size}");
        }
    }

    #[test]
    fn incompressible_blocks_are_kept() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        let content: Vec<u8> = (0..2 * BLOCK + 5).map(|_| next()).collect();
        let compressed = gzip(&content, 2, BLOCK);
        let mut back = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&compressed[..]);
        decoder.read_to_end(&mut back).expect("valid gzip");
        assert!(back == content);
    }

    #[test]
    fn bytes_are_stable() {
        // Changes only when the compressor does, which is a new form of every layer: see
        // the comment above before touching it.
        let compressed = gzip(&sample(2 * BLOCK + 100), 2, 4096);
        assert_eq!(
            lathe_oci::Digest::of(&compressed).to_string(),
            "sha256:e891e5b2b2e16fd827edc1606f57adf54b5d6dfc86dc63c32f957f30d53889fc"
        );
    }
}
