//! One pass from tar bytes to a compressed blob, with the digest of what went in.
//!
//! Who writes here collects blocks of one MiB. A thread hashes them, others compress them, and
//! the writer's own puts the result into the output (which hashes what it gets once more, for the
//! digest of the blob). Less than a block is done at once, without threads.

use crate::block::BLOCK;
use crate::block::Block;
use crate::block::Pool;
use crate::compression::Compression;
use crate::error::Error;
use crate::error::Result;
use crate::gzip::Gzip;
use crate::hashing::Hashing;
use lathe_oci::DiffId;
use std::io;
use std::io::Write;
use std::sync::Arc;

/// Level of `zstd` by default.
const ZSTD_LEVEL: i32 = 3;

/// Bytes that one thread of zstd compresses at a time. The library takes four windows, which is
/// tens of MiB in all. Part of what determines the output.
const ZSTD_JOB: u32 = 2 * 1024 * 1024;

/// Takes tar bytes, hashes and compresses them.
pub(crate) struct Encoder<W: Write> {
    block: Vec<u8>,
    pool: Arc<Pool>,
    threads: usize,
    hashing: Hashing,
    size: u64,
    output: Output<W>,
}

enum Output<W: Write> {
    Plain(W),
    Gzip(Gzip<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

/// What went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) diff_id: DiffId,
    pub(crate) size: u64,
}

impl<W: Write> Encoder<W> {
    /// Starts a stream, at the usual level if `level` is none; `threads` has no influence on the
    /// bytes.
    pub(crate) fn new(
        output: W,
        compression: Compression,
        level: Option<u8>,
        threads: usize,
    ) -> Result<Self> {
        let write = |source| Error::WriteLayer { source };
        let output = match compression {
            Compression::None => Output::Plain(output),
            Compression::Gzip => Output::Gzip(Gzip::new(output, level, threads).map_err(write)?),
            Compression::Zstd => Output::Zstd(zstd_encoder(output, level, threads).map_err(write)?),
        };
        let pool = Arc::<Pool>::default();
        let hashing = Hashing::default();
        Ok(Self { block: Vec::with_capacity(BLOCK), pool, threads, hashing, size: 0, output })
    }

    /// Ends the stream.
    pub(crate) fn finish(mut self) -> Result<(W, Encoded)> {
        let write = |source| Error::WriteLayer { source };
        if !self.block.is_empty() {
            self.submit(Vec::new()).map_err(write)?;
        }
        let output = match self.output {
            Output::Plain(output) => Ok(output),
            Output::Gzip(gzip) => gzip.finish(),
            Output::Zstd(zstd) => zstd.finish(),
        };
        let output = output.map_err(write)?;
        let diff_id = DiffId(self.hashing.finish());
        Ok((output, Encoded { diff_id, size: self.size }))
    }

    /// Hands the block on and goes on with an empty one.
    fn submit(&mut self, next: Vec<u8>) -> io::Result<()> {
        let bytes = std::mem::replace(&mut self.block, next);
        self.size += bytes.len() as u64;
        // The first block that is not full is the last.
        if bytes.len() == BLOCK && self.threads > 1 {
            self.hashing.move_apart();
        }
        let block = Arc::new(Block::new(bytes, &self.pool));
        self.hashing.update(&block);
        match &mut self.output {
            Output::Plain(output) => output.write_all(&block),
            Output::Gzip(gzip) => gzip.write(block),
            Output::Zstd(zstd) => zstd.write_all(&block),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            let next = self.pool.take(BLOCK);
            self.submit(next)?;
        }
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Where blocks end must depend on the input alone.
        Ok(())
    }
}

fn zstd_encoder<W: Write>(
    output: W,
    level: Option<u8>,
    threads: usize,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    use zstd::zstd_safe::CParameter;
    let level = level.map_or(ZSTD_LEVEL, i32::from);
    let mut encoder = zstd::stream::write::Encoder::new(output, level)?;
    // Without workers the library cuts its blocks differently: at least one, always.
    encoder.multithread(u32::try_from(threads.clamp(1, 64)).expect("at most 64"))?;
    if level <= ZSTD_LEVEL {
        // Higher levels look farther back than a job of this size.
        encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    }
    encoder.include_checksum(true)?;
    Ok(encoder)
}
