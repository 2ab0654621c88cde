//! What is read next: the walk, cut into jobs.
//!
//! Everything here depends on the order: which name of a file is its first, where a large file
//! goes on. So it is done under a lock, and as little as possible is.

use super::Translate;
use crate::error::Error;
use crate::error::Result;
use crate::tar::padding;
use crate::whiteout;
use lathe_rootfs::Entry;
use lathe_rootfs::Walk;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Xattrs;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

/// Entries in one job at most.
const ENTRIES: usize = 64;

/// Bytes of content in one job at most, of which one file may be a half.
pub(super) const JOB: usize = 256 * 1024;

/// From this size on a file is read in parts.
const LARGE: u64 = JOB as u64 / 2;

/// What one thread does at a time.
#[derive(Debug)]
pub(super) enum Job {
    Entries(Vec<Planned>),
    /// A part of a large file, with zeros after it to the end of the block if it is the last.
    Part {
        path: Arc<Path>,
        file: Arc<File>,
        offset: u64,
        length: usize,
        padding: usize,
    },
    /// A hole in a large file.
    Zeros(u64),
}

/// An entry, and what the order says of it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) entry: Entry,
    /// Name of the same file that was before.
    pub(super) first_name: Option<Vec<u8>>,
    /// Where the content comes in jobs of its own.
    pub(super) large: Option<Arc<File>>,
    /// If they had to be asked for.
    pub(super) xattrs: Option<Xattrs>,
}

/// What makes two names one file: a distinction by the caller, the file system, the inode.
type Identity = (u64, Device, u64);

/// Gives one job after the other.
pub(super) struct Planner<'a> {
    walk: Walk,
    translate: Translate<'a>,
    /// First path of each file that has several.
    first_names: HashMap<Identity, Vec<u8>>,
    large: Option<Large>,
    /// Comes after the entries that were found before it.
    failed: Option<Error>,
}

/// Rest of a large file.
struct Large {
    path: Arc<Path>,
    file: Arc<File>,
    size: u64,
    offset: u64,
    /// Where the data ends that `offset` is in.
    data_end: u64,
}

impl<'a> Planner<'a> {
    pub(super) fn new(walk: Walk, translate: Translate<'a>) -> Self {
        Self { walk, translate, first_names: HashMap::new(), large: None, failed: None }
    }

    /// Returns the next job, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Job>> {
        if let Some(large) = &mut self.large {
            if let Some(job) = large.next() {
                return Ok(Some(job));
            }
            self.large = None;
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut entries = Vec::with_capacity(ENTRIES);
        let mut bytes = 0;
        while entries.len() < ENTRIES && bytes < LARGE && self.large.is_none() {
            match self.entry() {
                Ok(Some(planned)) => {
                    if planned.first_name.is_none() && planned.entry.metadata.is_file() {
                        bytes += planned.entry.metadata.size;
                    }
                    entries.push(planned);
                }
                Ok(None) => break,
                Err(error) if entries.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok((!entries.is_empty()).then_some(Job::Entries(entries)))
    }

    fn entry(&mut self) -> Result<Option<Planned>> {
        let entry = loop {
            match self.walk.next().transpose()? {
                None => return Ok(None),
                // Tar has none.
                Some(entry) if entry.metadata.kind == FileKind::Socket => {}
                Some(entry) => break entry,
            }
        };
        let mut planned = Planned { entry, first_name: None, large: None, xattrs: None };
        let metadata = planned.entry.metadata;
        if metadata.links > 1 && !metadata.is_dir() {
            self.link(&mut planned)?;
        }
        if planned.first_name.is_none() && metadata.is_file() && metadata.size >= LARGE {
            let file = Arc::new(planned.entry.open()?);
            self.large = Some(Large::new(&planned.entry, &file));
            planned.large = Some(file);
        }
        Ok(Some(planned))
    }

    /// Finds out whether a file with several names was there before.
    fn link(&mut self, planned: &mut Planned) -> Result<()> {
        let Planned { entry, xattrs, .. } = planned;
        let layer = match self.translate {
            Translate::Nothing { identity } => identity.map_or(0, |identity| identity(&entry.path)),
            Translate::Overlay { .. } => {
                // Whiteouts share an inode, and are no files.
                if entry.metadata.is_file() && entry.metadata.size == 0 {
                    *xattrs = Some(entry.xattrs()?);
                }
                let none = Xattrs::new();
                if whiteout::is_whiteout(&entry.metadata, xattrs.as_ref().unwrap_or(&none)) {
                    return Ok(());
                }
                0
            }
        };
        let identity = (layer, entry.metadata.file_system, entry.metadata.inode);
        if let Some(first) = self.first_names.get(&identity) {
            planned.first_name = Some(first.clone());
        } else {
            self.first_names.insert(identity, entry.path.as_os_str().as_bytes().to_vec());
        }
        Ok(())
    }
}

impl Large {
    fn new(entry: &Entry, file: &Arc<File>) -> Self {
        let (path, file) = (Arc::from(entry.path.as_path()), Arc::clone(file));
        Self { path, file, size: entry.metadata.size, offset: 0, data_end: 0 }
    }

    fn next(&mut self) -> Option<Job> {
        let Self { size, offset, .. } = *self;
        if offset >= size {
            return None;
        }
        if offset == self.data_end {
            let data = self.data_after(offset);
            if data > offset {
                self.offset = data;
                self.data_end = data;
                return Some(Job::Zeros(data - offset + self.padding() as u64));
            }
        }
        let length = (self.data_end - offset).min(JOB as u64);
        self.offset += length;
        let (path, file) = (Arc::clone(&self.path), Arc::clone(&self.file));
        let length = usize::try_from(length).expect("a job is smaller than memory");
        Some(Job::Part { path, file, offset, length, padding: self.padding() })
    }

    /// Returns the zeros that follow when all is read.
    fn padding(&self) -> usize {
        if self.offset == self.size { padding(self.size) } else { 0 }
    }

    /// Returns where data begins at or after `offset`, and remembers where it ends.
    fn data_after(&mut self, offset: u64) -> u64 {
        let begin = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            // The file ends with a hole.
            Err(Errno::NXIO) => return self.size,
            result => result.map_or(offset, |begin| begin.clamp(offset, self.size)),
        };
        // A file system that knows no holes has data everywhere.
        let end = rustix::fs::seek(&self.file, SeekFrom::Hole(begin)).unwrap_or(self.size);
        self.data_end = if end > begin { end.min(self.size) } else { self.size };
        begin
    }
}
