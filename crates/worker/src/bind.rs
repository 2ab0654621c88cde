//! Files of other steps and of the context as mounts of a process.
//!
//! A snapshot is mounted as it is, or, to be written to, below changes that are thrown away. The
//! user's folder is never written to, and is mounted itself only where the process would see the
//! same in a copy of the context, as BuildKit has it: no ignored files, all of root. Else the
//! files are copied, which costs little where the file system shares blocks.

use std::path::{Path, PathBuf};

use lathe_rootfs::{CopyOptions, CopyRequest, Root, Selection, copy};
use lathe_snapshot::{ActiveSnapshot, Mounted};
use lathe_source::Context;
use lathe_tree::{FileKind, Owner};

use crate::{
    Error, Output, Result, Worker,
    content::whole,
    select::{Found, Selected, Style, Tree},
};

/// Where a copy lies in its snapshot.
const COPY: &str = "files";

/// What keeps mounted files where they are. Drops in the order of the fields: the mount before the
/// snapshot below it.
#[derive(Debug)]
pub(crate) struct Bound {
    /// On the host.
    pub(crate) path: PathBuf,
    _mounted: Option<Mounted>,
    _scratch: Option<ActiveSnapshot>,
}

impl Worker<'_> {
    /// Finds the file or folder of an input that is to be mounted.
    pub(crate) fn bind(
        &self,
        output: &Output,
        source: &str,
        writable: bool,
        place: &str,
    ) -> Result<Bound> {
        match output {
            Output::Context(context) => {
                let tree = Tree::Context(context);
                let selected = tree.find(&whole(source), Style::Plain, place)?;
                let found = only(&selected);
                if !writable && is_plain(context, &selected, found)? {
                    let path = below(context.root(), &found.real);
                    return Ok(Bound { path, _mounted: None, _scratch: None });
                }
                self.copied(tree, &selected, found)
            }
            Output::Snapshot(snapshot) => {
                let (mounted, scratch) = if writable {
                    let active = self.snapshots.prepare(Some(*snapshot))?;
                    (active.mount()?, Some(active))
                } else {
                    (self.snapshots.view(*snapshot)?, None)
                };
                let root = Root::open(mounted.path())?;
                // Resolved below the root, so that a link cannot lead to a file of the host
                // (CVE-2024-1753); nobody changes the links of a snapshot afterwards.
                let selected = Tree::Snapshot(&root).find(&whole(source), Style::Plain, place)?;
                let path = below(&root, &only(&selected).real);
                Ok(Bound { path, _mounted: Some(mounted), _scratch: scratch })
            }
        }
    }

    /// Copies files of the context to where they can be written to and belong to root.
    fn copied(&self, tree: Tree<'_>, selected: &Selected, found: &Found) -> Result<Bound> {
        let active = self.snapshots.prepare(None)?;
        let mounted = active.mount()?;
        let filter = |path: &Path, kind: FileKind| self.choose(tree, selected, found, path, kind);
        copy(&CopyRequest {
            from: tree.root(),
            source: &found.real,
            to: &Root::open(mounted.path())?,
            destination: Path::new(COPY),
            options: CopyOptions {
                owner: Some(Owner::ROOT),
                contents_of_directory: false,
                filter: Some(&filter),
                ..CopyOptions::default()
            },
        })?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let path = mounted.path().join(COPY);
        Ok(Bound { path, _mounted: Some(mounted), _scratch: Some(active) })
    }
}

/// A path without wildcards is found once, or is an error.
fn only(selected: &Selected) -> &Found {
    selected.found.first().expect("a literal path is found")
}

/// Tells whether a process would see the same in a copy.
fn is_plain(context: &std::sync::Arc<Context>, selected: &Selected, found: &Found) -> Result<bool> {
    let root = context.root();
    let metadata = root.stat(&found.real)?;
    if metadata.owner() != Owner::ROOT {
        return Ok(false);
    }
    if !metadata.is_dir() {
        return Ok(true);
    }
    let tree = Tree::Context(context);
    for entry in root.walk(&found.real)? {
        let entry = entry?;
        let selection = selected.select(tree, found, &entry.path, entry.metadata.kind);
        if selection != Selection::Keep || entry.metadata.owner() != Owner::ROOT {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the path on the host of a path without links.
fn below(root: &Root, real: &Path) -> PathBuf {
    root.host_path().join(real.strip_prefix("/").unwrap_or(real))
}
