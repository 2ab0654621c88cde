//! Keeping the store below a size, while others work.
//!
//! The size is known without a look at the files: a running sum in the index has each blob and each
//! measured snapshot (those that are new are measured when somebody asks), and what the last survey
//! found beyond that. It is therefore
//! - exact for blobs and snapshots but for files that several snapshots have, which it counts as
//!   often until the next survey finds out;
//! - up to an hour old for cache mounts, repositories and logs.
//!
//! Only when it is above the cap are all files looked at, once; then the least recently used goes
//! until [`SLACK`] of the cap is free, so that the next builds need not collect again.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;
use rusqlite::OptionalExtension as _;
use rusqlite::params;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::disk_usage::UsageKind;
use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::lock::Wait;
use crate::mark::Needed;
use crate::prune::PruneReport;
use crate::prune::Victims;
use crate::record::SnapshotId;
use crate::remove::remove_tree;
use crate::sizes::Sum;
use crate::snapshot::measure;
use crate::store::Store;
use crate::survey::Place;
use crate::survey::Survey;
use crate::survey::Tally;
use crate::survey::is_loose;
use crate::sweep::Collector;

/// Which part of the cap is made free when it is reached.
const SLACK: u64 = 10;

/// What the index may need to say what goes from a full disk, in bytes: a few hundred records.
const RESERVE: u64 = 512 << 10;

/// How old the sizes of cache mounts and the like may be, in seconds.
const MOUNTS_AGE: i64 = 3600;

/// What is in the store, in the order of its last use.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Record(usize),
    Image(usize),
    Place(usize),
    Build(usize),
}

impl Store {
    /// Deletes the least recently used until the store takes less than `cap` bytes, when it takes
    /// more; `now` is in seconds since 1970. What a name, a container or a running command needs
    /// stays in any case. Below the cap this costs a few looks into the index. While another
    /// process collects, this does nothing.
    ///
    /// What counts: snapshots, blobs, cache mounts, repositories, remembered digests, builds' logs,
    /// and the index; not volumes and the logs of containers.
    pub fn collect(&self, cap: u64, now: i64, cancelled: &dyn Fn() -> bool) -> Result<PruneReport> {
        if self.size(now)?.is_some_and(|size| size <= cap) {
            return Ok(PruneReport::default());
        }
        let Some(lock) = self.collector(Wait::Try)? else { return Ok(PruneReport::default()) };
        let survey = Survey::new(self)?;
        let total = total_of(&survey);
        if total <= cap {
            self.note_size(&survey, &BTreeSet::new(), &BTreeSet::new(), now)?;
            if !self.inner.layout.reserve().exists() {
                self.make_reserve()?;
            }
            return Ok(PruneReport { left: total, ..PruneReport::default() });
        }
        self.collect_to(&lock, &survey, cap - cap / SLACK, (now, cancelled))
    }

    /// Deletes the least recently used until at least `bytes` are freed, or nothing more may go:
    /// for a disk that is full. Waits while another process collects.
    pub fn make_room(
        &self,
        bytes: u64,
        now: i64,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<PruneReport> {
        let Some(lock) = self.collector(Wait::Block)? else { return Ok(PruneReport::default()) };
        // The index needs room itself to say what goes.
        let lent = self.is_full()?;
        if lent {
            remove_tree(&self.inner.layout.reserve())?;
        }
        let survey = Survey::new(self)?;
        let back = if lent { RESERVE } else { 0 };
        let target = total_of(&survey).saturating_sub(bytes.max(1).saturating_add(back));
        let report = self.collect_to(&lock, &survey, target, (now, cancelled))?;
        if lent {
            // When it is full all the same there is none next time.
            drop(self.make_reserve());
        }
        Ok(report)
    }

    /// Says whether the disk has hardly more room than the reserve has.
    fn is_full(&self) -> Result<bool> {
        let root = self.directory();
        let disk = rustix::fs::statvfs(root).map_err(|errno| Error::io("look at", root, errno))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize) < 2 * RESERVE)
    }

    /// Makes the file that keeps room for the index, for the day when the disk is full.
    pub(crate) fn make_reserve(&self) -> Result<()> {
        let path = self.inner.layout.reserve();
        let failed = |source: io::Error| Error::io("allocate", &path, source);
        let file = File::create(&path).map_err(failed)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE) {
            // Then there is none; it is only for a rare day.
            Err(Errno::OPNOTSUPP) => Ok(()),
            made => made.map_err(|errno| failed(errno.into())),
        }
    }

    /// Returns how many bytes the store takes, without a look at its files; `None` when nobody has
    /// looked at them since the store has running sums.
    pub fn size(&self, now: i64) -> Result<Option<u64>> {
        self.measure_new()?;
        let Some(rest) = self.total("rest")? else { return Ok(None) };
        if now.saturating_sub(self.total("mounts_at")?.unwrap_or(0)) > MOUNTS_AGE {
            self.measure_mounts(now)?;
        }
        let mut size = rest;
        for name in ["blobs", "snapshots", "mounts"] {
            size = size.saturating_add(self.total(name)?.unwrap_or(0));
        }
        let index = self.inner.layout.index();
        let log = index.with_extension("db-wal");
        let own: u64 = [index, log, self.inner.layout.reserve()]
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum();
        Ok(Some(u64::try_from(size).unwrap_or(0).saturating_add(own)))
    }

    /// Measures the snapshots that nobody has measured yet.
    fn measure_new(&self) -> Result<()> {
        let sql = "SELECT id, kind FROM snapshots
            WHERE size IS NULL AND content IS NULL AND kind = 'committed'";
        for (id, _) in self.pairs(sql, "snapshots")? {
            match id.parse().map(|id: SnapshotId| self.snapshot_usage(id)) {
                // It was removed meanwhile.
                Ok(Err(Error::SnapshotMissing(_))) | Err(_) => {}
                Ok(measured) => drop(measured?),
            }
        }
        Ok(())
    }

    fn measure_mounts(&self, now: i64) -> Result<()> {
        let layout = &self.inner.layout;
        let mut bytes = 0;
        for path in
            [layout.cache_mounts(), layout.repositories(), layout.digests(), layout.builds()]
        {
            bytes += measure(&path)?.bytes;
        }
        self.set_totals(&[("mounts", signed(bytes)), ("mounts_at", now)])
    }

    fn total(&self, name: &str) -> Result<Option<i64>> {
        let index = self.inner.index.read();
        let sql = "SELECT bytes FROM totals WHERE name = ?1";
        let mut statement = index.prepare_cached(sql).doing("read the size")?;
        statement.query_row([name], |row| row.get(0)).optional().doing("read the size")
    }

    fn set_totals(&self, totals: &[(&str, i64)]) -> Result<()> {
        self.inner.index.write("note the size", |index| {
            let sql = "INSERT OR REPLACE INTO totals (name, bytes) VALUES (?1, ?2)";
            let mut statement = index.prepare_cached(sql).doing("note the size")?;
            for (name, bytes) in totals {
                statement.execute(params![name, bytes]).doing("note the size")?;
            }
            Ok(())
        })
    }

    fn collect_to(
        &self,
        lock: &Collector,
        survey: &Survey<'_>,
        target: u64,
        (now, cancelled): (i64, &dyn Fn() -> bool),
    ) -> Result<PruneReport> {
        let victims = victims(survey, target)?;
        let report = self.sweep(lock, &victims, cancelled)?;
        let snapshots = report.snapshots.iter().map(|(id, _)| *id).collect();
        let mut paths: BTreeSet<PathBuf> =
            report.cache_mounts.iter().map(|(path, _)| path.clone()).collect();
        paths.extend(report.builds.iter().map(|id| self.build_directory(id)));
        paths.extend(report.blobs.iter().map(|(digest, _)| self.blob_path(digest)));
        let left = self.note_size(survey, &snapshots, &paths, now)?;
        Ok(PruneReport { left, ..report })
    }

    /// Notes what a survey has found, without what is gone since; returns how many bytes are left.
    fn note_size(
        &self,
        survey: &Survey<'_>,
        snapshots: &BTreeSet<SnapshotId>,
        paths: &BTreeSet<PathBuf>,
        now: i64,
    ) -> Result<u64> {
        let mut sum = Sum::default();
        for (id, (_, tree)) in &survey.snapshots {
            if !snapshots.contains(id) {
                sum.add(tree, &survey.disk);
            }
        }
        for (digest, tree) in &survey.blobs {
            if !paths.contains(&self.blob_path(digest)) {
                sum.add(tree, &survey.disk);
            }
        }
        let files = sum.bytes;
        for place in survey.places.iter().filter(|place| is_mount(place.kind)) {
            if !paths.contains(&place.path) {
                sum.add(&place.tree, &survey.disk);
            }
        }
        let mounts = sum.bytes - files;
        let known = self.total("blobs")?.unwrap_or(0) + self.total("snapshots")?.unwrap_or(0);
        let rest = signed(files) - known;
        self.set_totals(&[("rest", rest), ("mounts", signed(mounts)), ("mounts_at", now)])?;
        Ok(files + mounts + rest_of(survey))
    }
}

/// Returns what all takes that the cap is about, in bytes.
fn total_of(survey: &Survey<'_>) -> u64 {
    let mut sum = Sum::default();
    for (_, tree) in survey.snapshots.values() {
        sum.add(tree, &survey.disk);
    }
    for tree in survey.blobs.values() {
        sum.add(tree, &survey.disk);
    }
    for place in survey.places.iter().filter(|place| is_mount(place.kind)) {
        sum.add(&place.tree, &survey.disk);
    }
    sum.bytes + rest_of(survey)
}

/// Returns what the index and unfinished work take, in bytes.
fn rest_of(survey: &Survey<'_>) -> u64 {
    let rest = |place: &&Place| matches!(place.kind, UsageKind::Index | UsageKind::Temporary);
    survey.places.iter().filter(rest).map(|place| place.tree.own).sum()
}

fn is_mount(kind: UsageKind) -> bool {
    use UsageKind::{BuildLog, CacheMount, Digests, Repository};
    matches!(kind, CacheMount | Repository | Digests | BuildLog)
}

/// Chooses what goes so that `target` bytes are left: all beyond the most recently used that fit.
fn victims(survey: &Survey<'_>, target: u64) -> Result<Victims> {
    let mut tally = Tally::default();
    survey.add(&survey.pinned, &mut tally);
    tally.sum.bytes += rest_of(survey);
    let mut victims = Victims::default();
    let mut full = false;
    for (_, unit) in units(survey) {
        let mut needed = Needed::default();
        match unit {
            Unit::Record(at) => survey.marker.cache(&survey.records[at], &mut needed),
            Unit::Image(at) => survey.marker.image(&survey.images[at], &mut needed)?,
            Unit::Place(_) | Unit::Build(_) => {}
        }
        // Once something does not fit, all that was used before it goes as well.
        if !full {
            survey.add(&needed, &mut tally);
            if let Some(place) = place_of(survey, unit) {
                tally.sum.add(&place.tree, &survey.disk);
            }
            full = tally.sum.bytes > target;
        }
        if full {
            victims.add(survey, unit);
        }
    }
    victims.records.reverse();
    Ok(victims)
}

impl Victims {
    fn add(&mut self, survey: &Survey<'_>, unit: Unit) {
        match unit {
            Unit::Record(at) => {
                let record = &survey.records[at];
                self.records.push((record.key.clone(), record.last_used));
            }
            Unit::Image(at) => self.loose_images.push(survey.images[at].id),
            Unit::Place(at) => {
                let place = &survey.places[at];
                self.places.push((place.kind, place.path.clone(), place.tree.own));
            }
            Unit::Build(at) => self.builds.push(survey.builds[at].id.clone()),
        }
    }
}

/// Returns all that may go, the most recently used first.
fn units(survey: &Survey<'_>) -> Vec<(Reverse<i64>, Unit)> {
    let used: BTreeSet<Digest> =
        survey.containers.iter().filter_map(|container| container.image).collect();
    let mut units = Vec::new();
    for (at, record) in survey.records.iter().enumerate() {
        units.push((Reverse(record.last_used), Unit::Record(at)));
    }
    for (at, image) in survey.images.iter().enumerate().filter(|(_, image)| is_loose(image, &used))
    {
        // Of the time of its making here, not of what its config says.
        let manifest = survey.blobs.get(&image.manifest.digest);
        units.push((Reverse(manifest.map_or(0, |tree| tree.changed)), Unit::Image(at)));
    }
    for (at, build) in survey.builds.iter().enumerate() {
        units.push((Reverse(build.created / 1000), Unit::Build(at)));
    }
    for (at, place) in survey.places.iter().enumerate() {
        // Logs go with their builds.
        if is_mount(place.kind) && place.kind != UsageKind::BuildLog {
            units.push((Reverse(place.tree.changed), Unit::Place(at)));
        }
    }
    units.sort_by_key(|(time, _)| *time);
    units
}

fn place_of<'a>(survey: &'a Survey<'_>, unit: Unit) -> Option<&'a Place> {
    match unit {
        Unit::Place(at) => survey.places.get(at),
        Unit::Build(at) => {
            let name = Path::new(&survey.builds[at].id);
            survey.places.iter().find(|place| {
                place.kind == UsageKind::BuildLog
                    && place.path.file_name() == Some(name.as_os_str())
            })
        }
        Unit::Record(_) | Unit::Image(_) => None,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
