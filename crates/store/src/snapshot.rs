//! Snapshots as the store sees them: rows, most of them with a directory of changes each.
//!
//! Mounting and filling them is the snapshot crate's matter. A snapshot is noted in this process's
//! journal (`owner.rs`) before its directory is made; its row makes it one that others may see.
//!
//! A snapshot may have the changes of another one on a parent of its own: it has no directory, and
//! its row names the *owner* of the changes. Owners are never sharers themselves, so one step leads
//! to the directory.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::hold::Target;
use crate::image::parse_json;
use crate::image::parse_value;
use crate::lock::Guard;
use crate::memo::delete_snapshot_memos;
use crate::record::SnapshotId;
use crate::record::SnapshotKind;
use crate::record::SnapshotRecord;
use crate::remove::remove_tree;
use crate::store::Store;

/// A snapshot directory that has no row yet. Dropping it removes it.
#[derive(Debug)]
pub struct NewSnapshot {
    store: Store,
    id: SnapshotId,
    directory: PathBuf,
    recorded: bool,
    _guard: Guard,
}

/// What a snapshot's own changes take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on the disk (allocated blocks; a file with several names counts once).
    pub bytes: u64,
    /// Files, directories and everything else, the top directory not counted.
    pub files: u64,
}

type Columns = (String, Option<String>, String, i64, Option<String>);

const COLUMNS: &str = "id, parent, kind, created, content";

impl Store {
    /// Makes the directory of a new snapshot, empty.
    pub fn new_snapshot(&self) -> Result<NewSnapshot> {
        let guard = self.share()?;
        loop {
            let id = SnapshotId::random();
            let directory = self.snapshot_path(id);
            // Noted first: a directory that nobody has noted is rubbish.
            self.hold([Target::Snapshot(id)])?;
            match fs::create_dir(&directory) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| Error::io("create", &directory, source))?,
            }
            let store = self.clone();
            return Ok(NewSnapshot { store, id, directory, recorded: false, _guard: guard });
        }
    }

    /// Records a snapshot on `parent` whose changes are those of `content`, or of that one's owner.
    /// It has no directory, and costs one row however large the changes are. `created` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// [`Error::SnapshotMissing`] when there is no such parent or content.
    pub fn share_snapshot(
        &self,
        parent: Option<SnapshotId>,
        content: SnapshotId,
        created: i64,
    ) -> Result<SnapshotId> {
        let _guard = self.share()?;
        let id = SnapshotId::random();
        self.hold([parent, Some(content), Some(id)].into_iter().flatten().map(Target::Snapshot))?;
        self.inner.index.write("record a snapshot", |index| {
            let owner = owner_of(index, content)?.ok_or(Error::SnapshotMissing(content))?;
            let record = SnapshotRecord {
                id,
                parent,
                content: owner,
                kind: SnapshotKind::Committed,
                created,
            };
            insert(index, &record)
        })?;
        Ok(id)
    }

    /// Returns the owner of a snapshot's changes: the snapshot whose directory has them.
    ///
    /// # Errors
    /// [`Error::SnapshotMissing`] when there is no such snapshot.
    pub fn snapshot_content(&self, id: SnapshotId) -> Result<SnapshotId> {
        self.hold([Target::Snapshot(id)])?;
        self.content_of(id)
    }

    /// As [`Store::snapshot_content`], without keeping it.
    pub(crate) fn content_of(&self, id: SnapshotId) -> Result<SnapshotId> {
        owner_of(&self.inner.index.read(), id)?.ok_or(Error::SnapshotMissing(id))
    }

    /// Returns the owners of the changes of a snapshot and of all that it lies on, the top first.
    ///
    /// # Errors
    /// [`Error::SnapshotMissing`] when there is no such snapshot.
    pub fn snapshot_contents(&self, id: SnapshotId) -> Result<Vec<SnapshotId>> {
        self.chain(id, "COALESCE(content, id)")
    }

    /// Returns the directory of a snapshot that owns its changes.
    pub fn snapshot_path(&self, id: SnapshotId) -> PathBuf {
        self.inner.layout.snapshot(id)
    }

    /// Returns the row of a snapshot, which is kept from now on while this process shares the store.
    pub fn snapshot(&self, id: SnapshotId) -> Result<Option<SnapshotRecord>> {
        self.hold([Target::Snapshot(id)])?;
        self.row(id)
    }

    /// As [`Store::snapshot`], without keeping it.
    pub(crate) fn row(&self, id: SnapshotId) -> Result<Option<SnapshotRecord>> {
        let index = self.inner.index.read();
        let sql = format!("SELECT {COLUMNS} FROM snapshots WHERE id = ?1");
        let mut statement = index.prepare_cached(&sql).doing("read a snapshot")?;
        let row = statement.query_row([id.as_str()], columns).optional();
        row.doing("read a snapshot")?.map(snapshot_record).transpose()
    }

    /// Returns a snapshot and all that it lies on, the top first.
    pub fn snapshot_chain(&self, id: SnapshotId) -> Result<Vec<SnapshotId>> {
        self.chain(id, "id")
    }

    /// Returns a column of a snapshot and of all that it lies on, the top first.
    fn chain(&self, id: SnapshotId, column: &str) -> Result<Vec<SnapshotId>> {
        const DOING: &str = "read a snapshot's parents";
        self.hold([Target::Snapshot(id)])?;
        let index = self.inner.index.read();
        let sql = format!(
            "WITH RECURSIVE chain (id, parent, content, depth) AS (
                SELECT id, parent, content, 0 FROM snapshots WHERE id = ?1
                UNION ALL
                SELECT s.id, s.parent, s.content, depth + 1
                FROM snapshots s JOIN chain c ON s.id = c.parent
            ) SELECT {column} FROM chain ORDER BY depth"
        );
        let mut statement = index.prepare_cached(&sql).doing(DOING)?;
        let rows = statement.query_map([id.as_str()], |row| row.get::<_, String>(0));
        let mut chain = Vec::new();
        for row in rows.doing(DOING)? {
            let text = row.doing(DOING)?;
            chain.push(parse_value("snapshots", &text, &text)?);
        }
        if chain.is_empty() { Err(Error::SnapshotMissing(id)) } else { Ok(chain) }
    }

    /// Returns all snapshots, sorted by id.
    pub fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let index = self.inner.index.read();
        let sql = format!("SELECT {COLUMNS} FROM snapshots ORDER BY id");
        let mut statement = index.prepare_cached(&sql).doing("read the snapshots")?;
        let rows = statement.query_map([], columns).doing("read the snapshots")?;
        rows.map(|row| snapshot_record(row.doing("read the snapshots")?)).collect()
    }

    /// Removes a snapshot that nothing needs: the way of a removed container's writable layer.
    ///
    /// # Errors
    /// [`Error::SnapshotInUse`] when a child, one that shares its changes, a cache record, a chain
    /// or a container needs it.
    pub fn remove_snapshot(&self, id: SnapshotId) -> Result<()> {
        self.inner.index.write("remove a snapshot", |index| {
            if let Some(by) = needed_by(index, id)? {
                return Err(Error::SnapshotInUse { id, by });
            }
            delete_row(index, id)
        })?;
        remove_tree(&self.snapshot_path(id))
    }

    /// Returns what a snapshot's changes take, its own or those that it shares; measured at the
    /// first call, and for writable ones at each. Files that other snapshots have as well count.
    pub fn snapshot_usage(&self, id: SnapshotId) -> Result<Usage> {
        let id = self.content_of(id)?;
        let known: Option<(String, Option<i64>, Option<i64>)> = {
            let index = self.inner.index.read();
            let sql = "SELECT kind, size, files FROM snapshots WHERE id = ?1";
            let mut statement = index.prepare_cached(sql).doing("read a snapshot")?;
            let row = statement
                .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional();
            row.doing("read a snapshot")?
        };
        let Some((kind, size, files)) = known else { return Err(Error::SnapshotMissing(id)) };
        if let (Some(bytes), Some(files)) = (size, files) {
            return Ok(Usage { bytes: unsigned(bytes), files: unsigned(files) });
        }
        let usage = measure(&self.snapshot_path(id).join("fs"))?;
        if kind == kind_name(SnapshotKind::Committed) {
            self.inner.index.write("record a snapshot's size", |index| {
                let sql = "UPDATE snapshots SET size = ?2, files = ?3 WHERE id = ?1";
                let row = params![id.as_str(), signed(usage.bytes), signed(usage.files)];
                index.execute(sql, row).doing("record a snapshot's size")?;
                Ok(())
            })?;
        }
        Ok(usage)
    }
}

impl NewSnapshot {
    /// Returns its id.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// Returns its directory; what is in it is the caller's matter (by agreement `fs` and `work`).
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes its row: from now on it is kept. `created` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::SnapshotMissing`] when there is no such parent.
    pub fn record(
        mut self,
        parent: Option<SnapshotId>,
        kind: SnapshotKind,
        created: i64,
    ) -> Result<SnapshotId> {
        self.store.hold(parent.map(Target::Snapshot))?;
        self.store.inner.index.write("record a snapshot", |index| {
            let record = SnapshotRecord { id: self.id, parent, content: self.id, kind, created };
            insert(index, &record)
        })?;
        self.recorded = true;
        Ok(self.id)
    }
}

impl Drop for NewSnapshot {
    fn drop(&mut self) {
        if !self.recorded {
            // What cannot be removed now has no row, so pruning finds it.
            drop(remove_tree(&self.directory));
        }
    }
}

/// Writes a snapshot's row, whose parent must be there.
fn insert(index: &Connection, record: &SnapshotRecord) -> Result<()> {
    if let Some(parent) = record.parent
        && owner_of(index, parent)?.is_none()
    {
        return Err(Error::SnapshotMissing(parent));
    }
    let sql =
        "INSERT INTO snapshots (id, parent, kind, created, content) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = index.prepare_cached(sql).doing("record a snapshot")?;
    let parent = record.parent.map(|parent| parent.to_string());
    let content = (record.content != record.id).then(|| record.content.to_string());
    let row = params![record.id.as_str(), parent, kind_name(record.kind), record.created, content];
    statement.execute(row).doing("record a snapshot")?;
    Ok(())
}

/// Returns the owner of a snapshot's changes; `None` when there is no such snapshot.
fn owner_of(index: &Connection, id: SnapshotId) -> Result<Option<SnapshotId>> {
    let sql = "SELECT COALESCE(content, id) FROM snapshots WHERE id = ?1";
    let mut statement = index.prepare_cached(sql).doing("read a snapshot")?;
    let found: Option<String> =
        statement.query_row([id.as_str()], |row| row.get(0)).optional().doing("read a snapshot")?;
    found.map(|text| parse_value("snapshots", id.as_str(), &text)).transpose()
}

/// Returns what needs a snapshot, in words.
fn needed_by(index: &Connection, id: SnapshotId) -> Result<Option<String>> {
    const DOING: &str = "look for a snapshot's users";
    let questions = [
        "SELECT 'snapshot ' || id FROM snapshots WHERE parent = ?1",
        "SELECT 'snapshot ' || id FROM snapshots WHERE content = ?1",
        "SELECT 'cache record ' || key FROM cache_uses WHERE target = ?1 AND kind = 'snapshot'",
        "SELECT 'the layers ' || chain_id FROM chains WHERE snapshot = ?1",
    ];
    for sql in questions {
        let found = index.query_row(sql, [id.as_str()], |row| row.get(0)).optional();
        if let Some(by) = found.doing(DOING)? {
            return Ok(Some(by));
        }
    }
    for (container, snapshots) in container_snapshots(index)? {
        if snapshots.contains(&id) {
            return Ok(Some(format!("container {container}")));
        }
    }
    Ok(None)
}

/// Returns what each container needs.
pub(crate) fn container_snapshots(index: &Connection) -> Result<Vec<(String, Vec<SnapshotId>)>> {
    const DOING: &str = "read the containers";
    let mut statement =
        index.prepare_cached("SELECT id, snapshots FROM containers ORDER BY id").doing(DOING)?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .doing(DOING)?;
    rows.map(|row| {
        let (id, text) = row.doing(DOING)?;
        let snapshots = parse_json("containers", &id, &text)?;
        Ok((id, snapshots))
    })
    .collect()
}

/// Removes a snapshot's row with what is known about it; its children must be gone.
pub(crate) fn delete_row(index: &Connection, id: SnapshotId) -> Result<()> {
    const DOING: &str = "remove a snapshot";
    for sql in [
        "DELETE FROM layers WHERE snapshot = ?1",
        "DELETE FROM chains WHERE snapshot = ?1",
        "DELETE FROM snapshots WHERE id = ?1",
    ] {
        let mut statement = index.prepare_cached(sql).doing(DOING)?;
        statement.execute([id.as_str()]).doing(DOING)?;
    }
    delete_snapshot_memos(index, id)
}

/// Adds up a tree; a directory that vanishes meanwhile counts as empty.
pub(crate) fn measure(path: &Path) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut several_names = std::collections::HashSet::new();
    let mut todo = vec![path.to_owned()];
    while let Some(directory) = todo.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            // A block file, which lies where others have directories.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                let metadata = fs::symlink_metadata(&directory)
                    .map_err(|source| Error::io("stat", &directory, source))?;
                usage.files += 1;
                usage.bytes += metadata.blocks() * 512;
                continue;
            }
            entries => entries.map_err(|source| Error::io("read", &directory, source))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("read", &directory, source))?;
            // Of the entry itself: symlinks are counted, never followed.
            let Ok(metadata) = entry.metadata() else { continue };
            usage.files += 1;
            if metadata.is_dir() {
                todo.push(entry.path());
            } else if metadata.nlink() > 1
                && !several_names.insert((metadata.dev(), metadata.ino()))
            {
                continue;
            }
            usage.bytes += metadata.blocks() * 512;
        }
    }
    Ok(usage)
}

fn kind_name(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Committed => "committed",
        SnapshotKind::Writable => "writable",
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn snapshot_record((id, parent, kind, created, content): Columns) -> Result<SnapshotRecord> {
    let kinds = [SnapshotKind::Committed, SnapshotKind::Writable];
    let known = kinds.into_iter().find(|known| kind_name(*known) == kind);
    Ok(SnapshotRecord {
        parent: parent.map(|parent| parse_value("snapshots", &id, &parent)).transpose()?,
        kind: known.ok_or_else(|| Error::InvalidValue {
            table: "snapshots",
            key: id.clone(),
            value: kind.clone(),
        })?,
        created,
        content: parse_value("snapshots", &id, content.as_deref().unwrap_or(&id))?,
        id: parse_value("snapshots", &id, &id)?,
    })
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
