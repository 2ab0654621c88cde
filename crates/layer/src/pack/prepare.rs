//! Jobs done: headers and content in one buffer, as they stand in the tar.
//!
//! Nothing here depends on the order, so several threads do it.

use super::Counts;
use super::Rules;
use super::Translate;
use super::plan::JOB;
use super::plan::Job;
use super::plan::Planned;
use crate::block::Pool;
use crate::error::Error;
use crate::error::Result;
use crate::tar::BLOCK;
use crate::tar::Header;
use crate::tar::Kind;
use crate::tar::Writer;
use crate::tar::padding;
use crate::whiteout;
use lathe_rootfs::Entry;
use lathe_rootfs::Root;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be written next.
#[derive(Debug)]
pub(super) enum Batch {
    Entries {
        bytes: Vec<u8>,
        items: Vec<Item>,
    },
    /// Content of a large file, with the zeros after it.
    Content {
        bytes: Vec<u8>,
        length: usize,
    },
    Zeros(u64),
}

/// One entry of a batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    /// Where its bytes end.
    pub(super) end: usize,
    pub(super) counts: Counts,
    pub(super) standing: Standing,
}

/// Whether an entry belongs to the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Written,
    /// A directory that does when something in it does.
    Unchanged,
}

/// Does jobs.
pub(super) struct Preparer<'a> {
    rules: Rules<'a>,
    /// For batches of entries; and for parts of files, which are all of one length.
    entries: Pool,
    parts: Pool,
}

impl<'a> Preparer<'a> {
    pub(super) fn new(rules: Rules<'a>) -> Self {
        Self { rules, entries: Pool::default(), parts: Pool::default() }
    }

    pub(super) fn prepare(&self, job: Job) -> Result<Batch> {
        match job {
            Job::Entries(planned) => {
                let mut bytes = self.entries.take(JOB);
                let mut items = Vec::with_capacity(planned.len());
                for planned in planned {
                    items.push(self.entry(planned, &mut bytes)?);
                }
                Ok(Batch::Entries { bytes, items })
            }
            Job::Part { path, file, offset, length, padding } => {
                let mut bytes = self.parts.take_full(JOB + BLOCK);
                read_part(&path, &file, offset, &mut bytes[..length])?;
                bytes[length..length + padding].fill(0);
                Ok(Batch::Content { bytes, length: length + padding })
            }
            Job::Zeros(length) => Ok(Batch::Zeros(length)),
        }
    }

    /// Takes a batch back, for its buffer.
    pub(super) fn recycle(&self, batch: Batch) {
        match batch {
            Batch::Entries { bytes, .. } => self.entries.put(bytes),
            Batch::Content { bytes, .. } => self.parts.put(bytes),
            Batch::Zeros(_) => {}
        }
    }

    fn entry(&self, mut planned: Planned, bytes: &mut Vec<u8>) -> Result<Item> {
        let (file, xattrs) = attributes(&mut planned)?;
        let mut counts = Counts { unpacked_size: 0, entries: 1 };
        let mut standing = Standing::Written;
        match self.rules.translate {
            Translate::Nothing { .. } => {
                counts.unpacked_size =
                    self.file(&planned, file.as_deref(), keep_portable(xattrs), bytes)?;
            }
            Translate::Overlay { lower } => {
                if is_unchanged(lower, &planned.entry, &xattrs)? {
                    standing = Standing::Unchanged;
                    self.file(&planned, None, keep_portable(xattrs), bytes)?;
                } else {
                    counts = self.change(lower, &planned, file.as_deref(), xattrs, bytes)?;
                }
            }
        }
        Ok(Item { path: planned.entry.path, end: bytes.len(), counts, standing })
    }

    /// Lays out an entry of an overlay that differs from the lower tree.
    fn change(
        &self,
        lower: Option<&Root>,
        planned: &Planned,
        file: Option<&File>,
        xattrs: Xattrs,
        bytes: &mut Vec<u8>,
    ) -> Result<Counts> {
        let entry = &planned.entry;
        let mut counts = Counts { unpacked_size: 0, entries: 1 };
        if whiteout::is_whiteout(&entry.metadata, &xattrs) {
            append_header(bytes, &empty_file(mark(entry, whiteout::PREFIX)));
            return Ok(counts);
        }
        if let Some(attribute) = whiteout::unsupported_attribute(&xattrs) {
            let (path, attribute) = (entry.path.clone(), attribute.to_owned());
            return Err(Error::OverlayFeature { path, attribute });
        }
        let opaque = entry.metadata.is_dir() && whiteout::is_opaque(&xattrs);
        counts.unpacked_size = self.file(planned, file, keep_portable(xattrs), bytes)?;
        if opaque && hides_directory(lower, &entry.path)? {
            // Right after its directory, so that a reader which removes on sight is right, too.
            let path = [entry.path.as_os_str().as_bytes(), whiteout::OPAQUE].join(&b'/');
            append_header(bytes, &empty_file(path));
            counts.entries += 1;
        }
        Ok(counts)
    }

    /// Lays out an entry as it is; returns the bytes of its content.
    fn file(
        &self,
        planned: &Planned,
        content: Option<&File>,
        xattrs: Xattrs,
        bytes: &mut Vec<u8>,
    ) -> Result<u64> {
        let Planned { entry, first_name, large, .. } = planned;
        let metadata = &entry.metadata;
        let mut header = Header {
            path: entry.path.as_os_str().as_bytes().to_vec(),
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
        if let Some(first) = first_name {
            header.kind = Kind::HardLink;
            header.link.clone_from(first);
            append_header(bytes, &header);
            return Ok(0);
        }
        match metadata.kind {
            FileKind::Directory => header.path.push(b'/'),
            FileKind::Symlink => header.link = entry.read_link()?.into_vec(),
            FileKind::Regular => header.size = metadata.size,
            _ => {}
        }
        append_header(bytes, &header);
        if let (Some(file), None) = (content, large) {
            read_small(&entry.path, file, header.size, bytes)?;
        }
        Ok(header.size)
    }

    fn mtime(&self, metadata: &Metadata) -> Timestamp {
        // Whole seconds, as BuildKit: a fraction would need a PAX header for every file.
        let seconds = metadata.mtime.seconds;
        Timestamp::from_seconds(match (self.rules.epoch, self.rules.translate) {
            (None, _) => seconds,
            (Some(epoch), Translate::Overlay { .. }) => seconds.min(epoch),
            // BuildKit's exporters of files give every file this very time.
            (Some(epoch), Translate::Nothing { .. }) => epoch,
        })
    }
}

/// Returns the extended attributes of an entry, and the file if it is one with content: what is
/// open need not be looked up by name once more.
fn attributes(planned: &mut Planned) -> Result<(Option<Arc<File>>, Xattrs)> {
    let Planned { entry, first_name, large, xattrs } = planned;
    if let Some(xattrs) = xattrs.take() {
        return Ok((None, xattrs));
    }
    if !entry.metadata.is_file() || entry.metadata.size == 0 || first_name.is_some() {
        return Ok((None, entry.xattrs()?));
    }
    let file = match large {
        Some(file) => Arc::clone(file),
        None => Arc::new(entry.open()?),
    };
    let xattrs = lathe_rootfs::file_xattrs(&file)
        .map_err(|source| Error::PackEntry { path: entry.path.clone(), source })?;
    Ok((Some(file), xattrs))
}

/// Appends a small file with the zeros after it.
fn read_small(path: &Path, file: &File, size: u64, bytes: &mut Vec<u8>) -> Result<()> {
    let size = usize::try_from(size).expect("a small file fits in memory");
    let (begin, padding) = (bytes.len(), padding(size as u64));
    bytes.reserve(size + padding);
    while bytes.len() < begin + size {
        match rustix::io::read(file, spare_capacity(bytes)) {
            Ok(0) => return Err(Error::Shrunk { path: path.to_owned() }),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(Error::PackEntry { path: path.to_owned(), source: errno.into() });
            }
        }
    }
    // It may have become longer since.
    bytes.truncate(begin + size);
    bytes.resize(begin + size + padding, 0);
    Ok(())
}

/// Fills `part` from a place of a file.
fn read_part(path: &Path, file: &File, mut offset: u64, mut part: &mut [u8]) -> Result<()> {
    while !part.is_empty() {
        match file.read_at(part, offset) {
            Ok(0) => return Err(Error::Shrunk { path: path.to_owned() }),
            Ok(count) => {
                part = &mut part[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::PackEntry { path: path.to_owned(), source }),
        }
    }
    Ok(())
}

fn append_header(bytes: &mut Vec<u8>, header: &Header) {
    Writer::new(bytes).header(header).expect("writing to memory does not fail");
}

/// Returns the header of a whiteout; it has no owner, mode or time, since nothing of it is ever
/// unpacked.
fn empty_file(path: Vec<u8>) -> Header {
    Header {
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
    }
}

fn mark(entry: &Entry, prefix: &[u8]) -> Vec<u8> {
    let name = [prefix, entry.name().as_bytes()].concat();
    match entry.path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            [parent.as_os_str().as_bytes(), &name].join(&b'/')
        }
        _ => name,
    }
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
