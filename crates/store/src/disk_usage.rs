//! What takes how much space: the rows of `docker system df`, and of `docker builder du`.
//!
//! A file that several snapshots have is counted once: for the images before the build cache, and
//! among the rows of `du` for the oldest snapshot, which made it. So sums are what the disk has.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use lathe_oci::Digest;

use crate::error::Result;
use crate::mark::Needed;
use crate::prune::entries;
use crate::record::CacheRecord;
use crate::record::ContainerRecord;
use crate::record::SnapshotId;
use crate::record::SnapshotKind;
use crate::sizes::Sum;
use crate::snapshot::measure;
use crate::store::Store;
use crate::survey::Place;
use crate::survey::Survey;
use crate::survey::Tally;

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
    /// The build cache with its cache mounts, repositories and remembered digests, without what
    /// images and containers need as well.
    pub build_cache: UsageRow,
}

/// What a row of `du` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageKind {
    /// The files of a step's result, of an unpacked layer, or of a container.
    Snapshot,
    /// A blob: a packed layer or a document of an image.
    Blob,
    /// What `RUN --mount=type=cache` keeps.
    CacheMount,
    /// A git repository that builds fetched from.
    Repository,
    /// The remembered digests of a build context.
    Digests,
    /// The logs of a build.
    BuildLog,
    /// A container's own files, its logs among them.
    Container,
    /// A named volume.
    Volume,
    /// What is not complete, and what running commands need for themselves.
    Temporary,
    /// The index, locks, and the directories that all lies in.
    Index,
}

impl UsageKind {
    /// Returns the word that `docker buildx du` has for it, and `--filter type=` of the prune
    /// commands (`BuildKit`, `client/diskusage.go`).
    pub const fn buildkit_type(self) -> &'static str {
        match self {
            Self::Snapshot | Self::Blob => "regular",
            Self::CacheMount => "exec.cachemount",
            Self::Repository => "source.git.checkout",
            Self::Digests => "source.local",
            Self::BuildLog | Self::Container | Self::Volume | Self::Temporary | Self::Index => {
                "internal"
            }
        }
    }
}

/// A row of `du`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageItem {
    /// What it is about.
    pub kind: UsageKind,
    /// A snapshot's id, a blob's digest, a build's id, else a path below the store.
    pub id: String,
    /// What it takes on the disk, in bytes: allocated blocks, and none that another row has.
    pub bytes: u64,
    /// When it was made, in seconds since 1970, where that is known.
    pub created: Option<i64>,
    /// When it was last used, in seconds since 1970, where that is known.
    pub last_used: Option<i64>,
    /// How often the build cache has it as a result.
    pub records: u64,
    /// The recipe of the cache key that it is the result of, or the id of a cache mount.
    pub description: String,
    /// Snapshots that it lies on or was made from.
    pub parents: Vec<String>,
    /// Whether others have some of its files or all of its changes.
    pub shared: bool,
    /// Whether it can still change.
    pub mutable: bool,
    /// Whether it stays when all build cache goes: a name, a container or a running command needs
    /// it, or it is no cache at all.
    pub in_use: bool,
}

impl Store {
    /// Adds up what the store takes. The store does not know which containers run and which
    /// volumes they mount: the caller tells.
    pub fn df(
        &self,
        runs: &dyn Fn(&ContainerRecord) -> bool,
        volume_in_use: &dyn Fn(&str) -> bool,
    ) -> Result<DiskUsage> {
        let survey = Survey::new(self)?;
        let (marker, containers) = (&survey.marker, &survey.containers);
        let used: BTreeSet<Digest> =
            containers.iter().filter_map(|container| container.image).collect();
        let (mut by_images, mut by_active) = (Needed::default(), Needed::default());
        let mut usage = DiskUsage::default();
        for image in &survey.images {
            marker.image(image, &mut by_images)?;
            usage.images.total += 1;
            if used.contains(&image.id) {
                marker.image(image, &mut by_active)?;
                usage.images.active += 1;
            }
        }
        // Each adds what those before it have not.
        let mut tally = Tally::default();
        let active = survey.add(&by_active, &mut tally);
        usage.images.reclaimable = survey.add(&by_images, &mut tally);
        usage.images.size = active + usage.images.reclaimable;
        usage.containers = containers_row(&survey, &by_images, &mut tally, runs);
        usage.volumes = self.volumes_row(volume_in_use)?;
        let mut by_cache = Needed::default();
        for record in &survey.records {
            marker.cache(record, &mut by_cache);
            usage.build_cache.total += 1;
        }
        usage.build_cache.size = survey.add(&by_cache, &mut tally);
        for (_, _, size) in self.cache_places()? {
            usage.build_cache.total += 1;
            usage.build_cache.size += size;
        }
        usage.build_cache.reclaimable = usage.build_cache.size;
        Ok(usage)
    }

    /// Returns a row for all that lies in the store's directory: each byte on the disk is in just
    /// one of them. Sorted by kind, snapshots the oldest first, others by id.
    pub fn usage_rows(&self) -> Result<Vec<UsageItem>> {
        let survey = Survey::new(self)?;
        let facts = Facts::new(&survey);
        let mut sum = Sum::default();
        let mut by_age: Vec<SnapshotId> = survey.snapshots.keys().copied().collect();
        by_age.sort_by_key(|id| survey.snapshots[id].0.created);
        let mut rows = Vec::new();
        for id in by_age {
            rows.push(snapshot_item(&survey, &facts, id, &mut sum));
        }
        for (digest, tree) in &survey.blobs {
            rows.push(blob_item(&survey, &facts, digest, sum.add(tree, &survey.disk)));
        }
        let mut others: Vec<UsageItem> = Vec::new();
        for place in &survey.places {
            let bytes = sum.add(&place.tree, &survey.disk);
            others.push(place_item(self.directory(), place, bytes));
        }
        others.sort_by(|a, b| a.kind.cmp(&b.kind).then_with(|| a.id.cmp(&b.id)));
        rows.extend(others);
        Ok(rows)
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

/// What is known about snapshots and blobs from elsewhere.
struct Facts<'a> {
    /// Who needs what, for the last use.
    last_used: BTreeMap<SnapshotId, i64>,
    /// The records whose result a snapshot is.
    records: BTreeMap<SnapshotId, Vec<&'a CacheRecord>>,
    /// Snapshots whose changes others have, or some of whose files.
    shared: BTreeSet<SnapshotId>,
    /// Whose layer a blob is.
    layers: BTreeMap<Digest, SnapshotId>,
}

impl<'a> Facts<'a> {
    fn new(survey: &'a Survey<'_>) -> Self {
        let mut last_used: BTreeMap<SnapshotId, i64> = BTreeMap::new();
        let mut records: BTreeMap<SnapshotId, Vec<&CacheRecord>> = BTreeMap::new();
        for record in &survey.records {
            let mut needed = Needed::default();
            survey.marker.cache(record, &mut needed);
            for id in needed.snapshots {
                let latest = last_used.entry(id).or_insert(record.last_used);
                *latest = record.last_used.max(*latest);
            }
            for id in &record.snapshots {
                records.entry(*id).or_default().push(record);
            }
        }
        let shared = survey.sharers();
        let layers = survey.marker.layers().map(|(id, digest)| (digest, id)).collect();
        Self { last_used, records, shared, layers }
    }
}

fn snapshot_item(
    survey: &Survey<'_>,
    facts: &Facts<'_>,
    id: SnapshotId,
    sum: &mut Sum,
) -> UsageItem {
    let (record, tree) = &survey.snapshots[&id];
    let records = facts.records.get(&id).map_or(&[][..], Vec::as_slice);
    let content = (record.content != id).then_some(record.content);
    UsageItem {
        kind: UsageKind::Snapshot,
        id: id.to_string(),
        bytes: sum.add(tree, &survey.disk),
        created: Some(record.created),
        last_used: facts.last_used.get(&id).copied(),
        records: records.len() as u64,
        description: records.iter().find_map(|found| found.recipe.clone()).unwrap_or_default(),
        parents: record.parent.into_iter().chain(content).map(|id| id.to_string()).collect(),
        shared: facts.shared.contains(&id),
        mutable: record.kind == SnapshotKind::Writable,
        in_use: survey.pinned.snapshots.contains(&id),
    }
}

fn blob_item(survey: &Survey<'_>, facts: &Facts<'_>, digest: &Digest, bytes: u64) -> UsageItem {
    let layer = facts.layers.get(digest);
    UsageItem {
        kind: UsageKind::Blob,
        id: digest.to_string(),
        bytes,
        created: survey.blobs.get(digest).map(|tree| tree.changed),
        last_used: layer.and_then(|id| facts.last_used.get(id).copied()),
        records: 0,
        description: String::new(),
        parents: layer.iter().map(ToString::to_string).collect(),
        shared: false,
        mutable: false,
        in_use: survey.pinned.blobs.contains(digest),
    }
}

fn place_item(root: &Path, place: &Place, bytes: u64) -> UsageItem {
    use UsageKind::{BuildLog, CacheMount, Container, Digests, Repository, Temporary};
    let id = match place.kind {
        BuildLog => place.path.file_name().map_or(&*place.path, Path::new),
        _ => place.path.strip_prefix(root).unwrap_or(&place.path),
    };
    let description = match place.kind {
        CacheMount => std::fs::read_to_string(place.path.join("id")).unwrap_or_default(),
        _ => String::new(),
    };
    UsageItem {
        kind: place.kind,
        id: id.display().to_string(),
        bytes,
        created: None,
        last_used: (place.tree.changed > 0).then_some(place.tree.changed),
        records: 0,
        description,
        parents: Vec::new(),
        shared: false,
        mutable: matches!(place.kind, CacheMount | Repository | Container | Temporary),
        in_use: !matches!(place.kind, CacheMount | Repository | Digests | BuildLog),
    }
}

fn containers_row(
    survey: &Survey<'_>,
    by_images: &Needed,
    tally: &mut Tally,
    runs: &dyn Fn(&ContainerRecord) -> bool,
) -> UsageRow {
    let mut row = UsageRow::default();
    for container in &survey.containers {
        let mut own = Needed::default();
        for id in container.snapshots.iter().filter(|id| !by_images.snapshots.contains(id)) {
            // A container that is being removed may have lost its snapshot already.
            let found = survey.snapshots.get(id);
            if found.is_some_and(|(record, _)| record.kind == SnapshotKind::Writable) {
                own.snapshots.insert(*id);
            }
        }
        let size = survey.add(&own, tally);
        row.total += 1;
        row.size += size;
        if runs(container) {
            row.active += 1;
        } else {
            row.reclaimable += size;
        }
    }
    row
}
