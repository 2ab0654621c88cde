//! Reads images back, wherever they were written, and checks everything that can be recomputed.
//!
//! Independent of the product on purpose: digests are taken with `sha2`, archives are read with
//! `tar`, documents are plain JSON, so that a mistake is not checked against itself.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::registry::FakeRegistry;

/// What an entry of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or a further name of one.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or anything else.
    Special,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Its owner.
    pub owner: (u64, u64),
    /// Seconds since 1970.
    pub mtime: u64,
    /// Content of a file.
    pub data: Vec<u8>,
    /// Target of a symbolic link; of a hard link the path that it is another name of.
    pub link: Option<String>,
}

impl Node {
    /// Returns the content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// Files by absolute path.
pub type Tree = BTreeMap<String, Node>;

/// An image, read and checked.
#[derive(Debug, Clone)]
pub struct Image {
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// `sha256:…` of the config.
    pub id: String,
    /// The manifest.
    pub manifest: Value,
    /// The config document.
    pub config: Value,
    /// The entries of each layer, whiteouts as files.
    pub layers: Vec<Tree>,
}

/// Finds bytes by digest.
type Blobs<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>>;

impl Image {
    /// Reads an image of a store by the digest of its manifest. Layers that nothing has needed yet
    /// are not in the store; `saved` returns them in the archive that `lathe save` writes.
    pub fn from_store(
        root: &Path,
        digest: &str,
        saved: &dyn Fn() -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let archive: OnceCell<BTreeMap<String, Vec<u8>>> = OnceCell::new();
        Self::read(digest, &|digest| {
            let path = root.join("blobs").join(digest.replace(':', "/"));
            if path.exists() {
                return blob_file(root, digest);
            }
            if archive.get().is_none() {
                // Nobody else has it yet.
                drop(archive.set(untar(&saved()?)?));
            }
            let name = format!("blobs/{}", digest.replace(':', "/"));
            let file = archive.get().and_then(|files| files.get(&name)).cloned();
            file.with_context(|| format!("{digest} is neither in the store nor saved from it"))
        })
    }

    /// Reads the only image of an OCI layout folder.
    pub fn from_oci_folder(folder: &Path) -> Result<Self> {
        let index = fs::read(folder.join("index.json")).context("index.json")?;
        ensure!(folder.join("oci-layout").exists(), "no oci-layout in {}", folder.display());
        Self::from_index(&index, &|digest| blob_file(folder, digest))
    }

    /// Reads the only image of an OCI layout in a tar.
    pub fn from_oci_archive(bytes: &[u8]) -> Result<Self> {
        let files = untar(bytes)?;
        ensure!(files.contains_key("oci-layout"), "no oci-layout in the archive");
        let index = files.get("index.json").context("index.json")?;
        Self::from_index(index, &|digest| {
            let name = format!("blobs/{}", digest.replace(':', "/"));
            files.get(&name).cloned().context(name)
        })
    }

    /// Reads the only image of an archive as `docker save` writes it, and its names.
    pub fn from_docker_archive(bytes: &[u8]) -> Result<(Self, Vec<String>)> {
        let files = untar(bytes)?;
        let file = |name: &str| files.get(name).cloned().with_context(|| name.to_owned());
        let list: Value = serde_json::from_slice(&file("manifest.json")?)?;
        ensure!(list.as_array().is_some_and(|list| list.len() == 1), "one image: {list}");
        let item = &list[0];
        let config_bytes = file(text(&item["Config"])?)?;
        let mut layers = Vec::new();
        for layer in item["Layers"].as_array().context("Layers")? {
            layers.push(file(text(layer)?)?);
        }
        let names = strings(&item["RepoTags"]);
        let config: Value = serde_json::from_slice(&config_bytes)?;
        let image = Self {
            digest: String::new(),
            id: digest_of(&config_bytes),
            manifest: item.clone(),
            layers: read_layers(&config, &layers)?,
            config,
        };
        Ok((image, names))
    }

    /// Reads an image of a registry in this process.
    pub fn from_registry(registry: &FakeRegistry, repository: &str, tag: &str) -> Result<Self> {
        let (_, bytes) = registry.manifest(repository, tag).context("no such manifest")?;
        let digest = digest_of(&bytes);
        Self::read(&digest, &|wanted| {
            if wanted == digest {
                return Ok(bytes.clone());
            }
            registry.blob(repository, &wanted.parse()?).context("no such blob")
        })
    }

    fn from_index(index: &[u8], blobs: Blobs<'_>) -> Result<Self> {
        let index: Value = serde_json::from_slice(index)?;
        let manifests = index["manifests"].as_array().context("manifests")?;
        let digests: BTreeSet<&str> =
            manifests.iter().filter_map(|manifest| manifest["digest"].as_str()).collect();
        ensure!(digests.len() == 1, "one image: {index}");
        let digest = text(&manifests[0]["digest"])?;
        ensure!(manifests[0]["size"].as_u64() == Some(blobs(digest)?.len() as u64), "{index}");
        Self::read(digest, blobs)
    }

    /// Reads an image and recomputes every digest, size, diffID and count in it.
    fn read(digest: &str, blobs: Blobs<'_>) -> Result<Self> {
        let bytes = blobs(digest)?;
        ensure!(digest_of(&bytes) == digest, "manifest {digest} is not what it says");
        let manifest: Value = serde_json::from_slice(&bytes)?;
        ensure!(manifest["schemaVersion"] == 2, "schemaVersion of {manifest}");
        let config_bytes = checked(&manifest["config"], blobs)?;
        let mut layers = Vec::new();
        for layer in manifest["layers"].as_array().context("layers")? {
            layers.push(checked(layer, blobs)?);
        }
        let config: Value = serde_json::from_slice(&config_bytes)?;
        let layers = read_layers(&config, &layers)?;
        let id = digest_of(&config_bytes);
        Ok(Self { digest: digest.to_owned(), id, manifest, config, layers })
    }

    /// Returns the files that a container sees.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        for layer in &self.layers {
            apply(&mut tree, layer);
        }
        tree
    }

    /// Returns a file that a container sees.
    pub fn node(&self, path: &str) -> Node {
        let tree = self.tree();
        tree.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", names(&tree))).clone()
    }

    /// Returns the content of a file that a container sees.
    pub fn text(&self, path: &str) -> String {
        self.node(path).text()
    }

    /// Tells whether a container sees it.
    pub fn has(&self, path: &str) -> bool {
        self.tree().contains_key(path)
    }

    /// Returns the paths in the topmost layer.
    pub fn top_layer(&self) -> Vec<String> {
        self.layers.last().map(names).unwrap_or_default()
    }

    /// Returns the inner `config` object.
    pub fn run(&self) -> &Value {
        &self.config["config"]
    }

    /// Returns `created_by` of each history item, and whether it has no layer.
    pub fn history(&self) -> Vec<(String, bool)> {
        let items = self.config["history"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| {
                let by = item["created_by"].as_str().unwrap_or_default().to_owned();
                (by, item["empty_layer"] == true)
            })
            .collect()
    }
}

/// Returns the paths of a tree.
pub fn names(tree: &Tree) -> Vec<String> {
    tree.keys().cloned().collect()
}

/// Returns `sha256:…` of bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string can be written to");
    }
    text
}

/// Returns the files of a tar by name.
pub fn untar(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut links = Vec::new();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if let Some(target) = entry.link_name()? {
            links.push((name, target.to_string_lossy().into_owned()));
            continue;
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data)?;
        files.insert(name, data);
    }
    for (name, target) in links {
        let folder = Path::new(&name).parent().context("a name has a folder")?;
        let target = folder.join(target).to_string_lossy().into_owned();
        if let Some(data) = files.get(&target).cloned() {
            files.insert(name, data);
        }
    }
    Ok(files)
}

fn blob_file(folder: &Path, digest: &str) -> Result<Vec<u8>> {
    let path = folder.join("blobs").join(digest.replace(':', "/"));
    fs::read(&path).with_context(|| path.display().to_string())
}

/// Reads what a descriptor says and checks that it is that.
fn checked(descriptor: &Value, blobs: Blobs<'_>) -> Result<Vec<u8>> {
    let digest = text(&descriptor["digest"])?;
    let bytes = blobs(digest)?;
    ensure!(digest_of(&bytes) == digest, "blob {digest} is not what it says");
    ensure!(descriptor["size"].as_u64() == Some(bytes.len() as u64), "size of {descriptor}");
    ensure!(descriptor["mediaType"].is_string(), "media type of {descriptor}");
    Ok(bytes)
}

fn read_layers(config: &Value, layers: &[Vec<u8>]) -> Result<Vec<Tree>> {
    let diff_ids = strings(&config["rootfs"]["diff_ids"]);
    ensure!(diff_ids.len() == layers.len(), "{} layers: {config}", layers.len());
    let history = config["history"].as_array().cloned().unwrap_or_default();
    let full = history.iter().filter(|item| item["empty_layer"] != true).count();
    ensure!(full == layers.len(), "{full} history items for {} layers", layers.len());
    let mut trees = Vec::new();
    for (layer, diff_id) in layers.iter().zip(&diff_ids) {
        let tar = unpack(layer)?;
        ensure!(digest_of(&tar) == *diff_id, "a layer has another diffID than {diff_id}");
        trees.push(read_tree(&tar)?);
    }
    Ok(trees)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out)?;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        out = zstd::decode_all(bytes)?;
    } else {
        out = bytes.to_vec();
    }
    Ok(out)
}

fn read_tree(tar: &[u8]) -> Result<Tree> {
    let mut tree = Tree::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        ensure!(!name.starts_with('/') && !name.split('/').any(|part| part == ".."), "{name}");
        let path = format!("/{}", name.trim_end_matches('/'));
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Link => Kind::File,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink,
            _ => Kind::Special,
        };
        let mut node = Node {
            kind,
            mode: header.mode()? & 0o7777,
            owner: (header.uid()?, header.gid()?),
            mtime: header.mtime()?,
            data: Vec::new(),
            link: entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()),
        };
        entry.read_to_end(&mut node.data)?;
        if tree.insert(path.clone(), node).is_some() {
            bail!("{path} is twice in a layer");
        }
    }
    Ok(tree)
}

fn apply(tree: &mut Tree, layer: &Tree) {
    for path in layer.keys() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == ".wh..wh..opq" {
            remove_below(tree, folder);
        } else if let Some(name) = name.strip_prefix(".wh.") {
            let path = format!("{folder}/{name}");
            remove_below(tree, &path);
            tree.remove(&path);
        }
    }
    for (path, node) in layer {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with(".wh.") {
            continue;
        }
        if node.kind != Kind::Directory {
            remove_below(tree, path);
        }
        let mut node = node.clone();
        if node.kind == Kind::File
            && let Some(link) = &node.link
        {
            let target = format!("/{}", link.trim_start_matches('/'));
            let found = layer.get(&target).or_else(|| tree.get(&target));
            let data = found.map(|found| found.data.clone());
            node.data =
                data.unwrap_or_else(|| panic!("{path} is a hard link to nothing: {target}"));
        }
        tree.insert(path.clone(), node);
    }
}

fn remove_below(tree: &mut Tree, folder: &str) {
    let prefix = format!("{folder}/");
    tree.retain(|path, _| !path.starts_with(&prefix));
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("text expected: {value}"))
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
