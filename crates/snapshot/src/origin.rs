//! Where the files of a snapshot lie.
//!
//! What a view shows at a path comes from the changes of one or several snapshots. Copied from
//! there, one after the other, the result is that of a copy from the view; but a file can become a
//! further name of what is copied, which the kernel refuses across the mount of a view.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use lathe_rootfs::Selection;
use lathe_store::SnapshotId;
use lathe_tree::FileKind;

use crate::driver::Driver;
use crate::error::Result;
use crate::layered::EntryKind;
use crate::layered::Layered;
use crate::layered::Part;
use crate::layered::Shown;
use crate::layered::lstat;
use crate::layered::xattrs;
use crate::marks::is_whiteout;
use crate::snapshots::Snapshots;

/// Entries that are counted at most, to see which layer has the most.
const COUNTED: usize = 4096;

/// A directory of changes that has files of a path.
#[derive(Debug)]
pub struct Origin {
    /// The directory of changes: a root in which the files have the paths of the view.
    pub changes: PathBuf,
    /// Whether it has the most entries of all. Only its files may be linked: names that several
    /// layers have for one file are no links of each other, and would become so.
    pub is_largest: bool,
    /// The path that was asked for, in this layer.
    start: PathBuf,
    /// What is not shown, relative to the start.
    hidden: HashSet<PathBuf>,
}

impl Origin {
    /// Returns the snapshot whose own changes these are; `None` for a form that stands for several.
    pub fn owner(&self) -> Option<SnapshotId> {
        let is_own = self.changes.file_name()? == "fs";
        self.changes.parent()?.file_name()?.to_str()?.parse().ok().filter(|_| is_own)
    }

    /// Says whether what is at a path, relative to the one asked for, is shown.
    pub fn select(&self, below: &Path, kind: FileKind) -> Selection {
        if !self.hidden.is_empty() && self.hidden.contains(below) {
            return Selection::Skip;
        }
        if kind == FileKind::CharDevice {
            // Where there was nothing to remove, a whiteout is not in `hidden`.
            let path = self.start.join(below);
            if lstat(&path).is_ok_and(|metadata| is_whiteout(&path, &metadata)) {
                return Selection::Skip;
            }
        }
        Selection::Keep
    }
}

impl Snapshots {
    /// Returns the directories of changes that have the file or directory at a path without links,
    /// to be copied in this order; `None` where that would not give what a view shows, or where
    /// views are copies.
    ///
    /// # Errors
    /// If a layer or the index cannot be read.
    pub fn origins(&self, id: SnapshotId, path: &Path) -> Result<Option<Vec<Origin>>> {
        match self.driver() {
            Some(Driver::Native(_)) => Ok(None),
            Some(Driver::Overlay) | None => origins(&self.chain(id)?, path),
        }
    }
}

/// As [`Snapshots::origins`], of a stack of directories of changes, the top first.
pub(crate) fn origins(stack: &[PathBuf], path: &Path) -> Result<Option<Vec<Origin>>> {
    let origin = |part: &Part, hidden: HashSet<PathBuf>| Origin {
        changes: stack[part.layer].clone(),
        is_largest: false,
        start: part.path.clone(),
        hidden,
    };
    match Layered::root(stack).find(path)? {
        Shown::Nothing => Ok(None),
        Shown::Other(layer) => {
            let path = stack[layer].join(path.strip_prefix("/").unwrap_or(path));
            let only = origin(&Part { layer, path }, HashSet::new());
            Ok(Some(vec![Origin { is_largest: true, ..only }]))
        }
        Shown::Directory(directory) => {
            let mut hidden = HashMap::new();
            if !find_hidden(&directory, Path::new(""), &mut hidden)? {
                return Ok(None);
            }
            let parts = directory.parts.iter().rev();
            let mut origins: Vec<Origin> = parts
                .map(|part| origin(part, hidden.remove(&part.layer).unwrap_or_default()))
                .collect();
            mark_largest(&mut origins)?;
            Ok(Some(origins))
        }
    }
}

/// Notes what the layers of a directory hide of each other, relative to the start. Returns whether
/// copying the layers one after the other gives the directory.
fn find_hidden(
    directory: &Layered,
    below: &Path,
    hidden: &mut HashMap<usize, HashSet<PathBuf>>,
) -> Result<bool> {
    // In the result a directory would have the attributes of all layers.
    let shown = if directory.parts.len() > 1 { Some(xattrs(directory.top())?) } else { None };
    let mut seen: HashMap<OsString, Name> = HashMap::new();
    for part in &directory.parts {
        if let Some(shown) = &shown
            && !xattrs(&part.path)?.keys().all(|name| shown.contains_key(name))
        {
            return Ok(false);
        }
        for (name, kind) in part.entries()? {
            let known = seen.get_mut(&name);
            let is_directory = matches!(kind, EntryKind::Directory | EntryKind::Opaque);
            let merges = known.as_ref().is_none_or(|known| known.is_open && is_directory);
            if !merges || kind == EntryKind::Whiteout {
                hidden.entry(part.layer).or_default().insert(below.join(&name));
            }
            let found = is_directory
                .then(|| Part { layer: part.layer, path: part.path.join(&name) })
                .filter(|_| merges);
            let is_open = merges && kind == EntryKind::Directory;
            match known {
                Some(known) => {
                    known.is_open = is_open;
                    known.parts.extend(found);
                }
                None => {
                    seen.insert(name, Name { is_open, parts: found.into_iter().collect() });
                }
            }
        }
    }
    for (name, Name { parts, .. }) in seen {
        if parts.len() > 1 && !find_hidden(&Layered { parts }, &below.join(name), hidden)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the layers seen so far have under a name.
struct Name {
    /// Whether a lower directory merges with it.
    is_open: bool,
    parts: Vec<Part>,
}

fn mark_largest(origins: &mut [Origin]) -> Result<()> {
    let counts: Vec<usize> = match &*origins {
        [_] => vec![1],
        several => several.iter().map(|origin| count(&origin.start)).collect::<Result<_>>()?,
    };
    let largest = counts.iter().enumerate().max_by_key(|(_, count)| **count);
    if let Some((position, _)) = largest {
        origins[position].is_largest = true;
    }
    Ok(())
}

/// Counts the entries below a directory, up to a limit.
fn count(directory: &Path) -> Result<usize> {
    let mut todo = vec![Part { layer: 0, path: directory.to_owned() }];
    let mut count = 0;
    while let Some(part) = todo.pop()
        && count < COUNTED
    {
        for (name, kind) in part.entries()? {
            count += 1;
            if matches!(kind, EntryKind::Directory | EntryKind::Opaque) {
                todo.push(Part { layer: 0, path: part.path.join(name) });
            }
        }
    }
    Ok(count)
}
