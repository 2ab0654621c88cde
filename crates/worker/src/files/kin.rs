//! Which snapshots have names of the same files.
//!
//! To the programs that see a tree, two names of one inode are one file: tar stores the second as a
//! link, and what `cp -a` makes of them changes together. So a file is linked into a snapshot only
//! if nothing that the snapshot lies on has a name of it already. What was linked from where is
//! remembered with each snapshot, as paths: two parts of one builder's output have nothing to do
//! with each other.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use lathe_store::{SnapshotId, Store};

use crate::{Result, Worker};

/// Topic of the memo of where the linked files of a snapshot come from.
const LINKED: &str = "linked";

/// Bytes of a snapshot's id in the memo.
const ID: usize = 10;

/// Where files come from: paths in the changes of snapshots, all that ever had names of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kin(Vec<(SnapshotId, PathBuf)>);

impl Kin {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (snapshot, path) in &self.0 {
            bytes.extend_from_slice(snapshot.as_str().as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// Reads a memo; what is none is left out.
    fn parse(memo: &[u8]) -> Self {
        let parts = memo.split(|byte| *byte == 0).filter_map(|part| {
            let (snapshot, path) = part.split_at_checked(ID)?;
            let snapshot = std::str::from_utf8(snapshot).ok()?.parse().ok()?;
            Some((snapshot, PathBuf::from(OsStr::from_bytes(path))))
        });
        Self(parts.collect())
    }

    /// Tells whether some of the files may be the same.
    fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|(snapshot, path)| {
            let overlaps = |theirs: &PathBuf| path.starts_with(theirs) || theirs.starts_with(path);
            other.0.iter().any(|(theirs, path)| theirs == snapshot && overlaps(path))
        })
    }
}

impl Worker<'_> {
    /// Returns where the files below a path of a snapshot's own changes come from.
    pub(super) fn kin(&self, owner: SnapshotId, path: &Path) -> Result<Kin> {
        let path = path.strip_prefix("/").unwrap_or(path).to_owned();
        let mut kin = Kin(vec![(owner, path)]);
        kin.0.extend(self.linked(owner)?.0);
        Ok(kin)
    }

    /// Tells whether a snapshot shows names of such files already.
    pub(super) fn shows(&self, snapshot: Option<SnapshotId>, kin: &Kin) -> Result<bool> {
        let Some(snapshot) = snapshot else { return Ok(false) };
        for owner in self.store.snapshot_contents(snapshot)? {
            if kin.0.iter().any(|(id, _)| *id == owner) || kin.meets(&self.linked(owner)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers where the files of a snapshot were linked from.
    pub(super) fn remember_kin(&self, snapshot: SnapshotId, kin: &Kin) -> Result<()> {
        let namespace = Store::snapshot_namespace(snapshot, LINKED);
        Ok(self.store.memo_put(&namespace, [(b"", kin.bytes())])?)
    }

    /// Returns where the files of a snapshot's own changes were linked from.
    pub(super) fn linked(&self, owner: SnapshotId) -> Result<Kin> {
        let memo = self.store.memo_get(&Store::snapshot_namespace(owner, LINKED), b"")?;
        Ok(memo.map(|memo| Kin::parse(&memo)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(parts: &[(&str, &str)]) -> Kin {
        let part = |(id, path): &(&str, &str)| (id.parse().expect("an id"), PathBuf::from(path));
        Kin(parts.iter().map(part).collect())
    }

    #[test]
    fn files_meet_where_one_path_is_below_the_other() {
        let ours = kin(&[("aaaaaaaaaa", "app/dist"), ("bbbbbbbbbb", "x")]);
        for (theirs, meet) in [
            (kin(&[]), false),
            (kin(&[("aaaaaaaaaa", "app")]), true),
            (kin(&[("aaaaaaaaaa", "app/dist/a")]), true),
            (kin(&[("aaaaaaaaaa", "")]), true),
            (kin(&[("aaaaaaaaaa", "app/distant")]), false),
            (kin(&[("aaaaaaaaaa", "x"), ("bbbbbbbbbb", "app")]), false),
        ] {
            assert_eq!(ours.meets(&theirs), meet, "{theirs:?}");
        }
    }

    #[test]
    fn a_memo_is_read_as_it_was_written_and_a_broken_one_says_nothing() {
        let kin = kin(&[("aaaaaaaaaa", ""), ("bbbbbbbbbb", "app/a b")]);
        assert_eq!(Kin::parse(&kin.bytes()), kin);
        assert_eq!(Kin::parse(b"short\0../../../..x\0"), Kin::default());
    }
}
