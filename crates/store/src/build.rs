//! Builds that were made, for receipts and logs.

use std::path::PathBuf;

use rusqlite::Row;
use rusqlite::ToSql;
use rusqlite::params;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::record::BuildRecord;
use crate::remove::remove_tree;
use crate::store::Store;

const COLUMNS: &str = "id, created, project, record";

impl Store {
    /// Returns the directory of a build's own files, the logs of its steps; it may not exist yet.
    /// It goes with the build's record.
    pub fn build_directory(&self, id: &str) -> PathBuf {
        self.inner.layout.builds().join(id)
    }

    /// Records a build; one with the same id is replaced.
    pub fn put_build(&self, build: &BuildRecord) -> Result<()> {
        self.inner.index.write("record a build", |index| {
            let sql = format!("INSERT OR REPLACE INTO builds ({COLUMNS}) VALUES (?1, ?2, ?3, ?4)");
            let mut statement = index.prepare_cached(&sql).doing("record a build")?;
            let row = params![build.id, build.created, build.project, build.record];
            statement.execute(row).doing("record a build")?;
            Ok(())
        })
    }

    /// Returns all builds, the newest first.
    pub fn builds(&self) -> Result<Vec<BuildRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM builds ORDER BY created DESC, id");
        self.query_builds(&sql, &[])
    }

    /// Returns the build with an id, or the one whose id begins so.
    ///
    /// # Errors
    /// [`Error::AmbiguousBuild`] when several begin so.
    pub fn build(&self, id_prefix: &str) -> Result<Option<BuildRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM builds WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1
            ORDER BY id LIMIT 2"
        );
        let mut found = self.query_builds(&sql, &[&id_prefix])?.into_iter();
        match (found.next(), found.next()) {
            (Some(first), Some(_)) if first.id != id_prefix => {
                Err(Error::AmbiguousBuild(id_prefix.to_owned()))
            }
            (first, _) => Ok(first),
        }
    }

    /// Returns the newest build of a project.
    pub fn latest_build(&self, project: &str) -> Result<Option<BuildRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM builds WHERE project = ?1 ORDER BY created DESC, id DESC LIMIT 1"
        );
        Ok(self.query_builds(&sql, &[&project])?.pop())
    }

    /// Removes a build with its directory; says whether it was there.
    pub fn remove_build(&self, id: &str) -> Result<bool> {
        let removed = self.inner.index.write("remove a build", |index| {
            let removed = index.execute("DELETE FROM builds WHERE id = ?1", [id]);
            Ok(removed.doing("remove a build")? > 0)
        })?;
        if removed {
            remove_tree(&self.build_directory(id))?;
        }
        Ok(removed)
    }

    fn query_builds(&self, sql: &str, arguments: &[&dyn ToSql]) -> Result<Vec<BuildRecord>> {
        let index = self.inner.index.read();
        let mut statement = index.prepare_cached(sql).doing("read the builds")?;
        let columns = |row: &Row<'_>| {
            let (id, created) = (row.get(0)?, row.get(1)?);
            Ok(BuildRecord { id, created, project: row.get(2)?, record: row.get(3)? })
        };
        let rows = statement.query_map(arguments, columns).doing("read the builds")?;
        rows.collect::<rusqlite::Result<_>>().doing("read the builds")
    }
}
