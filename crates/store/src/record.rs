//! What the store remembers, as values.
//!
//! Those which are kept as JSON carry a version in their table's format (`docs/formats/store.md`):
//! fields may be added with a default, and never change their meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
use lathe_oci::Platform;
use serde::Deserialize;
use serde::Serialize;

/// The length of a snapshot id: short, so that hundreds of them fit into mount options.
const ID_LENGTH: usize = 10;

/// The digits of snapshot ids: base 32 without letters that look like digits.
const ID_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The name of a snapshot: ten characters, made at random, cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId([u8; ID_LENGTH]);

impl SnapshotId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("ids are made of ASCII digits only")
    }

    /// Makes a random id; whoever uses it checks that it is free by making its directory.
    pub(crate) fn random() -> Self {
        // The standard library seeds these from the kernel's random numbers: no dependency, and
        // no system call after the first.
        let mut bits = std::hash::RandomState::new().hash_one(std::process::id());
        Self(std::array::from_fn(|_| {
            let digit = ID_DIGITS[usize::from(bits.to_le_bytes()[0] & 31)];
            bits >>= 5;
            digit
        }))
    }
}

impl FromStr for SnapshotId {
    type Err = InvalidSnapshotId;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshotId> {
        let invalid = || InvalidSnapshotId(text.to_owned());
        let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().map_err(|_| invalid())?;
        bytes.iter().all(|byte| ID_DIGITS.contains(byte)).then_some(Self(bytes)).ok_or_else(invalid)
    }
}

/// A text that is no snapshot id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a snapshot id")]
pub struct InvalidSnapshotId(String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SnapshotId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SnapshotId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a layer's tar is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Returns the name, as the index has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Zstd].into_iter().find(|this| this.name() == name)
    }
}

/// An image: a manifest whose config, layers and platform are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The image id: the digest of the config.
    pub id: Digest,
    /// The manifest.
    pub manifest: Descriptor,
    /// The full names that point here (`docker.io/library/node:18`), sorted. Kept as rows of their
    /// own: what is given when a record is written does not matter.
    #[serde(skip)]
    pub names: Vec<String>,
    /// When the image was made, in seconds since 1970; 0 when the config does not tell.
    pub created: i64,
    /// The unpacked size of all layers in bytes, as docker counts.
    pub size: u64,
    /// What it runs on.
    pub platform: Platform,
    /// `name@digest` under which registries know it.
    #[serde(default)]
    pub repo_digests: Vec<String>,
}

/// An image with what lists show of its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The image.
    pub image: ImageRecord,
    /// When its config says that it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// The labels of its config.
    pub labels: BTreeMap<String, String>,
}

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// The full name, for example `docker.io/library/node:18`.
    pub name: String,
    /// The image id.
    pub image: Digest,
    /// The manifest that the name means.
    pub manifest: Descriptor,
}

/// A layer made of a snapshot, or a snapshot made of a layer.
///
/// A layer that is not compressed and whose blob is not there when it is recorded is *virtual*:
/// it can be packed again from the snapshot, with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRecord {
    /// The snapshot whose changes the layer holds: the owner of the changes, when it is read.
    pub snapshot: SnapshotId,
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The blob.
    pub descriptor: Descriptor,
    /// The sum of the sizes of the layer's files in bytes.
    pub unpacked_size: u64,
}

/// A result of the build cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRecord {
    /// The cache key.
    pub key: String,
    /// The result, in the solver's and worker's own form.
    pub result: String,
    /// Snapshots which the result needs; kept as long as the record.
    pub snapshots: Vec<SnapshotId>,
    /// Blobs which the result needs; kept as long as the record.
    pub blobs: Vec<Digest>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was last used, in seconds since 1970, to the hour.
    pub last_used: i64,
    /// The recipe of the key, to tell why another key missed.
    pub recipe: Option<String>,
}

/// Whether a snapshot can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// Never changes again; may have children.
    Committed,
    /// A container's writable layer.
    Writable,
}

/// A snapshot: changes on a parent, in a directory of its own or in another snapshot's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Its id.
    pub id: SnapshotId,
    /// What it lies on.
    pub parent: Option<SnapshotId>,
    /// Whose directory holds its changes; itself mostly.
    pub content: SnapshotId,
    /// Whether it can change.
    pub kind: SnapshotKind,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// A build that was made, for receipts and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecord {
    /// Its id.
    pub id: String,
    /// When it began, in milliseconds since 1970: builds follow each other quickly.
    pub created: i64,
    /// What was built, in the engine's own words: builds of one project follow each other.
    pub project: String,
    /// The record in the engine's own form (JSON).
    pub record: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRecord {
    /// Its id.
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The id of the image that it runs.
    pub image: Option<Digest>,
    /// Snapshots which it needs, its own writable layer among them.
    pub snapshots: Vec<SnapshotId>,
    /// The rest in the container crate's own form (JSON).
    pub record: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_ids_are_short_and_round_trip() {
        let id = SnapshotId::random();
        assert_eq!(id.as_str().len(), 10);
        assert_eq!(id.as_str().parse::<SnapshotId>().unwrap(), id);
        assert_ne!(id, SnapshotId::random());
    }

    #[test]
    fn texts_that_could_be_paths_are_no_snapshot_ids() {
        for text in ["", "..", "../../../x", "0123456789a", "ABCDEFGHJK", "01234/6789"] {
            assert!(text.parse::<SnapshotId>().is_err(), "{text}");
        }
    }
}
