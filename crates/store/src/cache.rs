//! The build cache: results by key.
//!
//! Looking up only reads. That a record was used is noted once for all records of a build
//! ([`Store::cache_touch`]), and only when it was not noted within the last hour: so an unchanged
//! build writes nothing.

use lathe_oci::Digest;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use crate::error::IndexResult as _;
use crate::error::Result;
use crate::hold::Target;
use crate::image::parse_value;
use crate::record::CacheRecord;
use crate::record::SnapshotId;
use crate::store::Store;

/// How exact the time of the last use is, in seconds.
const TOUCH_INTERVAL: i64 = 3600;

type Columns = (String, String, i64, i64, Option<String>);

impl Store {
    /// Returns the record with a key. What it needs is kept from now on while this process shares the store.
    pub fn cache_lookup(&self, key: &str) -> Result<Option<CacheRecord>> {
        let Some(record) = self.find_record(key)? else { return Ok(None) };
        let targets: Vec<Target> = targets(&record).collect();
        if targets.iter().all(|target| self.holds(target)) {
            return Ok(Some(record));
        }
        self.hold(targets)?;
        // A collector may have been faster: what is found now is held.
        self.find_record(key)
    }

    fn find_record(&self, key: &str) -> Result<Option<CacheRecord>> {
        let index = self.inner.index.read();
        let sql = "SELECT key, result, created, last_used, recipe FROM cache WHERE key = ?1";
        let mut statement = index.prepare_cached(sql).doing("look up a cache key")?;
        let row = statement.query_row([key], columns).optional().doing("look up a cache key")?;
        row.map(|row| cache_record(&index, row)).transpose()
    }

    /// Records a result; one with the same key is replaced.
    pub fn cache_record(&self, record: &CacheRecord) -> Result<()> {
        self.hold(targets(record))?;
        self.inner.index.write("record a cache result", |index| write_record(index, record))
    }

    /// Records results in one transaction; those with the same keys are replaced.
    pub fn cache_record_all<'a>(
        &self,
        records: impl IntoIterator<Item = &'a CacheRecord>,
    ) -> Result<()> {
        let records: Vec<&CacheRecord> = records.into_iter().collect();
        self.hold(records.iter().flat_map(|record| targets(record)))?;
        self.inner.index.write("record cache results", |index| {
            records.into_iter().try_for_each(|record| write_record(index, record))
        })
    }

    /// Removes a record; says whether it was there. For results that turn out to be broken.
    pub fn cache_remove(&self, key: &str) -> Result<bool> {
        self.inner.index.write("remove a cache result", |index| delete_record(index, key))
    }

    /// Notes that records were used at `now`, in seconds since 1970.
    pub fn cache_touch<'a>(&self, keys: impl IntoIterator<Item = &'a str>, now: i64) -> Result<()> {
        let mut old = Vec::new();
        {
            let index = self.inner.index.read();
            let sql = "SELECT 1 FROM cache WHERE key = ?1 AND last_used < ?2";
            let mut statement = index.prepare_cached(sql).doing("note a cache use")?;
            for key in keys {
                let before = now.saturating_sub(TOUCH_INTERVAL);
                if statement.exists(params![key, before]).doing("note a cache use")? {
                    old.push(key);
                }
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        self.inner.index.write("note a cache use", |index| {
            let sql = "UPDATE cache SET last_used = ?2 WHERE key = ?1";
            let mut statement = index.prepare_cached(sql).doing("note a cache use")?;
            for key in old {
                statement.execute(params![key, now]).doing("note a cache use")?;
            }
            Ok(())
        })
    }

    /// Returns all records, the least recently used first.
    pub fn cache_records(&self) -> Result<Vec<CacheRecord>> {
        let index = self.inner.index.read();
        let sql = "SELECT key, result, created, last_used, recipe FROM cache
                   ORDER BY last_used, created, key";
        let mut statement = index.prepare_cached(sql).doing("read the cache")?;
        let rows = statement.query_map([], columns).doing("read the cache")?;
        rows.map(|row| cache_record(&index, row.doing("read the cache")?)).collect()
    }
}

/// Returns what a record needs.
fn targets(record: &CacheRecord) -> impl Iterator<Item = Target> {
    let snapshots = record.snapshots.iter().copied().map(Target::Snapshot);
    snapshots.chain(record.blobs.iter().copied().map(Target::Blob))
}

fn write_record(index: &Connection, record: &CacheRecord) -> Result<()> {
    const DOING: &str = "record a cache result";
    let sql = "INSERT INTO cache (key, result, created, last_used, recipe)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (key) DO UPDATE SET result = excluded.result,
               created = excluded.created, last_used = excluded.last_used,
               recipe = excluded.recipe";
    let mut statement = index.prepare_cached(sql).doing(DOING)?;
    let row = params![record.key, record.result, record.created, record.last_used, record.recipe];
    statement.execute(row).doing(DOING)?;
    let mut statement =
        index.prepare_cached("DELETE FROM cache_uses WHERE key = ?1").doing(DOING)?;
    statement.execute([&record.key]).doing(DOING)?;
    let sql = "INSERT INTO cache_uses (key, kind, target, position) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = index.prepare_cached(sql).doing(DOING)?;
    let snapshots = record.snapshots.iter().map(|id| ("snapshot", id.to_string()));
    let blobs = record.blobs.iter().map(|digest| ("blob", digest.to_string()));
    for (position, (kind, target)) in (0_i64..).zip(snapshots.chain(blobs)) {
        statement.execute(params![record.key, kind, target, position]).doing(DOING)?;
    }
    Ok(())
}

pub(crate) fn delete_record(index: &Connection, key: &str) -> Result<bool> {
    const DOING: &str = "remove a cache result";
    let mut statement =
        index.prepare_cached("DELETE FROM cache_uses WHERE key = ?1").doing(DOING)?;
    statement.execute([key]).doing(DOING)?;
    let mut statement = index.prepare_cached("DELETE FROM cache WHERE key = ?1").doing(DOING)?;
    Ok(statement.execute([key]).doing(DOING)? > 0)
}

/// Deletes a record unless it was used since it was looked at; says whether it was there.
pub(crate) fn delete_unused_record(index: &Connection, key: &str, last_used: i64) -> Result<bool> {
    const DOING: &str = "remove a cache result";
    let sql = "SELECT 1 FROM cache WHERE key = ?1 AND last_used <= ?2";
    let unused = {
        let mut statement = index.prepare_cached(sql).doing(DOING)?;
        statement.exists(params![key, last_used]).doing(DOING)?
    };
    Ok(unused && delete_record(index, key)?)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn cache_record(index: &Connection, columns: Columns) -> Result<CacheRecord> {
    let (key, result, created, last_used, recipe) = columns;
    let sql = "SELECT kind, target FROM cache_uses WHERE key = ?1 ORDER BY kind, position";
    let mut statement = index.prepare_cached(sql).doing("look up a cache key")?;
    let rows = statement
        .query_map([&key], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .doing("look up a cache key")?;
    let (mut snapshots, mut blobs): (Vec<SnapshotId>, Vec<Digest>) = (Vec::new(), Vec::new());
    for row in rows {
        let (kind, target) = row.doing("look up a cache key")?;
        match kind.as_str() {
            "snapshot" => snapshots.push(parse_value("cache_uses", &key, &target)?),
            _ => blobs.push(parse_value("cache_uses", &key, &target)?),
        }
    }
    Ok(CacheRecord { key, result, snapshots, blobs, created, last_used, recipe })
}
