//! Writes what was built to where it was asked for, and reads archives of images back.
//!
//! ```text
//! snapshots ─squash─► one snapshot in place of the topmost (`--squash`)
//! snapshots ─layers, Packing─► LayerEntry[] ─(lathe_oci::assemble)─► BuiltImage ─export─► Receipt
//!                                                                       ├ the store, under names
//!                                                                       ├ OCI layout, archive or folder
//!                                                                       ├ docker archive
//!                                                                       └ a registry (push)
//! snapshot ─export─► a folder, or a tar of the files
//! archive ─load─► BuiltImage[]
//! ```
//!
//! An exporter never builds, compares or chooses: all that it writes was decided before.
//! What an image looks like where it goes (how its layers are compressed, whose media types it
//! has, its annotations) is the output's matter: `form.rs` makes that of the one built image.
//! Start with [`ExportSpec`], [`layers`] and [`export`].
//!
//! # Invariants
//! - `INV-EXPORTER-WHOLE`: a file is written under another name and renamed, and a name in the
//!   store or a registry is given last: what can be seen is whole.
//! - `INV-EXPORTER-BYTES`: archives are a function of the image and its names: no clock, no order
//!   of directories on disk.
//! - `INV-EXPORTER-NAMES`: a name inside of an archive that is loaded is a key, never a path.
#![forbid(unsafe_code)]

mod annotation;
mod archive;
mod blob;
mod documents;
mod env;
mod error;
mod export;
mod form;
mod layers;
mod layout;
mod load;
mod origin;
mod output;
mod packing;
mod progress;
mod push;
mod spec;
mod squash;
mod stored;
mod tar;
mod tree;

pub use annotation::{Annotation, AnnotationError, AnnotationTarget};
pub use archive::{ArchiveForm, ArchiveImage, write_archive};
pub use env::{ClientResult, Env};
pub use error::{Error, Result};
pub use export::{ExportRequest, Receipt, export};
pub use layers::{ImageLayer, PackOptions, layers, unpacked_size};
pub use load::{LoadedImage, load};
pub use packing::{Packing, PackingRequest};
pub use push::{PushReport, PushedLayer, push, push_by_digest};
pub use spec::{
    ArchiveSpec, Destination, ExportSpec, ImageForm, LayerForm, LayoutForm, LocalMode, LocalSpec,
    MediaTypes, PlatformSplit, Push, Recompress, SpecError, StoreSpec,
};
pub use squash::squash;
pub use stored::{missing_layers, store_image, stored_image};
pub use tree::Owners;
