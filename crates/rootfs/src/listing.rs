//! The names in a directory, in one piece of memory.
//!
//! A directory may have a million of them; a string for each would cost more than the kernel takes
//! to list them.

use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::dir::metadata_at;
use crate::error::Located as _;
use crate::error::Result;
use crate::resolve::NOFOLLOW;
use crate::walk::Filter;
use crate::walk::Selection;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use rustix::fd::AsFd as _;
use rustix::fs::FileType;
use rustix::fs::RawDir;
use std::ffi::CStr;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Bytes that the kernel may fill at a time.
const BUFFER: usize = 32 * 1024;

/// Names in byte order.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The names as they came, each with a NUL at its end for calls to the kernel.
    bytes: Vec<u8>,
    names: Vec<Listed>,
}

#[derive(Debug, Clone, Copy)]
struct Listed {
    start: usize,
    /// Without the NUL. No name is longer than 255 bytes, or a few more on foreign file systems.
    length: u16,
    kind: Option<FileKind>,
}

impl Listing {
    /// Lists a directory that nobody has listed or shares: the position in the listing belongs to
    /// the open file.
    pub(crate) fn read(dir: &Dir) -> Result<Self> {
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut entries = RawDir::new(dir.as_fd(), buffer.spare_capacity_mut());
        let (mut bytes, mut names) = (Vec::new(), Vec::new());
        while let Some(entry) = entries.next() {
            let entry = entry.at("list directory", || dir.path().to_owned())?;
            let name = entry.file_name().to_bytes_with_nul();
            if name == b".\0" || name == b"..\0" {
                continue;
            }
            let length = u16::try_from(name.len() - 1).expect("the kernel's names are short");
            names.push(Listed { start: bytes.len(), length, kind: kind_of(entry.file_type()) });
            bytes.extend_from_slice(name);
        }
        let name = |listed: &Listed| &bytes[listed.start..][..usize::from(listed.length)];
        names.sort_unstable_by(|left, right| name(left).cmp(name(right)));
        Ok(Self { bytes, names })
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the name at `index`.
    pub(crate) fn name(&self, index: usize) -> &OsStr {
        let Listed { start, length, .. } = self.names[index];
        OsStr::from_bytes(&self.bytes[start..][..usize::from(length)])
    }

    /// Returns the name at `index` as the kernel wants it.
    fn c_name(&self, index: usize) -> &CStr {
        let Listed { start, length, .. } = self.names[index];
        CStr::from_bytes_with_nul(&self.bytes[start..=start + usize::from(length)])
            .expect("it came from the kernel with one NUL at its end")
    }

    /// Returns what is at a name of `dir`, unless the filter drops it; `path` is that of `dir`
    /// relative to the start of the walk. What is dropped is not even looked at where the listing
    /// has told its kind, which most file systems do.
    pub(crate) fn select(
        &self,
        index: usize,
        dir: &Dir,
        filter: Option<Filter<'_>>,
        path: &mut PathBuf,
    ) -> Result<Option<(Metadata, Selection)>> {
        match self.choose(index, filter, path) {
            Some(choice) => self.look(index, dir, choice, filter, path),
            None => Ok(None),
        }
    }

    /// Returns what the filter says of the kind that the listing told, `None` when it drops that.
    pub(crate) fn choose(
        &self,
        index: usize,
        filter: Option<Filter<'_>>,
        path: &mut PathBuf,
    ) -> Option<Choice> {
        let kind = self.names[index].kind;
        let ask = |kind| ask(filter, path, self.name(index), kind);
        let selection = kind.map_or(Selection::Keep, ask);
        counts(selection, kind.unwrap_or(FileKind::Directory)).then_some(Choice { kind, selection })
    }

    /// Returns what is at a name that was chosen, `None` if it turns out to be dropped.
    pub(crate) fn look(
        &self,
        index: usize,
        dir: &Dir,
        choice: Choice,
        filter: Option<Filter<'_>>,
        path: &mut PathBuf,
    ) -> Result<Option<(Metadata, Selection)>> {
        let name = self.name(index);
        let metadata = metadata_at(dir.as_fd(), self.c_name(index), NOFOLLOW)
            .at("stat", || join_bytes(dir.path(), name))?;
        let selection = if choice.kind == Some(metadata.kind) {
            choice.selection
        } else {
            ask(filter, path, name, metadata.kind)
        };
        Ok(counts(selection, metadata.kind).then_some((metadata, selection)))
    }
}

/// What is known of a name before it is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// As the listing told it, if it did.
    pub(crate) kind: Option<FileKind>,
    selection: Selection,
}

fn ask(filter: Option<Filter<'_>>, path: &mut PathBuf, name: &OsStr, kind: FileKind) -> Selection {
    let Some(filter) = filter else { return Selection::Keep };
    path.push(name);
    let selection = filter(path, kind);
    path.pop();
    selection
}

/// Whether something of this kind can count; of a directory what is in it may.
fn counts(selection: Selection, kind: FileKind) -> bool {
    match selection {
        Selection::Keep | Selection::Lazy => true,
        Selection::Descend => kind == FileKind::Directory,
        Selection::Skip => false,
    }
}

fn kind_of(file_type: FileType) -> Option<FileKind> {
    Some(match file_type {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::Unknown => return None,
    })
}
