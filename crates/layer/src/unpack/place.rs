//! The directory that entries go into, opened once for a run of entries.
//!
//! Archives are in the order of a walk, so the parent of an entry is nearly always the directory
//! of the entry before or one above it: those are kept open in a stack.

use lathe_rootfs::Target;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

/// Most directories that are kept open.
const DEPTH: usize = 64;

/// Directory by the path that the archive uses.
#[derive(Debug)]
struct Place {
    /// As in the archive, cleaned; may lead through links.
    path: PathBuf,
    /// Opened; its own path has no links.
    target: Rc<Target>,
}

/// Directories from the top down, each below the one before.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// Returns the directory at `path` if it is open.
    pub(super) fn find(&mut self, path: &Path) -> Option<Rc<Target>> {
        while let Some(top) = self.0.last() {
            if top.path == path {
                return Some(Rc::clone(&top.target));
            }
            if path.starts_with(&top.path) {
                return None;
            }
            self.0.pop();
        }
        None
    }

    /// Keeps an open directory; everything that it is not below is closed.
    pub(super) fn push(&mut self, path: PathBuf, target: Rc<Target>) {
        while self.0.last().is_some_and(|top| !path.starts_with(&top.path)) {
            self.0.pop();
        }
        if self.0.len() >= DEPTH {
            self.0.remove(0);
        }
        self.0.push(Place { path, target });
    }

    /// Forgets all, because a directory or link was removed.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
