//! What takes how much space: the rows of `docker system df`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use lathe_oci::Digest;

use crate::error::Result;
use crate::mark::Marker;
use crate::mark::Needed;
use crate::prune::entries;
use crate::record::ContainerRecord;
use crate::snapshot::measure;
use crate::store::Store;

/// One row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// How many there are.
    pub total: u64,
    /// How many are in use.
    pub active: u64,
    /// What they take, in bytes.
    pub size: u64,
    /// What would be freed by deleting those that are not in use, in bytes.
    pub reclaimable: u64,
}

/// All rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Images; those of containers are in use.
    pub images: UsageRow,
    /// Containers; those that run are in use.
    pub containers: UsageRow,
    /// Named volumes.
    pub volumes: UsageRow,
    /// The build cache with its cache mounts, without what images and containers need as well.
    pub build_cache: UsageRow,
}

impl Store {
    /// Adds up what the store takes. The store does not know which containers run and which
    /// volumes they mount: the caller tells.
    pub fn df(
        &self,
        runs: &dyn Fn(&ContainerRecord) -> bool,
        volume_in_use: &dyn Fn(&str) -> bool,
    ) -> Result<DiskUsage> {
        let marker = Marker::new(self)?;
        let containers = self.containers()?;
        let used: BTreeSet<Digest> =
            containers.iter().filter_map(|container| container.image).collect();
        let (mut by_images, mut by_active) = (Needed::default(), Needed::default());
        let mut usage = DiskUsage::default();
        for image in self.images()? {
            marker.image(&image, &mut by_images)?;
            usage.images.total += 1;
            if used.contains(&image.id) {
                marker.image(&image, &mut by_active)?;
                usage.images.active += 1;
            }
        }
        let blobs: BTreeMap<Digest, u64> = self.blob_files()?.into_iter().collect();
        usage.images.size = self.bytes_of(&by_images, &blobs)?;
        usage.images.reclaimable = usage.images.size - self.bytes_of(&by_active, &blobs)?;
        usage.containers = self.containers_row(&containers, &by_images, runs)?;
        usage.volumes = self.volumes_row(volume_in_use)?;
        let mut by_cache = Needed::default();
        for record in self.cache_records()? {
            marker.cache(&record, &mut by_cache);
            usage.build_cache.total += 1;
        }
        let mut elsewhere = by_images;
        for container in &containers {
            marker.container(container, &mut elsewhere);
        }
        by_cache.snapshots.retain(|id| !elsewhere.snapshots.contains(id));
        by_cache.blobs.retain(|digest| !elsewhere.blobs.contains(digest));
        usage.build_cache.size = self.bytes_of(&by_cache, &blobs)?;
        for (_, size) in self.cache_mounts()? {
            usage.build_cache.total += 1;
            usage.build_cache.size += size;
        }
        usage.build_cache.reclaimable = usage.build_cache.size;
        Ok(usage)
    }

    fn bytes_of(&self, needed: &Needed, blobs: &BTreeMap<Digest, u64>) -> Result<u64> {
        let mut bytes: u64 = needed.blobs.iter().filter_map(|digest| blobs.get(digest)).sum();
        for id in &needed.snapshots {
            bytes += self.snapshot_usage(*id)?.bytes;
        }
        Ok(bytes)
    }

    fn containers_row(
        &self,
        containers: &[ContainerRecord],
        by_images: &Needed,
        runs: &dyn Fn(&ContainerRecord) -> bool,
    ) -> Result<UsageRow> {
        let mut row = UsageRow::default();
        for container in containers {
            let own = container.snapshots.iter().filter(|id| !by_images.snapshots.contains(id));
            let mut size = 0;
            for id in own {
                // A container that is being removed may have lost its snapshot already.
                if self
                    .snapshot(*id)?
                    .is_some_and(|record| record.kind == crate::SnapshotKind::Writable)
                {
                    size += self.snapshot_usage(*id)?.bytes;
                }
            }
            row.total += 1;
            row.size += size;
            if runs(container) {
                row.active += 1;
            } else {
                row.reclaimable += size;
            }
        }
        Ok(row)
    }

    fn volumes_row(&self, in_use: &dyn Fn(&str) -> bool) -> Result<UsageRow> {
        let mut row = UsageRow::default();
        for path in entries(&self.inner.layout.volumes())? {
            let size = measure(&path)?.bytes;
            row.total += 1;
            row.size += size;
            if in_use(&path.file_name().unwrap_or_default().to_string_lossy()) {
                row.active += 1;
            } else {
                row.reclaimable += size;
            }
        }
        Ok(row)
    }
}
