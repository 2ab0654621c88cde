//! From the changes that an overlay recorded to a layer.
//!
//! The upper directory of an overlay *is* the difference, so nothing is compared. What has to be
//! translated:
//!
//! | overlay | layer |
//! |---|---|
//! | character device 0:0 `x` | empty file `.wh.x` |
//! | directory with `*.overlay.opaque` = `y` | `.wh..wh..opq` in it, if the lower tree has one to hide |
//! | `*.overlay.*` attributes | left out |
//! | sockets | left out (tar has none) |
//!
//! The kernel marks *every* new directory opaque, to save itself a look-up below; hence the look
//! at the lower tree. A directory that is as in the lower tree and holds no change is left out.
//! Of `security.*` only capabilities are written: labels are the host's.
//!
//! Files are many and small, or few and large; either way the system calls take as long as the
//! hashing. So threads read ahead, in the order of the walk, and one takes what they have prepared
//! in that order ([`crew`]):
//!
//! ```text
//! Planner (locked): walk, names of one file ─► job ─► Preparer: headers, content, marks ─► batch
//!                                                              in order: Sequence ─► output
//! ```

mod crew;
mod plan;
mod prepare;

use crate::compression::Compression;
use crate::encode::Encoded;
use crate::encode::Encoder;
use crate::error::Error;
use crate::error::Result;
use crate::tar::BLOCK;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digester;
use lathe_rootfs::Root;
use lathe_rootfs::Walk;
use lathe_store::Store;
use plan::Planner;
use prepare::Batch;
use prepare::Item;
use prepare::Preparer;
use prepare::Standing;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Zeros that are written for holes and at the end.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// What to pack.
#[derive(Debug)]
pub struct PackRequest<'a> {
    /// Upper directory of an overlay, or any tree.
    pub changes: &'a Root,
    /// What the overlay's lower directories show together; `None` when there are none.
    pub lower: Option<&'a Root>,
    pub compression: Compression,
    /// Level of the compression, at most [`Compression::max_level`]; the usual one when `None`
    /// (gzip 6, zstd 3).
    pub level: Option<u8>,
    /// Latest modification time to write, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// Threads that read, and as many that compress. Without influence on the bytes.
    pub threads: usize,
}

/// Layer that is in the store.
#[derive(Debug, Clone)]
pub struct PackedLayer {
    pub diff_id: DiffId,
    pub descriptor: Descriptor,
    /// Bytes of the regular files.
    pub unpacked_size: u64,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// Files of all kinds, whiteouts too; 0 for a layer that changes nothing.
    pub entries: u64,
}

/// Layer that was written somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedStream {
    pub diff_id: DiffId,
    /// Bytes of the regular files.
    pub unpacked_size: u64,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// Files of all kinds, whiteouts too.
    pub entries: u64,
}

/// Packs changes to a blob of the store.
pub fn pack(request: &PackRequest<'_>, store: &Store) -> Result<PackedLayer> {
    let (writer, packed) = pack_to(request, store.blob_writer()?)?;
    let (digest, size) = writer.finish(None)?;
    let descriptor = Descriptor::new(request.compression.media_type(), digest, size);
    Ok(PackedLayer {
        diff_id: packed.diff_id,
        descriptor,
        unpacked_size: packed.unpacked_size,
        tar_size: packed.tar_size,
        entries: packed.entries,
    })
}

/// Told how many bytes of the uncompressed tar there are by now; an error of it ends the packing.
pub type Watch<'a> = &'a (dyn Fn(u64) -> io::Result<()> + Sync);

/// Packs changes to any output and gives it back.
pub fn pack_to<W: Write>(request: &PackRequest<'_>, output: W) -> Result<(W, PackedStream)> {
    pack_watched(request, output, &|_| Ok(()))
}

/// As [`pack_to`], watched.
pub fn pack_watched<W: Write>(
    request: &PackRequest<'_>,
    output: W,
    watch: Watch<'_>,
) -> Result<(W, PackedStream)> {
    let encoder = Encoder::new(output, request.compression, request.level, request.threads)?;
    let (encoder, counts) = write_changes(request, encoder, watch)?;
    let (output, encoded) = encoder.finish()?;
    Ok((output, packed_stream(encoded, counts)))
}

/// Returns what packing the changes would give, without writing anything: compression and level of
/// the request have no influence.
pub fn digest(request: &PackRequest<'_>) -> Result<PackedStream> {
    digest_watched(request, &|_| Ok(()))
}

/// As [`digest`], watched.
pub fn digest_watched(request: &PackRequest<'_>, watch: Watch<'_>) -> Result<PackedStream> {
    let hasher = Hasher { digester: Digester::default(), size: 0 };
    let (Hasher { digester, size }, counts) = write_changes(request, hasher, watch)?;
    let diff_id = DiffId(digester.finish());
    Ok(packed_stream(Encoded { diff_id, size }, counts))
}

fn write_changes<W: Write>(
    request: &PackRequest<'_>,
    output: W,
    watch: Watch<'_>,
) -> Result<(W, Counts)> {
    let translate = Translate::Overlay { lower: request.lower };
    let rules = Rules { translate, epoch: request.epoch };
    let output = Watched { output, watch, told: 0, size: 0 };
    let walk = request.changes.walk(Path::new("/"))?;
    let (watched, counts) = write_entries(walk, rules, request.threads, output)?;
    Ok((watched.output, counts))
}

/// Bytes between two calls of a watch.
const STRIDE: u64 = 1024 * 1024;

/// An output that somebody watches.
struct Watched<'a, W> {
    output: W,
    watch: Watch<'a>,
    /// When the watch was called last, in bytes.
    told: u64,
    size: u64,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.size += count as u64;
        if self.size >= self.told + STRIDE {
            self.told = self.size;
            (self.watch)(self.size)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn packed_stream(encoded: Encoded, counts: Counts) -> PackedStream {
    let Encoded { diff_id, size: tar_size } = encoded;
    let Counts { unpacked_size, entries } = counts;
    PackedStream { diff_id, unpacked_size, tar_size, entries }
}

/// Takes bytes for their digest alone.
struct Hasher {
    digester: Digester,
    size: u64,
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What entries become.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) translate: Translate<'a>,
    /// See [`PackRequest::epoch`] and [`TreeOptions::epoch`](crate::TreeOptions::epoch).
    pub(crate) epoch: Option<i64>,
}

/// What the marks of overlayfs in a tree mean.
#[derive(Clone, Copy)]
pub(crate) enum Translate<'a> {
    /// They become whiteouts.
    Overlay { lower: Option<&'a Root> },
    /// There are none: the tree is a whole, not a difference. What its inodes mean is in
    /// [`TreeOptions::identity`](crate::TreeOptions::identity).
    Nothing { identity: Option<&'a (dyn Fn(&Path) -> u64 + Sync)> },
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) unpacked_size: u64,
    pub(crate) entries: u64,
}

/// Writes the entries of a walk with the end mark. `threads` has no influence on the bytes.
pub(crate) fn write_entries<W: Write>(
    walk: Walk,
    rules: Rules<'_>,
    threads: usize,
    output: W,
) -> Result<(W, Counts)> {
    let mut sequence = Sequence { output, counts: Counts::default(), unchanged: Vec::new() };
    let (planner, preparer) = (Planner::new(walk, rules.translate), Preparer::new(rules));
    crew::run(planner, &preparer, threads, |batch| sequence.take(batch))?;
    sequence.write(&ZEROS[..2 * BLOCK])?;
    Ok((sequence.output, sequence.counts))
}

/// Writes what was prepared, one after the other.
struct Sequence<W> {
    output: W,
    counts: Counts,
    /// Directories on the way to the present entry that are as in the lower tree, with their
    /// headers: written when something in them is.
    unchanged: Vec<(PathBuf, Vec<u8>)>,
}

impl<W: Write> Sequence<W> {
    fn take(&mut self, batch: &mut Batch) -> Result<()> {
        match batch {
            Batch::Entries { bytes, items } => self.entries(bytes, items),
            Batch::Content { bytes, length } => self.write(&bytes[..*length]),
            Batch::Zeros(length) => self.zeros(*length),
        }
    }

    fn entries(&mut self, bytes: &[u8], items: &mut Vec<Item>) -> Result<()> {
        // What is written anyway is written at once.
        let (mut written, mut begin) = (0, 0);
        for Item { path, end, counts, standing } in items.drain(..) {
            self.unchanged.retain(|(directory, _)| path.starts_with(directory));
            match standing {
                Standing::Unchanged => {
                    self.write(&bytes[written..begin])?;
                    self.unchanged.push((path, bytes[begin..end].to_vec()));
                    written = end;
                }
                Standing::Written => {
                    if !self.unchanged.is_empty() {
                        self.write(&bytes[written..begin])?;
                        written = begin;
                        self.write_unchanged()?;
                    }
                    self.counts.entries += counts.entries;
                    self.counts.unpacked_size += counts.unpacked_size;
                }
            }
            begin = end;
        }
        self.write(&bytes[written..begin])
    }

    fn write_unchanged(&mut self) -> Result<()> {
        for (_, header) in std::mem::take(&mut self.unchanged) {
            self.counts.entries += 1;
            self.write(&header)?;
        }
        Ok(())
    }

    fn zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let count = usize::try_from(length).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write(&ZEROS[..count])?;
            length -= count as u64;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(|source| Error::WriteLayer { source })
    }
}

#[cfg(test)]
mod tests;
