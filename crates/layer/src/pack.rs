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

use crate::compression::Compression;
use crate::encode::Encoded;
use crate::encode::Encoder;
use crate::error::Error;
use crate::error::Result;
use crate::tar::Header;
use crate::tar::Kind;
use crate::tar::Writer;
use crate::whiteout;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_rootfs::Entry;
use lathe_rootfs::Root;
use lathe_rootfs::Walk;
use lathe_store::Store;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// Bytes read from a file at a time.
const BUFFER: usize = 256 * 1024;

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
    /// Threads that compress. Without influence on the bytes.
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

/// Packs changes to any output and gives it back.
pub fn pack_to<W: Write>(request: &PackRequest<'_>, output: W) -> Result<(W, PackedStream)> {
    let encoder = Encoder::new(output, request.compression, request.level, request.threads)?;
    let translate = Translate::Overlay { lower: request.lower };
    let walk = request.changes.walk(Path::new("/"))?;
    let (encoder, counts) = write_entries(walk, translate, request.epoch, encoder)?;
    let (output, Encoded { diff_id, size: tar_size }) = encoder.finish()?;
    let Counts { unpacked_size, entries } = counts;
    Ok((output, PackedStream { diff_id, unpacked_size, tar_size, entries }))
}

/// Returns what packing the changes would give, without writing anything: compression, level and
/// threads of the request have no influence.
pub fn digest(request: &PackRequest<'_>) -> Result<PackedStream> {
    let plain = PackRequest { compression: Compression::None, level: None, ..*request };
    pack_to(&plain, std::io::sink()).map(|(_, packed)| packed)
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

/// Writes the entries of a walk with the end mark.
pub(crate) fn write_entries<W: Write>(
    walk: Walk,
    translate: Translate<'_>,
    epoch: Option<i64>,
    output: W,
) -> Result<(W, Counts)> {
    let mut packer = Packer {
        tar: Writer::new(output),
        translate,
        epoch,
        first_names: HashMap::new(),
        buffer: vec![0; BUFFER],
        counts: Counts::default(),
        unchanged: Vec::new(),
    };
    for entry in walk {
        packer.entry(entry?)?;
    }
    let Packer { tar, counts, .. } = packer;
    let output = tar.finish().map_err(|source| Error::WriteLayer { source })?;
    Ok((output, counts))
}

struct Packer<'a, W> {
    tar: Writer<W>,
    translate: Translate<'a>,
    epoch: Option<i64>,
    /// First path of each file that has several.
    first_names: HashMap<(u64, Device, u64), Vec<u8>>,
    buffer: Vec<u8>,
    counts: Counts,
    /// Directories on the way to the present entry that are as in the lower tree: written when
    /// something in them is.
    unchanged: Vec<(Entry, Xattrs)>,
}

impl<W: Write> Packer<'_, W> {
    fn entry(&mut self, entry: Entry) -> Result<()> {
        if entry.metadata.kind == FileKind::Socket {
            return Ok(());
        }
        let (file, xattrs) = attributes(&entry)?;
        let Translate::Overlay { lower } = self.translate else {
            return self.file(&entry, file, keep_portable(xattrs));
        };
        self.unchanged.retain(|(directory, _)| entry.path.starts_with(&directory.path));
        if is_unchanged(lower, &entry, &xattrs)? {
            self.unchanged.push((entry, keep_portable(xattrs)));
            return Ok(());
        }
        for (directory, xattrs) in std::mem::take(&mut self.unchanged) {
            self.file(&directory, None, xattrs)?;
        }
        self.change(lower, &entry, file, xattrs)
    }

    /// Writes an entry of an overlay that differs from the lower tree.
    fn change(
        &mut self,
        lower: Option<&Root>,
        entry: &Entry,
        file: Option<File>,
        mut xattrs: Xattrs,
    ) -> Result<()> {
        let metadata = &entry.metadata;
        if whiteout::is_whiteout(metadata, &xattrs) {
            return self.mark(entry, whiteout::PREFIX);
        }
        if let Some(attribute) = whiteout::unsupported_attribute(&xattrs) {
            let (path, attribute) = (entry.path.clone(), attribute.to_owned());
            return Err(Error::OverlayFeature { path, attribute });
        }
        let opaque = metadata.is_dir() && whiteout::is_opaque(&xattrs);
        xattrs = keep_portable(xattrs);
        self.file(entry, file, xattrs)?;
        if opaque && hides_directory(lower, &entry.path)? {
            // Right after its directory, so that a reader which removes on sight is right, too.
            self.empty_file([entry.path.as_os_str().as_bytes(), whiteout::OPAQUE].join(&b'/'))?;
        }
        Ok(())
    }

    fn mark(&mut self, entry: &Entry, prefix: &[u8]) -> Result<()> {
        let name = [prefix, entry.name().as_bytes()].concat();
        let path = match entry.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                [parent.as_os_str().as_bytes(), &name].join(&b'/')
            }
            _ => name,
        };
        self.empty_file(path)
    }

    /// Writes a whiteout; it has no owner, mode or time, since nothing of it is ever unpacked.
    fn empty_file(&mut self, path: Vec<u8>) -> Result<()> {
        self.counts.entries += 1;
        self.header(&Header {
            path,
            kind: Kind::File(FileKind::Regular),
            link: Vec::new(),
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Timestamp::default(),
            device: Device::default(),
            xattrs: Xattrs::new(),
        })
    }

    fn file(&mut self, entry: &Entry, content: Option<File>, xattrs: Xattrs) -> Result<()> {
        self.counts.entries += 1;
        let metadata = &entry.metadata;
        let mut path = entry.path.as_os_str().as_bytes().to_vec();
        let mut header = Header {
            path: Vec::new(),
            kind: Kind::File(metadata.kind),
            link: Vec::new(),
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            size: 0,
            mtime: self.mtime(metadata),
            device: metadata.device,
            xattrs,
        };
        match metadata.kind {
            FileKind::Directory => path.push(b'/'),
            FileKind::Symlink => header.link = entry.read_link()?.into_vec(),
            FileKind::Regular => header.size = metadata.size,
            _ => {}
        }
        if metadata.links > 1 && !metadata.is_dir() {
            let layer = match self.translate {
                Translate::Nothing { identity: Some(identity) } => identity(&entry.path),
                _ => 0,
            };
            let identity = (layer, metadata.file_system, metadata.inode);
            if let Some(first) = self.first_names.get(&identity) {
                header.kind = Kind::HardLink;
                header.link.clone_from(first);
                header.size = 0;
            } else {
                self.first_names.insert(identity, path.clone());
            }
        }
        header.path = path;
        self.header(&header)?;
        match content {
            Some(file) if header.size > 0 => self.content(entry, file),
            _ => Ok(()),
        }
    }

    fn mtime(&self, metadata: &Metadata) -> Timestamp {
        // Whole seconds, as BuildKit: a fraction would need a PAX header for every file.
        let seconds = metadata.mtime.seconds;
        Timestamp::from_seconds(match (self.epoch, self.translate) {
            (None, _) => seconds,
            (Some(epoch), Translate::Overlay { .. }) => seconds.min(epoch),
            // BuildKit's exporters of files give every file this very time.
            (Some(epoch), Translate::Nothing { .. }) => epoch,
        })
    }

    fn header(&mut self, header: &Header) -> Result<()> {
        self.tar.header(header).map_err(|source| Error::WriteLayer { source })
    }

    fn content(&mut self, entry: &Entry, mut file: File) -> Result<()> {
        let size = entry.metadata.size;
        self.counts.unpacked_size += size;
        let mut rest = size;
        while rest > 0 {
            let wanted = usize::try_from(rest).unwrap_or(BUFFER).min(BUFFER);
            match file.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(Error::Shrunk { path: entry.path.clone() }),
                Ok(count) => {
                    let written = self.tar.content(&self.buffer[..count]);
                    written.map_err(|source| Error::WriteLayer { source })?;
                    rest -= count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::PackEntry { path: entry.path.clone(), source });
                }
            }
        }
        self.tar.pad(size).map_err(|source| Error::WriteLayer { source })
    }
}

/// Returns the extended attributes of an entry, and the file if it is one with content: what is
/// open need not be looked up by name once more.
fn attributes(entry: &Entry) -> Result<(Option<File>, Xattrs)> {
    if !entry.metadata.is_file() || entry.metadata.size == 0 {
        return Ok((None, entry.xattrs()?));
    }
    let file = entry.open()?;
    let xattrs = lathe_rootfs::file_xattrs(&file)
        .map_err(|source| Error::PackEntry { path: entry.path.clone(), source })?;
    Ok((Some(file), xattrs))
}

/// Returns whether an entry is a directory that is the same in the lower tree.
///
/// A directory comes into the upper tree as soon as anything below it is touched, though it may be
/// removed again: a mount point that was made for a process. It says nothing then.
fn is_unchanged(lower: Option<&Root>, entry: &Entry, xattrs: &Xattrs) -> Result<bool> {
    let now = &entry.metadata;
    let Some(lower) = lower.filter(|_| now.is_dir() && !whiteout::is_opaque(xattrs)) else {
        return Ok(false);
    };
    let Some(old) = lower.try_lstat(&entry.path)? else { return Ok(false) };
    let same =
        old.is_dir() && (old.mode, old.owner(), old.mtime) == (now.mode, now.owner(), now.mtime);
    Ok(same && keep_portable(lower.xattrs(&entry.path)?) == keep_portable(xattrs.clone()))
}

/// Returns whether the lower tree has a directory at `path`, itself and not through a link.
fn hides_directory(lower: Option<&Root>, path: &Path) -> Result<bool> {
    let Some(lower) = lower else { return Ok(false) };
    Ok(lower.try_lstat(path)?.is_some_and(|metadata| metadata.is_dir()))
}

fn keep_portable(mut xattrs: Xattrs) -> Xattrs {
    xattrs.retain(|name, _| {
        let of_host = name.starts_with(b"security.") && name != b"security.capability";
        !of_host && !whiteout::is_overlay_attribute(name)
    });
    xattrs
}

#[cfg(test)]
mod tests;
