//! Containers, with names that no two share.

use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::hold::Target;
use crate::image::parse_json;
use crate::image::parse_value;
use crate::image::to_json;
use crate::record::ContainerRecord;
use crate::store::Store;

type Columns = (String, String, i64, Option<String>, String, String);

const COLUMNS: &str = "id, name, created, image, snapshots, record";

impl Store {
    /// Records a container; one with the same id is replaced.
    ///
    /// # Errors
    /// [`Error::NameInUse`] when another container has the name.
    pub fn put_container(&self, container: &ContainerRecord) -> Result<()> {
        const DOING: &str = "record a container";
        self.hold(container.snapshots.iter().copied().map(Target::Snapshot))?;
        self.inner.index.write(DOING, |index| {
            let sql = "SELECT id FROM containers WHERE name = ?1 AND id <> ?2";
            let other = index.query_row(sql, [&container.name, &container.id], |row| row.get(0));
            if let Some(by) = other.optional().doing(DOING)? {
                return Err(Error::NameInUse { name: container.name.clone(), by });
            }
            let sql = format!(
                "INSERT OR REPLACE INTO containers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            );
            let mut statement = index.prepare_cached(&sql).doing(DOING)?;
            let row = params![
                container.id,
                container.name,
                container.created,
                container.image.map(|image| image.to_string()),
                to_json(&container.snapshots),
                container.record,
            ];
            statement.execute(row).doing(DOING)?;
            Ok(())
        })
    }

    /// Changes a container's record in one transaction, so that two processes cannot undo each
    /// other's changes; `None` when there is no such container. `change` must not use the store.
    pub fn update_container(
        &self,
        id: &str,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Result<Option<ContainerRecord>> {
        const DOING: &str = "change a container";
        self.inner.index.write(DOING, |index| {
            let sql = format!("SELECT {COLUMNS} FROM containers WHERE id = ?1");
            let Some(row) = index.query_row(&sql, [id], columns).optional().doing(DOING)? else {
                return Ok(None);
            };
            let mut container = container_record(row)?;
            change(&mut container);
            let sql = "UPDATE containers SET snapshots = ?2, record = ?3 WHERE id = ?1";
            let row = params![id, to_json(&container.snapshots), container.record];
            index.execute(sql, row).doing(DOING)?;
            Ok(Some(container))
        })
    }

    /// Returns the container with an id.
    pub fn container(&self, id: &str) -> Result<Option<ContainerRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM containers WHERE id = ?1");
        Ok(self.query_containers(&sql, &[&id])?.pop())
    }

    /// Returns the container with a name.
    pub fn container_by_name(&self, name: &str) -> Result<Option<ContainerRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM containers WHERE name = ?1");
        Ok(self.query_containers(&sql, &[&name])?.pop())
    }

    /// Returns the containers whose id begins with `prefix`, sorted by id.
    pub fn containers_by_id_prefix(&self, prefix: &str) -> Result<Vec<ContainerRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM containers WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id"
        );
        self.query_containers(&sql, &[&prefix])
    }

    /// Returns all containers, the newest first.
    pub fn containers(&self) -> Result<Vec<ContainerRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM containers ORDER BY created DESC, id");
        self.query_containers(&sql, &[])
    }

    /// Removes a container's row; says whether it was there. Its snapshots and its directory are
    /// removed by the caller afterwards, or by the next prune.
    pub fn remove_container(&self, id: &str) -> Result<bool> {
        self.inner.index.write("remove a container", |index| {
            let removed = index.execute("DELETE FROM containers WHERE id = ?1", [id]);
            Ok(removed.doing("remove a container")? > 0)
        })
    }

    fn query_containers(
        &self,
        sql: &str,
        arguments: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<ContainerRecord>> {
        const DOING: &str = "read the containers";
        let index = self.inner.index.read();
        let mut statement = index.prepare_cached(sql).doing(DOING)?;
        let rows = statement.query_map(arguments, columns).doing(DOING)?;
        rows.map(|row| container_record(row.doing(DOING)?)).collect()
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn container_record(columns: Columns) -> Result<ContainerRecord> {
    let (id, name, created, image, snapshots, record) = columns;
    Ok(ContainerRecord {
        image: image.map(|image| parse_value("containers", &id, &image)).transpose()?,
        snapshots: parse_json("containers", &id, &snapshots)?,
        id,
        name,
        created,
        record,
    })
}
