//! Layers: which snapshot is which layer, and which blob holds it.
//!
//! Three questions, a table each: `layers` (this snapshot, compressed so, is which blob?), `diffs`
//! (which blobs uncompress to this diffID?), `chains` (which snapshot is this chain of layers?).
//! A blob is never compressed twice, and an image never unpacked twice. Layers belong to the
//! snapshot that owns the changes, and all that share them find them there.

use lathe_oci::ChainId;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
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
use crate::image::to_json;
use crate::record::Compression;
use crate::record::LayerRecord;
use crate::record::SnapshotId;
use crate::store::Store;

type Columns = (String, String, String, String, i64);

const COLUMNS: &str = "snapshot, compression, diff_id, descriptor, unpacked_size";

impl Store {
    /// Records that a blob is the layer of a snapshot, and with it what the blob uncompresses to.
    pub fn record_layer(&self, layer: &LayerRecord) -> Result<()> {
        let digest = layer.descriptor.digest;
        self.hold([Target::Snapshot(layer.snapshot), Target::Blob(digest)])?;
        let there = self.file_size(&digest);
        let is_virtual =
            layer.compression == Compression::None && digest == layer.diff_id.0 && there.is_none();
        self.inner.index.write("record a layer", |index| {
            // What could be made again once always can.
            let sql = "INSERT INTO layers
                (snapshot, compression, diff_id, descriptor, digest, unpacked_size, virtual)
                VALUES (COALESCE((SELECT content FROM snapshots WHERE id = ?1), ?1),
                    ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (snapshot, compression) DO UPDATE SET diff_id = excluded.diff_id,
                    descriptor = excluded.descriptor, digest = excluded.digest,
                    unpacked_size = excluded.unpacked_size,
                    virtual = excluded.virtual OR (virtual AND digest = excluded.digest)";
            let mut statement = index.prepare_cached(sql).doing("record a layer")?;
            let row = params![
                layer.snapshot.as_str(),
                layer.compression.name(),
                layer.diff_id.to_string(),
                to_json(&layer.descriptor),
                digest.to_string(),
                i64::try_from(layer.unpacked_size).unwrap_or(i64::MAX),
                is_virtual,
            ];
            statement.execute(row).doing("record a layer")?;
            if let Some(size) = there {
                write_blob_size(index, &digest, size)?;
            }
            write_diff(index, layer.diff_id, &layer.descriptor)
        })
    }

    /// Says whether a blob is virtual: an uncompressed layer that can be packed again from the
    /// changes of the snapshot returned (their owner), which is kept from now on while this process
    /// shares the store. Its file may be there nevertheless.
    pub fn is_virtual(&self, digest: &Digest) -> Result<Option<SnapshotId>> {
        let Some(found) = self.find_virtual(digest)? else { return Ok(None) };
        self.hold([Target::Snapshot(found)])?;
        self.find_virtual(digest)
    }

    pub(crate) fn find_virtual(&self, digest: &Digest) -> Result<Option<SnapshotId>> {
        let key = digest.to_string();
        let found: Option<String> = {
            let index = self.inner.index.read();
            let sql = "SELECT snapshot FROM layers
                WHERE diff_id = ?1 AND compression = 'none' AND virtual ORDER BY snapshot LIMIT 1";
            let mut statement = index.prepare_cached(sql).doing("read the layers")?;
            statement.query_row([&key], |row| row.get(0)).optional().doing("read the layers")?
        };
        found.map(|text| parse_value("layers", &key, &text)).transpose()
    }

    /// Records what a blob uncompresses to.
    pub fn record_diff(&self, diff_id: DiffId, blob: &Descriptor) -> Result<()> {
        self.inner.index.write("record a layer", |index| write_diff(index, diff_id, blob))
    }

    /// Returns the layer of a snapshot in a compression. Its blob is there, or virtual
    /// ([`Store::is_virtual`]).
    pub fn layer_of(
        &self,
        snapshot: SnapshotId,
        compression: Compression,
    ) -> Result<Option<LayerRecord>> {
        let layers = self.layers_of(snapshot)?;
        let found = layers.into_iter().find(|layer| layer.compression == compression);
        let Some(layer) = found else { return Ok(None) };
        let digest = &layer.descriptor.digest;
        let usable = self.has_blob(digest)
            || (compression == Compression::None && self.is_virtual(digest)?.is_some());
        Ok(usable.then_some(layer))
    }

    /// Returns the layer of a snapshot's changes in each compression that was made, blobs there or
    /// not: the diffID is the same in all. Snapshots with the same changes have the same layers.
    pub fn layers_of(&self, snapshot: SnapshotId) -> Result<Vec<LayerRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM layers
            WHERE snapshot = (SELECT COALESCE(content, id) FROM snapshots WHERE id = ?1)
            ORDER BY compression"
        );
        self.query_layers(&sql, snapshot.as_str())
    }

    /// Returns the layers with a diffID.
    pub fn layers_by_diff_id(&self, diff_id: DiffId) -> Result<Vec<LayerRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM layers WHERE diff_id = ?1 ORDER BY snapshot, compression"
        );
        self.query_layers(&sql, &diff_id.to_string())
    }

    /// Returns the blobs in the store that uncompress to a diffID, sorted by digest.
    pub fn blobs_for_diff_id(&self, diff_id: DiffId) -> Result<Vec<Descriptor>> {
        let key = diff_id.to_string();
        let texts: Vec<String> = {
            let index = self.inner.index.read();
            let sql = "SELECT descriptor FROM diffs WHERE diff_id = ?1 ORDER BY digest";
            let mut statement = index.prepare_cached(sql).doing("read the diffs")?;
            let rows = statement.query_map([&key], |row| row.get(0)).doing("read the diffs")?;
            rows.collect::<rusqlite::Result<_>>().doing("read the diffs")?
        };
        let blobs: Result<Vec<Descriptor>> =
            texts.iter().map(|text| parse_json("diffs", &key, text)).collect();
        Ok(blobs?.into_iter().filter(|blob| self.has_blob(&blob.digest)).collect())
    }

    /// Returns a blob in the store that uncompresses to a diffID.
    pub fn blob_for_diff_id(&self, diff_id: DiffId) -> Result<Option<Descriptor>> {
        Ok(self.blobs_for_diff_id(diff_id)?.into_iter().next())
    }

    /// Returns what a blob uncompresses to, when it is known.
    pub fn diff_id_of(&self, blob: &Digest) -> Result<Option<DiffId>> {
        let key = blob.to_string();
        let found: Option<String> = {
            let index = self.inner.index.read();
            let sql = "SELECT diff_id FROM diffs WHERE digest = ?1";
            let mut statement = index.prepare_cached(sql).doing("read the diffs")?;
            statement.query_row([&key], |row| row.get(0)).optional().doing("read the diffs")?
        };
        found.map(|text| parse_value("diffs", &key, &text).map(DiffId)).transpose()
    }

    /// Records that a snapshot is what a chain of layers unpacks to. A chain that is known keeps
    /// its snapshot, and that one is returned: two processes may unpack the same image at once.
    pub fn record_chain(&self, chain: ChainId, snapshot: SnapshotId) -> Result<SnapshotId> {
        loop {
            let kept = self.insert_chain(chain, snapshot)?;
            if kept == snapshot {
                return Ok(kept);
            }
            self.hold([Target::Snapshot(kept)])?;
            // A collector may have been faster: then the place is free.
            if self.find_chain(chain)? == Some(kept) {
                return Ok(kept);
            }
        }
    }

    fn insert_chain(&self, chain: ChainId, snapshot: SnapshotId) -> Result<SnapshotId> {
        self.hold([Target::Snapshot(snapshot)])?;
        let key = chain.to_string();
        let kept: String = self.inner.index.write("record a chain", |index| {
            let sql = "INSERT INTO chains (chain_id, snapshot) VALUES (?1, ?2)
                       ON CONFLICT (chain_id) DO NOTHING";
            let mut statement = index.prepare_cached(sql).doing("record a chain")?;
            statement.execute([&key, snapshot.as_str()]).doing("record a chain")?;
            let sql = "SELECT snapshot FROM chains WHERE chain_id = ?1";
            let mut statement = index.prepare_cached(sql).doing("record a chain")?;
            statement.query_row([&key], |row| row.get(0)).doing("record a chain")
        })?;
        parse_value("chains", &key, &kept)
    }

    /// Returns the snapshot of a chain of layers, which is kept from now on while this process
    /// shares the store.
    pub fn snapshot_for_chain(&self, chain: ChainId) -> Result<Option<SnapshotId>> {
        let Some(found) = self.find_chain(chain)? else { return Ok(None) };
        self.hold([Target::Snapshot(found)])?;
        self.find_chain(chain)
    }

    pub(crate) fn find_chain(&self, chain: ChainId) -> Result<Option<SnapshotId>> {
        let key = chain.to_string();
        let found: Option<String> = {
            let index = self.inner.index.read();
            let sql = "SELECT snapshot FROM chains WHERE chain_id = ?1";
            let mut statement = index.prepare_cached(sql).doing("read a chain")?;
            statement.query_row([&key], |row| row.get(0)).optional().doing("read a chain")?
        };
        found.map(|text| parse_value("chains", &key, &text)).transpose()
    }

    /// Returns layers whose snapshots are kept from now on.
    fn query_layers(&self, sql: &str, argument: &str) -> Result<Vec<LayerRecord>> {
        let found = self.find_layers(sql, argument)?;
        let targets: Vec<Target> =
            found.iter().map(|layer| Target::Snapshot(layer.snapshot)).collect();
        if targets.iter().all(|target| self.holds(target)) {
            return Ok(found);
        }
        self.hold(targets)?;
        self.find_layers(sql, argument)
    }

    fn find_layers(&self, sql: &str, argument: &str) -> Result<Vec<LayerRecord>> {
        let index = self.inner.index.read();
        let mut statement = index.prepare_cached(sql).doing("read the layers")?;
        let rows = statement.query_map([argument], columns).doing("read the layers")?;
        rows.map(|row| layer_record(row.doing("read the layers")?)).collect()
    }
}

/// Notes the size of a blob, for the running sum.
pub(crate) fn write_blob_size(index: &Connection, digest: &Digest, size: u64) -> Result<()> {
    let sql = "INSERT INTO blobs (digest, size) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let mut statement = index.prepare_cached(sql).doing("record a blob")?;
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    statement.execute(params![digest.to_string(), size]).doing("record a blob")?;
    Ok(())
}

fn write_diff(index: &Connection, diff_id: DiffId, blob: &Descriptor) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO diffs (diff_id, digest, descriptor) VALUES (?1, ?2, ?3)";
    let mut statement = index.prepare_cached(sql).doing("record a layer")?;
    let row = params![diff_id.to_string(), blob.digest.to_string(), to_json(blob)];
    statement.execute(row).doing("record a layer")?;
    Ok(())
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn layer_record(columns: Columns) -> Result<LayerRecord> {
    let (snapshot, compression, diff_id, descriptor, unpacked_size) = columns;
    let key = format!("{snapshot} {compression}");
    Ok(LayerRecord {
        snapshot: parse_value("layers", &key, &snapshot)?,
        compression: Compression::from_name(&compression).ok_or_else(|| Error::InvalidValue {
            table: "layers",
            key: key.clone(),
            value: compression.clone(),
        })?,
        diff_id: DiffId(parse_value("layers", &key, &diff_id)?),
        descriptor: parse_json("layers", &key, &descriptor)?,
        unpacked_size: u64::try_from(unpacked_size).unwrap_or(0),
    })
}
