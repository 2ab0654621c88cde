//! Images and their names.
//!
//! An image is its id (the digest of its config). Names are rows of their own: giving a name to
//! another image leaves the first without it ("dangling"), as docker does, until it is pruned.
//!
//! Lists show a little of each image's config. That is kept beside the record, so that a list of a
//! thousand images reads two tables and not a thousand files.

use std::collections::BTreeMap;
use std::collections::HashMap;

use lathe_oci::Descriptor;
use lathe_oci::Digest;
use lathe_oci::ImageConfig;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::IndexResult as _;
use crate::error::Result;
use crate::hold::Target;
use crate::layer::write_blob_size;
use crate::mark::DOCUMENT_LIMIT;
use crate::record::ImageRecord;
use crate::record::ImageSummary;
use crate::record::TagRecord;
use crate::store::Store;

/// What lists show of a config, and its own size in bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ConfigSummary {
    created: Option<i64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(skip)]
    size: u64,
}

impl Store {
    /// Records an image without touching its names; a record with the same id is replaced.
    pub fn put_image(&self, image: &ImageRecord) -> Result<()> {
        self.hold([Target::image(image)])?;
        let config = self.config_of(image)?;
        self.inner
            .index
            .write("record an image", |index| write_image(index, image, config.as_ref()))
    }

    /// Records an image and gives it a full name (`docker.io/library/node:18`), which any other
    /// image loses.
    pub fn set_tag(&self, name: &str, image: &ImageRecord) -> Result<()> {
        self.hold([Target::image(image)])?;
        let config = self.config_of(image)?;
        self.inner.index.write("tag an image", |index| {
            write_image(index, image, config.as_ref())?;
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
        let mut names = self.names_by_image()?;
        for image in &mut images {
            image.names = names.remove(&image.id).unwrap_or_default();
        }
        Ok(images)
    }

    /// Returns all images with what lists show of their configs, the newest first. Three looks into
    /// the index, however many images there are.
    pub fn image_summaries(&self) -> Result<Vec<ImageSummary>> {
        const DOING: &str = "read the images";
        let mut names = self.names_by_image()?;
        let rows: Vec<(String, String, Option<String>)> = {
            let index = self.inner.index.read();
            let sql = "SELECT id, record, summary FROM images ORDER BY created DESC, id";
            let mut statement = index.prepare_cached(sql).doing(DOING)?;
            let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let rows = statement.query_map([], columns).doing(DOING)?;
            rows.collect::<rusqlite::Result<_>>().doing(DOING)?
        };
        let mut summaries = Vec::with_capacity(rows.len());
        for (id, record, config) in rows {
            let mut image: ImageRecord = parse_json("images", &id, &record)?;
            image.names = names.remove(&image.id).unwrap_or_default();
            let config = match config {
                Some(text) => parse_json("images", &id, &text)?,
                None => self.read_late(&image)?,
            };
            let ConfigSummary { created, labels, .. } = config;
            summaries.push(ImageSummary { image, created, labels });
        }
        Ok(summaries)
    }

    /// Reads the config of an image whose record is older than summaries, or came before its
    /// config, and notes what it says.
    fn read_late(&self, image: &ImageRecord) -> Result<ConfigSummary> {
        let Some(config) = self.config_of(image)? else { return Ok(ConfigSummary::default()) };
        self.inner.index.write("record an image", |index| {
            let sql = "UPDATE images SET summary = ?2 WHERE id = ?1";
            let mut statement = index.prepare_cached(sql).doing("record an image")?;
            statement.execute([image.id.to_string(), to_json(&config)]).doing("record an image")?;
            Ok(())
        })?;
        Ok(config)
    }

    /// Returns what lists show of a config; `None` when it is not there or not readable.
    fn config_of(&self, image: &ImageRecord) -> Result<Option<ConfigSummary>> {
        let bytes = match self.read_blob(&image.id, DOCUMENT_LIMIT) {
            Err(Error::BlobMissing(_) | Error::DigestMismatch { .. }) => return Ok(None),
            bytes => bytes?,
        };
        Ok(ImageConfig::parse(&bytes).ok().map(|config| ConfigSummary {
            created: config.created.is_some().then(|| config.created_seconds()),
            labels: config.config.labels,
            size: bytes.len() as u64,
        }))
    }

    fn names_by_image(&self) -> Result<HashMap<Digest, Vec<String>>> {
        const DOING: &str = "read the tags";
        let index = self.inner.index.read();
        let sql = "SELECT image, name FROM tags ORDER BY name";
        let mut statement = index.prepare_cached(sql).doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        let mut names: HashMap<Digest, Vec<String>> = HashMap::new();
        while let Some(row) = rows.next().doing(DOING)? {
            let name: String = row.get(1).doing(DOING)?;
            let image = row.get_ref(0).and_then(|text| Ok(text.as_str()?)).doing(DOING)?;
            names.entry(parse_value("tags", &name, image)?).or_default().push(name);
        }
        Ok(names)
    }

    /// Returns the image with a full name. Its `manifest` is the one that the name means. What the
    /// image needs is kept from now on while this process shares the store.
    pub fn image_by_name(&self, name: &str) -> Result<Option<ImageRecord>> {
        self.held(|| {
            let Some(tag) = self.tag(name)? else { return Ok(None) };
            let image = self.find_image(&tag.image)?;
            Ok(image.map(|image| ImageRecord { manifest: tag.manifest, ..image }))
        })
    }

    /// Returns the image with an id. What it needs is kept from now on while this process shares the store.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRecord>> {
        self.held(|| self.find_image(id))
    }

    fn find_image(&self, id: &Digest) -> Result<Option<ImageRecord>> {
        let id = id.to_string();
        let sql = "SELECT id, record FROM images WHERE id = ?1";
        Ok(self.with_names(self.query_images(sql, &[&id])?)?.pop())
    }

    /// Holds an image that is found.
    fn held(&self, find: impl Fn() -> Result<Option<ImageRecord>>) -> Result<Option<ImageRecord>> {
        let Some(image) = find()? else { return Ok(None) };
        if self.holds(&Target::image(&image)) {
            return Ok(Some(image));
        }
        self.hold([Target::image(&image)])?;
        // A collector may have been faster: what is found now is held.
        find()
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
        let find = || self.with_names(self.query_images(sql, &[&from, &to])?);
        self.hold(find()?.iter().map(Target::image))?;
        // A collector may have been faster: what is found now is held.
        find()
    }

    /// Returns the image whose manifest, by itself or under a name, has the digest. What the image
    /// needs is kept from now on while this process shares the store.
    pub fn image_by_manifest(&self, manifest: &Digest) -> Result<Option<ImageRecord>> {
        self.held(|| {
            let images = self.images()?;
            if let Some(image) = images.iter().find(|image| image.manifest.digest == *manifest) {
                return Ok(Some(image.clone()));
            }
            let tags = self.tags()?;
            let Some(tag) = tags.into_iter().find(|tag| tag.manifest.digest == *manifest) else {
                return Ok(None);
            };
            let image = images.into_iter().find(|image| image.id == tag.image);
            Ok(image.map(|image| ImageRecord { manifest: tag.manifest, ..image }))
        })
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

fn write_image(
    index: &Connection,
    image: &ImageRecord,
    config: Option<&ConfigSummary>,
) -> Result<()> {
    let sql = "INSERT INTO images (id, created, record, summary) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (id) DO UPDATE SET created = excluded.created, record = excluded.record,
               summary = COALESCE(excluded.summary, summary)";
    let mut statement = index.prepare_cached(sql).doing("record an image")?;
    let row = params![image.id.to_string(), image.created, to_json(image), config.map(to_json)];
    statement.execute(row).doing("record an image")?;
    if let Some(config) = config {
        write_blob_size(index, &image.id, config.size)?;
        write_blob_size(index, &image.manifest.digest, image.manifest.size)?;
    }
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

/// Deletes an image unless a name or a container keeps it; says whether it is gone by that.
pub(crate) fn delete_loose_image(index: &Connection, id: &Digest) -> Result<bool> {
    let sql = "DELETE FROM images WHERE id = ?1
        AND NOT EXISTS (SELECT 1 FROM tags WHERE image = ?1)
        AND NOT EXISTS (SELECT 1 FROM containers WHERE image = ?1)";
    let mut statement = index.prepare_cached(sql).doing("remove an image")?;
    Ok(statement.execute([id.to_string()]).doing("remove an image")? > 0)
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
