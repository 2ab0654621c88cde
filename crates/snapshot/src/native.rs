//! The native driver: layers are copied one over the other.
//!
//! The changed copy is compared with what was noted of it right after it was made (inode and time
//! of change of every entry), and what differs is copied into the directory of changes in
//! overlay's form. Where even whiteout devices cannot be made (on an overlay itself, and that is the
//! usual place for this driver: a container), the form is that of nested overlays: an empty file
//! with the attribute `overlay.whiteout`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use lathe_rootfs::CopyOptions;
use lathe_rootfs::CopyRequest;
use lathe_rootfs::Filter;
use lathe_rootfs::Root;
use lathe_rootfs::Selection;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::driver::End;
use crate::driver::Layers;
use crate::driver::Shown;
use crate::driver::Snapshotter;
use crate::driver::Upper;
use crate::error::Error;
use crate::error::Result;
use crate::marks::OPAQUE;
use crate::marks::PREFIXES;
use crate::marks::WHITEOUT;
use crate::marks::is_opaque;
use crate::marks::is_whiteout;
use crate::overlay::Marks;
use crate::snapshots::make_private;

/// The driver.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) marks: Marks,
}

/// What each entry of a tree was before anybody changed it, by path from the top.
#[derive(Debug, Default)]
pub(crate) struct Before {
    entries: BTreeMap<PathBuf, Version>,
}

/// What changes when an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    changed: (i64, i64),
    directory: bool,
}

impl Snapshotter for Native {
    fn show(&self, layers: &Layers, point: &Path) -> Result<Shown> {
        let Some(upper) = &layers.upper else {
            Self::stack(&layers.lower, point)?;
            return Ok(Shown { path: point.to_owned(), end: End::Remove, before: None });
        };
        let path = upper.work.join("tree");
        if path.exists() {
            return Ok(Shown { path, end: End::Leave, before: None });
        }
        if !upper.work.exists() {
            make_private(&upper.work)?;
        }
        Self::stack(&layers.lower, &path)?;
        let before = Some(Before { entries: versions(&path)? });
        Ok(Shown { path, end: End::Leave, before })
    }

    fn collect(&self, upper: &Upper, before: Option<&Before>) -> Result<()> {
        let Some(before) = before else { return Ok(()) };
        let tree = upper.work.join("tree");
        let after = versions(&tree)?;
        let difference = Difference::between(&before.entries, &after);
        let wanted = |path: &Path| {
            if difference.changed.contains(path) { Selection::Keep } else { Selection::Skip }
        };
        copy_tree(&tree, &upper.changes, &|path, _| wanted(path))?;
        for path in &difference.replaced {
            self.mark(&upper.changes.join(path), OPAQUE)?;
        }
        for path in &difference.removed {
            self.make_whiteout(&upper.changes.join(path))?;
        }
        Ok(lathe_store::remove_tree(&upper.work)?)
    }
}

impl Native {
    /// Copies layers, the top one last, into a new directory.
    fn stack(lower: &[PathBuf], tree: &Path) -> Result<()> {
        fs::create_dir(tree).map_err(|source| Error::io("create", tree, source))?;
        for layer in lower.iter().rev() {
            Self::make_way(layer, tree)?;
            copy_tree(layer, tree, &|path, _| {
                // Whiteouts have done their work.
                let path = layer.join(path);
                let whiteout = fs::symlink_metadata(&path).is_ok_and(|m| is_whiteout(&path, &m));
                if whiteout { Selection::Skip } else { Selection::Keep }
            })?;
            copy_top(layer, tree)?;
        }
        Self::remove_marks(tree)
    }

    /// Removes from the tree what the layer deletes or replaces.
    fn make_way(layer: &Path, tree: &Path) -> Result<()> {
        let root = open(tree)?;
        for (path, metadata) in walk(layer)? {
            let Ok(there) = fs::symlink_metadata(tree.join(&path)) else { continue };
            let opaque = metadata.is_dir() && is_opaque(&layer.join(&path));
            let other_kind = metadata.is_dir() != there.is_dir();
            if is_whiteout(&layer.join(&path), &metadata) || opaque || other_kind {
                root.remove(&path).map_err(|source| copy_error(tree, source))?;
            }
        }
        Ok(())
    }

    /// Removes overlay's marks, which the copies of directories have with their other attributes.
    fn remove_marks(tree: &Path) -> Result<()> {
        for (path, metadata) in walk(tree)? {
            let path = tree.join(path);
            if metadata.is_dir() {
                unmark(&path)?;
            }
        }
        Ok(())
    }
}

impl Native {
    fn mark(&self, path: &Path, mark: &str) -> Result<()> {
        let own = match self.marks {
            Marks::Trusted => PREFIXES[0],
            Marks::User => PREFIXES[1],
        };
        let set = |prefix: &str| {
            let name = format!("{prefix}{mark}");
            rustix::fs::lsetxattr(path, name, b"y", rustix::fs::XattrFlags::empty())
        };
        // An older overlay keeps its own attributes to itself.
        let marked = set(own).or_else(|_| set(PREFIXES[1]));
        marked.map_err(|errno| Error::io("mark", path, errno))
    }

    fn make_whiteout(&self, path: &Path) -> Result<()> {
        let here = rustix::fs::CWD;
        match rustix::fs::mknodat(here, path, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => {
                fs::File::create_new(path).map_err(|source| Error::io("create", path, source))?;
                self.mark(path, WHITEOUT)
            }
            Err(errno) => Err(Error::io("create", path, errno)),
        }
    }
}

/// What differs between two states of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Entries that are new or changed, with the directories above them.
    changed: BTreeSet<PathBuf>,
    /// Directories in the place of others: what was in the old ones is hidden.
    replaced: BTreeSet<PathBuf>,
    /// Entries that are gone; not those below one that is gone.
    removed: BTreeSet<PathBuf>,
}

impl Difference {
    fn between(before: &BTreeMap<PathBuf, Version>, after: &BTreeMap<PathBuf, Version>) -> Self {
        let mut difference = Self::default();
        for (path, version) in after {
            match before.get(path) {
                Some(old) if old == version => continue,
                Some(old) if old.directory && version.directory && old.inode != version.inode => {
                    difference.replaced.insert(path.clone());
                }
                _ => {}
            }
            difference.changed.extend(path.ancestors().map(Path::to_path_buf));
        }
        difference.changed.remove(Path::new(""));
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            let parent = path.parent().unwrap_or(Path::new(""));
            let parent_is_there = parent == Path::new("")
                || after.get(parent).is_some_and(|version| version.directory);
            // In a replaced directory the old entries are hidden already.
            let hidden = path.ancestors().any(|above| difference.replaced.contains(above));
            if parent_is_there && !hidden {
                difference.removed.insert(path.clone());
                let above = parent.ancestors().filter(|above| *above != Path::new(""));
                difference.changed.extend(above.map(Path::to_path_buf));
            }
        }
        difference
    }
}

fn versions(tree: &Path) -> Result<BTreeMap<PathBuf, Version>> {
    let version = |metadata: &Metadata| Version {
        inode: metadata.ino(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        directory: metadata.is_dir(),
    };
    Ok(walk(tree)?.into_iter().map(|(path, metadata)| (path, version(&metadata))).collect())
}

/// Returns all entries below a directory. Nobody else changes the tree meanwhile, and symlinks are
/// not followed, so paths are safe here.
fn walk(top: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(directory) = todo.pop() {
        let path = top.join(&directory);
        let failed = |source| Error::io("read", &path, source);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            let path = directory.join(entry.file_name());
            if metadata.is_dir() {
                todo.push(path.clone());
            }
            found.push((path, metadata));
        }
    }
    Ok(found)
}

fn unmark(directory: &Path) -> Result<()> {
    for prefix in PREFIXES {
        match rustix::fs::lremovexattr(directory, format!("{prefix}{OPAQUE}")) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(Error::io("unmark", directory, errno)),
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Root> {
    Root::open(path).map_err(|source| copy_error(path, source))
}

fn copy_error(path: &Path, source: lathe_rootfs::Error) -> Error {
    Error::Copy { path: path.to_owned(), source }
}

fn copy_tree(from: &Path, to: &Path, filter: Filter<'_>) -> Result<()> {
    let (from, to_root) = (open(from)?, open(to)?);
    let root = Path::new(OsStr::new("/"));
    let options = CopyOptions { filter: Some(filter), ..CopyOptions::default() };
    let request =
        CopyRequest { from: &from, source: root, to: &to_root, destination: root, options };
    lathe_rootfs::copy(&request).map(drop).map_err(|source| copy_error(to, source))
}

/// Gives the top directory the owner and mode that the layer's has; a copy leaves it as it is.
pub(crate) fn copy_top(from: &Path, to: &Path) -> Result<()> {
    let metadata = fs::metadata(from).map_err(|source| Error::io("stat", from, source))?;
    let failed = |source| Error::io("set the mode of", to, source);
    std::os::unix::fs::chown(to, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
    fs::set_permissions(to, metadata.permissions()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, u64, bool)]) -> BTreeMap<PathBuf, Version> {
        let version = |inode, directory| Version { inode, changed: (0, 0), directory };
        entries.iter().map(|(path, inode, dir)| (path.into(), version(*inode, *dir))).collect()
    }

    #[track_caller]
    fn check(after: &[(&str, u64, bool)], changed: &[&str], replaced: &[&str], removed: &[&str]) {
        let before =
            tree(&[("a", 1, true), ("a/b", 2, true), ("a/b/c", 3, false), ("d", 4, false)]);
        let set = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        let expected =
            Difference { changed: set(changed), replaced: set(replaced), removed: set(removed) };
        assert_eq!(Difference::between(&before, &tree(after)), expected);
    }

    #[test]
    fn equal_trees_have_no_difference() {
        check(
            &[("a", 1, true), ("a/b", 2, true), ("a/b/c", 3, false), ("d", 4, false)],
            &[],
            &[],
            &[],
        );
    }

    #[test]
    fn a_changed_file_comes_with_the_directories_above() {
        let after = [("a", 1, true), ("a/b", 2, true), ("a/b/c", 9, false), ("d", 4, false)];
        check(&after, &["a", "a/b", "a/b/c"], &[], &[]);
    }

    #[test]
    fn a_removed_directory_is_one_removal() {
        check(&[("a", 1, true), ("d", 4, false)], &["a"], &[], &["a/b"]);
        check(&[("d", 4, false)], &[], &[], &["a"]);
    }

    #[test]
    fn a_directory_in_the_place_of_another_hides_it() {
        let after = [("a", 1, true), ("a/b", 7, true), ("a/b/n", 8, false), ("d", 4, false)];
        check(&after, &["a", "a/b", "a/b/n"], &["a/b"], &[]);
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_hides_what_was_in_it() {
        check(&[("a", 1, false), ("d", 4, false)], &["a"], &[], &[]);
    }
}
