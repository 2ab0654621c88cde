//! What a file is apart from its bytes.

use std::collections::BTreeMap;

/// Extended attributes by name, sorted.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl FileKind {
    /// Returns the kind that the type bits of a `st_mode` name, if they name one.
    pub fn from_raw_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o100_000 => Self::Regular,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// Returns whether a device number belongs to this kind.
    pub fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// Point in time, as the kernel keeps it for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC, negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below one billion.
    pub nanos: u32,
}

impl Timestamp {
    /// Returns the point `seconds` after 1970-01-01 UTC.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

/// Number of a character or block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

/// Owning user and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// User and group 0.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// What `stat` says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub kind: FileKind,
    /// Permission bits with set-id and sticky bits, at most 0o7777.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes of content; of a directory whatever the file system says.
    pub size: u64,
    pub mtime: Timestamp,
    /// Number of the device that the file *is*; zero unless `kind` is a device.
    pub device: Device,
    /// Names that the file has.
    pub links: u64,
    /// Time of the last change of content or metadata.
    pub ctime: Timestamp,
    /// Device that the file is *on*.
    pub file_system: Device,
    pub inode: u64,
}

impl Metadata {
    /// Returns user and group together.
    pub fn owner(&self) -> Owner {
        Owner { uid: self.uid, gid: self.gid }
    }

    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    pub fn is_file(&self) -> bool {
        self.kind == FileKind::Regular
    }

    /// Returns what identifies the present content of the file on this machine.
    pub fn version(&self) -> FileVersion {
        FileVersion {
            file_system: self.file_system,
            inode: self.inode,
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }
}

/// Identity of a file's content on one machine: as long as it is equal, so is the content.
///
/// The change time cannot be set by a program, hence a rewritten file with its old modification
/// time still differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileVersion {
    pub file_system: Device,
    pub inode: u64,
    pub size: u64,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
}

impl FileVersion {
    /// Returns a key of fixed length for a persistent memo.
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        let parts: [&[u8]; 8] = [
            &self.file_system.major.to_le_bytes(),
            &self.file_system.minor.to_le_bytes(),
            &self.inode.to_le_bytes(),
            &self.size.to_le_bytes(),
            &self.mtime.seconds.to_le_bytes(),
            &self.mtime.nanos.to_le_bytes(),
            &self.ctime.seconds.to_le_bytes(),
            &self.ctime.nanos.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_modes_name_their_kind() {
        assert_eq!(FileKind::from_raw_mode(0o100_644), Some(FileKind::Regular));
        assert_eq!(FileKind::from_raw_mode(0o041_777), Some(FileKind::Directory));
        assert_eq!(FileKind::from_raw_mode(0o120_777), Some(FileKind::Symlink));
        assert_eq!(FileKind::from_raw_mode(0o644), None);
    }

    #[test]
    fn version_bytes_hold_every_field() {
        let version = FileVersion {
            file_system: Device { major: 1, minor: 2 },
            inode: 3,
            size: 4,
            mtime: Timestamp { seconds: 5, nanos: 6 },
            ctime: Timestamp { seconds: 7, nanos: 8 },
        };
        let bytes = version.to_bytes();
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 8);
        assert_eq!(bytes[44], 8);
    }
}
