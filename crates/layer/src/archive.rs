//! Archives that are not layers: `ADD` of a local tar, contexts, exports.

use crate::compression::Compression;
use crate::compression::read_full;
use crate::decode::decode;
use crate::error::Error;
use crate::error::Result;
use crate::pack::Translate;
use crate::pack::write_entries;
use crate::tar::BLOCK;
use crate::tar::Reader;
use crate::tar::is_header;
use crate::unpack::Applier;
use crate::unpack::Owners;
use crate::unpack::Rules;
use crate::unpack::Skipped;
use crate::unpack::Whiteouts;
use lathe_rootfs::DirOptions;
use lathe_rootfs::Root;
use lathe_tree::Owner;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;

/// What a file is, seen from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A tar in this form.
    Archive(Compression),
    /// Compressed by what is not supported, so its content is unknown.
    Unsupported(&'static str),
    /// Anything else.
    Other,
}

/// Looks at the begin of a file as `ADD` does: the content decides, not the name.
pub fn probe(mut reader: impl Read + Send) -> Result<Probe> {
    let mut first = [0; BLOCK];
    let read = |source| Error::ReadLayer { source };
    let count = read_full(&mut reader, &mut first).map_err(read)?;
    let first = &first[..count];
    if first.starts_with(b"BZh") {
        return Ok(Probe::Unsupported("bzip2"));
    }
    if first.starts_with(b"\xfd7zXZ\0") {
        return Ok(Probe::Unsupported("xz"));
    }
    let compression = Compression::of_magic(first);
    let mut block = [0; BLOCK];
    let mut decoder = compression.decoder(first.chain(reader))?;
    // What does not decompress is not an archive.
    let is_tar = match read_full(&mut decoder, &mut block) {
        Ok(count) => count == BLOCK && is_header(&block),
        Err(_) => false,
    };
    Ok(if is_tar { Probe::Archive(compression) } else { Probe::Other })
}

/// How to extract an archive.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Owner of everything; the archive's when `None`.
    pub owner: Option<Owner>,
    pub owners: Owners,
    /// Most bytes that the decompressed archive may have.
    pub limit: Option<u64>,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self { owner: None, owners: Owners::Available, limit: None }
    }
}

/// What was extracted.
#[derive(Debug, Clone)]
pub struct Extracted {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
    /// What could not be done; a few of many.
    pub skipped: Vec<Skipped>,
}

/// Extracts an archive into the directory `destination` of a root, made if it is not there.
///
/// Names are below the destination, whatever they say; links on the way are followed inside the
/// root. Whiteouts are files like others.
pub fn extract(
    reader: impl Read + Send,
    compression: Compression,
    into: &Root,
    destination: &Path,
    options: &ExtractOptions,
) -> Result<Extracted> {
    let owner = options.owner.unwrap_or_default();
    into.create_dir_all(destination, &DirOptions { owner, ..DirOptions::default() })?;
    let base = into.real_path(destination)?;
    let rules =
        Rules { whiteouts: Whiteouts::Literal, owners: options.owners, owner: options.owner };
    let (outcome, _) = decode(reader, compression, options.limit, |chunks| {
        let mut applier = Applier::new(into, base, rules);
        applier.apply(&mut Reader::new(chunks))?;
        applier.finish()
    })?;
    Ok(Extracted {
        entries: outcome.entries,
        bytes: outcome.unpacked_size,
        skipped: outcome.skipped,
    })
}

/// Writes all below `path` as a plain tar; modification times are at most `epoch` when given.
pub fn write_tree<W: Write>(root: &Root, path: &Path, epoch: Option<i64>, output: W) -> Result<W> {
    let buffered = BufWriter::with_capacity(256 * 1024, output);
    let (buffered, _) = write_entries(root.walk(path)?, Translate::Nothing, epoch, buffered)?;
    buffered.into_inner().map_err(|error| Error::WriteLayer { source: error.into_error() })
}

#[cfg(test)]
mod tests;
