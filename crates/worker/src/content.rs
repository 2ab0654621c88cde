//! What of an input counts by content: the digests of the files that an operation uses.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use lathe_graph::{CopyAction, ExecMountKind, FileAction, InputIndex, Op, Selector};
use lathe_rootfs::{DigestOptions, Root, content_digest};
use lathe_solver::{KeyPart, NodeId};
use lathe_store::Store;
use lathe_tree::{FileKind, Owner};

use crate::{
    Output, Result, Worker,
    select::{Style, Tree, escape},
};

/// What a build found out about the contents of its inputs.
#[derive(Debug, Default)]
pub struct Contents {
    /// The files that changed since they were read last, by the step and the part that saw them.
    changed: Mutex<BTreeMap<NodeId, Vec<(String, Vec<PathBuf>)>>>,
}

impl Worker<'_> {
    /// Returns the files of contexts that an operation uses and that changed since a build read
    /// them last, by the name of the part of its key: at most eight for each, as paths inside of
    /// the context.
    pub fn changed_files(&self, node: NodeId) -> Vec<(String, Vec<PathBuf>)> {
        let changed = self.contents.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.get(&node).cloned().unwrap_or_default()
    }

    /// Writes down what was found out about the files of contexts, for later builds.
    ///
    /// # Errors
    /// If the store cannot be written to.
    pub fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the digests of the files of an input that the operation uses, by their paths.
    pub(crate) fn content_parts(
        &self,
        node: NodeId,
        input: usize,
        output: &Output,
    ) -> Result<Vec<KeyPart>> {
        let mut parts = Vec::new();
        for used in used(&self.vertex(node).op, input) {
            parts.extend(self.selected(node, input, output, &used)?);
        }
        Ok(parts)
    }

    fn selected(
        &self,
        node: NodeId,
        input: usize,
        output: &Output,
        used: &Used,
    ) -> Result<Vec<KeyPart>> {
        let place = self.place(node, input);
        match output {
            Output::Context(context) => {
                let owner = Some(Owner::ROOT);
                digests(Tree::Context(context), used, &place, owner)
            }
            Output::Snapshot(snapshot) => {
                // A snapshot never changes, so what was found once is true for ever.
                let namespace = Store::snapshot_namespace(*snapshot, "content");
                let key = format!("{used:?}");
                if let Some(known) = self.store.memo_get(&namespace, key.as_bytes())? {
                    return Ok(parse(&known));
                }
                let mounted = self.snapshots.view(*snapshot)?;
                let root = Root::open(mounted.path())?;
                let parts = digests(Tree::Snapshot(&root), used, &place, None)?;
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

fn digests(tree: Tree<'_>, used: &Used, place: &str, owner: Option<Owner>) -> Result<Vec<KeyPart>> {
    let selected = tree.find(&used.selector, used.style, place)?;
    let mut parts = Vec::new();
    for found in &selected.found {
        let filter = |below: &Path, kind: FileKind| selected.select(tree, found, below, kind);
        let options = DigestOptions { filter: Some(&filter), owner, memo: None };
        let digest = content_digest(tree.root(), &found.real, options)?.digest;
        parts.push(KeyPart::new(format!("file {}", found.path.display()), digest.to_string()));
    }
    Ok(parts)
}
