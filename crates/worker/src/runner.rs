//! The solver's questions, answered from the build graph.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use lathe_event::{Cancel, EventSink, StepId};
use lathe_graph::{BuildGraph, Op, SourceOp, Vertex, VertexId};
use lathe_oci::{Digest, Reference};
use lathe_snapshot::Snapshots;
use lathe_solver::{KeyPart, NodeId, OpRunner};
use lathe_source::{Context, Images, ParsedImage, Remotes};
use lathe_store::{SnapshotId, Store};
use lathe_tree::Timestamp;

use crate::{Error, Result, content::Contents, lend::RunPolicy};

/// What an operation makes.
#[derive(Clone, Debug)]
pub enum Output {
    /// A file tree in the store.
    Snapshot(SnapshotId),
    /// A folder of this machine.
    Context(Arc<Context>),
}

/// An image of the graph, as the resolution pinned it.
#[derive(Clone, Debug)]
pub struct PinnedSource {
    /// Where to fetch it from.
    pub reference: Reference,
    /// Its documents.
    pub image: ParsedImage,
}

/// Where the files of a context are.
#[derive(Clone, Debug)]
pub enum ContextFiles {
    /// A folder of this machine, opened when a step asks for it.
    Folder(PathBuf),
    /// A folder that is open already.
    Open(Arc<Context>),
    /// In the store: they were fetched or unpacked before the build began.
    Snapshot(SnapshotId),
}

/// Runs the operations of one build.
pub struct Worker<'a> {
    /// The operations.
    pub graph: &'a BuildGraph,
    /// Where results go.
    pub store: &'a Store,
    /// Makes and mounts snapshots.
    pub snapshots: &'a Snapshots,
    /// Fetches images.
    pub images: &'a Images,
    /// The images of the graph, by manifest.
    pub pinned: &'a BTreeMap<Digest, PinnedSource>,
    /// The contexts of the graph by name.
    pub contexts: &'a BTreeMap<String, ContextFiles>,
    /// Brings downloads and repositories.
    pub remotes: &'a Remotes,
    /// How processes are run.
    pub run: &'a RunPolicy,
    /// `SOURCE_DATE_EPOCH`: the time of what is made.
    pub epoch: Option<Timestamp>,
    /// Stops processes and copies.
    pub cancel: &'a Cancel,
    /// Told of each snapshot that an operation made, as soon as it is there.
    pub committed: &'a (dyn Fn(NodeId, SnapshotId) + Sync),
    /// What was found out about contents; begins empty.
    pub contents: Contents,
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epoch, contents, .. } = self;
        f.debug_struct("Worker")
            .field("epoch", epoch)
            .field("contents", contents)
            .finish_non_exhaustive()
    }
}

impl Worker<'_> {
    pub(crate) fn vertex(&self, node: NodeId) -> &Vertex {
        self.graph.vertex(VertexId(node.0))
    }

    /// Takes progress.
    pub(crate) fn events(&self) -> &dyn EventSink {
        &*self.images.events
    }

    /// Returns how a user calls the output of an input: `stage builder`, `the build context`.
    pub(crate) fn place(&self, node: NodeId, input: usize) -> String {
        let vertex = self.graph.vertex(self.vertex(node).inputs[input].vertex);
        match &vertex.op {
            Op::Source(SourceOp::Local { name }) if name == "context" => {
                "the build context".to_owned()
            }
            Op::Source(SourceOp::Local { name }) => format!("the named context `{name}`"),
            Op::Source(SourceOp::Image { name, .. }) => format!("image `{name}`"),
            Op::Source(SourceOp::Http(http)) => format!("`{}`", without_credentials(&http.url)),
            Op::Source(SourceOp::Git(git)) => format!("`{}`", without_credentials(&git.url)),
            Op::Exec(_) | Op::File(_) | Op::Merge(_) => format!("stage `{}`", vertex.meta.stage),
        }
    }

    fn source(&self, node: NodeId, source: &SourceOp) -> Result<Output> {
        match source {
            SourceOp::Local { name } => match &self.contexts[name] {
                ContextFiles::Folder(path) => {
                    Ok(Output::Context(Arc::new(Context::open(path, None)?)))
                }
                ContextFiles::Open(context) => Ok(Output::Context(context.clone())),
                ContextFiles::Snapshot(snapshot) => Ok(Output::Snapshot(*snapshot)),
            },
            SourceOp::Http(http) => {
                Ok(Output::Snapshot(self.remotes.http(http, Some(StepId(node.0)))?.snapshot))
            }
            SourceOp::Git(git) => {
                Ok(Output::Snapshot(self.remotes.git(git, Some(StepId(node.0)))?.snapshot))
            }
            SourceOp::Image { manifest, .. } => {
                let pinned = &self.pinned[manifest];
                let (images, snapshots) = (self.images, self.snapshots);
                let step = Some(StepId(node.0));
                let top =
                    lathe_source::fetch(images, snapshots, &pinned.reference, &pinned.image, step)?;
                // Images without layers are no vertices.
                let missing = || lathe_source::Error::Cancelled;
                Ok(Output::Snapshot(top.ok_or_else(missing)?))
            }
        }
    }
}

impl OpRunner for Worker<'_> {
    type Output = Output;
    type Error = Error;

    fn parts(&self, node: NodeId) -> Option<Vec<KeyPart>> {
        let op = &self.vertex(node).op;
        // What is known only by looking has no key of its own.
        if matches!(op, Op::Source(source) if !source.is_pinned()) {
            return None;
        }
        let mut parts: Vec<KeyPart> =
            op.parts().into_iter().map(|part| KeyPart::new(part.name, part.value)).collect();
        if let Some(epoch) = self.epoch {
            parts.push(KeyPart::new("SOURCE_DATE_EPOCH", epoch.seconds.to_string()));
        }
        Some(parts)
    }

    fn content(&self, node: NodeId, input: usize, output: &Output) -> Result<Vec<KeyPart>> {
        self.content_parts(node, input, output)
    }

    fn run(&self, node: NodeId, inputs: &[Output]) -> Result<Output> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let output = match &self.vertex(node).op {
            Op::Source(source) => return self.source(node, source),
            Op::Exec(exec) => self.exec(node, exec, inputs)?,
            Op::File(file) => self.files(node, file, inputs)?,
            Op::Merge(merge) => self.merge(merge, inputs)?,
        };
        if let Output::Snapshot(snapshot) = output {
            (self.committed)(node, snapshot);
        }
        Ok(output)
    }
}

/// Returns the snapshot of an output that an operation stands on.
pub(crate) fn snapshot_of(output: &Output) -> Option<SnapshotId> {
    match output {
        Output::Snapshot(id) => Some(*id),
        Output::Context(_) => None,
    }
}

/// Returns a URL without user and password, for people.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_credentials() {
        for (url, shown) in [
            ("https://user:pass@example.com/a@b.git", "https://example.com/a@b.git"),
            ("https://token@example.com", "https://example.com"),
            ("https://us@er:pa@ss@example.com/x", "https://example.com/x"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
