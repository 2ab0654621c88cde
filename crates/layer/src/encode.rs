//! One pass from tar bytes to a compressed blob, with the digest of what went in.

use crate::compression::Compression;
use crate::error::Error;
use crate::error::Result;
use crate::gzip::GzipWriter;
use lathe_oci::DiffId;
use lathe_oci::Digester;
use std::io;
use std::io::BufWriter;
use std::io::Write;

/// Bytes written at a time.
const BUFFER: usize = 256 * 1024;

/// Level of `zstd` by default.
const ZSTD_LEVEL: i32 = 3;

/// Takes tar bytes, hashes and compresses them.
pub(crate) struct Encoder<W: Write> {
    digester: Digester,
    size: u64,
    output: Output<W>,
}

enum Output<W: Write> {
    /// Headers are small; a buffer joins them.
    Plain(BufWriter<W>),
    Gzip(GzipWriter<W>),
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
            Compression::None => Output::Plain(BufWriter::with_capacity(BUFFER, output)),
            Compression::Gzip => {
                Output::Gzip(GzipWriter::new(output, level, threads).map_err(write)?)
            }
            Compression::Zstd => Output::Zstd(zstd_encoder(output, level, threads).map_err(write)?),
        };
        Ok(Self { digester: Digester::default(), size: 0, output })
    }

    /// Ends the stream.
    pub(crate) fn finish(self) -> Result<(W, Encoded)> {
        let output = match self.output {
            Output::Plain(output) => output.into_inner().map_err(io::IntoInnerError::into_error),
            Output::Gzip(gzip) => gzip.finish(),
            Output::Zstd(zstd) => zstd.finish(),
        };
        let output = output.map_err(|source| Error::WriteLayer { source })?;
        let diff_id = DiffId(self.digester.finish());
        Ok((output, Encoded { diff_id, size: self.size }))
    }
}

fn zstd_encoder<W: Write>(
    output: W,
    level: Option<u8>,
    threads: usize,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let level = level.map_or(ZSTD_LEVEL, i32::from);
    let mut encoder = zstd::stream::write::Encoder::new(output, level)?;
    // Without workers the library cuts its blocks differently: at least one, always.
    encoder.multithread(u32::try_from(threads.clamp(1, 64)).expect("at most 64"))?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.output {
            Output::Plain(output) => output.write(bytes),
            Output::Gzip(gzip) => gzip.write(bytes),
            Output::Zstd(zstd) => zstd.write(bytes),
        }?;
        self.digester.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
