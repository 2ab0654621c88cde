//! All that is in the store with what it takes and who needs it: what collecting and `du` go by.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use lathe_oci::Digest;

use crate::disk_usage::UsageKind;
use crate::error::Result;
use crate::mark::Marker;
use crate::mark::Needed;
use crate::owner::noted_by_living;
use crate::prune::entries;
use crate::record::BuildRecord;
use crate::record::CacheRecord;
use crate::record::ContainerRecord;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::record::SnapshotRecord;
use crate::sizes::Disk;
use crate::sizes::Sum;
use crate::sizes::Tree;
use crate::store::Store;

/// A directory or file that is no snapshot and no blob.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: UsageKind,
    pub(crate) path: PathBuf,
    pub(crate) tree: Tree,
}

/// The store as it was found.
pub(crate) struct Survey<'a> {
    pub(crate) marker: Marker<'a>,
    pub(crate) disk: Disk,
    pub(crate) snapshots: BTreeMap<SnapshotId, (SnapshotRecord, Tree)>,
    pub(crate) blobs: BTreeMap<Digest, Tree>,
    pub(crate) places: Vec<Place>,
    pub(crate) images: Vec<ImageRecord>,
    pub(crate) containers: Vec<ContainerRecord>,
    pub(crate) records: Vec<CacheRecord>,
    pub(crate) builds: Vec<BuildRecord>,
    /// What names, containers and running commands need.
    pub(crate) pinned: Needed,
}

impl<'a> Survey<'a> {
    /// Looks at everything: as many system calls as the store has files.
    pub(crate) fn new(store: &'a Store) -> Result<Self> {
        let mut disk = Disk::default();
        let marker = Marker::new(store)?;
        let mut snapshots = BTreeMap::new();
        for record in store.snapshots()? {
            // One that shares its changes has no directory: then it takes nothing.
            let tree = disk.measure(&store.snapshot_path(record.id))?;
            snapshots.insert(record.id, (record, tree));
        }
        let mut blobs = BTreeMap::new();
        for (digest, _) in store.blob_files()? {
            blobs.insert(digest, disk.measure(&store.blob_path(&digest))?);
        }
        let places = places(store, &snapshots, &mut disk)?;
        let (images, containers) = (store.images()?, store.containers()?);
        let pinned = pinned(store, &marker, &images, &containers)?;
        let (records, builds) = (store.cache_records()?, store.builds()?);
        Ok(Self {
            marker,
            disk,
            snapshots,
            blobs,
            places,
            images,
            containers,
            records,
            builds,
            pinned,
        })
    }

    /// Adds what is needed and was not added before; returns how many bytes that was.
    pub(crate) fn add(&self, needed: &Needed, tally: &mut Tally) -> u64 {
        let before = tally.sum.bytes;
        for id in &needed.snapshots {
            if let Some((_, tree)) = self.snapshots.get(id)
                && tally.seen.snapshots.insert(*id)
            {
                tally.sum.add(tree, &self.disk);
            }
        }
        for digest in &needed.blobs {
            if let Some(tree) = self.blobs.get(digest)
                && tally.seen.blobs.insert(*digest)
            {
                tally.sum.add(tree, &self.disk);
            }
        }
        tally.sum.bytes - before
    }

    /// Returns the snapshots that have files or all of their changes in common with others.
    pub(crate) fn sharers(&self) -> BTreeSet<SnapshotId> {
        let mut shared = BTreeSet::new();
        let mut owners: BTreeMap<u32, SnapshotId> = BTreeMap::new();
        for (id, (record, tree)) in &self.snapshots {
            if record.content != *id {
                shared.extend([*id, record.content]);
            }
            for file in &tree.links {
                let first = *owners.entry(*file).or_insert(*id);
                if first != *id {
                    shared.extend([*id, first]);
                }
            }
        }
        shared
    }
}

/// Adds up snapshots and blobs so that nothing counts twice.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sum: Sum,
    seen: Needed,
}

/// Returns what names, containers and running commands need.
fn pinned(
    store: &Store,
    marker: &Marker<'_>,
    images: &[ImageRecord],
    containers: &[ContainerRecord],
) -> Result<Needed> {
    let mut pinned = Needed::default();
    let used: BTreeSet<Digest> =
        containers.iter().filter_map(|container| container.image).collect();
    for container in containers {
        marker.container(container, &mut pinned);
    }
    for image in images.iter().filter(|image| !is_loose(image, &used)) {
        marker.image(image, &mut pinned)?;
    }
    for target in noted_by_living(&store.inner.layout.run())? {
        marker.target(&target, &mut pinned)?;
    }
    Ok(pinned)
}

/// Says whether neither a name nor a container keeps an image.
pub(crate) fn is_loose(image: &ImageRecord, used: &BTreeSet<Digest>) -> bool {
    image.names.is_empty() && !used.contains(&image.id)
}

/// Returns all that is neither a snapshot with a row nor a blob.
fn places(
    store: &Store,
    snapshots: &BTreeMap<SnapshotId, (SnapshotRecord, Tree)>,
    disk: &mut Disk,
) -> Result<Vec<Place>> {
    let layout = &store.inner.layout;
    let kinds = [
        (layout.cache_mounts(), UsageKind::CacheMount),
        (layout.repositories(), UsageKind::Repository),
        (layout.digests(), UsageKind::Digests),
        (layout.builds(), UsageKind::BuildLog),
        (layout.root().join("containers"), UsageKind::Container),
        (layout.volumes(), UsageKind::Volume),
        (layout.ingest(), UsageKind::Temporary),
        (layout.run(), UsageKind::Temporary),
        (layout.snapshots(), UsageKind::Temporary),
    ];
    let mut places = Vec::new();
    let mut folders = vec![layout.root().to_owned(), layout.blobs()];
    folders.extend(entries(&layout.blobs())?);
    for (folder, kind) in kinds {
        for path in entries(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.parse().is_ok_and(|id| snapshots.contains_key(&id)) {
                continue;
            }
            let tree = disk.measure(&path)?;
            places.push(Place { kind, path, tree });
        }
        folders.push(folder);
    }
    // The index, locks, and the folders themselves.
    for path in entries(layout.root())? {
        if path.is_dir() {
            continue;
        }
        let tree = disk.measure(&path)?;
        places.push(Place { kind: UsageKind::Index, path, tree });
    }
    for path in folders {
        let own = std::fs::symlink_metadata(&path);
        let own = own.map_or(0, |own| std::os::unix::fs::MetadataExt::blocks(&own) * 512);
        if own > 0 {
            let tree = Tree { own, ..Tree::default() };
            places.push(Place { kind: UsageKind::Index, path, tree });
        }
    }
    Ok(places)
}
