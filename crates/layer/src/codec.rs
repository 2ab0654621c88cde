//! The forms in which an archive may come: more than layers are made in.
//!
//! `ADD` and tar contexts take what docker takes. Layers have media types, and there is none for
//! bzip2 or xz; so that set is a type of its own ([`Compression`]) and what is only ever read is
//! another. Decompression happens in this process: a program that is looked up by name has been a
//! way into builders before (CVE-2026-41567).
//!
//! Streams may follow each other in one file (pigz, pbzip2, pixz and `cat` write that): all of
//! these readers read to the end of the file, not of the first stream.

use crate::compression::Compression;
use crate::error::Error;
use crate::error::Result;
use std::io;
use std::io::BufReader;
use std::io::Read;

/// Bytes of compressed input that are read at a time.
const BUFFER: usize = 128 * 1024;

/// Largest dictionary of an xz archive, in MiB. The presets of `xz` end at 64.
pub(crate) const XZ_DICTIONARY_MIB: u32 = 256;

/// What the decoder counts for itself besides the dictionary, in KiB.
const XZ_OVERHEAD_KIB: u32 = 1024;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// A form that layers have, too.
    Layer(Compression),
    Bzip2,
    Xz,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        Self::Layer(compression)
    }
}

impl Codec {
    /// Bytes that [`Codec::of_magic`] wants to see.
    pub const MAGIC: usize = 6;

    /// Returns the form that the first bytes show.
    pub fn of_magic(first: &[u8]) -> Self {
        if first.starts_with(b"BZh") {
            Self::Bzip2
        } else if first.starts_with(b"\xfd7zXZ\0") {
            Self::Xz
        } else {
            Self::Layer(Compression::of_magic(first))
        }
    }

    /// Returns a short stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layer(compression) => compression.as_str(),
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// Wraps a reader so that it gives the decompressed bytes.
    ///
    /// Memory is bounded: 32 KiB (gzip), 4 MB (bzip2), 256 MiB (xz), 128 MiB (zstd) at most,
    /// whatever the archive asks for; one that wants more ends in an error of kind
    /// [`io::ErrorKind::OutOfMemory`].
    pub fn decoder<'a>(self, reader: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
        let buffered = BufReader::with_capacity(BUFFER, reader);
        Ok(match self {
            Self::Layer(Compression::None) => Box::new(buffered),
            Self::Layer(Compression::Gzip) => {
                Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
            }
            Self::Layer(Compression::Zstd) => Box::new(
                zstd::stream::read::Decoder::with_buffer(buffered)
                    .map_err(|source| Error::ReadLayer { source })?,
            ),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered)),
            Self::Xz => {
                let limit = XZ_DICTIONARY_MIB * 1024 + XZ_OVERHEAD_KIB;
                Box::new(Xz(lzma_rust2::XzReader::new_mem_limit(buffered, true, limit)))
            }
        })
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says of a dictionary that is too large what it is.
struct Xz<R: Read>(lzma_rust2::XzReader<R>);

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!(
                    "the xz archive needs a dictionary of more than {XZ_DICTIONARY_MIB} MiB; \
                     compress it again with a preset of `xz`"
                ),
            ),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests;
