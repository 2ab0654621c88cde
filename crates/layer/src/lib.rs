//! File trees to layer archives and back.
//!
//! ```text
//! overlay upper dir ─pack─► tar ─► sha256 = diffID
//!                            └──► gzip | zstd ─► blob in the store, its sha256 on the way
//! blob ─► gunzip | unzstd ─► sha256 = diffID
//!                      └──► tar ─unpack─► directory (whiteouts applied), through rootfs' door
//! archive of ADD ─► gunzip | bunzip2 | unxz | unzstd ─► tar ─extract─► below a directory
//! ```
//!
//! Formats: OCI image specification, `layer.md`; tar as Go's `archive/tar` writes it, so that
//! layers are comparable with BuildKit's byte for byte.
//!
//! Invariants
//! - INV-LAYER-1: the bytes of a layer are a function of the tree, the compression and the epoch;
//!   not of threads, inode numbers, the order of directories on disk or the clock.
//! - INV-LAYER-2: unpacking changes nothing outside the root, whatever the archive says.
//! - INV-LAYER-3: an archive costs memory for its names at most; content is streamed.
//! - INV-LAYER-4: attributes of an overlay file system neither enter a layer nor come out of one.
//!
//! Start with `pack.rs` and `unpack.rs`; the tar format is in `tar.rs` and below.

#![forbid(unsafe_code)]

mod archive;
mod block;
mod codec;
mod compression;
mod decode;
mod encode;
mod error;
mod gzip;
mod hashing;
mod pack;
mod recompress;
mod tar;
mod unpack;
mod whiteout;

pub use archive::{ExtractOptions, Extracted, Probe, TreeOptions};
pub use archive::{extract, probe, write_tree, write_tree_with};
pub use codec::Codec;
pub use compression::Compression;
pub use error::{Error, Fault, Result};
pub use pack::{PackRequest, PackedLayer, PackedStream, Watch};
pub use pack::{digest, digest_watched, pack, pack_to, pack_watched};
pub use recompress::{Recompression, recompress};
pub use unpack::{OverlayAttributes, Owners, SkipReason, Skipped};
pub use unpack::{UnpackOptions, Unpacked, Whiteouts, unpack};

// Of the options and of `rootfs`, for those who do not know `tree`.
pub use lathe_tree::Timestamp;
