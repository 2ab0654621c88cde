//! The digest of one file: what is read of it, and whether it is the one that was seen before.

use super::DigestOptions;
use super::block::Record;
use super::version::Moment;
use super::version::Version;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Located as _;
use crate::error::Result;
use crate::xattr;
use lathe_tree::EntryDigest;
use lathe_tree::EntryHeader;
use lathe_tree::FileDigest;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Owner;
use lathe_tree::Xattrs;
use rustix::fd::AsFd as _;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Bytes read at a time.
const BUFFER: usize = 128 * 1024;

/// Changed files that are named.
const NAMED: usize = 8;

/// What the threads of one digest share.
pub(super) struct Reader<'a> {
    pub(super) options: DigestOptions<'a>,
    files_read: AtomicU64,
    changed: Mutex<BTreeSet<PathBuf>>,
}

/// A file, and what is remembered of its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) metadata: Metadata,
    /// Before `metadata` was asked for; `None` where nothing is to be remembered.
    pub(super) moment: Option<Moment>,
    pub(super) known: Option<Record>,
}

impl Seen {
    /// Returns the remembered digest if it is that of the present file.
    pub(super) fn digest(&self) -> Option<EntryDigest> {
        let known = self.known.filter(|known| known.version != Version::NONE)?;
        (Version::of(&self.metadata) == Some(known.version)).then_some(known.digest)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(options: DigestOptions<'a>) -> Self {
        Self { options, files_read: AtomicU64::new(0), changed: Mutex::default() }
    }

    /// Returns how many files were read, and some of those that were not as remembered.
    pub(super) fn finish(self) -> (u64, Vec<PathBuf>) {
        let changed = self.changed.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.files_read.into_inner(), changed.into_iter().collect())
    }

    /// Returns the digest of anything but a directory, read anew, with what to remember of it if
    /// that differs from what is remembered. `buffer` is made large here.
    pub(super) fn read(
        &self,
        dir: &Dir,
        name: &OsStr,
        seen: &Seen,
        buffer: &mut Vec<u8>,
    ) -> Result<(EntryDigest, Option<Record>)> {
        let metadata = &seen.metadata;
        let digest = match metadata.kind {
            FileKind::Regular => {
                buffer.resize(BUFFER, 0);
                self.regular(dir, name, metadata, buffer)?
            }
            FileKind::Symlink => {
                let target = dir.read_link(name)?;
                self.header(metadata, target.as_bytes(), &dir.xattrs(name)?, None)
            }
            _ => self.header(metadata, b"", &dir.xattrs(name)?, None),
        };
        if seen.known.is_some_and(|known| known.digest != digest) {
            self.name_changed(join_bytes(dir.path(), name));
        }
        Ok((digest, Self::fresh(seen, digest)))
    }

    /// Returns the digest of an open directory alone, as [`Reader::read`].
    pub(super) fn directory(
        &self,
        dir: &Dir,
        seen: &Seen,
    ) -> Result<(EntryDigest, Option<Record>)> {
        if let Some(known) = seen.digest() {
            return Ok((known, None));
        }
        let path = || dir.path().to_owned();
        let xattrs = xattr::of_file(dir.as_fd()).at("read extended attributes", path)?;
        let digest = self.header(&seen.metadata, b"", &xattrs, None);
        Ok((digest, Self::fresh(seen, digest)))
    }

    fn fresh(seen: &Seen, digest: EntryDigest) -> Option<Record> {
        let version = Version::to_remember(&seen.metadata, seen.moment?);
        let record = Record { version, digest };
        (seen.known != Some(record)).then_some(record)
    }

    fn name_changed(&self, path: PathBuf) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.insert(path);
        if changed.len() > NAMED {
            // The first of all by name, whichever thread found them first.
            changed.pop_last();
        }
    }

    fn regular(
        &self,
        dir: &Dir,
        name: &OsStr,
        metadata: &Metadata,
        buffer: &mut [u8],
    ) -> Result<EntryDigest> {
        self.files_read.fetch_add(1, Ordering::Relaxed);
        let file = dir.open_file(name)?;
        let path = || join_bytes(dir.path(), name);
        let xattrs = xattr::of_file(file.as_fd()).at("read extended attributes", path)?;
        // A copy ends there, too; and nothing has to be asked about the end.
        let file = file.take(metadata.size);
        let content = FileDigest::of(file, buffer).at("read", path)?;
        Ok(self.header(metadata, b"", &xattrs, Some(&content)))
    }

    fn header(
        &self,
        metadata: &Metadata,
        link_target: &[u8],
        xattrs: &Xattrs,
        content: Option<&FileDigest>,
    ) -> EntryDigest {
        let mut metadata = *metadata;
        if let Some(Owner { uid, gid }) = self.options.owner {
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        EntryHeader { metadata: &metadata, link_target, xattrs }.digest(content)
    }
}
