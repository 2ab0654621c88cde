//! The tar format: what we write and all that we must be able to read.
//!
//! Reading is by hand because of what an attacker gains from two parsers that disagree: the `tar`
//! crate cuts PAX records at newlines, which are legal in values (a `security.capability` can
//! contain one), and from there on sees other names and sizes than Docker does; and it reads long
//! names into memory without a limit. Where readers differ, this one follows Go's `archive/tar`.
//!
//! Writing is by hand because the bytes of a layer are its identity: they must not change with a
//! dependency. They are those of Go's `archive/tar`, hence of BuildKit.

mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::CopyError;
pub(crate) use read::Reader;
pub(crate) use read::is_header;
pub(crate) use write::Writer;

use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;

/// Size of everything in a tar.
pub(crate) const BLOCK: usize = 512;

/// Kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File(FileKind),
    HardLink,
}

/// Entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// As written: unchecked, perhaps absolute, with `..` or a trailing slash.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    /// At most 0o7777.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes of content with holes filled.
    pub(crate) size: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) device: Device,
    pub(crate) xattrs: Xattrs,
}

/// Returns how many bytes fill the last block of `size` bytes.
pub(crate) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).expect("a rest of 512 fits");
    (BLOCK - rest) % BLOCK
}
