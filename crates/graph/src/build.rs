//! The arena of vertices and how it grows.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use crate::Op;

/// Index of a vertex in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(pub u32);

/// Identity of a vertex within one build: its operation on the outputs of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefinitionDigest([u8; 32]);

/// An edge to the output of another vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Whose output.
    pub vertex: VertexId,
    /// Whether only the selected content of the output matters, not how it was made. What is
    /// selected stands in the operation.
    pub by_content: bool,
}

/// What people see of a vertex, and how it is run; never part of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VertexMeta {
    /// As `[builder 2/5] RUN npm ci`.
    pub name: Arc<str>,
    /// Name of the stage, or its number.
    pub stage: Arc<str>,
    /// Bytes of the Dockerfile that asked for it.
    pub span: Option<(u32, u32)>,
    /// Whether a result of an earlier build must not be used.
    pub ignore_cache: bool,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// What it does.
    pub op: Op,
    /// On what.
    pub inputs: Vec<Input>,
    /// What people see of it.
    pub meta: VertexMeta,
    /// Its identity.
    pub definition: DefinitionDigest,
}

/// The whole graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildGraph {
    vertices: Vec<Vertex>,
}

impl BuildGraph {
    /// Returns a vertex.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0 as usize]
    }

    /// Returns all vertices in order of their ids.
    pub fn vertices(&self) -> impl Iterator<Item = (VertexId, &Vertex)> {
        (0..).map(VertexId).zip(&self.vertices)
    }

    /// Returns how many vertices there are.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }
}

/// Makes a graph, merging equal vertices.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: BuildGraph,
    ids: BTreeMap<DefinitionDigest, VertexId>,
}

impl GraphBuilder {
    /// Adds a vertex, or returns the equal one that is already there.
    ///
    /// # Panics
    /// If an input does not exist yet (`INV-GRAPH-ORDER`).
    pub fn add(&mut self, op: Op, inputs: Vec<Input>, meta: VertexMeta) -> VertexId {
        let definition = self.define(&op, &inputs);
        if let Some(id) = self.ids.get(&definition) {
            return *id;
        }
        let id = VertexId(u32::try_from(self.graph.len()).expect("fewer than 2^32 instructions"));
        self.graph.vertices.push(Vertex { op, inputs, meta, definition });
        self.ids.insert(definition, id);
        id
    }

    /// Returns the graph.
    pub fn finish(self) -> BuildGraph {
        self.graph
    }

    fn define(&self, op: &Op, inputs: &[Input]) -> DefinitionDigest {
        let mut hash = Sha256::new();
        for part in op.parts() {
            for text in [&part.name, &part.value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        for input in inputs {
            assert!((input.vertex.0 as usize) < self.graph.len(), "INV-GRAPH-ORDER");
            hash.update(self.graph.vertex(input.vertex).definition.0);
            hash.update([u8::from(input.by_content)]);
        }
        DefinitionDigest(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileAction, FileOp, InputIndex, MakeDirAction, MergeOp, SourceOp};

    fn local(name: &str) -> Op {
        Op::Source(SourceOp::Local { name: name.to_owned() })
    }

    fn make_dir(path: &str) -> Op {
        let action = MakeDirAction { path: path.to_owned(), mode: 0o755, owner: None };
        Op::File(FileOp { base: Some(InputIndex(0)), actions: vec![FileAction::MakeDir(action)] })
    }

    fn input(vertex: VertexId) -> Vec<Input> {
        vec![Input { vertex, by_content: false }]
    }

    #[test]
    fn inv_graph_merge_equal_vertices_are_one() {
        let mut builder = GraphBuilder::default();
        let a = builder.add(local("context"), vec![], VertexMeta::default());
        let b = builder.add(local("other"), vec![], VertexMeta::default());
        assert_ne!(a, b);
        let on_a = builder.add(make_dir("/app"), input(a), VertexMeta::default());
        assert_ne!(on_a, builder.add(make_dir("/app"), input(b), VertexMeta::default()));
        assert_eq!(on_a, builder.add(make_dir("/app"), input(a), VertexMeta::default()));
        assert_ne!(on_a, builder.add(make_dir("/srv"), input(a), VertexMeta::default()));
        assert_eq!(builder.finish().len(), 5);
    }

    #[test]
    fn inv_graph_meta_is_no_part_of_the_identity() {
        let mut builder = GraphBuilder::default();
        let meta = VertexMeta { name: "one".into(), ignore_cache: true, ..VertexMeta::default() };
        let a = builder.add(local("context"), vec![], meta);
        assert_eq!(a, builder.add(local("context"), vec![], VertexMeta::default()));
    }

    #[test]
    fn inv_graph_merge_layers_are_told_apart_by_what_they_are_put_on() {
        let mut builder = GraphBuilder::default();
        let base = builder.add(local("context"), vec![], VertexMeta::default());
        let other = builder.add(local("other"), vec![], VertexMeta::default());
        let layer = builder.add(local("layer"), vec![], VertexMeta::default());
        let mut merge = |base| {
            let op = Op::Merge(MergeOp { base: Some(InputIndex(0)), layer: InputIndex(1) });
            let inputs = [input(base), input(layer)].concat();
            builder.add(op, inputs, VertexMeta::default())
        };
        assert_eq!(merge(base), merge(base));
        assert_ne!(merge(base), merge(other));
    }

    #[test]
    #[should_panic(expected = "INV-GRAPH-ORDER")]
    fn inv_graph_order_an_input_must_exist() {
        GraphBuilder::default().add(make_dir("/"), input(VertexId(0)), VertexMeta::default());
    }
}
