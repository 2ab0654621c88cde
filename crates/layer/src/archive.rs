//! Archives that are not layers: `ADD` of a local tar, contexts, exports.

use crate::codec::Codec;
use crate::compression::read_full;
use crate::decode::Rest;
use crate::decode::decode;
use crate::error::Error;
use crate::error::Result;
use crate::pack::Rules as PackRules;
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
use lathe_tree::Timestamp;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;

/// Bytes that are written at a time, at least.
const BUFFER: usize = 256 * 1024;

/// What a file is, seen from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A tar in this form.
    Archive(Codec),
    /// Anything else.
    Other,
}

/// Looks at the begin of a file as `ADD` does: the content decides, not the name.
///
/// As in BuildKit an archive is what decompresses to something that begins with the header of an
/// entry: an empty tar is none, nor is a compressed file that is no tar. One that needs more memory
/// than there may be had is an error; taken for a file it would land in the image unnoticed.
pub fn probe(mut reader: impl Read + Send) -> Result<Probe> {
    let mut first = [0; Codec::MAGIC];
    let read = |source| Error::ReadLayer { source };
    let count = read_full(&mut reader, &mut first).map_err(read)?;
    let first = &first[..count];
    let codec = Codec::of_magic(first);
    let mut block = [0; BLOCK];
    let mut decoder = codec.decoder(first.chain(reader))?;
    match read_full(&mut decoder, &mut block) {
        Ok(count) if count == BLOCK && is_header(&block) => Ok(Probe::Archive(codec)),
        Err(source) if source.kind() == io::ErrorKind::OutOfMemory => Err(read(source)),
        // What does not decompress is not an archive.
        Ok(_) | Err(_) => Ok(Probe::Other),
    }
}

/// How to extract an archive.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Owner of all entries and of the destination, if it is made (`ADD --chown`, which BuildKit
    /// applies to what is extracted since 0.23); the archive's when `None`.
    pub owner: Option<Owner>,
    pub owners: Owners,
    /// Modification time of the destination and of those above it, where they are made; the
    /// present when `None`.
    pub made_mtime: Option<Timestamp>,
    /// Most bytes that the decompressed archive may have.
    pub limit: Option<u64>,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self { owner: None, owners: Owners::Available, made_mtime: None, limit: None }
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
/// As `ADD` in BuildKit:
///
/// | what | how |
/// |---|---|
/// | names | below the destination, whatever they say; whiteouts are files like others |
/// | links on the way | followed with the destination for a root: `/etc` is `<destination>/etc` |
/// | a directory where there is one | merged; owner, mode and time become the archive's |
/// | a directory where a link to one is | goes where the link leads (`lib` to `usr/lib`) |
/// | anything else where something is | replaces it |
/// | directories that the archive leaves out | mode 0755, of root, also with `--chown` |
/// | modes, times, attributes, hard links | the archive's; `--chmod` does not reach them |
/// | what follows the end mark | is not looked at |
pub fn extract(
    reader: impl Read + Send,
    codec: impl Into<Codec>,
    into: &Root,
    destination: &Path,
    options: &ExtractOptions,
) -> Result<Extracted> {
    let owner = options.owner.unwrap_or_default();
    let made = DirOptions { owner, mtime: options.made_mtime, ..DirOptions::default() };
    into.create_dir_all(destination, &made)?;
    // The path has no links any more, and nobody else changes a tree that is being made.
    let base = Root::open(&into.host_path().join(into.real_path(destination)?))?;
    let rules =
        Rules { whiteouts: Whiteouts::Literal, owners: options.owners, owner: options.owner };
    let (outcome, _) = decode(reader, codec.into(), options.limit, Rest::Ignore, |chunks| {
        let mut applier = Applier::new(&base, rules);
        applier.apply(&mut Reader::new(chunks))?;
        applier.finish()
    })?;
    Ok(Extracted {
        entries: outcome.entries,
        bytes: outcome.unpacked_size,
        skipped: outcome.skipped,
    })
}

/// How a tree is written as a plain tar.
#[derive(Clone, Copy, Default)]
pub struct TreeOptions<'a> {
    /// Modification time of every file, in seconds since 1970; their own when `None`.
    pub epoch: Option<i64>,
    /// Asked for files with several links only: what tells apart two of the same inode that are
    /// not one file, because each is in another layer of what an overlay shows. `None` where an
    /// inode is one file.
    pub identity: Option<&'a (dyn Fn(&Path) -> u64 + Sync)>,
}

impl std::fmt::Debug for TreeOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let identity = self.identity.map(|_| "..");
        f.debug_struct("TreeOptions")
            .field("epoch", &self.epoch)
            .field("identity", &identity)
            .finish()
    }
}

/// Writes all below `path` as a plain tar; all modification times are `epoch` when given.
pub fn write_tree<W: Write>(root: &Root, path: &Path, epoch: Option<i64>, output: W) -> Result<W> {
    write_tree_with(root, path, &TreeOptions { epoch, identity: None }, output)
}

/// As [`write_tree`], with options.
pub fn write_tree_with<W: Write>(
    root: &Root,
    path: &Path,
    options: &TreeOptions<'_>,
    output: W,
) -> Result<W> {
    let translate = Translate::Nothing { identity: options.identity };
    let rules = PackRules { translate, epoch: options.epoch };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let buffered = BufWriter::with_capacity(BUFFER, output);
    let (buffered, _) = write_entries(root.walk(path)?, rules, threads, buffered)?;
    buffered.into_inner().map_err(|error| Error::WriteLayer { source: error.into_error() })
}

#[cfg(test)]
mod tests;
