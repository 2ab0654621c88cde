//! The copy of a context that was copied before, after a few of its files changed.
//!
//! The snapshot that the same step made of the same folder on the same base has nearly all of the
//! files already. Those of directories in which nothing changed since become further names of them;
//! the other directories are copied. What changed is seen from inodes, sizes and times, as by the
//! memo of digests: a change time cannot be set by anybody, and a directory with a file that
//! changed just now is not remembered, since it could change once more within the same tick of the
//! clock.

use std::{
    collections::{BTreeMap, HashSet},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use lathe_graph::{CopyAction, Unpack};
use lathe_rootfs::{CopyOptions, CopyRequest, LinkPolicy, OverlayMarks, Root, Selection, copy};
use lathe_snapshot::Driver;
use lathe_solver::{KeyPart, KeyRecipe, NodeId, OpRunner as _};
use lathe_source::Context;
use lathe_store::{SnapshotId, Store};
use lathe_tree::{FileKind, Metadata};
use sha2::{Digest as _, Sha256};

use super::{Canvas, kin::Kin};
use crate::{
    Result, Worker,
    select::{Selected, Tree},
};

/// Namespace of the memos of the snapshot that a step made last of a folder.
const LAST: &str = "copies-last";

/// Topic of the memo of what a snapshot was copied of.
const SOURCES: &str = "sources";

/// Within this time of the present, a change time says nothing: another change may have the same.
const TICK: Duration = Duration::from_millis(50);

/// The first bytes of a hash of all that is in a directory.
type State = [u8; 16];

/// The directories of what is copied, relative to it, as they are now: `None` for those that may
/// change without being seen to.
#[derive(Debug, Default)]
pub(super) struct Sources {
    directories: BTreeMap<PathBuf, Option<State>>,
}

/// What is to be copied, since it is not as it was.
pub(super) struct Changed {
    /// Directories with changes.
    changed: HashSet<PathBuf>,
    /// Those, and the ones above them.
    touched: HashSet<PathBuf>,
}

impl Changed {
    fn between(old: &Sources, new: &Sources) -> Self {
        let is_same = |(path, state): &(&PathBuf, &Option<State>)| {
            state.is_some() && old.directories.get(*path) == Some(state)
        };
        let differs = new.directories.iter().filter(|entry| !is_same(entry));
        let changed: HashSet<PathBuf> = differs.map(|(path, _)| path.clone()).collect();
        let above = changed.iter().flat_map(|path| path.ancestors());
        let touched = above.map(Path::to_path_buf).collect();
        Self { changed, touched }
    }

    /// Decides on a path of the context, relative to what is copied.
    pub(super) fn select(&self, below: &Path, kind: FileKind) -> Selection {
        let is_meant = match kind {
            FileKind::Directory => self.touched.contains(below),
            _ => below.parent().is_none_or(|parent| self.changed.contains(parent)),
        };
        if is_meant { Selection::Keep } else { Selection::Skip }
    }
}

/// A copy that may be made again.
pub(super) struct Again {
    key: String,
    sources: Sources,
}

impl Worker<'_> {
    /// Looks at what is to be copied, if it is of a kind that is worth to be remembered.
    pub(super) fn again(
        &self,
        node: NodeId,
        action: &CopyAction,
        context: &Context,
        tree: Tree<'_>,
        selected: &Selected,
        base: Option<SnapshotId>,
    ) -> Result<Option<Again>> {
        let [found] = selected.found.as_slice() else { return Ok(None) };
        let is_plain = action.unpack == Unpack::Never && !action.parents && found.is_whole();
        let is_native = matches!(self.snapshots.driver(), Some(Driver::Native(_)));
        if !is_plain || is_native || self.vertex(node).meta.ignore_cache {
            return Ok(None);
        }
        let Some(mut parts) = self.parts(node) else { return Ok(None) };
        let Some(sources) = look(tree, selected)? else { return Ok(None) };
        let folder = context.root().stat(Path::new("/"))?;
        parts.push(KeyPart::new("folder", format!("{:?} {}", folder.file_system, folder.inode)));
        let path = context.root().host_path().as_os_str().as_bytes();
        parts.push(KeyPart::new("path", lathe_oci::Digest::of(path).hex()));
        parts.push(KeyPart::new("base", base.map(|base| base.to_string()).unwrap_or_default()));
        Ok(Some(Again { key: KeyRecipe { parts }.key().to_string(), sources }))
    }

    /// Fills a snapshot with what the same copy made last, as far as it is the same now. Returns
    /// what is still to be copied, and where the rest comes from: `None` where it is empty.
    pub(super) fn repeat(
        &self,
        again: &Again,
        action: &CopyAction,
        base: Option<SnapshotId>,
        canvas: &mut Canvas,
    ) -> Result<Option<(Changed, Kin)>> {
        let Some((last, old)) = self.last(again, base)? else { return Ok(None) };
        let changed = Changed::between(&old, &again.sources);
        if changed.changed.len() == again.sources.directories.len() {
            return Ok(None);
        }
        let place = canvas.root()?.real_path(Path::new(&action.destination))?;
        let place = place.strip_prefix("/").unwrap_or(&place).to_owned();
        let filter = |path: &Path, kind: FileKind| {
            if self.cancel.is_cancelled() {
                return Selection::Skip;
            }
            let Ok(below) = path.strip_prefix(&place) else { return Selection::Keep };
            let is_there = match kind {
                FileKind::Directory => again.sources.directories.contains_key(below),
                _ => below.parent().is_some_and(|parent| {
                    again.sources.directories.contains_key(parent)
                        && !changed.changed.contains(parent)
                }),
            };
            if is_there { Selection::Keep } else { Selection::Skip }
        };
        let top = Path::new("/");
        copy(&CopyRequest {
            from: &Root::open(&self.snapshots.changes(last))?,
            source: top,
            to: &canvas.changes()?,
            destination: top,
            options: CopyOptions {
                filter: Some(&filter),
                link: LinkPolicy::HardLink,
                overlay: OverlayMarks::Keep,
                ..CopyOptions::default()
            },
        })?;
        // What lies below has no name of them: it is the same as below those.
        Ok(Some((changed, self.kin(last, top)?)))
    }

    /// Returns the snapshot that the copy made last on this base, and of what.
    fn last(
        &self,
        again: &Again,
        base: Option<SnapshotId>,
    ) -> Result<Option<(SnapshotId, Sources)>> {
        let Some(memo) = self.store.memo_get(LAST, again.key.as_bytes())? else {
            return Ok(None);
        };
        let Ok(last) = String::from_utf8_lossy(&memo).parse() else { return Ok(None) };
        let namespace = Store::snapshot_namespace(last, SOURCES);
        let Some(sources) = self.store.memo_get(&namespace, b"")? else { return Ok(None) };
        let lies_here = self.store.snapshot(last)?.is_some_and(|record| record.parent == base);
        Ok(Sources::parse(&sources).filter(|_| lies_here).map(|sources| (last, sources)))
    }

    /// Remembers what a copy made, for the next time.
    pub(super) fn remember_sources(&self, again: &Again, snapshot: SnapshotId) -> Result<()> {
        let namespace = Store::snapshot_namespace(snapshot, SOURCES);
        self.store.memo_put(&namespace, [(b"", again.sources.bytes())])?;
        Ok(self.store.memo_put(LAST, [(again.key.as_bytes(), snapshot.as_str())])?)
    }
}

/// Looks at the directory that is selected; `None` where that is none, or where it takes more than
/// a look at each directory to know what a copy of it is: hard links, and directories that are
/// there only if something in them is.
fn look(tree: Tree<'_>, selected: &Selected) -> Result<Option<Sources>> {
    let found = &selected.found[0];
    let root = tree.root();
    let start = root.lstat(&found.real)?;
    if !start.is_dir() {
        return Ok(None);
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let recent = since.saturating_sub(TICK);
    let mut open: BTreeMap<PathBuf, Listing> = BTreeMap::new();
    open.insert(PathBuf::new(), Listing::new(&start, recent));
    let mut walk = root.walk(&found.real)?;
    while let Some(entry) = walk.next() {
        let entry = entry?;
        let is_dir = entry.metadata.is_dir();
        match selected.select(tree, found, &entry.path, entry.metadata.kind) {
            Selection::Skip => {
                walk.skip_directory();
                continue;
            }
            Selection::Lazy | Selection::Descend if is_dir => return Ok(None),
            Selection::Keep | Selection::Lazy => {}
            Selection::Descend => continue,
        }
        if !is_dir && entry.metadata.links > 1 {
            return Ok(None);
        }
        if let Some(listing) = entry.path.parent().and_then(|parent| open.get_mut(parent)) {
            listing.add(entry.name().as_bytes(), &entry.metadata);
        }
        if is_dir {
            open.insert(entry.path, Listing::new(&entry.metadata, recent));
        }
    }
    let directories = open.into_iter().map(|(path, listing)| (path, listing.finish())).collect();
    Ok(Some(Sources { directories }))
}

/// A directory that is being looked at.
struct Listing {
    hash: Sha256,
    /// Since 1970: what changed later may change again unseen.
    recent: Duration,
    is_recent: bool,
}

impl Listing {
    fn new(directory: &Metadata, recent: Duration) -> Self {
        let mut listing = Self { hash: Sha256::new(), recent, is_recent: false };
        listing.add_state(directory);
        listing
    }

    fn add(&mut self, name: &[u8], metadata: &Metadata) {
        self.hash.update((name.len() as u64).to_le_bytes());
        self.hash.update(name);
        if metadata.is_dir() {
            self.hash.update(b"d");
        } else {
            self.hash.update(b"f");
            self.add_state(metadata);
        }
    }

    /// A change of anything else of a file changes its change time.
    fn add_state(&mut self, metadata: &Metadata) {
        let Metadata { file_system, inode, size, mtime, ctime, .. } = metadata;
        for number in [file_system.major, file_system.minor, mtime.nanos, ctime.nanos] {
            self.hash.update(number.to_le_bytes());
        }
        for number in [*inode, *size] {
            self.hash.update(number.to_le_bytes());
        }
        for number in [mtime.seconds, ctime.seconds] {
            self.hash.update(number.to_le_bytes());
        }
        let seconds = u64::try_from(ctime.seconds).unwrap_or_default();
        self.is_recent |= Duration::new(seconds, ctime.nanos) >= self.recent;
    }

    fn finish(self) -> Option<State> {
        let hash: [u8; 32] = self.hash.finalize().into();
        let first = hash.first_chunk().copied();
        first.filter(|_| !self.is_recent)
    }
}

impl Sources {
    /// Returns the directories that are known: the length of the path, the path, the state.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, state) in &self.directories {
            let Some(state) = state else { continue };
            let path = path.as_os_str().as_bytes();
            let Ok(length) = u32::try_from(path.len()) else { continue };
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(state);
        }
        bytes
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut directories = BTreeMap::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (path, rest) = rest.split_at_checked(length)?;
            let (state, rest) = rest.split_first_chunk()?;
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            directories.insert(path, Some(*state));
            bytes = rest;
        }
        Some(Self { directories })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_directories_round_trips() {
        let state = |number| Some([number; 16]);
        let directories = [("", state(1)), ("a", None), ("a/b", state(2))];
        let directories = directories.map(|(path, state)| (PathBuf::from(path), state)).into();
        let sources = Sources { directories };
        let read = Sources::parse(&sources.bytes()).unwrap();
        let paths: Vec<_> = read.directories.iter().collect();
        assert_eq!(paths, [(&"".into(), &state(1)), (&"a/b".into(), &state(2))]);
        let changed = Changed::between(&read, &sources);
        assert_eq!(changed.changed, HashSet::from(["a".into()]));
        assert_eq!(changed.touched, HashSet::from(["a".into(), "".into()]));
        for length in [1, 10, 21] {
            assert!(Sources::parse(&sources.bytes()[..length]).is_none());
        }
    }
}
