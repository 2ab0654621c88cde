//! What the solver itself costs, by the size of the graph: nothing is run but the decisions.
//!
//! `cargo run --release -p lathe-solver --example growth` prints microseconds for each node of
//! a first solve, where every node is run, and of the next, where the topmost ones hit.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::{collections::HashMap, num::NonZeroUsize, sync::Mutex, time::Duration, time::Instant};

use lathe_event::{Cancel, NullSink};
use lathe_solver::{
    CacheHit, CacheIndex, CacheKey, Dag, Edge, KeyPart, KeyRecipe, Node, NodeId, OpRunner,
    SolveOptions, solve,
};

#[derive(Default)]
struct Memory(Mutex<HashMap<CacheKey, CacheHit<u32>>>);

impl CacheIndex for Memory {
    type Output = u32;
    type Error = String;
    type Claim = ();

    fn lookup(&self, key: CacheKey) -> Result<Option<CacheHit<u32>>, String> {
        Ok(self.0.lock().map_err(|_| "a thread ended")?.get(&key).cloned())
    }

    fn claim(&self, _: CacheKey, _: &Cancel) -> Result<Option<()>, String> {
        Ok(Some(()))
    }

    fn record(
        &self,
        keys: &[CacheKey],
        _: &KeyRecipe,
        output: &u32,
        cost: Duration,
    ) -> Result<(), String> {
        let mut records = self.0.lock().map_err(|_| "a thread ended")?;
        for key in keys {
            records.insert(*key, CacheHit { output: *output, canonical: keys[0], cost });
        }
        Ok(())
    }
}

struct Runner;

impl OpRunner for Runner {
    type Output = u32;
    type Error = String;

    /// As many parts as a `RUN` has.
    fn parts(&self, node: NodeId) -> Option<Vec<KeyPart>> {
        let part = |index: u32| KeyPart::new(format!("part {index}"), node.0.to_string());
        Some((0..12).map(part).collect())
    }

    fn content(&self, _: NodeId, _: usize, output: &u32) -> Result<Vec<KeyPart>, String> {
        Ok(vec![KeyPart::new("file a", output.to_string())])
    }

    fn run(&self, node: NodeId, _: &[u32]) -> Result<u32, String> {
        Ok(node.0)
    }
}

/// Stages of steps one on the other; each stage copies from the one before.
fn graph(stages: u32, steps: u32) -> Dag {
    let node = |id: u32| {
        let (stage, step) = (id / steps, id % steps);
        let below = (step > 0).then(|| Edge { node: NodeId(id - 1), by_content: false });
        let copied =
            (step == 0 && stage > 0).then(|| Edge { node: NodeId(id - 1), by_content: true });
        Node { inputs: below.into_iter().chain(copied).collect(), ..Node::default() }
    };
    Dag { nodes: (0..stages * steps).map(node).collect(), roots: vec![NodeId(stages * steps - 1)] }
}

fn main() {
    let jobs = NonZeroUsize::new(2).expect("it is not 0");
    println!("{:>7} {:>7} {:>12} {:>12}", "stages", "steps", "run us/node", "hit us/node");
    for (stages, steps) in
        [(1, 10), (1, 100), (1, 1000), (1, 10_000), (10, 10), (100, 10), (1000, 10)]
    {
        let (dag, memory) = (graph(stages, steps), Memory::default());
        let per_node = || {
            let begin = Instant::now();
            let options = SolveOptions::new(jobs);
            let solved = solve(&dag, &Runner, &memory, &NullSink, &Cancel::new(), &options);
            assert!(solved.ending.is_ok(), "nothing here fails");
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(stages * steps)
        };
        let (run, hit) = (per_node(), per_node());
        println!("{stages:>7} {steps:>7} {run:>12.2} {hit:>12.2}");
    }
}
