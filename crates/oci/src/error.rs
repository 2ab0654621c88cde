//! What can be wrong with an OCI document, a digest or a reference.

use crate::Digest;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What was wrong, with the text that was wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A digest is not `algorithm:hex` of a known algorithm and the right length.
    #[error("invalid digest `{0}`: expected `sha256:` and 64 hexadecimal digits")]
    InvalidDigest(String),
    /// A reference does not follow the grammar of `distribution/reference`.
    #[error("invalid reference `{text}`: {reason}")]
    InvalidReference {
        /// The reference as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A platform is not `os[/arch[/variant]]`.
    #[error("invalid platform `{0}`: expected `os/arch` or `os/arch/variant`, as `linux/arm64`")]
    InvalidPlatform(String),
    /// A document is not the JSON that its type asks for.
    #[error("invalid {document}: {source}")]
    InvalidDocument {
        /// Which document, in the specification's word.
        document: &'static str,
        /// Where the JSON is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Bytes do not have the digest that was promised for them.
    #[error("digest mismatch: expected {expected}, got {actual}")]
    DigestMismatch {
        /// What the descriptor says.
        expected: Box<Digest>,
        /// What the bytes have.
        actual: Box<Digest>,
    },
    /// Bytes do not have the size that was promised for them.
    #[error("size mismatch of {digest}: expected {expected} bytes, got {actual}")]
    SizeMismatch {
        /// Which blob.
        digest: Digest,
        /// What the descriptor says, in bytes.
        expected: u64,
        /// What there is, in bytes.
        actual: u64,
    },
    /// The number of layers, diffIDs and non-empty history items do not agree.
    #[error(
        "image has {layers} layers, {diff_ids} diffIDs and {history} history items with a layer"
    )]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// diffIDs of the config.
        diff_ids: usize,
        /// History items that are not empty.
        history: usize,
    },
}
