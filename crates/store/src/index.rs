//! The index: one `SQLite` database, opened in well under a millisecond.
//!
//! A new index is built beside and linked into its place, so that it is never seen without its
//! tables and no lock is needed to make it. Opening an existing one only compares its version; an
//! older one is migrated first.
//! `synchronous=NORMAL` with a write-ahead log: a killed process loses nothing, a power cut may
//! lose the last commits but leaves the index sound. The log is not copied back when a connection
//! closes: it would cost two `fsync`s at the end of every command; the automatic copying after
//! [`LOG_PAGES`] pages keeps it small instead.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::TransactionBehavior;
use rusqlite::config::DbConfig;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;

/// The format that this program writes (`PRAGMA user_version`).
pub(crate) const FORMAT: u32 = 2;

/// Marks the database as ours (`PRAGMA application_id`): "lath" in ASCII.
const APPLICATION_ID: u32 = 0x6c61_7468;

/// How long one process waits for the other's commit, which takes less than a millisecond.
const BUSY: Duration = Duration::from_secs(30);

/// Pages of 4 KiB after which the log is copied back.
const LOG_PAGES: u32 = 256;

const SCHEMA: &str = include_str!("index/schema.sql");

/// What makes each format the next one, from format 1 on.
const MIGRATIONS: [&str; 1] = [include_str!("index/from_1_to_2.sql")];

/// The connection; one per [`crate::Store`], since a statement takes microseconds.
#[derive(Debug)]
pub(crate) struct Index {
    /// Guards nothing but the connection; never held while files are touched.
    connection: Mutex<Connection>,
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = match connect(path) {
            Ok(connection) => connection,
            Err(_) if !path.exists() => {
                create(path)?;
                connect(path)?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Returns the connection for reading.
    pub(crate) fn read(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half-done transaction: `rusqlite` rolls back on drop.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs `work` in one transaction that holds the write lock from its start, so it never fails
    /// half-way because another process wrote first.
    pub(crate) fn write<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let mut connection = self.read();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(action)?;
        let value = work(&transaction)?;
        transaction.commit().doing(action)?;
        Ok(value)
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).doing("open")?;
    configure(&connection).doing("configure")?;
    let found = number(&connection, "user_version")?;
    if found == 0 || number(&connection, "application_id")? != APPLICATION_ID {
        return Err(Error::ForeignIndex { path: path.to_owned() });
    }
    if found > FORMAT {
        let path = path.parent().unwrap_or(path).to_owned();
        return Err(Error::NewerFormat { path, found, known: FORMAT });
    }
    if found < FORMAT {
        migrate(&mut connection)?;
    }
    Ok(connection)
}

fn number(connection: &Connection, pragma: &str) -> Result<u32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0)).doing("open")
}

/// Brings an older index to this program's format, in one transaction: whoever is killed leaves
/// the old format, and of two processes the second finds the work done.
fn migrate(connection: &mut Connection) -> Result<()> {
    const DOING: &str = "migrate";
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior).doing(DOING)?;
    let found = number(&transaction, "user_version")?;
    let done = usize::try_from(found).unwrap_or(usize::MAX).saturating_sub(1);
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step).doing(DOING)?;
    }
    if found < FORMAT {
        transaction.pragma_update(None, "user_version", FORMAT).doing(DOING)?;
    }
    transaction.commit().doing(DOING)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // First of all, since every later statement may meet another process's lock.
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
}

/// Makes the index in a file of its own and links it into its place; another process that was
/// faster is fine.
fn create(path: &Path) -> Result<()> {
    let draft = draft_path(path);
    let connection = Connection::open(&draft).doing("create")?;
    let fill = || -> rusqlite::Result<()> {
        // Nobody sees the draft, so it is synced once, when it is whole.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        if shares_memory(path) {
            connection.pragma_update(None, "journal_mode", "WAL")?;
        }
        Ok(())
    };
    fill().doing("create")?;
    // Closing the last connection writes the log back and removes it.
    connection.close().map_err(|(_, source)| source).doing("create")?;
    let synced = std::fs::File::open(&draft).and_then(|file| file.sync_all());
    synced.map_err(|source| Error::io("sync", &draft, source))?;
    let linked = match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(|source| Error::io("create", path, source)),
    };
    std::fs::remove_file(&draft).map_err(|source| Error::io("remove", &draft, source))?;
    linked
}

fn draft_path(path: &Path) -> PathBuf {
    let id = crate::record::SnapshotId::random();
    path.with_file_name(format!("index-{id}.draft"))
}

/// Says whether processes can share memory through a file there, which the write-ahead log needs.
/// On the file systems of networks and of user space they cannot be trusted to.
fn shares_memory(path: &Path) -> bool {
    const NFS: i64 = 0x6969;
    const SMB: i64 = 0x517b;
    const CIFS: i64 = 0xff53_4d42;
    const SMB2: i64 = 0xfe53_4d42;
    const PLAN9: i64 = 0x0102_1997;
    const FUSE: i64 = 0x6573_5546;
    const CEPH: i64 = 0x00c3_6400;
    const AFS: i64 = 0x5346_414f;
    let directory = path.parent().unwrap_or(path);
    let kind = rustix::fs::statfs(directory).map(|found| found.f_type);
    !matches!(kind, Ok(NFS | SMB | CIFS | SMB2 | PLAN9 | FUSE | CEPH | AFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        Index::open(&path).unwrap().read().pragma_update(None, "user_version", 99).unwrap();
        let message = Index::open(&path).unwrap_err().to_string();
        assert!(message.contains("has format 99, this lathe knows up to 2"), "{message}");
    }

    #[test]
    fn another_program_s_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
        assert!(matches!(Index::open(&path), Err(Error::ForeignIndex { .. })));
    }

    #[test]
    fn an_index_that_many_open_at_once_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| Index::open(&path).unwrap());
            }
        });
        let names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("draft"))
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }
}
