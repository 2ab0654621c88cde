//! A directory whose digest is being made, by as many threads as there are tasks in it.
//!
//! A folder is listed at once, then its names are looked at in chunks; directories and large files
//! among them are tasks of their own. Who finishes the last task of a folder folds it, and may so
//! finish the one above. Tasks are done depth first, so what is in memory are the names of the
//! folders on one path for each thread, however large the tree is.

use super::block::Block;
use super::block::Cursor;
use super::block::Record;
use super::block::merge;
use super::entry::Reader;
use super::entry::Seen;
use super::memo::DirectoryId;
use super::version::Moment;
use crate::dir::Dir;
use crate::error::Error;
use crate::error::Result;
use crate::listing::Listing;
use crate::walk::Selection;
use lathe_stdx::Tasks;
use lathe_tree::ChildDigest;
use lathe_tree::EntryDigest;
use lathe_tree::Metadata;
use lathe_tree::TreeDigest;
use lathe_tree::TreeDigester;
use rustix::io::Errno;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Names that one thread looks at.
const CHUNK: usize = 512;

/// Bytes from which on a file is read beside the others of its folder.
const LARGE: u64 = 256 * 1024;

/// Directories on one path; each holds a descriptor.
const DEPTH: usize = 1000;

/// Estimated microseconds that a directory and an unknown file take.
const COST: u64 = 20;

/// One directory.
#[derive(Debug)]
pub(super) struct Folder {
    dir: Dir,
    /// The one it is in, and its place there; `None` for the start.
    above: Option<(Arc<Self>, usize)>,
    depth: usize,
    /// What the filter said: most count only for something in them.
    selection: Selection,
    entry: EntryDigest,
    listing: Listing,
    memo: Option<Remembered>,
    /// Tasks that are not done.
    pending: AtomicUsize,
    results: Mutex<Results>,
}

/// What was remembered of a folder.
#[derive(Debug)]
struct Remembered {
    id: DirectoryId,
    block: Option<Block>,
}

#[derive(Debug, Default)]
struct Results {
    /// For each name; `None` for one that does not count.
    digests: Vec<Option<ChildDigest>>,
    /// What differs from what is remembered, by place.
    fresh: Vec<(usize, Record)>,
    /// The same of the start itself, which has no folder above.
    fresh_start: Option<Record>,
    /// Names of the block that are still there.
    matched: usize,
}

/// A part of the work.
#[derive(Debug)]
pub(super) enum Task {
    Start { dir: Dir, metadata: Metadata, moment: Option<Moment> },
    Folder { above: Arc<Folder>, place: usize, seen: Seen, selection: Selection },
    Chunk { folder: Arc<Folder>, range: Range<usize> },
    File { folder: Arc<Folder>, place: usize, seen: Seen },
}

/// What a thread works with.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    buffer: Vec<u8>,
    path: PathBuf,
}

/// The digest of a directory.
pub(super) struct TreeWalk<'a> {
    pub(super) reader: Reader<'a>,
    /// Path of the start inside the root.
    start: &'a Path,
    digest: Mutex<Option<TreeDigest>>,
}

impl<'a> TreeWalk<'a> {
    pub(super) fn new(reader: Reader<'a>, start: &'a Path) -> Self {
        Self { reader, start, digest: Mutex::new(None) }
    }

    pub(super) fn finish(self) -> (Option<TreeDigest>, Reader<'a>) {
        (self.digest.into_inner().unwrap_or_else(PoisonError::into_inner), self.reader)
    }

    pub(super) fn work(
        &self,
        scratch: &mut Scratch,
        task: Task,
        tasks: &Tasks<Task, Error>,
    ) -> Result<()> {
        match task {
            Task::Start { dir, metadata, moment } => {
                let memo = self.recall(&metadata);
                let known = memo.as_ref().and_then(|memo| memo.block.as_ref()?.find(b""));
                let (entry, fresh_start) =
                    self.reader.directory(&dir, &Seen { metadata, moment, known })?;
                let results = Results { fresh_start, ..Results::default() };
                let folder = Folder {
                    above: None,
                    depth: 0,
                    selection: Selection::Keep,
                    entry,
                    listing: Listing::read(&dir)?,
                    dir,
                    memo,
                    pending: AtomicUsize::new(0),
                    results: Mutex::new(results),
                };
                self.enter(folder, scratch, tasks)
            }
            Task::Folder { above, place, seen, selection } => {
                let dir = above.dir.open_dir(above.listing.name(place))?;
                let depth = above.depth + 1;
                if depth > DEPTH {
                    return Err(Error::io("look into", dir.path(), Errno::NAMETOOLONG));
                }
                let (entry, fresh) = self.reader.directory(&dir, &seen)?;
                if let Some(fresh) = fresh {
                    above.results().fresh.push((place, fresh));
                }
                let folder = Folder {
                    above: Some((above, place)),
                    depth,
                    selection,
                    entry,
                    listing: Listing::read(&dir)?,
                    dir,
                    memo: self.recall(&seen.metadata),
                    pending: AtomicUsize::new(0),
                    results: Mutex::default(),
                };
                self.enter(folder, scratch, tasks)
            }
            Task::Chunk { folder, range } => self.chunk(folder, range, scratch, tasks),
            Task::File { folder, place, seen } => {
                let buffer = &mut scratch.buffer;
                let name = folder.listing.name(place);
                let (digest, fresh) = self.reader.read(&folder.dir, name, &seen, buffer)?;
                let mut results = folder.results();
                results.digests[place] = Some(digest.into());
                results.fresh.extend(fresh.map(|fresh| (place, fresh)));
                drop(results);
                self.settle(folder);
                Ok(())
            }
        }
    }

    fn recall(&self, metadata: &Metadata) -> Option<Remembered> {
        let memo = self.reader.options.memo?;
        let id = DirectoryId { file_system: metadata.file_system, inode: metadata.inode };
        let block = memo.get(id).and_then(|block| Block::parse(block, self.reader.options.owner));
        Some(Remembered { id, block })
    }

    /// Looks at the names of a folder, in several tasks if there are many.
    fn enter(
        &self,
        folder: Folder,
        scratch: &mut Scratch,
        tasks: &Tasks<Task, Error>,
    ) -> Result<()> {
        let count = folder.listing.len();
        let chunks = count.div_ceil(CHUNK).max(1);
        folder.pending.store(chunks, Ordering::Relaxed);
        folder.results().digests.resize(count, None);
        let folder = Arc::new(folder);
        let range = |chunk| CHUNK * chunk..count.min(CHUNK * (chunk + 1));
        if chunks > 1 {
            let chunk = |chunk| Task::Chunk { folder: Arc::clone(&folder), range: range(chunk) };
            tasks.add((1..chunks).map(chunk), CHUNK as u64 * (chunks as u64 - 1));
        }
        self.chunk(folder, range(0), scratch, tasks)
    }

    fn chunk(
        &self,
        folder: Arc<Folder>,
        range: Range<usize>,
        scratch: &mut Scratch,
        tasks: &Tasks<Task, Error>,
    ) -> Result<()> {
        let mut chunk = Chunk { folder: &folder, tasks: Vec::new(), cost: 0, done: Vec::new() };
        let mut fresh = Vec::new();
        let mut matched = 0;
        let block = folder.memo.as_ref().and_then(|memo| memo.block.as_ref());
        let mut cursor = block
            .filter(|_| !range.is_empty())
            .map(|block| Cursor::new(block, folder.listing.name(range.start).as_bytes()));
        scratch.path.clear();
        scratch.path.push(folder.path_below(self.start));
        let filter = self.reader.options.filter;
        let moment = folder.memo.as_ref().map(|_| Moment::now());
        for place in range {
            let name = folder.listing.name(place);
            let known = cursor.as_mut().and_then(|cursor| cursor.find(name.as_bytes()));
            matched += usize::from(known.is_some());
            let path = &mut scratch.path;
            let selected = folder.listing.select(place, &folder.dir, filter, path)?;
            let Some((metadata, selection)) = selected else { continue };
            // The version of a file names no file system: it is that of the folder.
            let is_held = folder.holds(&metadata);
            let (known, moment) = (known.filter(|_| is_held), moment.filter(|_| is_held));
            let seen = Seen { metadata, moment, known };
            if metadata.is_dir() {
                chunk.folder(place, seen, selection);
            } else if let Some(digest) = seen.digest() {
                chunk.done.push((place, digest));
            } else if metadata.is_file() && metadata.size >= LARGE {
                chunk.file(place, seen);
            } else {
                let buffer = &mut scratch.buffer;
                let (digest, record) = self.reader.read(&folder.dir, name, &seen, buffer)?;
                chunk.done.push((place, digest));
                fresh.extend(record.map(|record| (place, record)));
            }
        }
        let Chunk { tasks: below, cost, done, .. } = chunk;
        if !below.is_empty() {
            folder.pending.fetch_add(below.len(), Ordering::Relaxed);
            tasks.add(below, cost);
        }
        let mut results = folder.results();
        for (place, digest) in done {
            results.digests[place] = Some(digest.into());
        }
        results.fresh.extend(fresh);
        results.matched += matched;
        drop(results);
        self.settle(folder);
        Ok(())
    }

    /// Ends a task of a folder; the last one ends the folder.
    fn settle(&self, folder: Arc<Folder>) {
        let mut folder = folder;
        // Release what this task found, and see what the others did.
        while folder.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let digest = folder.fold();
            self.remember(&folder);
            let Some((above, place)) = &folder.above else {
                *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = digest;
                return;
            };
            above.results().digests[*place] = digest.map(ChildDigest::from);
            let above = Arc::clone(above);
            folder = above;
        }
    }

    /// Puts the block of a folder if it is another one than before.
    fn remember(&self, folder: &Folder) {
        let (Some(memo), Some(Remembered { id, block })) = (self.reader.options.memo, &folder.memo)
        else {
            return;
        };
        let mut results = folder.results();
        let Results { fresh, fresh_start, matched, .. } = &mut *results;
        let has_start = block.as_ref().is_some_and(|block| block.find(b"").is_some());
        let known = block.as_ref().map_or(0, Block::len) - usize::from(has_start);
        if fresh.is_empty() && fresh_start.is_none() && *matched == known {
            return;
        }
        fresh.sort_unstable_by_key(|(place, _)| *place);
        let listing = &folder.listing;
        let start = fresh_start.map(|record| (&b""[..], record));
        let fresh = fresh.iter().map(|(place, record)| (listing.name(*place).as_bytes(), *record));
        let mut next = 0;
        let is_there = |name: &[u8]| {
            while next < listing.len() && listing.name(next).as_bytes() < name {
                next += 1;
            }
            name.is_empty() || (next < listing.len() && listing.name(next).as_bytes() == name)
        };
        let owner = self.reader.options.owner;
        memo.put(*id, &merge(block.as_ref(), start.into_iter().chain(fresh), is_there, owner));
    }
}

/// What one chunk leaves to do.
struct Chunk<'a> {
    folder: &'a Arc<Folder>,
    tasks: Vec<Task>,
    cost: u64,
    done: Vec<(usize, EntryDigest)>,
}

impl Chunk<'_> {
    fn folder(&mut self, place: usize, seen: Seen, selection: Selection) {
        let above = Arc::clone(self.folder);
        self.tasks.push(Task::Folder { above, place, seen, selection });
        self.cost += COST;
    }

    fn file(&mut self, place: usize, seen: Seen) {
        self.tasks.push(Task::File { folder: Arc::clone(self.folder), place, seen });
        // About a nanosecond for a byte.
        self.cost += COST + seen.metadata.size / 1024;
    }
}

impl Folder {
    fn results(&self) -> std::sync::MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file in the folder is also on its file system.
    fn holds(&self, metadata: &Metadata) -> bool {
        self.memo.as_ref().is_none_or(|memo| memo.id.file_system == metadata.file_system)
    }

    /// Returns the path relative to the start.
    fn path_below(&self, start: &Path) -> &Path {
        self.dir.path().strip_prefix(start).expect("the folder is below the start")
    }

    /// Returns the digest, `None` if the folder does not count.
    fn fold(&self) -> Option<TreeDigest> {
        let results = self.results();
        let is_empty = || results.digests.iter().all(Option::is_none);
        if self.selection != Selection::Keep && is_empty() {
            return None;
        }
        let mut tree = TreeDigester::new(&self.entry);
        for (place, digest) in results.digests.iter().enumerate() {
            if let Some(digest) = digest {
                tree.add(self.listing.name(place).as_bytes(), digest);
            }
        }
        Some(tree.finish())
    }
}
