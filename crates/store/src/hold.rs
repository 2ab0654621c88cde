//! Holds: what running processes use, so that others can delete the rest meanwhile.
//!
//! A process that shares the store notes in its journal (`owner.rs`) each snapshot, blob and image
//! that it finds or makes, before it relies on it, once each: eleven bytes for a snapshot. The
//! kernel tells who is alive. When its last share ends, the journal is emptied.
//!
//! A collector and a finder may meet. The collector first writes down what it is about to delete
//! (`condemned`), and reads the journals after; the finder first notes, and looks at `condemned`
//! after. So at least one of the two sees the other:
//!
//! ```text
//! finder:     note in the journal ─► condemned? ─no─► look whether it is there, use it
//!                                        └─yes─► wait until the collector has decided, then look
//! collector:  condemn ─► read the journals ─► what nobody holds or needs: rows, then files
//! ```
//!
//! Whoever writes a blob that is just being deleted waits in the same way before it gets its name.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use lathe_oci::Digest;
use rusqlite::Connection;
use rustix::fs::FlockOperation;

use crate::error::IndexResult as _;
use crate::error::Result;
use crate::lock;
use crate::owner::Owner;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::store::Store;

/// The pause between two looks at what a collector does.
const PAUSE: Duration = Duration::from_millis(1);

/// Something that can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    Snapshot(SnapshotId),
    Blob(Digest),
    /// By its id and its manifest, with all that these lead to.
    Image(Digest, Digest),
}

impl Target {
    pub(crate) fn image(image: &ImageRecord) -> Self {
        Self::Image(image.id, image.manifest.digest)
    }

    /// Returns its line in a journal.
    fn line(&self) -> String {
        match self {
            Self::Snapshot(id) => format!("{id}\n"),
            Self::Blob(digest) => format!("{digest}\n"),
            Self::Image(id, manifest) => format!("{id} {manifest}\n"),
        }
    }

    /// Reads a line of a journal; one that a kill cut short is none.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        if let Some((id, manifest)) = line.split_once(' ') {
            return Some(Self::Image(id.parse().ok()?, manifest.parse().ok()?));
        }
        let snapshot = line.parse().map(Self::Snapshot).ok();
        snapshot.or_else(|| line.parse().map(Self::Blob).ok())
    }

    /// Returns the names under which it may be condemned.
    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let (first, second) = match self {
            Self::Snapshot(id) => (id.to_string(), None),
            Self::Blob(digest) => (digest.to_string(), None),
            Self::Image(id, manifest) => (id.to_string(), Some(manifest.to_string())),
        };
        std::iter::once(first).chain(second)
    }
}

/// What this process holds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: Mutex<HashSet<Target>>,
    /// This process's journal, made when something is made or found.
    owner: Mutex<Option<Arc<Owner>>>,
}

impl Holds {
    fn has(&self, target: &Target) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains(target)
    }

    fn extend(&self, targets: impl IntoIterator<Item = Target>) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(targets);
    }

    /// Returns the journal, made by `make` at the first call.
    pub(crate) fn owner(&self, make: impl FnOnce() -> Result<Owner>) -> Result<Arc<Owner>> {
        let mut slot = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = &*slot {
            return Ok(Arc::clone(owner));
        }
        let owner = Arc::new(make()?);
        *slot = Some(Arc::clone(&owner));
        Ok(owner)
    }

    /// Holds nothing any more.
    pub(crate) fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            return;
        }
        held.clear();
        if let Some(owner) = &*self.owner.lock().unwrap_or_else(PoisonError::into_inner) {
            owner.forget();
        }
    }
}

impl Store {
    /// Holds things for as long as this process shares the store; nothing when it does not. What
    /// is there afterwards stays.
    pub(crate) fn hold(&self, targets: impl IntoIterator<Item = Target>) -> Result<()> {
        if !self.inner.shared.held() {
            return Ok(());
        }
        let holds = self.inner.shared.holds();
        let new: BTreeSet<Target> =
            targets.into_iter().filter(|target| !holds.has(target)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.owner()?.note(&new.iter().map(Target::line).collect::<String>())?;
        for name in new.iter().flat_map(Target::names) {
            self.wait_for_collector(&name)?;
        }
        holds.extend(new);
        Ok(())
    }

    /// Says whether this process holds something already.
    pub(crate) fn holds(&self, target: &Target) -> bool {
        self.inner.shared.holds().has(target)
    }

    /// Waits while a collector is about to delete something.
    fn wait_for_collector(&self, name: &str) -> Result<()> {
        while self.is_condemned(name)? {
            let path = self.inner.layout.collector();
            let file = lock::open(&path)?;
            if lock::try_lock(&file, &path, FlockOperation::NonBlockingLockShared)? {
                // The collector was killed, and no other one begins before this lock goes.
                self.inner.index.write("end a collection", |index| pardon(index, name))?;
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn is_condemned(&self, name: &str) -> Result<bool> {
        let index = self.inner.index.read();
        let sql = "SELECT 1 FROM condemned WHERE target = ?1";
        let mut statement = index.prepare_cached(sql).doing("look for collectors")?;
        statement.exists([name]).doing("look for collectors")
    }
}

/// Notes what is about to be deleted.
pub(crate) fn condemn(index: &Connection, names: impl Iterator<Item = String>) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO condemned (target) VALUES (?1)";
    let mut statement = index.prepare_cached(sql).doing("begin a collection")?;
    for name in names {
        statement.execute([name]).doing("begin a collection")?;
    }
    Ok(())
}

/// Notes that something is not about to be deleted any more.
pub(crate) fn pardon(index: &Connection, name: &str) -> Result<()> {
    let sql = "DELETE FROM condemned WHERE target = ?1";
    let mut statement = index.prepare_cached(sql).doing("end a collection")?;
    statement.execute([name]).doing("end a collection")?;
    Ok(())
}

/// As [`pardon`], for all.
pub(crate) fn pardon_all(index: &Connection) -> Result<()> {
    index.execute("DELETE FROM condemned", []).doing("end a collection")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_journal_are_read_back_and_torn_ones_are_skipped() {
        let digest = Digest::of(b"x");
        let targets = [
            Target::Snapshot("0123456789".parse().unwrap()),
            Target::Blob(digest),
            Target::Image(digest, Digest::of(b"y")),
        ];
        for target in targets {
            let line = target.line();
            assert_eq!(Target::parse(line.trim_end()), Some(target));
            assert_eq!(Target::parse(&line[..line.len() - 3]), None, "{line}");
        }
    }
}
