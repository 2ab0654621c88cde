//! What the solver sees of a build graph: ids and edges.

use std::time::Duration;

/// Index of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Returns the position in [`Dag::nodes`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The use of another node's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Whose output; smaller than the id of the node that uses it.
    pub node: NodeId,
    /// Whether only the content counts that [`OpRunner::content`](crate::OpRunner::content)
    /// names, not how the output was made.
    pub by_content: bool,
}

/// What an operation mostly does: decides what it takes turns with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// It computes, so that no more than a few should run at once.
    #[default]
    Processor,
    /// It waits for a network: it runs beside those that compute.
    Network,
    /// It only looks at what is there: done in a dry run as well.
    Look,
}

/// An operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it works on.
    pub inputs: Vec<Edge>,
    /// Whether results of earlier solves must not be used for it.
    pub ignore_cache: bool,
    /// What it mostly does.
    pub load: Load,
}

/// The operations and which of them are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dag {
    /// Each node after all its inputs.
    pub nodes: Vec<Node>,
    /// Whose outputs are wanted.
    pub roots: Vec<NodeId>,
}

impl Dag {
    /// Returns for each node those that use it, with whether they do by content.
    pub(crate) fn users(&self) -> Vec<Vec<(NodeId, bool)>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in (0..).map(NodeId).zip(&self.nodes) {
            for edge in &node.inputs {
                assert!(edge.node < id, "an input comes before its user");
                users[edge.node.index()].push((id, edge.by_content));
            }
        }
        users
    }

    /// Returns for each node whether it is run again whatever the cache has: because it was asked
    /// for, or because it stands on a node that is.
    pub(crate) fn renewed(&self) -> Vec<bool> {
        let mut renewed: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let below =
                node.inputs.iter().any(|edge| !edge.by_content && renewed[edge.node.index()]);
            renewed.push(node.ignore_cache || below);
        }
        renewed
    }

    /// Returns for each node the time of the longest way from its start to a root's end: the
    /// longer, the sooner it should run. `weights` are the times that nodes are expected to take;
    /// all take the same where there are none.
    pub(crate) fn heights(&self, weights: &[Duration]) -> Vec<Duration> {
        const UNIT: Duration = Duration::from_secs(1);
        let mut heights = vec![Duration::ZERO; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            heights[index] += weights.get(index).copied().unwrap_or(UNIT);
            for edge in &node.inputs {
                heights[edge.node.index()] = heights[edge.node.index()].max(heights[index]);
            }
        }
        heights
    }
}
