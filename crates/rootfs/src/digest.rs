//! The content digest of a path: by what a `COPY` knows that its source is still the same.
//!
//! The walk runs on the calling thread; regular files that the memo does not know are read and
//! hashed by a few workers, fed through a short channel so that the number of open directories
//! stays bounded. The results are put in walk order before they are folded, hence the digest does
//! not depend on the threads.

use crate::dir::Dir;
use crate::dir::file_xattrs;
use crate::dir::join_bytes;
use crate::error::Located as _;
use crate::error::Result;
use crate::root::Root;
use crate::walk::Entry;
use crate::walk::Filter;
use crate::walk::Selection;
use lathe_tree::Device;
use lathe_tree::EntryDigest;
use lathe_tree::EntryHeader;
use lathe_tree::FileDigest;
use lathe_tree::FileKind;
use lathe_tree::FileVersion;
use lathe_tree::Metadata;
use lathe_tree::Owner;
use lathe_tree::TreeDigest;
use lathe_tree::TreeDigester;
use lathe_tree::Xattrs;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

/// Entries on their way to the workers; each holds a directory open.
const QUEUE: usize = 64;

/// Bytes read at a time.
const BUFFER: usize = 128 * 1024;

/// Blocks of remembered entries, one for each directory. Asked from several threads.
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

/// What was found out about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    pub digest: TreeDigest,
    /// Regular files whose bytes were read, since the memo did not know them.
    pub files_read: u64,
    /// At most eight of the files of which the memo had another digest, in order, with their
    /// paths inside the root.
    pub changed: Vec<PathBuf>,
}

/// What counts of a tree.
#[derive(Clone, Copy, Default)]
pub struct DigestOptions<'a> {
    /// What below a directory counts; everything when `None`.
    pub filter: Option<Filter<'a>>,
    /// Owner in the place of each file's own: that of a build context is the user's matter.
    pub owner: Option<Owner>,
    /// What is remembered of files that were read before.
    pub memo: Option<&'a dyn DirectoryMemo>,
}

impl std::fmt::Debug for DigestOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestOptions")
            .field("filter", &self.filter.is_some())
            .field("owner", &self.owner)
            .field("memo", &self.memo.is_some())
            .finish()
    }
}

/// Returns the content digest of what `path` leads to: of a file alone, of a directory with all
/// below it that counts.
pub fn content_digest(
    root: &Root,
    path: &Path,
    options: DigestOptions<'_>,
) -> Result<ContentDigest> {
    let digest = without_memo(root, path, options, &mut NoMemo)?;
    Ok(ContentDigest { digest, files_read: 0, changed: Vec::new() })
}

/// Memo of the digests of files' bytes.
trait FileDigests {
    /// Returns the digest of the file in this version, if known.
    fn get(&mut self, version: &FileVersion) -> Option<FileDigest>;
    /// Remembers the digest of the file in this version.
    fn put(&mut self, version: &FileVersion, digest: &FileDigest);
}

/// Memo that forgets.
struct NoMemo;

impl FileDigests for NoMemo {
    fn get(&mut self, _version: &FileVersion) -> Option<FileDigest> {
        None
    }

    fn put(&mut self, _version: &FileVersion, _digest: &FileDigest) {}
}

fn without_memo(
    root: &Root,
    path: &Path,
    options: DigestOptions<'_>,
    memo: &mut dyn FileDigests,
) -> Result<TreeDigest> {
    let real = root.real_path(path)?;
    let (dir, name) = root.place(&real)?;
    let metadata = dir.lstat(&name)?;
    let content = match metadata.kind {
        FileKind::Regular => Some(known_or_read(&dir, &name, &metadata, memo)?),
        _ => None,
    };
    let mut tree = TreeDigester::default();
    tree.add(b"", &entry_digest(&dir, &name, &metadata, content.as_ref(), options.owner)?);
    if metadata.is_dir() {
        for entry in hash_below(root, &real, options, memo)? {
            tree.add(entry.path.as_os_str().as_bytes(), &entry.digest);
        }
    }
    Ok(tree.finish())
}

struct Hashed {
    path: PathBuf,
    digest: EntryDigest,
}

/// A file read by a worker, with its place in the walk.
struct Done {
    place: usize,
    hashed: Hashed,
    version: FileVersion,
    content: FileDigest,
}

fn known_or_read(
    dir: &Dir,
    name: &OsStr,
    metadata: &Metadata,
    memo: &mut dyn FileDigests,
) -> Result<FileDigest> {
    let version = metadata.version();
    if let Some(known) = memo.get(&version) {
        return Ok(known);
    }
    let (digest, _) = read_file(dir, name, &mut vec![0; BUFFER])?;
    memo.put(&version, &digest);
    Ok(digest)
}

fn hash_below(
    root: &Root,
    real: &Path,
    options: DigestOptions<'_>,
    memo: &mut dyn FileDigests,
) -> Result<Vec<Hashed>> {
    let (queue, received) = mpsc::sync_channel::<(usize, Entry)>(QUEUE);
    let received = Mutex::new(received);
    let owner = options.owner;
    let work = || -> Result<Vec<Done>> {
        let mut buffer = vec![0; BUFFER];
        let mut done = Ok(Vec::new());
        loop {
            let next = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((place, entry)) = next else { return done };
            // After an error the rest is taken and dropped, so that the walk is not left waiting
            // at a full channel.
            let Ok(list) = &mut done else { continue };
            match hash_file(place, entry, &mut buffer, owner) {
                Ok(file) => list.push(file),
                Err(error) => done = Err(error),
            }
        }
    };
    let (mut places, done) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..lathe_stdx::threads()).map(|_| scope.spawn(work)).collect();
        let places = feed(root, real, options, memo, &queue);
        drop(queue);
        let done: Vec<Result<Vec<Done>>> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        (places, done)
    });
    for part in done {
        for Done { place, hashed, version, content } in part? {
            memo.put(&version, &content);
            if let Ok(places) = &mut places {
                places[place] = Some(hashed);
            }
        }
    }
    Ok(places?.into_iter().flatten().collect())
}

/// Walks, hashes what needs no reading and sends the rest; returns a place for every entry.
fn feed(
    root: &Root,
    real: &Path,
    options: DigestOptions<'_>,
    memo: &mut dyn FileDigests,
    queue: &mpsc::SyncSender<(usize, Entry)>,
) -> Result<Vec<Option<Hashed>>> {
    let mut places = Vec::new();
    // Directories that the filter dropped and that still may hold something kept.
    let mut undecided: Vec<Entry> = Vec::new();
    let mut walk = root.walk(real)?;
    while let Some(entry) = walk.next() {
        let entry = entry?;
        undecided.retain(|dir| entry.path.starts_with(&dir.path));
        let choose = |filter: Filter<'_>| filter(&entry.path, entry.metadata.kind);
        match options.filter.map_or(Selection::Keep, choose) {
            Selection::Skip => {
                walk.skip_directory();
                continue;
            }
            Selection::Descend | Selection::Lazy if entry.metadata.is_dir() => {
                undecided.push(entry);
                continue;
            }
            Selection::Descend => continue,
            Selection::Lazy | Selection::Keep => {}
        }
        for dir in undecided.drain(..) {
            places.push(Some(hash_entry(dir, None, options.owner)?));
        }
        let known = match entry.metadata.kind {
            FileKind::Regular => memo.get(&entry.metadata.version()),
            _ => None,
        };
        if entry.metadata.is_file() && known.is_none() {
            places.push(None);
            // Workers only leave early with an error, which is reported from there.
            if queue.send((places.len() - 1, entry)).is_err() {
                break;
            }
        } else {
            places.push(Some(hash_entry(entry, known.as_ref(), options.owner)?));
        }
    }
    Ok(places)
}

fn hash_file(place: usize, entry: Entry, buffer: &mut [u8], owner: Option<Owner>) -> Result<Done> {
    let (content, xattrs) = read_file(&entry.parent, entry.name(), buffer)?;
    let version = entry.metadata.version();
    let digest = header_digest(&entry.metadata, b"", &xattrs, Some(&content), owner);
    Ok(Done { place, hashed: Hashed { path: entry.path, digest }, version, content })
}

fn hash_entry(entry: Entry, content: Option<&FileDigest>, owner: Option<Owner>) -> Result<Hashed> {
    let digest = entry_digest(&entry.parent, entry.name(), &entry.metadata, content, owner)?;
    Ok(Hashed { path: entry.path, digest })
}

fn entry_digest(
    dir: &Dir,
    name: &OsStr,
    metadata: &Metadata,
    content: Option<&FileDigest>,
    owner: Option<Owner>,
) -> Result<EntryDigest> {
    let target = match metadata.kind {
        FileKind::Symlink => dir.read_link(name)?,
        _ => OsString::new(),
    };
    let xattrs = dir.xattrs(name)?;
    Ok(header_digest(metadata, target.as_bytes(), &xattrs, content, owner))
}

fn header_digest(
    metadata: &Metadata,
    link_target: &[u8],
    xattrs: &Xattrs,
    content: Option<&FileDigest>,
    owner: Option<Owner>,
) -> EntryDigest {
    let mut metadata = *metadata;
    if let Some(Owner { uid, gid }) = owner {
        (metadata.uid, metadata.gid) = (uid, gid);
    }
    EntryHeader { metadata: &metadata, link_target, xattrs }.digest(content)
}

/// Reads the bytes of a file and, while it is open, its extended attributes.
fn read_file(dir: &Dir, name: &OsStr, buffer: &mut [u8]) -> Result<(FileDigest, Xattrs)> {
    let file = dir.open_file(name)?;
    let path = || join_bytes(dir.path(), name);
    let xattrs = file_xattrs(&file).at("read extended attributes", path)?;
    Ok((FileDigest::of(file, buffer).at("read", path)?, xattrs))
}
