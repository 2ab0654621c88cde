//! Reads images: layers one upon the other, whiteouts applied, hard links as one file.
//!
//! Independent of the product: archives are read with `tar`, documents are plain JSON. Layers of base images are
//! read once for all cases.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::line::quote;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    Symlink,
    Pipe,
    Device,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) mtime: u64,
    pub(super) bytes: Arc<[u8]>,
    /// Of a symbolic link.
    pub(super) target: String,
    pub(super) attributes: BTreeMap<String, Vec<u8>>,
    /// Path at which the file had its first name: equal for all names of one file.
    pub(super) first: String,
}

/// Files by path, without the root itself.
pub(super) type Tree = BTreeMap<String, Node>;

/// An entry of a layer.
#[derive(Debug)]
enum Item {
    Node(String, Node),
    HardLink(String, String),
    Gone(String),
    Emptied(String),
}

/// An image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) config: Value,
    pub(super) tree: Tree,
    /// The part of it that comes from a base image.
    pub(super) base: Tree,
    /// How many layers are not of the base image.
    pub(super) own_layers: usize,
    /// How many items of the history are not of the base image.
    pub(super) base_history: usize,
}

/// Reads images, and layers once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    layers: Mutex<BTreeMap<String, Arc<[Item]>>>,
    /// `diff_ids` of the base images' layers, and how many history items each base image has.
    pub(super) bases: Vec<Vec<String>>,
}

impl Reader {
    /// Reads an image whose blobs are found by a function.
    pub(super) fn read(&self, digest: &str, blob: &dyn Fn(&str) -> PathBuf) -> Result<Image> {
        let document = |digest: &str| -> Result<Value> {
            let path = blob(digest);
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            serde_json::from_slice(&bytes).context("a document")
        };
        let manifest = document(digest)?;
        let config = document(manifest["config"]["digest"].as_str().context("config")?)?;
        let diff_ids = strings(&config["rootfs"]["diff_ids"]);
        let layers = manifest["layers"].as_array().context("layers")?;
        ensure!(layers.len() == diff_ids.len(), "{} layers: {config}", layers.len());
        let of_base = self.bases.iter().filter(|base| diff_ids.starts_with(base));
        let base_layers = of_base.map(Vec::len).max().unwrap_or(0);
        let mut tree = Tree::new();
        let mut base = Tree::new();
        for (index, layer) in layers.iter().enumerate() {
            let digest = layer["digest"].as_str().context("digest")?;
            let items = self.layer(digest, &blob(digest), index < base_layers)?;
            apply(&mut tree, &items)?;
            if index + 1 == base_layers {
                base = tree.clone();
            }
        }
        let history = config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        let full = history.iter().filter(|item| item["empty_layer"] != true).count();
        ensure!(full == layers.len(), "{full} history items for {} layers", layers.len());
        let is_base =
            |item: &&Value| item["created_by"].as_str().is_some_and(|by| by.starts_with("layer "));
        let base_history = history.iter().take_while(is_base).count();
        let own_layers = layers.len() - base_layers;
        Ok(Image { config, tree, base, own_layers, base_history })
    }

    fn layer(&self, digest: &str, path: &Path, keep: bool) -> Result<Arc<[Item]>> {
        let known = self.layers.lock().expect("no thread panics with it").get(digest).cloned();
        if let Some(items) = known {
            return Ok(items);
        }
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let items = Arc::from(read_layer(&bytes).with_context(|| format!("layer {digest}"))?);
        if keep {
            let mut layers = self.layers.lock().expect("no thread panics with it");
            layers.insert(digest.to_owned(), Arc::clone(&items));
        }
        Ok(items)
    }
}

impl Image {
    /// Returns a field of the configuration, wherever it stands.
    pub(super) fn field(&self, name: &str) -> &Value {
        match name {
            "Architecture" => &self.config["architecture"],
            "Os" => &self.config["os"],
            "Variant" => &self.config["variant"],
            "Author" => &self.config["author"],
            "Created" => &self.config["created"],
            _ => &self.config["config"][name],
        }
    }

    /// Returns the history after that of the base: `created_by`, with ` (empty)` where there is no layer.
    pub(super) fn history(&self) -> Vec<String> {
        let items = self.config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .skip(self.base_history)
            .map(|item| {
                let by = item["created_by"].as_str().unwrap_or_default().replace('\n', "\\n");
                format!("{by}{}", if item["empty_layer"] == true { " (empty)" } else { "" })
            })
            .collect()
    }

    /// Returns what differs from the base: the new file, or nothing where one is gone. Times do not count.
    pub(super) fn diff(&self) -> BTreeMap<&str, Option<&Node>> {
        let mut diff = BTreeMap::new();
        for (path, node) in &self.tree {
            if self.base.get(path).is_none_or(|old| !old.is_same(node)) {
                diff.insert(path.as_str(), Some(node));
            }
        }
        for path in self.base.keys().filter(|path| !self.tree.contains_key(*path)) {
            diff.insert(path, None);
        }
        diff
    }
}

impl Node {
    fn is_same(&self, other: &Self) -> bool {
        let of = |node: &Self| (node.kind, node.mode, node.owner);
        of(self) == of(other)
            && self.bytes == other.bytes
            && self.target == other.target
            && self.attributes == other.attributes
    }

    /// Returns the line that describes it, as cases write it.
    pub(super) fn line(&self) -> String {
        let owner = format!("{}:{}", self.owner.0, self.owner.1);
        let mode = format!("{:04o}", self.mode);
        let what = match self.kind {
            Kind::Folder => format!("dir {mode} {owner}"),
            Kind::File if self.bytes.len() > 400 => {
                format!("file {mode} {owner} of {} bytes", self.bytes.len())
            }
            Kind::File => format!("file {mode} {owner} {}", quote(&self.bytes)),
            Kind::Symlink => format!("-> {} {owner}", self.target),
            Kind::Pipe => format!("fifo {mode} {owner}"),
            Kind::Device => format!("device {mode} {owner}"),
        };
        let attributes =
            self.attributes.iter().map(|(name, value)| format!(" xattr:{name}={}", quote(value)));
        what + &attributes.collect::<String>()
    }
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn read_layer(bytes: &[u8]) -> Result<Vec<Item>> {
    let mut unpacked = Vec::new();
    let tar = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked)?;
        unpacked.as_slice()
    } else {
        bytes
    };
    let mut items = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        items.push(read_entry(entry?)?);
    }
    Ok(items)
}

fn read_entry(mut entry: tar::Entry<'_, &[u8]>) -> Result<Item> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    ensure!(!name.split('/').any(|part| part == ".."), "an entry outside: {name}");
    let path = format!("/{}", name.trim_start_matches("./").trim_matches('/'));
    let (folder, last) = path.rsplit_once('/').unwrap_or_default();
    if last == ".wh..wh..opq" {
        return Ok(Item::Emptied(folder.to_owned()));
    }
    if let Some(gone) = last.strip_prefix(".wh.") {
        return Ok(Item::Gone(format!("{folder}/{gone}")));
    }
    let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
    let target = link.unwrap_or_default();
    let kind = match entry.header().entry_type() {
        tar::EntryType::Link => {
            return Ok(Item::HardLink(path, format!("/{}", target.trim_matches('/'))));
        }
        tar::EntryType::Regular => Kind::File,
        tar::EntryType::Directory => Kind::Folder,
        tar::EntryType::Symlink => Kind::Symlink,
        tar::EntryType::Fifo => Kind::Pipe,
        tar::EntryType::Char | tar::EntryType::Block => Kind::Device,
        other => bail!("{path} is of type {other:?}"),
    };
    let mut attributes = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Some(name) = extension.key()?.strip_prefix("SCHILY.xattr.") {
                attributes.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
    }
    let header = entry.header();
    let (mode, owner) = (header.mode()? & 0o7777, (header.uid()?, header.gid()?));
    let mtime = header.mtime()?;
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    let first = path.clone();
    let node = Node { kind, mode, owner, mtime, bytes: bytes.into(), target, attributes, first };
    Ok(Item::Node(path, node))
}

/// Applies a layer: first what it removes of the layers below, then what it adds.
fn apply(tree: &mut Tree, items: &[Item]) -> Result<()> {
    for item in items {
        match item {
            Item::Gone(path) => {
                tree.remove(path);
                remove_below(tree, path);
            }
            Item::Emptied(path) => remove_below(tree, path),
            Item::Node(..) | Item::HardLink(..) => {}
        }
    }
    for item in items {
        let (path, node) = match item {
            Item::Node(path, node) => (path, node.clone()),
            Item::HardLink(path, target) => {
                let found = tree.get(target);
                let found = found.with_context(|| format!("{path} is a link to no {target}"))?;
                (path, found.clone())
            }
            Item::Gone(_) | Item::Emptied(_) => continue,
        };
        if node.kind != Kind::Folder {
            remove_below(tree, path);
        }
        if path != "/" {
            tree.insert(path.clone(), node);
        }
    }
    Ok(())
}

fn remove_below(tree: &mut Tree, folder: &str) {
    let prefix = format!("{folder}/");
    let below: Vec<String> = tree
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .map(|(path, _)| path.clone())
        .collect();
    for path in below {
        tree.remove(&path);
    }
}
