//! Deleting while others work: what has been chosen, and all that nobody needs after it.
//!
//! 1. One transaction deletes the rows of what was chosen and condemns what nothing needs then.
//! 2. The journals of all living processes are read; who comes later sees that it is condemned
//!    (`hold.rs`).
//! 3. What is needed or held now is pardoned; the rows of the rest go in one transaction, and the
//!    files after.
//!
//! Killed at any point, only files without rows remain, which the next one takes with it. One
//! process at a time does this: it holds a `flock` on `collector`.

use std::collections::BTreeSet;
use std::fs::File;
use std::rc::Rc;

use lathe_oci::Digest;
use rusqlite::Connection;
use rustix::fs::FlockOperation;

use crate::cache::delete_unused_record;
use crate::cache_mount::remove_folder;
use crate::disk_usage::UsageKind;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::hold::condemn;
use crate::hold::pardon;
use crate::hold::pardon_all;
use crate::image::delete_image;
use crate::image::delete_loose_image;
use crate::lock;
use crate::lock::Wait;
use crate::mark::Documents;
use crate::mark::Marker;
use crate::mark::Needed;
use crate::memo::delete_general_memos;
use crate::owner::noted_by_living;
use crate::prune::Memos;
use crate::prune::PruneReport;
use crate::prune::Victims;
use crate::record::SnapshotId;
use crate::remove::remove_tree;
use crate::snapshot::delete_row;
use crate::store::Store;

/// The right to delete.
#[derive(Debug)]
pub(crate) struct Collector {
    _file: File,
}

/// Snapshots and blobs with their sizes in bytes.
#[derive(Debug, Default)]
struct Condemned {
    snapshots: Vec<(SnapshotId, u64)>,
    blobs: Vec<(Digest, u64)>,
}

impl Store {
    /// Takes the right to delete; `None` when another one has it and `wait` says not to wait.
    pub(crate) fn collector(&self, wait: Wait) -> Result<Option<Collector>> {
        let path = self.inner.layout.collector();
        let file = lock::open(&path)?;
        let locked = match wait {
            Wait::Try => lock::try_flock(&file, &path)?,
            Wait::Block => {
                lock::flock(&file, &path, FlockOperation::LockExclusive).map(|()| true)?
            }
        };
        Ok(locked.then_some(Collector { _file: file }))
    }

    /// Deletes what was chosen and all that nothing needs after it.
    pub(crate) fn sweep(
        &self,
        _lock: &Collector,
        victims: &Victims,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<PruneReport> {
        let documents = Rc::new(Documents::default());
        let mut report = PruneReport::default();
        self.inner.index.write("prune", |index| {
            pardon_all(index)?;
            delete_chosen(index, victims, &mut report)
        })?;
        let candidates = self.without(&self.needed(&documents, None)?)?;
        self.inner.index.write("begin a collection", |index| {
            let snapshots = candidates.snapshots.iter().map(|(id, _)| id.to_string());
            let blobs = candidates.blobs.iter().map(|(digest, _)| digest.to_string());
            condemn(index, snapshots.chain(blobs))
        })?;
        let needed = self.needed(&documents, Some(&candidates))?;
        let Condemned { mut snapshots, mut blobs } = candidates;
        snapshots.retain(|(id, _)| !needed.snapshots.contains(id));
        blobs.retain(|(digest, _)| !needed.blobs.contains(digest));
        self.inner.index.write("prune", |index| delete_rows(index, &snapshots, &blobs))?;
        for (digest, _) in &blobs {
            remove_tree(&self.blob_path(digest))?;
        }
        self.inner.index.write("end a collection", pardon_all)?;
        (report.snapshots, report.blobs) = (snapshots, blobs);
        self.remove_files(victims, &mut report, cancelled)?;
        Ok(report)
    }

    /// Returns what images, containers and the cache need, and what running commands hold. Once
    /// something is condemned, snapshots beyond that stay whoever needs them, and so does what they
    /// lie on: a process that was killed meanwhile may have made them.
    fn needed(&self, documents: &Rc<Documents>, condemned: Option<&Condemned>) -> Result<Needed> {
        let mut needed = Needed::default();
        // Before the rows: what a process that ends meanwhile has recorded is among them then.
        let held = noted_by_living(&self.inner.layout.run())?;
        let marker = Marker::with_documents(self, Rc::clone(documents))?;
        for container in self.containers()? {
            marker.container(&container, &mut needed);
        }
        for image in self.images()? {
            marker.image(&image, &mut needed)?;
        }
        for record in self.cache_records()? {
            marker.cache(&record, &mut needed);
        }
        for target in &held {
            marker.target(target, &mut needed)?;
        }
        if let Some(condemned) = condemned {
            let going: BTreeSet<SnapshotId> =
                condemned.snapshots.iter().map(|(id, _)| *id).collect();
            for id in marker.all().filter(|id| !going.contains(id)) {
                marker.snapshot(id, &mut needed);
            }
        }
        Ok(needed)
    }

    /// Returns what there is beyond what is needed, in the order of names.
    fn without(&self, needed: &Needed) -> Result<Condemned> {
        let mut beyond = Condemned::default();
        for record in self.snapshots()? {
            if !needed.snapshots.contains(&record.id) {
                beyond.snapshots.push((record.id, self.own_bytes(&record)?));
            }
        }
        beyond.blobs = self.blob_files()?;
        beyond.blobs.retain(|(digest, _)| !needed.blobs.contains(digest));
        Ok(beyond)
    }

    /// Removes the files of what has no rows any more. What is left when this is cancelled, or when
    /// the process is killed, goes next time.
    fn remove_files(
        &self,
        victims: &Victims,
        report: &mut PruneReport,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<()> {
        for (id, _) in &report.snapshots {
            if cancelled() {
                return Ok(());
            }
            remove_tree(&self.snapshot_path(*id))?;
        }
        for id in &report.builds {
            remove_tree(&self.build_directory(id))?;
        }
        let exclusive = self.exclusive(Wait::Try)?;
        for (kind, path, bytes) in &victims.places {
            let removed = match kind {
                _ if cancelled() => false,
                UsageKind::CacheMount => remove_folder(path, exclusive.as_ref())?,
                // Nobody locks a repository that is only read.
                UsageKind::Repository if exclusive.is_none() => false,
                _ => remove_tree(path).map(|()| true)?,
            };
            if removed {
                report.cache_mounts.push((path.clone(), *bytes));
            }
        }
        if exclusive.is_some() && !cancelled() {
            self.clear_dead_processes()?;
            report.leftovers = self.leftovers()?;
            report.leftovers.iter().try_for_each(|path| remove_tree(path))?;
            self.remove_scratch()?;
        }
        Ok(())
    }
}

/// Deletes the rows of what was chosen, unless it was used or renamed since.
fn delete_chosen(index: &Connection, victims: &Victims, report: &mut PruneReport) -> Result<()> {
    for (key, last_used) in &victims.records {
        if delete_unused_record(index, key, *last_used)? {
            report.cache_records.push(key.clone());
        }
    }
    for id in &victims.loose_images {
        if delete_loose_image(index, id)? {
            report.images.push(*id);
        }
    }
    for (id, names) in &victims.images {
        if delete_image(index, id)? {
            report.images.push(*id);
            report.untagged.extend(names.iter().cloned());
        }
    }
    report.untagged.sort();
    for id in &victims.builds {
        let deleted = index.execute("DELETE FROM builds WHERE id = ?1", [id]);
        if deleted.doing("remove a build")? > 0 {
            report.builds.push(id.clone());
        }
    }
    if victims.memos == Memos::Go {
        delete_general_memos(index)?;
    }
    Ok(())
}

/// Deletes the rows of snapshots and blobs, and pardons all but the blobs, whose files are still
/// there.
fn delete_rows(
    index: &Connection,
    snapshots: &[(SnapshotId, u64)],
    blobs: &[(Digest, u64)],
) -> Result<()> {
    // Parents and children may go in any order, as long as both are gone at the end.
    index.pragma_update(None, "defer_foreign_keys", true).doing("prune")?;
    for (id, _) in snapshots {
        delete_row(index, *id)?;
    }
    for sql in ["DELETE FROM diffs WHERE digest = ?1", "DELETE FROM blobs WHERE digest = ?1"] {
        let mut statement = index.prepare_cached(sql).doing("prune")?;
        for (digest, _) in blobs {
            statement.execute([digest.to_string()]).doing("prune")?;
        }
    }
    let going: BTreeSet<String> = blobs.iter().map(|(digest, _)| digest.to_string()).collect();
    let mut statement = index.prepare("SELECT target FROM condemned").doing("prune")?;
    let condemned: Vec<String> =
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).doing("prune")?;
    for name in condemned.iter().filter(|name| !going.contains(*name)) {
        pardon(index, name)?;
    }
    Ok(())
}
