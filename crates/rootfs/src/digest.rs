//! The content digest of a path: by what a `COPY` knows that its source is still the same.
//!
//! One walk by several threads (`folder.rs`). A file that a memo knows costs one `statx`: its
//! digest is remembered with the version that was seen (`version.rs`), in one block for each
//! directory (`block.rs`), so that a directory costs one look-up. Any other file is opened and read
//! (`entry.rs`). The digest of a directory is over those of its entries in order of their names
//! (`lathe_tree`), hence it does not depend on the threads.

mod block;
mod entry;
mod folder;
mod memo;
#[cfg(test)]
mod tests;
mod version;

use crate::dir::Dir;
use crate::error::Result;
use crate::root::Root;
use crate::walk::Filter;
use block::Block;
use block::merge;
use entry::Reader;
use entry::Seen;
use folder::Scratch;
use folder::Task;
use folder::TreeWalk;
use lathe_tree::EntryDigest;
use lathe_tree::Metadata;
use lathe_tree::Owner;
use lathe_tree::TreeDigest;
use lathe_tree::TreeDigester;
pub use memo::DirectoryId;
pub use memo::DirectoryMemo;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use version::Moment;

/// Most threads: beyond, file systems only wait for themselves.
const THREADS: usize = 8;

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

/// What was found out about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    pub digest: TreeDigest,
    /// Regular files that were read, since the memo did not know them.
    pub files_read: u64,
    /// The first eight, in order, of the files that have another digest than the memo had for
    /// their names; paths inside the root. Directories are not among them.
    pub changed: Vec<PathBuf>,
}

/// Returns the content digest of what `path` leads to: of a file alone, of a directory with all
/// below it that counts.
pub fn content_digest(
    root: &Root,
    path: &Path,
    options: DigestOptions<'_>,
) -> Result<ContentDigest> {
    let real = root.real_path(path)?;
    let (parent, name) = root.place(&real)?;
    let moment = options.memo.map(|_| Moment::now());
    let metadata = parent.lstat(&name)?;
    let reader = Reader::new(options);
    let (digest, reader) = if metadata.is_dir() {
        let dir = if name == "." { parent } else { parent.open_dir(&name)? };
        tree_digest(reader, Task::Start { dir, metadata, moment }, &real)?
    } else {
        let entry = single_file(&reader, &parent, &name, metadata, moment)?;
        (TreeDigester::new(&entry).finish(), reader)
    };
    let (files_read, changed) = reader.finish();
    Ok(ContentDigest { digest, files_read, changed })
}

fn tree_digest<'a>(
    reader: Reader<'a>,
    start: Task,
    real: &'a Path,
) -> Result<(TreeDigest, Reader<'a>)> {
    let walk = TreeWalk::new(reader, real);
    let threads = lathe_stdx::threads().min(THREADS);
    let work = |scratch: &mut Scratch, task, tasks: &_| walk.work(scratch, task, tasks);
    lathe_stdx::parallel_tasks(start, threads, Scratch::default, work)?;
    let (digest, reader) = walk.finish();
    Ok((digest.expect("the start counts, and all tasks were done"), reader))
}

/// Returns the digest of a file by the memo of the directory that it is in.
fn single_file(
    reader: &Reader<'_>,
    dir: &Dir,
    name: &OsStr,
    metadata: Metadata,
    moment: Option<Moment>,
) -> Result<EntryDigest> {
    let DigestOptions { owner, memo, .. } = reader.options;
    let Some(memo) = memo else {
        let seen = Seen { metadata, moment, known: None };
        return Ok(reader.read(dir, name, &seen, &mut Vec::new())?.0);
    };
    let folder = dir.metadata()?;
    let id = DirectoryId { file_system: folder.file_system, inode: folder.inode };
    let block = memo.get(id).and_then(|block| Block::parse(block, owner));
    let is_held = folder.file_system == metadata.file_system;
    let known = block.as_ref().and_then(|block| block.find(name.as_bytes())).filter(|_| is_held);
    let seen = Seen { metadata, moment: moment.filter(|_| is_held), known };
    if let Some(digest) = seen.digest() {
        return Ok(digest);
    }
    let (digest, fresh) = reader.read(dir, name, &seen, &mut Vec::new())?;
    if let Some(record) = fresh {
        let fresh = std::iter::once((name.as_bytes(), record));
        memo.put(id, &merge(block.as_ref(), fresh, |_| true, owner));
    }
    Ok(digest)
}
