//! The outermost form of an archive: plain, gzip or zstd, as its first bytes tell.

use std::io::{self, BufReader, Chain, Cursor, Read};

use lathe_layer::Compression;

use crate::{Error, Result};

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// An archive, decompressed on the way.
pub(super) enum Decompressed<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Whole<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Whole<R>>),
}

/// Looks at the first bytes of `reader`.
pub(super) fn decompressed<R: Read>(mut reader: R) -> Result<Decompressed<R>> {
    let failed = |source| Error::ReadArchive { source };
    let mut first = Vec::new();
    (&mut reader).take(6).read_to_end(&mut first).map_err(failed)?;
    for (magic, name) in [(&b"BZh"[..], "bzip2"), (b"\xfd7zXZ\0", "xz")] {
        if first.starts_with(magic) {
            return Err(Error::archive(format!(
                "it is compressed with {name}, which is not supported; use gzip or zstd"
            )));
        }
    }
    if first.is_empty() {
        return Err(Error::archive("it is empty"));
    }
    let compression = Compression::of_magic(&first);
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(reader));
    Ok(match compression {
        Compression::None => Decompressed::Plain(whole),
        Compression::Gzip => {
            Decompressed::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(whole)))
        }
        Compression::Zstd => {
            Decompressed::Zstd(zstd::stream::read::Decoder::with_buffer(whole).map_err(failed)?)
        }
    })
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}
