//! Deleting what nobody needs.
//!
//! Here is decided which images and cache records go; `sweep.rs` deletes them and what nobody needs
//! after it, while others work. Only leftovers without a row go under the exclusive lock, when it
//! can be had at once: nobody can tell them from what is just being made.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;

use crate::disk_usage::UsageItem;
use crate::disk_usage::UsageKind;
use crate::error::Error;
use crate::error::Result;
use crate::hold::Target;
use crate::lock::Wait;
use crate::mark::Marker;
use crate::mark::Needed;
use crate::owner::noted_by_living;
use crate::record::CacheRecord;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::record::SnapshotKind;
use crate::record::SnapshotRecord;
use crate::remove::remove_tree;
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
    /// All, and the directories of cache mounts with them, and repositories and remembered digests.
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
    /// What to do while another command deletes.
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
    /// Directories of cache mounts, repositories and remembered digests with their sizes in bytes.
    pub cache_mounts: Vec<(PathBuf, u64)>,
    /// Builds whose records and logs went, by id.
    pub builds: Vec<String>,
    /// Leftovers of killed processes, as paths.
    pub leftovers: Vec<PathBuf>,
    /// What the store takes after a collection, in bytes; 0 when nobody asked.
    pub left: u64,
}

/// What goes.
#[derive(Debug, Default)]
pub(crate) struct Victims {
    /// Images that go if they have no name and no container then.
    pub(crate) loose_images: Vec<Digest>,
    /// Images that go with their names.
    pub(crate) images: Vec<(Digest, Vec<String>)>,
    /// Keys of cache records, which go if they were not used after the time.
    pub(crate) records: Vec<(String, i64)>,
    pub(crate) builds: Vec<String>,
    /// With their sizes in bytes.
    pub(crate) places: Vec<(UsageKind, PathBuf, u64)>,
    pub(crate) memos: Memos,
}

/// Whether the memos go that are about no snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Memos {
    #[default]
    Stay,
    Go,
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
    /// Deletes what the options name and what nothing needs; `None` when another command deletes
    /// and the options say not to wait. What running commands use stays.
    pub fn prune(&self, options: &PruneOptions) -> Result<Option<PruneReport>> {
        if options.dry_run == DryRun::Yes {
            return self.plan(&self.victims(options)?).map(Some);
        }
        let Some(lock) = self.collector(options.wait)? else { return Ok(None) };
        self.clear_dead_processes()?;
        let victims = self.victims(options)?;
        self.sweep(&lock, &victims, &|| false).map(Some)
    }

    /// Deletes build cache: of what `select` names, the least recently used first, until at most
    /// `keep` bytes of build cache are left; and what nothing needs. `None` when another command
    /// deletes. What a name, a container or a running command needs is never asked about.
    ///
    /// A result that others lie on is forgotten, and its files go with the last of those.
    pub fn prune_cache(
        &self,
        select: &dyn Fn(&UsageItem) -> bool,
        keep: u64,
        dry_run: DryRun,
    ) -> Result<Option<PruneReport>> {
        if dry_run == DryRun::Yes {
            return self.plan(&self.cache_victims(select, keep)?).map(Some);
        }
        let Some(lock) = self.collector(Wait::Try)? else { return Ok(None) };
        let victims = self.cache_victims(select, keep)?;
        self.sweep(&lock, &victims, &|| false).map(Some)
    }

    fn cache_victims(&self, select: &dyn Fn(&UsageItem) -> bool, keep: u64) -> Result<Victims> {
        let mut rows = self.usage_rows()?;
        rows.retain(|row| !row.in_use);
        let mut left: u64 = rows.iter().map(|row| row.bytes).sum();
        let mut results: BTreeMap<String, Vec<CacheRecord>> = BTreeMap::new();
        for record in self.cache_records()? {
            for id in &record.snapshots {
                results.entry(id.to_string()).or_default().push(record.clone());
            }
        }
        rows.sort_by_key(|row| row.last_used);
        let mut victims = Victims::default();
        for row in rows {
            if left <= keep {
                break;
            }
            // Blobs go with what they were made from.
            if row.kind == UsageKind::Blob || !select(&row) {
                continue;
            }
            left = left.saturating_sub(row.bytes);
            match row.kind {
                UsageKind::Snapshot => {
                    let records = results.remove(&row.id).unwrap_or_default().into_iter();
                    victims.records.extend(records.map(|record| (record.key, record.last_used)));
                }
                UsageKind::BuildLog => victims.builds.push(row.id),
                kind => victims.places.push((kind, self.directory().join(&row.id), row.bytes)),
            }
        }
        Ok(victims)
    }

    fn victims(&self, options: &PruneOptions) -> Result<Victims> {
        let mut victims = Victims::default();
        let used: BTreeSet<Digest> =
            self.containers()?.into_iter().filter_map(|container| container.image).collect();
        for image in self.images()?.into_iter().filter(|image| goes(image, &used, options)) {
            match options.images {
                ImagePrune::Unused => victims.images.push((image.id, image.names)),
                ImagePrune::Dangling | ImagePrune::Keep => victims.loose_images.push(image.id),
            }
        }
        for record in self.cache_records()? {
            let goes = match options.cache {
                CachePrune::Keep => false,
                CachePrune::UnusedSince(time) => record.last_used < time,
                CachePrune::All => true,
            };
            if goes {
                victims.records.push((record.key, record.last_used));
            }
        }
        if options.cache == CachePrune::All {
            victims.places = self.cache_places()?;
            victims.memos = Memos::Go;
        }
        Ok(victims)
    }

    /// Tells what deleting something would delete.
    pub(crate) fn plan(&self, victims: &Victims) -> Result<PruneReport> {
        let marker = Marker::new(self)?;
        let mut needed = Needed::default();
        let mut report = PruneReport { builds: victims.builds.clone(), ..PruneReport::default() };
        for container in self.containers()? {
            marker.container(&container, &mut needed);
        }
        let loose: BTreeSet<&Digest> = victims.loose_images.iter().collect();
        let named: BTreeSet<&Digest> = victims.images.iter().map(|(id, _)| id).collect();
        for image in self.images()? {
            if loose.contains(&image.id) || named.contains(&image.id) {
                report.untagged.extend(image.names);
                report.images.push(image.id);
            } else {
                marker.image(&image, &mut needed)?;
            }
        }
        let records: BTreeSet<&str> = victims.records.iter().map(|(key, _)| &**key).collect();
        for record in self.cache_records()? {
            if records.contains(&*record.key) {
                report.cache_records.push(record.key);
            } else {
                marker.cache(&record, &mut needed);
            }
        }
        for target in noted_by_living(&self.inner.layout.run())? {
            marker.target(&target, &mut needed)?;
        }
        let places = victims.places.iter();
        report.cache_mounts = places.map(|(_, path, bytes)| (path.clone(), *bytes)).collect();
        report.untagged.sort();
        self.plan_files(&needed, &mut report)?;
        Ok(report)
    }

    /// Removes the scratch directories of snapshots that never change again (`work/`, left by the
    /// mount that they were made in).
    pub(crate) fn remove_scratch(&self) -> Result<()> {
        let snapshots = self.snapshots()?.into_iter();
        for record in snapshots.filter(|record| record.kind == SnapshotKind::Committed) {
            remove_tree(&self.snapshot_path(record.id).join("work"))?;
        }
        Ok(())
    }

    fn plan_files(&self, needed: &Needed, report: &mut PruneReport) -> Result<()> {
        for record in self.snapshots()? {
            if !needed.snapshots.contains(&record.id) {
                report.snapshots.push((record.id, self.own_bytes(&record)?));
            }
        }
        report.blobs = self.blob_files()?;
        report.blobs.retain(|(digest, _)| !needed.blobs.contains(digest));
        report.leftovers = self.leftovers()?;
        Ok(())
    }

    /// Returns what goes with a snapshot: nothing when its changes are another one's. In bytes.
    pub(crate) fn own_bytes(&self, record: &SnapshotRecord) -> Result<u64> {
        if record.content != record.id {
            return Ok(0);
        }
        Ok(self.snapshot_usage(record.id)?.bytes)
    }

    /// Returns the directories that go with all build cache, with their sizes in bytes.
    pub(crate) fn cache_places(&self) -> Result<Vec<(UsageKind, PathBuf, u64)>> {
        let layout = &self.inner.layout;
        let folders = [
            (UsageKind::CacheMount, layout.cache_mounts()),
            (UsageKind::Repository, layout.repositories()),
            (UsageKind::Digests, layout.digests()),
        ];
        let mut places = Vec::new();
        for (kind, folder) in folders {
            for path in entries(&folder)? {
                let bytes = measure(&path)?.bytes;
                places.push((kind, path, bytes));
            }
        }
        Ok(places)
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
        // Files first, then the journals, then the rows: what is made meanwhile is noted before it
        // is a file, and has its row before its maker ends.
        let snapshots = entries(&layout.snapshots())?;
        let containers = entries(&layout.root().join("containers"))?;
        let builds = entries(&layout.builds())?;
        let mut known: BTreeSet<String> = BTreeSet::new();
        for target in noted_by_living(&layout.run())? {
            if let Target::Snapshot(id) = target {
                known.insert(id.to_string());
            }
        }
        known.extend(self.snapshots()?.into_iter().map(|record| record.id.to_string()));
        let known_containers = self.containers()?.into_iter().map(|container| container.id);
        let known_builds = self.builds()?.into_iter().map(|build| build.id);
        let mut found = entries(&layout.ingest())?;
        found.extend(not_among(snapshots, &known));
        found.extend(not_among(containers, &known_containers.collect()));
        found.extend(not_among(builds, &known_builds.collect()));
        let draft = |path: &PathBuf| path.extension().is_some_and(|end| end == "draft");
        for directory in [layout.root(), &layout.digests()] {
            found.extend(entries(directory)?.into_iter().filter(draft));
        }
        found.extend(self.free_claims()?);
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

/// Returns the paths whose names are not known.
fn not_among(paths: Vec<PathBuf>, known: &BTreeSet<String>) -> impl Iterator<Item = PathBuf> {
    paths.into_iter().filter(|path| {
        !path.file_name().is_some_and(|name| known.contains(&*name.to_string_lossy()))
    })
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
