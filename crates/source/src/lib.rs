//! Where the inputs of a build come from: images of a registry or a folder, a folder of this
//! machine, web servers, git repositories, archives.
//!
//! Each kind has two steps: *pin* finds out what it is without bringing it, *fetch* brings it.
//! Between the two lies the cache: what hits is never fetched.
//!
//! Read `image.rs` for images, `local.rs` for the build context, `remote.rs` for the rest.
//!
//! # Invariants
//! - `INV-SOURCE-VERIFIED`: bytes of a registry enter the store only under their own digest,
//!   and a layer's files become a snapshot only if their diffID is the one of the config.
//! - `INV-SOURCE-INSIDE`: nothing outside of a build context is read through it.
#![forbid(unsafe_code)]

mod arrival;
mod error;
mod fetch;
mod image;
mod layout;
mod local;
mod platform;
mod progress;
mod remote;

pub use error::{Error, Result};
pub use fetch::fetch;
pub use image::{Images, ParsedImage, PullPolicy, parse_image};
pub use layout::{LayoutReference, import_layout};
pub use local::Context;
pub use remote::{Credentials, Download, Fetched, Remotes, SshAccess, is_archive};
