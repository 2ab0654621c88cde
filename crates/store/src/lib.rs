//! The store: everything that lathe keeps between two commands, for any number of processes.
//!
//! Bytes are files (`blobs/`, `snapshots/`), named by digest or id; what is known about them are
//! rows of one `SQLite` database (`index.db`). Files come first and rows after, rows go first and
//! files after: so a row never speaks of a file that is not there, and what a killed process
//! leaves behind is only unreferenced. The format is told in `docs/formats/store.md`.
//!
//! Read first: [`Store`], `record.rs` (what is kept), `hold.rs` (who may delete what when).
//!
//! ```text
//! writer:    share() -> blob_writer()/snapshot dir -> finish()/row -> cache_record()/set_tag()
//! finder:    share() -> note in the journal -> condemned? -> use it
//! collector: rows of what was chosen -> condemn the rest -> journals -> delete rows -> delete files
//! ```
//!
//! # Invariants
//! - INV-STORE-1: a blob under `blobs/` is complete and has the digest that its name says.
//! - INV-STORE-2: a row is written only after the files that it names exist, but for layers that
//!   can be packed again from their snapshot ([`Store::is_virtual`]).
//! - INV-STORE-3: nothing that a running command made or found is deleted under it while it shares
//!   the store: it holds that before it relies on it.
//! - INV-STORE-4: killing any process at any point leaves INV-STORE-1 and INV-STORE-2 true.
//! - INV-STORE-5: what a snapshot that is kept lies on is kept, and so is the owner of its changes.
#![forbid(unsafe_code)]

mod blob;
mod block_file;
mod build;
mod cache;
mod cache_mount;
mod check;
mod claim;
mod collect;
mod container;
mod disk_usage;
mod error;
mod hold;
mod image;
mod index;
mod layer;
mod layout;
mod lock;
mod mark;
mod memo;
mod owner;
mod prune;
mod record;
mod remove;
mod sizes;
mod snapshot;
mod store;
mod survey;
mod sweep;

pub use blob::BlobWriter;
pub use blob::PartialBlob;
pub use block_file::BlockFile;
pub use cache_mount::CacheMount;
pub use cache_mount::CacheMountLock;
pub use cache_mount::CacheMountUse;
pub use check::Finding;
pub use claim::Claim;
pub use disk_usage::DiskUsage;
pub use disk_usage::UsageItem;
pub use disk_usage::UsageKind;
pub use disk_usage::UsageRow;
pub use error::Error;
pub use error::Result;
pub use lock::Exclusive;
pub use lock::Guard;
pub use lock::Wait;
pub use prune::CachePrune;
pub use prune::DryRun;
pub use prune::ImagePrune;
pub use prune::PruneOptions;
pub use prune::PruneReport;
pub use record::BuildRecord;
pub use record::CacheRecord;
pub use record::Compression;
pub use record::ContainerRecord;
pub use record::ImageRecord;
pub use record::ImageSummary;
pub use record::LayerRecord;
pub use record::SnapshotId;
pub use record::SnapshotKind;
pub use record::SnapshotRecord;
pub use record::TagRecord;
pub use remove::remove_tree;
pub use snapshot::NewSnapshot;
pub use snapshot::Usage;
pub use store::Store;
