//! Deleting what nobody needs.
//!
//! Under the exclusive lock: decide which images and cache records go, mark what the rest needs,
//! delete the rows of everything else in one transaction, then the files. Killed between the two,
//! only files without rows remain, which the next prune takes with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;
use rusqlite::Connection;

use crate::cache::delete_record;
use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::image::delete_image;
use crate::lock::Wait;
use crate::mark::Marker;
use crate::mark::Needed;
use crate::memo::delete_general_memos;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::record::SnapshotKind;
use crate::remove::remove_tree;
use crate::snapshot::delete_row;
use crate::snapshot::measure;
use crate::store::Store;

/// Which images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePrune {
    /// None.
    Keep,
    /// Those without a name.
    Dangling,
    /// Those that no container uses.
    Unused,
}

/// Which cache records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachePrune {
    /// None.
    Keep,
    /// Those last used before this time, in seconds since 1970.
    UnusedSince(i64),
    /// All, and the directories of cache mounts with them.
    All,
}

/// Whether anything is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Delete.
    No,
    /// Only tell what would be deleted.
    Yes,
}

/// What to delete. What no image, cache record or container needs always goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneOptions {
    /// Which images go.
    pub images: ImagePrune,
    /// Only images made before this time go, in seconds since 1970.
    pub images_before: Option<i64>,
    /// Which cache records go.
    pub cache: CachePrune,
    /// Whether anything is deleted.
    pub dry_run: DryRun,
    /// What to do while other commands use the store.
    pub wait: Wait,
}

impl Default for PruneOptions {
    /// Deletes only what nothing needs, and only when it need not wait.
    fn default() -> Self {
        Self {
            images: ImagePrune::Keep,
            images_before: None,
            cache: CachePrune::Keep,
            dry_run: DryRun::No,
            wait: Wait::Try,
        }
    }
}

/// What was deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Names that went with their images, sorted.
    pub untagged: Vec<String>,
    /// Images, by id.
    pub images: Vec<Digest>,
    /// Keys of cache records.
    pub cache_records: Vec<String>,
    /// Snapshots with their sizes in bytes.
    pub snapshots: Vec<(SnapshotId, u64)>,
    /// Blobs with their sizes in bytes.
    pub blobs: Vec<(Digest, u64)>,
    /// Directories of cache mounts with their sizes in bytes.
    pub cache_mounts: Vec<(PathBuf, u64)>,
    /// Leftovers of killed processes, as paths.
    pub leftovers: Vec<PathBuf>,
}

impl PruneReport {
    /// Returns how many bytes were freed.
    pub fn bytes(&self) -> u64 {
        let snapshots = self.snapshots.iter().map(|(_, size)| size);
        let blobs = self.blobs.iter().map(|(_, size)| size);
        snapshots.chain(blobs).chain(self.cache_mounts.iter().map(|(_, size)| size)).sum()
    }
}

impl Store {
    /// Deletes what the options name and what nothing needs; `None` when other commands use the
    /// store and the options say not to wait. The caller must hold no share.
    pub fn prune(&self, options: &PruneOptions) -> Result<Option<PruneReport>> {
        if options.dry_run == DryRun::Yes {
            return self.plan_prune(options).map(Some);
        }
        let Some(lock) = self.exclusive(options.wait)? else { return Ok(None) };
        self.clear_dead_processes()?;
        let report = self.plan_prune(options)?;
        self.inner.index.write("prune", |index| delete_rows(index, &report, options))?;
        for (id, _) in &report.snapshots {
            remove_tree(&self.snapshot_path(*id))?;
        }
        for (digest, _) in &report.blobs {
            remove_tree(&self.blob_path(digest))?;
        }
        let cache_mounts = report.cache_mounts.iter().map(|(path, _)| path);
        for path in report.leftovers.iter().chain(cache_mounts) {
            remove_tree(path)?;
        }
        self.remove_scratch()?;
        drop(lock);
        Ok(Some(report))
    }

    fn plan_prune(&self, options: &PruneOptions) -> Result<PruneReport> {
        let marker = Marker::new(self)?;
        let mut needed = Needed::default();
        let mut report = PruneReport::default();
        let containers = self.containers()?;
        for container in &containers {
            marker.container(container, &mut needed);
        }
        let used: BTreeSet<Digest> =
            containers.iter().filter_map(|container| container.image).collect();
        for image in self.images()? {
            if goes(&image, &used, options) {
                report.untagged.extend(image.names);
                report.images.push(image.id);
            } else {
                marker.image(&image, &mut needed)?;
            }
        }
        for record in self.cache_records()? {
            let goes = match options.cache {
                CachePrune::Keep => false,
                CachePrune::UnusedSince(time) => record.last_used < time,
                CachePrune::All => true,
            };
            if goes {
                report.cache_records.push(record.key);
            } else {
                marker.cache(&record, &mut needed);
            }
        }
        if options.cache == CachePrune::All {
            report.cache_mounts = self.cache_mounts()?;
        }
        report.untagged.sort();
        self.plan_files(&needed, &mut report)?;
        Ok(report)
    }

    /// Removes the scratch directories of snapshots that never change again (`work/`, left by the
    /// mount that they were made in).
    fn remove_scratch(&self) -> Result<()> {
        let snapshots = self.snapshots()?.into_iter();
        for record in snapshots.filter(|record| record.kind == SnapshotKind::Committed) {
            remove_tree(&self.snapshot_path(record.id).join("work"))?;
        }
        Ok(())
    }

    fn plan_files(&self, needed: &Needed, report: &mut PruneReport) -> Result<()> {
        for record in self.snapshots()? {
            if !needed.snapshots.contains(&record.id) {
                let owns = record.content == record.id;
                let bytes = if owns { self.snapshot_usage(record.id)?.bytes } else { 0 };
                report.snapshots.push((record.id, bytes));
            }
        }
        for (digest, size) in self.blob_files()? {
            if !needed.blobs.contains(&digest) {
                report.blobs.push((digest, size));
            }
        }
        report.leftovers = self.leftovers()?;
        Ok(())
    }

    /// Returns the directories of cache mounts with their sizes in bytes.
    pub(crate) fn cache_mounts(&self) -> Result<Vec<(PathBuf, u64)>> {
        let folders = [self.inner.layout.cache_mounts(), self.inner.layout.repositories()];
        let mut paths = Vec::new();
        for folder in folders {
            paths.extend(entries(&folder)?);
        }
        let paths = paths.into_iter();
        paths.map(|path| measure(&path).map(|usage| (path, usage.bytes))).collect()
    }

    /// Returns all blobs with their sizes in bytes, sorted.
    pub(crate) fn blob_files(&self) -> Result<Vec<(Digest, u64)>> {
        let mut blobs = Vec::new();
        for directory in entries(&self.inner.layout.blobs())? {
            let algorithm =
                directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for path in entries(&directory)? {
                let hex = path.file_name().unwrap_or_default().to_string_lossy();
                let Ok(digest) = format!("{algorithm}:{hex}").parse() else { continue };
                let metadata =
                    fs::metadata(&path).map_err(|source| Error::io("stat", &path, source))?;
                blobs.push((digest, metadata.len()));
            }
        }
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Returns what has no row and belongs to no living process; exact only under the exclusive
    /// lock.
    pub(crate) fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let layout = &self.inner.layout;
        let mut known: BTreeSet<String> =
            self.snapshots()?.into_iter().map(|record| record.id.to_string()).collect();
        let living = crate::owner::noted_by_living(&layout.run())?;
        known.extend(living.into_iter().map(|id| id.to_string()));
        let containers: BTreeSet<String> =
            self.containers()?.into_iter().map(|container| container.id).collect();
        let without_row = |directory: &Path, known: &BTreeSet<String>| -> Result<Vec<PathBuf>> {
            let name = |path: &PathBuf| {
                path.file_name().is_some_and(|name| known.contains(&*name.to_string_lossy()))
            };
            Ok(entries(directory)?.into_iter().filter(|path| !name(path)).collect())
        };
        let mut found = entries(&layout.ingest())?;
        found.extend(without_row(&layout.snapshots(), &known)?);
        found.extend(without_row(&layout.root().join("containers"), &containers)?);
        let draft = |path: &PathBuf| path.extension().is_some_and(|end| end == "draft");
        found.extend(entries(layout.root())?.into_iter().filter(draft));
        Ok(found)
    }
}

fn goes(image: &ImageRecord, used: &BTreeSet<Digest>, options: &PruneOptions) -> bool {
    let old = options.images_before.is_none_or(|time| image.created < time);
    let chosen = match options.images {
        ImagePrune::Keep => false,
        ImagePrune::Dangling => image.names.is_empty(),
        ImagePrune::Unused => true,
    };
    chosen && old && !used.contains(&image.id)
}

fn delete_rows(index: &Connection, report: &PruneReport, options: &PruneOptions) -> Result<()> {
    // Parents and children may go in any order, as long as both are gone at the end.
    index.pragma_update(None, "defer_foreign_keys", true).doing("prune")?;
    for key in &report.cache_records {
        delete_record(index, key)?;
    }
    for id in &report.images {
        delete_image(index, id)?;
    }
    for (id, _) in &report.snapshots {
        delete_row(index, *id)?;
    }
    let mut statement =
        index.prepare_cached("DELETE FROM diffs WHERE digest = ?1").doing("prune")?;
    for (digest, _) in &report.blobs {
        statement.execute([digest.to_string()]).doing("prune")?;
    }
    if options.cache == CachePrune::All {
        delete_general_memos(index)?;
    }
    Ok(())
}

/// Returns the paths in a directory, sorted; none when it does not exist.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io("read", directory, source);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<_>>()?;
    paths.sort_unstable();
    Ok(paths)
}
