//! What of an input counts by content: the digests of the files that an operation uses.

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lathe_graph::{CopyAction, ExecMountKind, FileAction, InputIndex, Op, Selector};
use lathe_rootfs::{DigestOptions, DirectoryId, DirectoryMemo, Root, content_digest};
use lathe_solver::{KeyPart, NodeId};
use lathe_source::Context;
use lathe_store::{BlockFile, SnapshotId, Store};
use lathe_tree::{FileKind, Owner, TreeDigest};

use crate::{
    Output, Result, Worker,
    select::{Found, Selected, Style, Tree, escape},
};

/// Topic of the memos about what operations use of a snapshot.
const TOPIC: &str = "content";

/// Topic of the memos about single paths, kept with the topmost layer that they are made of.
const TOPIC_BELOW: &str = "content-below";

/// What a build found out about the contents of its inputs.
#[derive(Debug, Default)]
pub struct Contents {
    /// What is remembered of the files of contexts, by name of the file that keeps it.
    memos: Mutex<BTreeMap<String, Arc<ContextMemo>>>,
    /// The digests by operation and input: two ask for them.
    parts: Mutex<HashMap<(NodeId, usize), Vec<KeyPart>>>,
    /// The files that changed since they were read last, by the step and the part that saw them.
    changed: Mutex<BTreeMap<NodeId, Vec<ChangedFiles>>>,
}

/// The name of a part of a key, and the files that make it another one.
pub type ChangedFiles = (String, Vec<PathBuf>);

/// Digests of the files of one context, by directory. One block file of the store.
#[derive(Debug)]
struct ContextMemo(BlockFile);

impl DirectoryMemo for ContextMemo {
    fn get(&self, directory: DirectoryId) -> Option<Vec<u8>> {
        self.0.get(&directory.to_bytes())
    }

    fn put(&self, directory: DirectoryId, block: &[u8]) {
        self.0.put(directory.to_bytes(), block);
    }
}

impl Contents {
    /// Returns the memo of a context, the same for all steps of a build.
    fn memo(&self, store: &Store, context: &Context) -> Result<Arc<ContextMemo>> {
        let root = context.root();
        let metadata = root.stat(Path::new("/"))?;
        let (device, path) = (metadata.file_system, root.host_path());
        let place = format!("{}:{} {} ", device.major, device.minor, metadata.inode);
        let text = [place.as_bytes(), path.as_os_str().as_bytes()].concat();
        let name = lathe_oci::Digest::of(&text).hex();
        let mut memos = lock(&self.memos);
        if let Some(memo) = memos.get(&name) {
            return Ok(Arc::clone(memo));
        }
        let memo = Arc::new(ContextMemo(store.block_file(&name)?));
        memos.insert(name, Arc::clone(&memo));
        Ok(memo)
    }
}

impl Worker<'_> {
    /// Returns the files of contexts that an operation uses and that changed since a build read
    /// them last, by the name of the part of its key: at most eight for each, as paths inside of
    /// the context.
    pub fn changed_files(&self, node: NodeId) -> Vec<ChangedFiles> {
        lock(&self.contents.changed).get(&node).cloned().unwrap_or_default()
    }

    /// Writes down what was found out about the files of contexts, for later builds.
    ///
    /// # Errors
    /// If the store cannot be written to.
    pub fn flush(&self) -> Result<()> {
        let memos: Vec<_> = lock(&self.contents.memos).values().cloned().collect();
        memos.iter().try_for_each(|memo| Ok(memo.0.save()?))
    }

    /// Returns the digests of the files of an input that the operation uses, by their paths.
    pub(crate) fn content_parts(
        &self,
        node: NodeId,
        input: usize,
        output: &Output,
    ) -> Result<Vec<KeyPart>> {
        if let Some(known) = lock(&self.contents.parts).get(&(node, input)) {
            return Ok(known.clone());
        }
        let place = self.place(node, input);
        let mut parts = Vec::new();
        for used in used(&self.vertex(node).op, input) {
            parts.extend(match output {
                Output::Context(context) => self.of_context(node, context, &used, &place)?,
                Output::Snapshot(snapshot) => self.of_snapshot(*snapshot, &used, &place)?,
            });
        }
        lock(&self.contents.parts).insert((node, input), parts.clone());
        Ok(parts)
    }

    fn of_context(
        &self,
        node: NodeId,
        context: &Arc<Context>,
        used: &Used,
        place: &str,
    ) -> Result<Vec<KeyPart>> {
        let tree = Tree::Context(context);
        let selected = tree.find(&used.selector, used.style, place)?;
        let memo = self.contents.memo(self.store, context)?;
        let mut parts = Vec::new();
        for found in &selected.found {
            let filter = |below: &Path, kind: FileKind| selected.select(tree, found, below, kind);
            let options = DigestOptions {
                filter: Some(&filter),
                owner: Some(Owner::ROOT),
                memo: Some(&*memo),
            };
            let content = content_digest(tree.root(), &found.real, options)?;
            let part = part(found, &content.digest);
            if !content.changed.is_empty() {
                let mut changed = lock(&self.contents.changed);
                changed.entry(node).or_default().push((part.name.clone(), content.changed));
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// A snapshot never changes, so what was found once is true for ever.
    fn of_snapshot(&self, snapshot: SnapshotId, used: &Used, place: &str) -> Result<Vec<KeyPart>> {
        let namespace = Store::snapshot_namespace(snapshot, TOPIC);
        let key = format!("{used:?}");
        if let Some(known) = self.store.memo_get(&namespace, key.as_bytes())? {
            return Ok(parse(&known));
        }
        let mounted = self.snapshots.view(snapshot)?;
        let root = Root::open(mounted.path())?;
        let tree = Tree::Snapshot(&root);
        let selected = tree.find(&used.selector, used.style, place)?;
        let mut parts = Vec::new();
        for found in &selected.found {
            parts.push(self.of_found(snapshot, tree, used, &selected, found)?);
        }
        let mut text = String::new();
        for part in &parts {
            text.extend([&part.name, "\0", &part.value, "\0"]);
        }
        self.store.memo_put(&namespace, [(key.as_bytes(), text.as_bytes())])?;
        Ok(parts)
    }

    /// Returns the digest of one of the paths. It is remembered by the layers that the path is made
    /// of: what other steps did elsewhere does not matter.
    fn of_found(
        &self,
        snapshot: SnapshotId,
        tree: Tree<'_>,
        used: &Used,
        selected: &Selected,
        found: &Found,
    ) -> Result<KeyPart> {
        let owners = self.snapshots.owners(snapshot, &found.real)?;
        let memo = owners.first().map(|top| {
            let key = format!("{:?}", (&owners, &found.real, &found.path, found.pattern, used));
            (Store::snapshot_namespace(*top, TOPIC_BELOW), key)
        });
        if let Some((namespace, key)) = &memo
            && let Some(known) = self.store.memo_get(namespace, key.as_bytes())?
        {
            return Ok(KeyPart::new(name(found), String::from_utf8_lossy(&known)));
        }
        let filter = |below: &Path, kind: FileKind| selected.select(tree, found, below, kind);
        let options = DigestOptions { filter: Some(&filter), owner: None, memo: None };
        let part = part(found, &content_digest(tree.root(), &found.real, options)?.digest);
        if let Some((namespace, key)) = &memo {
            self.store.memo_put(namespace, [(key.as_bytes(), part.value.as_bytes())])?;
        }
        Ok(part)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(found: &Found) -> String {
    format!("file {}", found.path.display())
}

fn part(found: &Found, digest: &TreeDigest) -> KeyPart {
    KeyPart::new(name(found), digest.to_string())
}

/// Returns how the sources of a copy are meant.
pub(crate) fn style_of(copy: &CopyAction) -> Style {
    if copy.parents { Style::Parents } else { Style::Plain }
}

fn parse(known: &[u8]) -> Vec<KeyPart> {
    let text = String::from_utf8_lossy(known);
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    fields.chunks_exact(2).map(|pair| KeyPart::new(pair[0], pair[1])).collect()
}

/// What an operation uses of an input.
#[derive(Debug)]
struct Used {
    selector: Selector,
    style: Style,
}

/// Returns the selector of one path with all that is below it.
pub(crate) fn whole(source: &str) -> Selector {
    let path = match source.trim_matches('/') {
        "" => ".".to_owned(),
        path => escape(path),
    };
    Selector { paths: vec![path], exclude: Vec::new() }
}

/// Returns what the operation uses of an input.
fn used(op: &Op, input: usize) -> Vec<Used> {
    let is_input = |index: &InputIndex| index.0 as usize == input;
    match op {
        Op::Source(_) | Op::Merge(_) => Vec::new(),
        Op::File(file) => file
            .actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) if is_input(&copy.from) => {
                    Some(Used { selector: copy.select.clone(), style: style_of(copy) })
                }
                FileAction::Copy(_) | FileAction::MakeDir(_) | FileAction::MakeFile(_) => None,
            })
            .collect(),
        Op::Exec(exec) => exec
            .mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                ExecMountKind::Bind { input, source, .. } if is_input(input) => {
                    Some(Used { selector: whole(source), style: Style::Plain })
                }
                // What a cache begins with does not count: it is there only the first time.
                _ => None,
            })
            .collect(),
    }
}
