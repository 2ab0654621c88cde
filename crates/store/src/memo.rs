//! Memos: answers that are expensive to find again and cheap to lose, by namespace and key.
//!
//! Memos about a snapshot have a namespace made by [`Store::snapshot_namespace`], and go when the
//! snapshot does. Others stay until all cache is pruned.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use crate::error::IndexResult as _;
use crate::error::Result;
use crate::record::SnapshotId;
use crate::store::Store;

impl Store {
    /// Returns the namespace of memos of one topic about a snapshot.
    pub fn snapshot_namespace(id: SnapshotId, topic: &str) -> String {
        format!("snapshot/{id}/{topic}")
    }

    /// Returns a memo.
    pub fn memo_get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let index = self.inner.index.read();
        let sql = "SELECT value FROM memo WHERE namespace = ?1 AND key = ?2";
        let mut statement = index.prepare_cached(sql).doing("read a memo")?;
        statement
            .query_row(params![namespace, key], |row| row.get(0))
            .optional()
            .doing("read a memo")
    }

    /// Returns all memos of a namespace, sorted by key: one look instead of thousands.
    pub fn memo_all(&self, namespace: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let index = self.inner.index.read();
        let sql = "SELECT key, value FROM memo WHERE namespace = ?1 ORDER BY key";
        let mut statement = index.prepare_cached(sql).doing("read the memos")?;
        let rows = statement
            .query_map([namespace], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing("read the memos")?;
        rows.collect::<rusqlite::Result<_>>().doing("read the memos")
    }

    /// Writes memos of one namespace in one transaction; equal keys are replaced.
    pub fn memo_put<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        namespace: &str,
        memos: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        let mut memos = memos.into_iter().peekable();
        if memos.peek().is_none() {
            return Ok(());
        }
        self.inner.index.write("write memos", |index| {
            let sql = "INSERT OR REPLACE INTO memo (namespace, key, value) VALUES (?1, ?2, ?3)";
            let mut statement = index.prepare_cached(sql).doing("write memos")?;
            for (key, value) in memos {
                let row = params![namespace, key.as_ref(), value.as_ref()];
                statement.execute(row).doing("write memos")?;
            }
            Ok(())
        })
    }

    /// Removes all memos of a namespace.
    pub fn memo_clear(&self, namespace: &str) -> Result<()> {
        self.inner.index.write("remove memos", |index| {
            let sql = "DELETE FROM memo WHERE namespace = ?1";
            index.execute(sql, [namespace]).doing("remove memos")?;
            Ok(())
        })
    }
}

/// Removes the memos about a snapshot.
pub(crate) fn delete_snapshot_memos(index: &Connection, id: SnapshotId) -> Result<()> {
    // `0` is the character after `/`.
    let sql = "DELETE FROM memo WHERE namespace >= ?1 AND namespace < ?2";
    let mut statement = index.prepare_cached(sql).doing("remove memos")?;
    statement
        .execute([format!("snapshot/{id}/"), format!("snapshot/{id}0")])
        .doing("remove memos")?;
    Ok(())
}

/// Removes the memos that are about no snapshot.
pub(crate) fn delete_general_memos(index: &Connection) -> Result<()> {
    let sql = "DELETE FROM memo WHERE namespace NOT LIKE 'snapshot/%'";
    index.execute(sql, []).doing("remove memos")?;
    Ok(())
}
