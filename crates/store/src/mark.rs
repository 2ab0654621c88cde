//! What is needed: from images, cache records and containers down to snapshots and blobs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::rc::Rc;

use lathe_oci::ChainId;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
use lathe_oci::ImageConfig;
use lathe_oci::Manifest;

use crate::error::Error;
use crate::error::Result;
use crate::hold::Target;
use crate::image::parse_value;
use crate::record::CacheRecord;
use crate::record::ContainerRecord;
use crate::record::ImageRecord;
use crate::record::SnapshotId;
use crate::store::Store;

/// Manifests and configs beyond this size are none, in bytes.
pub(crate) const DOCUMENT_LIMIT: u64 = 16 << 20;

/// What must stay.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    pub(crate) snapshots: BTreeSet<SnapshotId>,
    pub(crate) blobs: BTreeSet<Digest>,
}

/// The documents of images, read once however often is marked: what a manifest leads to, and the
/// chains of a config. One that is missing is looked for again.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    manifests: RefCell<HashMap<Digest, Rc<[Digest]>>>,
    configs: RefCell<HashMap<Digest, Rc<[ChainId]>>>,
}

/// The facts that marking goes by, read once.
pub(crate) struct Marker<'a> {
    store: &'a Store,
    documents: Rc<Documents>,
    /// The snapshot of each chain of layers.
    chains: HashMap<String, SnapshotId>,
    /// What a snapshot lies on, and whose changes it has.
    snapshots: BTreeMap<SnapshotId, (Option<SnapshotId>, SnapshotId)>,
    /// The blobs that hold a snapshot's changes.
    layers: BTreeMap<SnapshotId, Vec<Digest>>,
    /// All manifests by which names know an image.
    manifests: BTreeMap<Digest, Vec<Descriptor>>,
}

impl<'a> Marker<'a> {
    pub(crate) fn new(store: &'a Store) -> Result<Self> {
        Self::with_documents(store, Rc::default())
    }

    /// As [`Marker::new`], with the documents that another one has read.
    pub(crate) fn with_documents(store: &'a Store, documents: Rc<Documents>) -> Result<Self> {
        let snapshots = store.snapshots()?.into_iter();
        let mut layers: BTreeMap<SnapshotId, Vec<Digest>> = BTreeMap::new();
        for (snapshot, digest) in store.layer_blobs()? {
            layers.entry(snapshot).or_default().push(digest);
        }
        let mut manifests: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        for tag in store.tags()? {
            manifests.entry(tag.image).or_default().push(tag.manifest);
        }
        let mut chains = HashMap::new();
        for (chain, snapshot) in store.pairs("SELECT chain_id, snapshot FROM chains", "chains")? {
            let snapshot = parse_value("chains", &chain, &snapshot)?;
            chains.insert(chain, snapshot);
        }
        Ok(Self {
            store,
            documents,
            chains,
            snapshots: snapshots.map(|row| (row.id, (row.parent, row.content))).collect(),
            layers,
            manifests,
        })
    }

    /// Marks what an image needs: its documents, its layers, and the snapshots of them.
    pub(crate) fn image(&self, image: &ImageRecord, needed: &mut Needed) -> Result<()> {
        self.chains(&image.id, needed)?;
        let named = self.manifests.get(&image.id).into_iter().flatten();
        for manifest in std::iter::once(&image.manifest).chain(named) {
            needed.blobs.insert(manifest.digest);
            // An index has no layers of its own.
            if !manifest.media_type.is_index()
                && let Some(blobs) = self.manifest(&manifest.digest)?
            {
                needed.blobs.extend(blobs.iter());
            }
        }
        // The index that a registry gave for the name, when it was kept.
        let digests = image.repo_digests.iter().filter_map(|name| name.rsplit_once('@'));
        needed.blobs.extend(digests.filter_map(|(_, digest)| digest.parse::<Digest>().ok()));
        Ok(())
    }

    /// Marks a config with the snapshots of its layers.
    fn chains(&self, id: &Digest, needed: &mut Needed) -> Result<()> {
        needed.blobs.insert(*id);
        for chain in self.config(id)?.iter().flat_map(|chains| chains.iter()) {
            if let Some(snapshot) = self.chains.get(&chain.to_string()) {
                self.snapshot(*snapshot, needed);
            }
        }
        Ok(())
    }

    /// Returns what a manifest leads to. An image without its manifest is the matter of `check`;
    /// the rest is kept meanwhile.
    fn manifest(&self, digest: &Digest) -> Result<Option<Rc<[Digest]>>> {
        if let Some(known) = self.documents.manifests.borrow().get(digest) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(manifest) = self.store.manifest(digest)? else { return Ok(None) };
        let layers = manifest.layers.iter().map(|layer| layer.digest);
        let blobs: Rc<[Digest]> = std::iter::once(manifest.config.digest).chain(layers).collect();
        self.documents.manifests.borrow_mut().insert(*digest, Rc::clone(&blobs));
        Ok(Some(blobs))
    }

    fn config(&self, id: &Digest) -> Result<Option<Rc<[ChainId]>>> {
        if let Some(known) = self.documents.configs.borrow().get(id) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(config) = self.store.image_config(id)? else { return Ok(None) };
        let mut below: Option<ChainId> = None;
        let step = |diff_id: &DiffId| {
            let chain = below.map_or(ChainId::first(*diff_id), |below| below.push(*diff_id));
            below = Some(chain);
            chain
        };
        let chains: Rc<[ChainId]> = config.rootfs.diff_ids.iter().map(step).collect();
        self.documents.configs.borrow_mut().insert(*id, Rc::clone(&chains));
        Ok(Some(chains))
    }

    /// Marks what a running command holds.
    pub(crate) fn target(&self, target: &Target, needed: &mut Needed) -> Result<()> {
        match target {
            Target::Snapshot(id) => self.snapshot(*id, needed),
            Target::Blob(digest) => drop(needed.blobs.insert(*digest)),
            Target::Image(id, manifest) => {
                self.chains(id, needed)?;
                needed.blobs.insert(*manifest);
                match self.manifest(manifest) {
                    // It is an index.
                    Ok(None) | Err(Error::Document { .. }) => {}
                    blobs => needed.blobs.extend(blobs?.iter().flat_map(|blobs| blobs.iter())),
                }
            }
        }
        Ok(())
    }

    /// Returns all snapshots that have a row.
    pub(crate) fn all(&self) -> impl Iterator<Item = SnapshotId> {
        self.snapshots.keys().copied()
    }

    /// Returns the blobs that hold snapshots' changes.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (SnapshotId, Digest)> {
        self.layers.iter().flat_map(|(id, blobs)| blobs.iter().map(|digest| (*id, *digest)))
    }

    pub(crate) fn cache(&self, record: &CacheRecord, needed: &mut Needed) {
        record.snapshots.iter().for_each(|id| self.snapshot(*id, needed));
        needed.blobs.extend(&record.blobs);
    }

    pub(crate) fn container(&self, record: &ContainerRecord, needed: &mut Needed) {
        record.snapshots.iter().for_each(|id| self.snapshot(*id, needed));
    }

    /// Marks a snapshot, what it lies on, the owner of its changes with what that lies on (its
    /// layer is packed relative to it), and the blobs that hold them (INV-STORE-5).
    pub(crate) fn snapshot(&self, id: SnapshotId, needed: &mut Needed) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some((parent, content)) = self.snapshots.get(&id) else { continue };
            if !needed.snapshots.insert(id) {
                continue;
            }
            needed.blobs.extend(self.layers.get(&id).into_iter().flatten());
            todo.extend(parent);
            todo.push(*content);
        }
    }
}

impl Store {
    /// Returns the parsed manifest; `None` when its blob is not there, or is an index.
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>> {
        self.document(digest, Manifest::parse)
    }

    /// Returns the parsed config of an image; `None` when its blob is not there.
    pub(crate) fn image_config(&self, id: &Digest) -> Result<Option<ImageConfig>> {
        self.document(id, ImageConfig::parse)
    }

    fn document<T>(
        &self,
        digest: &Digest,
        parse: impl Fn(&[u8]) -> lathe_oci::Result<T>,
    ) -> Result<Option<T>> {
        let bytes = match self.read_blob(digest, DOCUMENT_LIMIT) {
            Err(Error::BlobMissing(_) | Error::DigestMismatch { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let parsed = parse(&bytes);
        let invalid =
            |source| Error::Document { digest: Box::new(*digest), source: Box::new(source) };
        parsed.map(Some).map_err(invalid)
    }

    /// Returns the blob of each recorded layer, by snapshot.
    pub(crate) fn layer_blobs(&self) -> Result<Vec<(SnapshotId, Digest)>> {
        let sql = "SELECT snapshot, digest FROM layers ORDER BY snapshot, compression";
        self.pairs(sql, "layers")?
            .into_iter()
            .map(|(snapshot, digest)| {
                let id = parse_value("layers", &snapshot, &snapshot)?;
                Ok((id, parse_value("layers", &snapshot, &digest)?))
            })
            .collect()
    }

    /// Runs a query of two text columns.
    pub(crate) fn pairs(&self, sql: &str, table: &'static str) -> Result<Vec<(String, String)>> {
        use crate::error::IndexResult as _;
        let index = self.inner.index.read();
        let mut statement = index.prepare_cached(sql).doing(table)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).doing(table)?;
        rows.collect::<rusqlite::Result<_>>().doing(table)
    }
}
