//! Files with several names.
//!
//! Names of one file become names of one file again, if the source says that they belong together
//! (`CopyOptions::identity`). And where files are linked instead of copied, names that do not
//! belong together must not meet in one file: only those of one identity become names of the
//! source file, the others are copied.

use super::Identity;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::error::Result;
use lathe_stdx::OnceMap;
use lathe_tree::Device;
use lathe_tree::Metadata;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A file of the source, and which of its names are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group {
    file: (Device, u64),
    identity: u64,
}

/// What was made of files with several names.
pub(super) struct Links<'a> {
    identity: Option<Identity<'a>>,
    /// Where the first name of a group was copied to.
    first: OnceMap<Group, Arc<Path>>,
    /// The identity whose names are names of the source file.
    linked: Mutex<HashMap<(Device, u64), u64>>,
}

impl<'a> Links<'a> {
    pub(super) fn new(identity: Option<Identity<'a>>) -> Self {
        Self { identity, first: OnceMap::default(), linked: Mutex::default() }
    }

    /// Whether all names of a file belong together.
    pub(super) fn are_all_alike(&self) -> bool {
        self.identity.is_none()
    }

    /// Returns the group of a file with several names.
    pub(super) fn group(&self, dir: &Dir, name: &OsStr, metadata: &Metadata) -> Group {
        let ask = |identity: Identity<'_>| identity(&join_bytes(dir.path(), name), metadata);
        let identity = self.identity.map_or(0, ask);
        Group { file: (metadata.file_system, metadata.inode), identity }
    }

    /// Whether the names of the group may be names of the source file: those of no other may then.
    pub(super) fn may_be_linked(&self, group: Group) -> bool {
        if self.identity.is_none() {
            return true;
        }
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        *linked.entry(group.file).or_insert(group.identity) == group.identity
    }

    /// Returns where the first name of the group was copied to; `copy` does that if this is the
    /// first, while further names wait.
    pub(super) fn first(
        &self,
        group: Group,
        copy: impl FnOnce() -> Result<Arc<Path>>,
    ) -> Result<Arc<Path>> {
        self.first.get_or_try(group, copy)
    }
}
