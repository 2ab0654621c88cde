//! By what digest two trees count as equal.
//!
//! The rule is that of BuildKit's `contenthash`: header and content of every entry, *without*
//! times, so that a stage which was built again with equal output has the same digest and what
//! copies from it need not run again. In the header: kind, mode, owner, size, link target, device
//! number, extended attributes (of `security.*` only `security.capability`: labels of the host's
//! policy are not content; `*.overlay.*` belongs to the file system under the tree).
//!
//! | in | out |
//! |---|---|
//! | names below the root of the selection | name of the root itself (the caller's key has it) |
//! | kind, mode, uid, gid, size of regular files | times, inode, number of links |
//! | link target, device numbers, xattrs | mode of symlinks (the kernel has none) |
//!
//! A tree is digested directory by directory: the digest of one is over its own entry, and over
//! the names and digests of what is in it. So subtrees can be done side by side, and none has to
//! be kept in memory.
//!
//! The bytes that are hashed are length-prefixed throughout; no two different trees give the same
//! stream. [`TreeDigest::FORMAT`] is hashed first: whoever changes a stream changes it.

use crate::metadata::Device;
use crate::metadata::FileKind;
use crate::metadata::Metadata;
use crate::metadata::Xattrs;
use sha2::Digest as _;
use sha2::Sha256;
use std::fmt;
use std::io;
use std::io::Read;

macro_rules! sha256_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

sha256_newtype! {
    /// SHA-256 of the bytes of a regular file.
    FileDigest
}
sha256_newtype! {
    /// SHA-256 of one entry's header and content.
    EntryDigest
}
sha256_newtype! {
    /// SHA-256 of a file or of a directory with what is in it.
    TreeDigest
}

/// Digest of what has a name in a directory: a file, or a directory with its content.
///
/// The streams of the two kinds differ in their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildDigest([u8; 32]);

impl From<EntryDigest> for ChildDigest {
    fn from(file: EntryDigest) -> Self {
        Self(file.0)
    }
}

impl From<TreeDigest> for ChildDigest {
    fn from(directory: TreeDigest) -> Self {
        Self(directory.0)
    }
}

impl TreeDigest {
    /// Name of the way in which digests of entries and trees are made.
    pub const FORMAT: &[u8] = b"lathe.tree.v2";
}

impl FileDigest {
    /// Reads `content` to its end, `buffer` at a time.
    pub fn of(mut content: impl Read, buffer: &mut [u8]) -> io::Result<Self> {
        let mut hash = Sha256::new();
        loop {
            match content.read(buffer) {
                Ok(0) => return Ok(Self(hash.finalize().into())),
                Ok(length) => hash.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What of an entry counts, apart from its bytes.
#[derive(Debug)]
pub struct EntryHeader<'a> {
    pub metadata: &'a Metadata,
    /// Target of a symbolic link, empty for any other kind.
    pub link_target: &'a [u8],
    pub xattrs: &'a Xattrs,
}

impl EntryHeader<'_> {
    /// Returns the digest of the entry whose bytes have the digest `content` (regular files).
    pub fn digest(&self, content: Option<&FileDigest>) -> EntryDigest {
        let metadata = self.metadata;
        let mut hash = Sha256::new();
        hash.update([kind_byte(metadata.kind)]);
        let mode = if metadata.kind == FileKind::Symlink { 0o777 } else { metadata.mode };
        let size = if metadata.is_file() { metadata.size } else { 0 };
        let device = if metadata.kind.is_device() { metadata.device } else { Device::default() };
        for number in [mode, metadata.uid, metadata.gid, device.major, device.minor] {
            hash.update(number.to_le_bytes());
        }
        hash.update(size.to_le_bytes());
        field(&mut hash, self.link_target);
        for (name, value) in self.xattrs.iter().filter(|(name, _)| xattr_counts(name)) {
            field(&mut hash, name);
            field(&mut hash, value);
        }
        // An attribute has a name, so an empty one ends the list.
        field(&mut hash, b"");
        if let Some(content) = content {
            hash.update(content.0);
        }
        EntryDigest(hash.finalize().into())
    }
}

/// Folds what is in a directory into the digest of the directory.
#[derive(Debug)]
pub struct TreeDigester {
    hash: Sha256,
    last: Option<Vec<u8>>,
}

impl TreeDigester {
    /// Starts with the directory itself. A file that is the whole tree is done with that.
    pub fn new(entry: &EntryDigest) -> Self {
        let mut hash = Sha256::new();
        field(&mut hash, TreeDigest::FORMAT);
        hash.update(entry.0);
        Self { hash, last: None }
    }

    /// Adds what is at `name` in the directory.
    ///
    /// # Panics
    /// When names do not come in strictly ascending order of their bytes: the digest would depend
    /// on the order of finding.
    pub fn add(&mut self, name: &[u8], digest: &ChildDigest) {
        let last = self.last.as_deref();
        assert!(last.is_none_or(|last| last < name), "entries of a tree digest are sorted");
        field(&mut self.hash, name);
        self.hash.update(digest.0);
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(name);
    }

    /// Returns the digest of the directory with what was added.
    pub fn finish(self) -> TreeDigest {
        TreeDigest(self.hash.finalize().into())
    }
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn xattr_counts(name: &[u8]) -> bool {
    if name.starts_with(b"security.") {
        return name == b"security.capability";
    }
    !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay.")
}

fn kind_byte(kind: FileKind) -> u8 {
    match kind {
        FileKind::Regular => b'f',
        FileKind::Directory => b'd',
        FileKind::Symlink => b'l',
        FileKind::CharDevice => b'c',
        FileKind::BlockDevice => b'b',
        FileKind::Fifo => b'p',
        FileKind::Socket => b's',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Timestamp;

    fn file() -> Metadata {
        Metadata {
            kind: FileKind::Regular,
            mode: 0o644,
            uid: 1,
            gid: 2,
            size: 3,
            mtime: Timestamp::from_seconds(5),
            device: Device::default(),
            links: 1,
            ctime: Timestamp::from_seconds(6),
            file_system: Device::default(),
            inode: 9,
        }
    }

    fn digest(metadata: &Metadata, target: &[u8], xattrs: &[(&[u8], &[u8])]) -> EntryDigest {
        let xattrs = xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        EntryHeader { metadata, link_target: target, xattrs: &xattrs }.digest(None)
    }

    #[test]
    fn times_inode_and_links_do_not_count() {
        let other = Metadata {
            mtime: Timestamp { seconds: 77, nanos: 8 },
            ctime: Timestamp::default(),
            inode: 1,
            links: 4,
            file_system: Device { major: 8, minor: 1 },
            ..file()
        };
        assert_eq!(digest(&file(), b"", &[]), digest(&other, b"", &[]));
    }

    #[test]
    fn every_other_property_counts() {
        let base = digest(&file(), b"", &[]);
        let variants = [
            digest(&Metadata { kind: FileKind::Fifo, ..file() }, b"", &[]),
            digest(&Metadata { mode: 0o4644, ..file() }, b"", &[]),
            digest(&Metadata { uid: 9, ..file() }, b"", &[]),
            digest(&Metadata { gid: 9, ..file() }, b"", &[]),
            digest(&Metadata { size: 9, ..file() }, b"", &[]),
            digest(&file(), b"x", &[]),
            digest(&file(), b"", &[(b"user.a", b"")]),
            digest(&file(), b"", &[(b"user.a", b"1")]),
            digest(&file(), b"", &[(b"security.capability", b"1")]),
        ];
        for (index, variant) in variants.iter().enumerate() {
            assert_ne!(*variant, base, "variant {index}");
            assert!(!variants[..index].contains(variant), "variant {index} collides");
        }
    }

    #[test]
    fn labels_of_the_host_do_not_count() {
        let base = digest(&file(), b"", &[]);
        for name in [&b"security.selinux"[..], b"trusted.overlay.opaque", b"user.overlay.origin"] {
            assert_eq!(digest(&file(), b"", &[(name, b"y")]), base);
        }
    }

    #[test]
    fn names_count_and_cannot_run_together() {
        let entry = digest(&file(), b"", &[]);
        let tree = |names: &[&[u8]]| {
            let mut tree = TreeDigester::new(&entry);
            for name in names {
                tree.add(name, &entry.into());
            }
            tree.finish()
        };
        let trees = [tree(&[]), tree(&[b"a"]), tree(&[b"b"]), tree(&[b"a", b"b"]), tree(&[b"ab"])];
        for (index, one) in trees.iter().enumerate() {
            assert!(!trees[..index].contains(one), "tree {index} collides");
        }
        assert_eq!(tree(&[b"a", b"a-b"]), tree(&[b"a", b"a-b"]));
    }

    #[test]
    fn what_is_in_a_directory_counts_where_it_is() {
        let entry = digest(&file(), b"", &[]);
        let tree = |children: &[(&[u8], ChildDigest)]| {
            let mut tree = TreeDigester::new(&entry);
            for (name, child) in children {
                tree.add(name, child);
            }
            tree.finish()
        };
        let inner = tree(&[(b"x", entry.into())]);
        let trees = [
            inner,
            tree(&[(b"a", inner.into())]),
            tree(&[(b"a", entry.into())]),
            tree(&[(b"a", tree(&[]).into()), (b"x", entry.into())]),
        ];
        for (index, one) in trees.iter().enumerate() {
            assert!(!trees[..index].contains(one), "tree {index} collides");
        }
    }

    #[test]
    #[should_panic(expected = "sorted")]
    fn unsorted_entries_are_refused() {
        let entry = digest(&file(), b"", &[]);
        let mut tree = TreeDigester::new(&entry);
        tree.add(b"b", &entry.into());
        tree.add(b"a", &entry.into());
    }

    #[test]
    fn digest_of_a_fixed_tree_is_stable() {
        let entry = digest(&file(), b"", &[(b"user.k", b"v")]);
        let mut tree = TreeDigester::new(&entry);
        tree.add(b"a", &entry.into());
        tree.add(b"b", &TreeDigester::new(&entry).finish().into());
        assert_eq!(
            tree.finish().to_string(),
            "170f70479833a566ffd8195860c8c74c0c434921cfe6bbfd2eae1561734770ed"
        );
    }
}
