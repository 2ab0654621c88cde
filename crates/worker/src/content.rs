//! What of an input counts by content: the digests of the files that an operation uses.

use std::path::{Path, PathBuf};

use lathe_graph::{ExecMountKind, FileAction, InputIndex, Op, Selector};
use lathe_pattern::Ignore;
use lathe_rootfs::{DigestOptions, NoMemo, Root, Selection, content_digest};
use lathe_solver::{KeyPart, NodeId};
use lathe_store::Store;
use lathe_tree::{FileKind, Owner};

use crate::{
    Output, Result, Worker,
    select::{Tree, exclude},
};

impl Worker<'_> {
    /// Returns the digests of the files of an input that the operation uses, by their paths.
    pub(crate) fn content_parts(
        &self,
        node: NodeId,
        input: usize,
        output: &Output,
    ) -> Result<Vec<KeyPart>> {
        let mut parts = Vec::new();
        for selector in selectors(&self.vertex(node).op, input) {
            parts.extend(self.selected(node, input, output, &selector)?);
        }
        Ok(parts)
    }

    fn selected(
        &self,
        node: NodeId,
        input: usize,
        output: &Output,
        selector: &Selector,
    ) -> Result<Vec<KeyPart>> {
        let place = self.place(node, input);
        match output {
            Output::Context(context) => {
                let owner = Some(Owner::ROOT);
                digests(Tree::Context(context), selector, &place, owner)
            }
            Output::Snapshot(snapshot) => {
                // A snapshot never changes, so what was found once is true for ever.
                let namespace = Store::snapshot_namespace(*snapshot, "content");
                let key = format!("{selector:?}");
                if let Some(known) = self.store.memo_get(&namespace, key.as_bytes())? {
                    return Ok(parse(&known));
                }
                let mounted = self.snapshots.view(*snapshot)?;
                let root = Root::open(mounted.path())?;
                let parts = digests(Tree::Snapshot(&root), selector, &place, None)?;
                let mut text = String::new();
                for part in &parts {
                    text.extend([&part.name, "\0", &part.value, "\0"]);
                }
                self.store.memo_put(&namespace, [(key.as_bytes(), text.as_bytes())])?;
                Ok(parts)
            }
        }
    }
}

fn parse(known: &[u8]) -> Vec<KeyPart> {
    let text = String::from_utf8_lossy(known);
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    fields.chunks_exact(2).map(|pair| KeyPart::new(pair[0], pair[1])).collect()
}

/// Returns what the operation uses of an input.
fn selectors(op: &Op, input: usize) -> Vec<Selector> {
    let is_input = |index: &InputIndex| index.0 as usize == input;
    let whole = |source: &str| Selector {
        paths: vec![match source.trim_start_matches('/') {
            "" => ".".to_owned(),
            path => path.to_owned(),
        }],
        exclude: Vec::new(),
    };
    match op {
        Op::Source(_) | Op::Merge(_) => Vec::new(),
        Op::File(file) => file
            .actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) if is_input(&copy.from) => Some(copy.select.clone()),
                FileAction::Copy(_) | FileAction::MakeDir(_) | FileAction::MakeFile(_) => None,
            })
            .collect(),
        Op::Exec(exec) => exec
            .mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                ExecMountKind::Bind { input, source, .. } if is_input(input) => Some(whole(source)),
                // What a cache begins with does not count: it is there only the first time.
                _ => None,
            })
            .collect(),
    }
}

fn digests(
    tree: Tree<'_>,
    selector: &Selector,
    place: &str,
    owner: Option<Owner>,
) -> Result<Vec<KeyPart>> {
    let patterns = Ignore::new(&selector.exclude)?;
    let mut parts = Vec::new();
    for path in tree.find(selector, place)? {
        let start = start_of(&path);
        let filter = |below: &Path, kind: FileKind| match exclude(&patterns, below, kind) {
            Selection::Keep => tree.select(&start.join(below), kind),
            other => other,
        };
        let options = DigestOptions { filter: Some(&filter), owner };
        let digest = content_digest(tree.root(), &path, options, &mut NoMemo)?;
        parts.push(KeyPart::new(format!("file {}", path.display()), digest.to_string()));
    }
    Ok(parts)
}

/// Returns a path that others can be joined to and matched: `.` is nothing.
pub(crate) fn start_of(path: &Path) -> PathBuf {
    if path == Path::new(".") { PathBuf::new() } else { path.to_owned() }
}
