//! Images and their names.
//!
//! An image is its id (the digest of its config). Names are rows of their own: giving a name to
//! another image leaves the first without it ("dangling"), as docker does, until it is pruned.

use lathe_oci::Descriptor;
use lathe_oci::Digest;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::record::ImageRecord;
use crate::record::TagRecord;
use crate::store::Store;

impl Store {
    /// Records an image without touching its names; a record with the same id is replaced.
    pub fn put_image(&self, image: &ImageRecord) -> Result<()> {
        self.inner.index.write("record an image", |index| write_image(index, image))
    }

    /// Records an image and gives it a full name (`docker.io/library/node:18`), which any other
    /// image loses.
    pub fn set_tag(&self, name: &str, image: &ImageRecord) -> Result<()> {
        self.inner.index.write("tag an image", |index| {
            write_image(index, image)?;
            write_tag(index, name, image)
        })
    }

    /// Removes a name; says whether it was there. The image stays, perhaps without names.
    pub fn remove_tag(&self, name: &str) -> Result<bool> {
        self.inner.index.write("untag an image", |index| {
            let mut statement =
                index.prepare_cached("DELETE FROM tags WHERE name = ?1").doing("untag")?;
            Ok(statement.execute([name]).doing("untag")? > 0)
        })
    }

    /// Removes an image with all its names; says whether it was there. Its blobs and snapshots
    /// stay until they are pruned.
    pub fn remove_image(&self, id: &Digest) -> Result<bool> {
        self.inner.index.write("remove an image", |index| delete_image(index, id))
    }

    /// Returns all images, the newest first.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let sql = "SELECT id, record FROM images ORDER BY created DESC, id";
        let mut images = self.query_images(sql, &[])?;
        // One look at all names instead of one for each image.
        let mut tags = self.tags()?;
        for image in &mut images {
            let (own, others) = tags.into_iter().partition(|tag| tag.image == image.id);
            tags = others;
            image.names = own.into_iter().map(|tag| tag.name).collect();
        }
        Ok(images)
    }

    /// Returns the image with a full name. Its `manifest` is the one that the name means.
    pub fn image_by_name(&self, name: &str) -> Result<Option<ImageRecord>> {
        let Some(tag) = self.tag(name)? else { return Ok(None) };
        let image = self.image(&tag.image)?;
        Ok(image.map(|image| ImageRecord { manifest: tag.manifest, ..image }))
    }

    /// Returns the image with an id.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRecord>> {
        let id = id.to_string();
        let sql = "SELECT id, record FROM images WHERE id = ?1";
        Ok(self.with_names(self.query_images(sql, &[&id])?)?.pop())
    }

    /// Returns the images whose id's hexadecimal digits begin with `prefix` (an algorithm in front
    /// is fine), sorted by id.
    pub fn images_by_id_prefix(&self, prefix: &str) -> Result<Vec<ImageRecord>> {
        let from =
            if prefix.contains(':') { prefix.to_owned() } else { format!("sha256:{prefix}") };
        if !from.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':') {
            return Ok(Vec::new());
        }
        // `g` follows the last hexadecimal digit.
        let to = format!("{from}g");
        let sql = "SELECT id, record FROM images WHERE id >= ?1 AND id < ?2 ORDER BY id";
        self.with_names(self.query_images(sql, &[&from, &to])?)
    }

    /// Returns the image whose manifest, by itself or under a name, has the digest.
    pub fn image_by_manifest(&self, manifest: &Digest) -> Result<Option<ImageRecord>> {
        let found = |image: &ImageRecord| image.manifest.digest == *manifest;
        let images = self.images()?;
        if let Some(image) = images.iter().find(|image| found(image)) {
            return Ok(Some(image.clone()));
        }
        let tags = self.tags()?;
        let Some(tag) = tags.into_iter().find(|tag| tag.manifest.digest == *manifest) else {
            return Ok(None);
        };
        let image = images.into_iter().find(|image| image.id == tag.image);
        Ok(image.map(|image| ImageRecord { manifest: tag.manifest, ..image }))
    }

    /// Returns a name.
    pub fn tag(&self, name: &str) -> Result<Option<TagRecord>> {
        let index = self.inner.index.read();
        let mut statement = index
            .prepare_cached("SELECT name, image, manifest FROM tags WHERE name = ?1")
            .doing("read a tag")?;
        let row = statement.query_row([name], tag_columns).optional().doing("read a tag")?;
        row.map(tag_record).transpose()
    }

    /// Returns all names, sorted.
    pub fn tags(&self) -> Result<Vec<TagRecord>> {
        let index = self.inner.index.read();
        let mut statement = index
            .prepare_cached("SELECT name, image, manifest FROM tags ORDER BY name")
            .doing("read the tags")?;
        let rows = statement.query_map([], tag_columns).doing("read the tags")?;
        rows.map(|row| tag_record(row.doing("read the tags")?)).collect()
    }

    fn query_images(
        &self,
        sql: &str,
        arguments: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<ImageRecord>> {
        let index = self.inner.index.read();
        let mut statement = index.prepare_cached(sql).doing("read the images")?;
        let columns = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let rows = statement.query_map(arguments, columns).doing("read the images")?;
        rows.map(|row| {
            let (id, record) = row.doing("read the images")?;
            parse_json("images", &id, &record)
        })
        .collect()
    }

    fn with_names(&self, mut images: Vec<ImageRecord>) -> Result<Vec<ImageRecord>> {
        let index = self.inner.index.read();
        let mut statement = index
            .prepare_cached("SELECT name FROM tags WHERE image = ?1 ORDER BY name")
            .doing("read the tags")?;
        for image in &mut images {
            let names = statement
                .query_map([image.id.to_string()], |row| row.get(0))
                .and_then(Iterator::collect)
                .doing("read the tags")?;
            image.names = names;
        }
        Ok(images)
    }
}

fn write_image(index: &Connection, image: &ImageRecord) -> Result<()> {
    let sql = "INSERT INTO images (id, created, record) VALUES (?1, ?2, ?3)
               ON CONFLICT (id) DO UPDATE SET created = excluded.created, record = excluded.record";
    let mut statement = index.prepare_cached(sql).doing("record an image")?;
    let row = params![image.id.to_string(), image.created, to_json(image)];
    statement.execute(row).doing("record an image")?;
    Ok(())
}

fn write_tag(index: &Connection, name: &str, image: &ImageRecord) -> Result<()> {
    let sql = "INSERT INTO tags (name, image, manifest) VALUES (?1, ?2, ?3)
               ON CONFLICT (name) DO UPDATE SET image = excluded.image, manifest = excluded.manifest";
    let mut statement = index.prepare_cached(sql).doing("tag an image")?;
    let row = params![name, image.id.to_string(), to_json(&image.manifest)];
    statement.execute(row).doing("tag an image")?;
    Ok(())
}

pub(crate) fn delete_image(index: &Connection, id: &Digest) -> Result<bool> {
    let id = id.to_string();
    index.execute("DELETE FROM tags WHERE image = ?1", [&id]).doing("remove an image")?;
    let removed =
        index.execute("DELETE FROM images WHERE id = ?1", [&id]).doing("remove an image")?;
    Ok(removed > 0)
}

fn tag_columns(row: &Row<'_>) -> rusqlite::Result<(String, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn tag_record((name, image, manifest): (String, String, String)) -> Result<TagRecord> {
    let image = parse_value("tags", &name, &image)?;
    let manifest: Descriptor = parse_json("tags", &name, &manifest)?;
    Ok(TagRecord { name, image, manifest })
}

/// Writes a record; maps and enums of ours always have a JSON form.
pub(crate) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("records have string keys only")
}

pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(
    table: &'static str,
    key: &str,
    text: &str,
) -> Result<T> {
    serde_json::from_str(text).map_err(|source| Error::Record { table, key: key.into(), source })
}

/// Parses a digest or an id in a column.
pub(crate) fn parse_value<T: std::str::FromStr>(
    table: &'static str,
    key: &str,
    value: &str,
) -> Result<T> {
    let invalid = |_| Error::InvalidValue { table, key: key.into(), value: value.into() };
    value.parse().map_err(invalid)
}
