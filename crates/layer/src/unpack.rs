//! From a layer to a tree.
//!
//! Two ways to treat whiteouts, for two kinds of target:
//! - [`Whiteouts::Remove`]: the target shows the lower layers too (a mounted overlay, or a plain
//!   directory that the layers are put into one after the other); what is whited out is removed.
//! - [`Whiteouts::Overlay`]: the target is the bare directory of this layer alone, to be stacked by
//!   overlayfs later; whiteouts become its marks. Nothing of the lower layers is needed, so the
//!   layers of an image can be unpacked at the same time. The price: parents that an archive leaves
//!   out are made here with default metadata and listed ([`Unpacked::implicit_directories`]), and a
//!   link in a lower layer on the way to an entry is not seen.
//!
//! What an archive may try, and where it ends:
//!
//! | trick | end |
//! |---|---|
//! | `../x`, `/x` | cleaned on the text: below the root |
//! | link, then an entry through it | resolved by the kernel inside the root |
//! | link, then a file of the same name | the link is removed first, files are made with `O_EXCL` |
//! | hard link to a link or outside | the link itself; only what is inside can be named |
//! | whiteout or opaque mark through a link | applies inside the root |
//! | `.wh..`, `.wh.` | refused |
//! | `*.overlay.*` attributes, device 0:0 | skipped and reported: they are marks of the store |
//! | huge headers, bombs | limits |

mod apply;
mod place;
mod whiteouts;

pub(crate) use apply::Applier;
pub(crate) use apply::Rules;

use crate::compression::Compression;
use crate::decode::Rest;
use crate::decode::decode;
use crate::error::Result;
use crate::tar::Reader;
use lathe_oci::DiffId;
use lathe_rootfs::Root;
use std::io::Read;
use std::path::PathBuf;

/// How to unpack a layer.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    pub whiteouts: Whiteouts,
    pub owners: Owners,
    /// Most bytes that the decompressed layer may have.
    pub limit: Option<u64>,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self { whiteouts: Whiteouts::Remove, owners: Owners::Available, limit: None }
    }
}

/// What to do about whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// Remove what they name.
    Remove,
    /// Make the marks of overlayfs.
    Overlay(OverlayAttributes),
    /// They are files like others: the archive is no layer.
    Literal,
}

/// Namespace in which an overlay keeps its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayAttributes {
    /// Mounted by the real root.
    Trusted,
    /// Mounted in a user namespace (`userxattr`, Linux 5.11).
    User,
}

/// What to do about owners that the user namespace does not map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Fail.
    Exact,
    /// Leave the file to its maker and report it.
    Available,
}

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// Digest of the decompressed layer, to be compared with the image's config.
    pub diff_id: DiffId,
    /// Bytes of the decompressed layer.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of the regular files.
    pub unpacked_size: u64,
    /// Directories that the archive did not have but needed, made with mode 0755.
    pub implicit_directories: Vec<PathBuf>,
    /// What could not be done; a few of many.
    pub skipped: Vec<Skipped>,
}

/// Something of an entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub path: PathBuf,
    pub reason: SkipReason,
}

/// Why something was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    #[error("device files cannot be made here")]
    Device,
    #[error("an extended attribute cannot be set here")]
    Xattr,
    #[error("an attribute belongs to overlay file systems")]
    OverlayMark,
    #[error("the owner is not mapped in this user namespace")]
    Owner,
    #[error("an overlay cannot hide all of its lower layers")]
    OpaqueRoot,
}

/// Unpacks a layer into a tree.
///
/// The whole of `reader` is read, also what follows the end mark of the archive: all of it counts
/// for the digest.
pub fn unpack(
    reader: impl Read + Send,
    compression: Compression,
    into: &Root,
    options: &UnpackOptions,
) -> Result<Unpacked> {
    let rules = Rules { whiteouts: options.whiteouts, owners: options.owners, owner: None };
    let (outcome, decoded) =
        decode(reader, compression.into(), options.limit, Rest::Read, |chunks| {
            let mut applier = Applier::new(into, rules);
            applier.apply(&mut Reader::new(chunks))?;
            applier.finish()
        })?;
    Ok(Unpacked {
        diff_id: DiffId(decoded.digest),
        bytes: decoded.size,
        entries: outcome.entries,
        unpacked_size: outcome.unpacked_size,
        implicit_directories: outcome.implicit_directories,
        skipped: outcome.skipped,
    })
}

#[cfg(test)]
mod tests;
