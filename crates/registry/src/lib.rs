//! The distribution protocol: resolve, pull and push against a registry, with credentials,
//! mirrors, retries and resumption. And plain downloads, which go the same way.
//!
//! Blocking: one request is one call on the calling thread, and parallel transfers are
//! parallel threads sharing one [`Client`]. Start reading at [`Client`]; the way of one
//! request (scheme, credentials, redirects, retries) is in `transport`.
//!
//! # Invariants
//! - `INV-REGISTRY-VERIFIED`: manifest bytes are returned only when they have the digest
//!   that was asked for or announced. Blob bytes are verified by whoever stores them.
//! - `INV-REGISTRY-SECRETS`: credentials and tokens go to the origin they are for and to
//!   no other one, and never into an error message.
//! - `INV-REGISTRY-BOUNDED`: every retry loop ends by count, every read by a time-out.
#![forbid(unsafe_code)]

mod agents;
mod auth;
mod blob;
mod challenge;
mod client;
mod config;
mod credentials;
mod download;
mod endpoint;
mod environment;
mod error;
mod login;
mod manifest;
mod reply;
mod resume;
mod retry;
mod suggest;
mod transport;
mod upload;
mod url;

pub use blob::BlobReader;
pub use client::{Client, ClientOptions};
pub use config::{Config, HostSettings, Mirror};
pub use credentials::{Credential, CredentialStore};
pub use download::{GetRequest, WebFile, WebReader, basic_authorization};
pub use environment::Environment;
pub use error::{Error, Refusal, Result};
pub use resume::ResumingReader;
pub use retry::RetryPolicy;
pub use upload::{BlobSource, Pushed};
