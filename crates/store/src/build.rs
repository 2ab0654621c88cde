//! Builds that were made, for receipts and logs.

use rusqlite::Row;
use rusqlite::params;

use crate::error::IndexResult as _;
use crate::error::Result;
use crate::record::BuildRecord;
use crate::store::Store;

impl Store {
    /// Records a build; one with the same id is replaced.
    pub fn put_build(&self, build: &BuildRecord) -> Result<()> {
        self.inner.index.write("record a build", |index| {
            let sql = "INSERT OR REPLACE INTO builds (id, created, record) VALUES (?1, ?2, ?3)";
            let mut statement = index.prepare_cached(sql).doing("record a build")?;
            let row = params![build.id, build.created, build.record];
            statement.execute(row).doing("record a build")?;
            Ok(())
        })
    }

    /// Returns all builds, the newest first.
    pub fn builds(&self) -> Result<Vec<BuildRecord>> {
        let index = self.inner.index.read();
        let sql = "SELECT id, created, record FROM builds ORDER BY created DESC, id";
        let mut statement = index.prepare_cached(sql).doing("read the builds")?;
        let columns = |row: &Row<'_>| {
            Ok(BuildRecord { id: row.get(0)?, created: row.get(1)?, record: row.get(2)? })
        };
        let rows = statement.query_map([], columns).doing("read the builds")?;
        rows.collect::<rusqlite::Result<_>>().doing("read the builds")
    }

    /// Removes a build; says whether it was there.
    pub fn remove_build(&self, id: &str) -> Result<bool> {
        self.inner.index.write("remove a build", |index| {
            let removed = index.execute("DELETE FROM builds WHERE id = ?1", [id]);
            Ok(removed.doing("remove a build")? > 0)
        })
    }
}
