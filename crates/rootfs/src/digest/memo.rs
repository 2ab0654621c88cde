//! What remembers digests from one build to the next.

use lathe_tree::Device;

/// Blocks of remembered entries, one for each directory. Asked from several threads.
///
/// What is in a block is the business of [`content_digest`](crate::content_digest), which notices
/// one that is damaged. A memo is only as good as the machine's clock: whoever sets it back by
/// hand may see an old digest of a file that was changed in between.
pub trait DirectoryMemo: Sync {
    /// Returns the block that was put last, if there is one.
    fn get(&self, directory: DirectoryId) -> Option<Vec<u8>>;
    /// Remembers the block; only called where it differs from the one that `get` gave.
    fn put(&self, directory: DirectoryId, block: &[u8]);
}

/// Identity of a directory on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId {
    pub file_system: Device,
    pub inode: u64,
}

impl DirectoryId {
    /// Returns a key of fixed length for a persistent memo.
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.file_system.major.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.file_system.minor.to_le_bytes());
        bytes[8..].copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }
}
