//! OCI documents as values: digests, descriptors, manifests, configs, platforms, references.
//!
//! Types of the OCI image specification 1.1 and of Docker's image manifest version 2,
//! schema 2, with their names. Documents are parsed to be read; what is pushed or hashed
//! are always the exact bytes, kept beside the parsed form in a [`Blob`].
//!
//! Read [`digest`], [`document`] and [`config`] first: they hold the boundary types.
//!
//! # Invariants
//! - `INV-OCI-BYTES`: the digest of a [`Blob`] is the hash of the bytes that it holds.
//! - `INV-OCI-HISTORY`: [`assemble`] makes a config whose history has exactly one item that
//!   is not empty for each layer, in order.
#![forbid(unsafe_code)]

pub mod config;
pub mod digest;
pub mod document;
mod error;
mod image;
pub mod media_type;
pub mod platform;
pub mod reference;
mod squash;
mod time;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use digest::{Algorithm, ChainId, DiffId, Digest, Digester};
pub use document::{Descriptor, Index, Manifest};
pub use error::{Error, Result};
pub use image::{Blob, BuiltImage, LayerEntry, assemble, validate};
pub use media_type::MediaType;
pub use platform::Platform;
pub use reference::Reference;
pub use squash::{squash_comment, squash_history};
pub use time::{format_rfc3339, parse_epoch, parse_rfc3339};
