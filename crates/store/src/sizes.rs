//! What the store's files take on the disk, each file once however many names it has.
//!
//! Snapshots share files (a copy from one to another may be another name of the same file), so the
//! size of one alone says little: what is freed with it depends on who else has its files.
//! Therefore files with several names are kept apart from the rest, and are added up by whoever
//! knows what stays and what goes.

use std::collections::HashMap;
use std::fs;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::Result;

/// The unit of `st_blocks`, in bytes (stat(2)).
const BLOCK: u64 = 512;

/// All files with several names that were seen.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    by_inode: HashMap<(u64, u64), u32>,
    bytes: Vec<u64>,
}

/// What a directory takes, itself included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Bytes of directories and of files with one name.
    pub(crate) own: u64,
    /// Files with several names, each once.
    pub(crate) links: Vec<u32>,
    /// When any entry of its top directory was last changed, in seconds since 1970.
    pub(crate) changed: i64,
}

/// Adds up trees so that no file counts twice.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    seen: Vec<bool>,
    pub(crate) bytes: u64,
}

impl Disk {
    /// Measures a tree; nothing there takes nothing. Does not look into what is mounted there.
    pub(crate) fn measure(&mut self, path: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        let top = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tree),
            top => top.map_err(|source| Error::io("stat", path, source))?,
        };
        tree.changed = top.mtime();
        self.add(&top, &mut tree);
        let mut todo: Vec<PathBuf> = if top.is_dir() { vec![path.to_owned()] } else { Vec::new() };
        let mut is_top = true;
        while let Some(directory) = todo.pop() {
            let entries = match fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|source| Error::io("read", &directory, source))?,
            };
            for entry in entries {
                let entry = entry.map_err(|source| Error::io("read", &directory, source))?;
                // Of the entry itself: symlinks are counted, never followed. What vanishes
                // meanwhile takes nothing.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.dev() != top.dev() {
                    continue;
                }
                if is_top {
                    tree.changed = tree.changed.max(metadata.mtime());
                }
                self.add(&metadata, &mut tree);
                if metadata.is_dir() {
                    todo.push(entry.path());
                }
            }
            is_top = false;
        }
        tree.links.sort_unstable();
        tree.links.dedup();
        Ok(tree)
    }

    fn add(&mut self, metadata: &Metadata, tree: &mut Tree) {
        let bytes = metadata.blocks() * BLOCK;
        if metadata.is_dir() || metadata.nlink() == 1 {
            tree.own += bytes;
            return;
        }
        let next = u32::try_from(self.bytes.len()).expect("a disk has fewer than 2^32 such files");
        let file = *self.by_inode.entry((metadata.dev(), metadata.ino())).or_insert(next);
        if file == next {
            self.bytes.push(bytes);
        }
        tree.links.push(file);
    }
}

impl Sum {
    /// Adds what a tree takes beyond what was added before, and returns that, in bytes.
    pub(crate) fn add(&mut self, tree: &Tree, disk: &Disk) -> u64 {
        self.seen.resize(disk.bytes.len(), false);
        let mut bytes = tree.own;
        for file in tree.links.iter().map(|file| *file as usize) {
            if !std::mem::replace(&mut self.seen[file], true) {
                bytes += disk.bytes[file];
            }
        }
        self.bytes += bytes;
        bytes
    }
}
