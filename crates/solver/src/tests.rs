//! The solver on integers: constants, sums, and sums that use an input by content.

mod dry;
mod growth;
mod together;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    num::NonZeroUsize,
    sync::{Arc, Barrier, Condvar, Mutex},
    time::Duration,
};

use lathe_event::{Cancel, Disposition, NullSink};

use crate::{
    CacheHit, CacheIndex, CacheKey, Dag, Edge, KeyPart, KeyRecipe, Load, Mode, Node, NodeId,
    OpRunner, Solution, SolveError, SolveOptions, solve,
};

/// An operation on integers.
#[derive(Clone, Copy)]
enum Int {
    /// A constant.
    Const(i64),
    /// A number known only by looking, as a folder on disk.
    Outside(i64),
    /// The sum of the inputs, plus this.
    Sum(i64),
    /// As `Sum`, but rounded down to tens: another input may make an equal output.
    Tens,
    /// Fails.
    Fail,
    /// Meets another one at a barrier: only ends if both run at once.
    Meet,
}

/// An index in memory, with the keys that are claimed.
#[derive(Default)]
struct Memory {
    records: Mutex<BTreeMap<CacheKey, CacheHit<i64>>>,
    claims: Arc<Claims>,
}

#[derive(Default)]
struct Claims {
    state: Mutex<(BTreeSet<CacheKey>, usize)>,
    changed: Condvar,
}

impl Claims {
    /// Returns when `count` solves have had to wait for a claim, or after so long that they never
    /// will.
    fn until_waited(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let long = Duration::from_secs(20);
        drop(self.changed.wait_timeout_while(state, long, |(_, waited)| *waited < count).unwrap());
    }

    /// Takes a claim as another solve would.
    fn take(self: &Arc<Self>, key: CacheKey) -> Claim {
        assert!(self.state.lock().unwrap().0.insert(key));
        Claim { claims: Arc::clone(self), key }
    }
}

struct Claim {
    claims: Arc<Claims>,
    key: CacheKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.state.lock().unwrap().0.remove(&self.key);
        self.claims.changed.notify_all();
    }
}

impl CacheIndex for Memory {
    type Output = i64;
    type Error = String;
    type Claim = Claim;

    fn lookup(&self, key: CacheKey) -> Result<Option<CacheHit<i64>>, String> {
        Ok(self.records.lock().unwrap().get(&key).cloned())
    }

    fn claim(&self, key: CacheKey, stop: &Cancel) -> Result<Option<Claim>, String> {
        let claims = Arc::clone(&self.claims);
        let _wakes = stop.on_cancel({
            let claims = Arc::clone(&claims);
            move || {
                drop(claims.state.lock().unwrap());
                claims.changed.notify_all();
            }
        });
        let mut state = claims.state.lock().unwrap();
        if state.0.contains(&key) {
            state.1 += 1;
            claims.changed.notify_all();
        }
        let mut state = claims
            .changed
            .wait_while(state, |(held, _)| held.contains(&key) && !stop.is_cancelled())
            .unwrap();
        if !state.0.insert(key) {
            return Ok(None);
        }
        drop(state);
        Ok(Some(Claim { claims, key }))
    }

    fn record(
        &self,
        keys: &[CacheKey],
        _: &KeyRecipe,
        output: &i64,
        cost: Duration,
    ) -> Result<(), String> {
        for key in keys {
            let hit = CacheHit { output: *output, canonical: keys[0], cost };
            self.records.lock().unwrap().insert(*key, hit);
        }
        Ok(())
    }
}

struct Runner {
    ops: Vec<Int>,
    ran: Mutex<Vec<u32>>,
    barrier: Barrier,
}

impl OpRunner for Runner {
    type Output = i64;
    type Error = String;

    fn parts(&self, node: NodeId) -> Option<Vec<KeyPart>> {
        let text = match self.ops[node.index()] {
            Int::Const(value) => format!("const {value}"),
            Int::Outside(_) => return None,
            Int::Sum(value) => format!("sum {value}"),
            Int::Tens => "tens".to_owned(),
            Int::Fail => "fail".to_owned(),
            Int::Meet => format!("meet {}", node.0),
        };
        Some(vec![KeyPart::new("op", text)])
    }

    fn content(&self, _: NodeId, input: usize, output: &i64) -> Result<Vec<KeyPart>, String> {
        Ok(vec![KeyPart::new(format!("content {input}"), output.to_string())])
    }

    fn run(&self, node: NodeId, inputs: &[i64]) -> Result<i64, String> {
        self.ran.lock().unwrap().push(node.0);
        let sum: i64 = inputs.iter().sum();
        match self.ops[node.index()] {
            Int::Const(value) | Int::Outside(value) => Ok(value),
            Int::Sum(value) => Ok(sum + value),
            Int::Tens => Ok(sum / 10 * 10),
            Int::Fail => Err(format!("node {} failed", node.0)),
            Int::Meet => {
                self.barrier.wait();
                Ok(sum)
            }
        }
    }
}

/// A graph in text: `(op, inputs)`, an input by content is negative minus one.
fn dag(ops: &[(Int, &[i32])]) -> Dag {
    let edge = |input: &i32| match u32::try_from(*input) {
        Ok(id) => Edge { node: NodeId(id), by_content: false },
        Err(_) => Edge { node: NodeId((-*input - 1).unsigned_abs()), by_content: true },
    };
    let node = |(_, inputs): &(Int, &[i32])| Node {
        inputs: inputs.iter().map(edge).collect(),
        ..Node::default()
    };
    let last = u32::try_from(ops.len() - 1).unwrap();
    Dag { nodes: ops.iter().map(node).collect(), roots: vec![NodeId(last)] }
}

/// Input 1, by content.
const C1: i32 = -2;

fn try_solve(
    memory: &Memory,
    ops: &[(Int, &[i32])],
    dag: &Dag,
) -> (Result<Solution<i64>, SolveError<String>>, Vec<u32>) {
    let runner = Runner {
        ops: ops.iter().map(|(op, _)| *op).collect(),
        ran: Mutex::default(),
        barrier: Barrier::new(2),
    };
    let options = SolveOptions::new(NonZeroUsize::new(4).unwrap());
    let solved = solve(dag, &runner, memory, &NullSink, &Cancel::new(), &options);
    let result = solved.ending.map(|()| solved.solution);
    let mut ran = runner.ran.into_inner().unwrap();
    ran.sort_unstable();
    (result, ran)
}

/// Solves and checks the last node's output and which nodes were run.
fn check(memory: &Memory, ops: &[(Int, &[i32])], output: i64, ran: &[u32]) -> Solution<i64> {
    let (solution, actually) = try_solve(memory, ops, &dag(ops));
    let solution = solution.unwrap();
    assert_eq!(solution.nodes.last().unwrap().output, Some(output));
    assert_eq!(actually, ran, "which nodes ran");
    solution
}

#[test]
fn inv_solver_once_a_diamond_runs_each_node_once() {
    let ops: &[(Int, &[i32])] =
        &[(Int::Const(1), &[]), (Int::Sum(1), &[0]), (Int::Sum(2), &[0]), (Int::Sum(0), &[1, 2])];
    check(&Memory::default(), ops, 5, &[0, 1, 2, 3]);
}

#[test]
fn inv_solver_demand_nothing_runs_below_a_hit() {
    let memory = Memory::default();
    let ops: &[(Int, &[i32])] = &[(Int::Const(1), &[]), (Int::Sum(1), &[0]), (Int::Sum(2), &[1])];
    check(&memory, ops, 4, &[0, 1, 2]);
    let solution = check(&memory, ops, 4, &[]);
    assert_eq!(solution.nodes[2].disposition, Disposition::Hit);
}

#[test]
fn inv_solver_demand_what_no_root_needs_is_not_run() {
    let ops: &[(Int, &[i32])] = &[(Int::Const(1), &[]), (Int::Fail, &[0]), (Int::Sum(2), &[0])];
    let solution = check(&Memory::default(), ops, 3, &[0, 2]);
    assert_eq!(solution.nodes[1].disposition, Disposition::Skipped);
}

#[test]
fn a_changed_node_runs_again_with_all_that_stands_on_it() {
    let memory = Memory::default();
    check(
        &memory,
        &[(Int::Const(1), &[]), (Int::Const(5), &[]), (Int::Sum(0), &[0]), (Int::Sum(0), &[1, 2])],
        6,
        &[0, 1, 2, 3],
    );
    check(
        &memory,
        &[(Int::Const(2), &[]), (Int::Const(5), &[]), (Int::Sum(0), &[0]), (Int::Sum(0), &[1, 2])],
        7,
        &[0, 2, 3],
    );
}

#[test]
fn inv_solver_cutoff_equal_content_is_not_run_again() {
    let memory = Memory::default();
    let ops = |n: i64| -> Vec<(Int, &'static [i32])> {
        vec![
            (Int::Const(n), &[]),
            (Int::Tens, &[0]),
            (Int::Const(100), &[]),
            (Int::Sum(1), &[2, C1]),
            (Int::Sum(1), &[3]),
        ]
    };
    check(&memory, &ops(11), 112, &[0, 1, 2, 3, 4]);
    // The producer runs again, but makes the same: what uses it by content does not, nor what
    // stands on that.
    check(&memory, &ops(12), 112, &[0, 1]);
    // Now the definition key is known too.
    check(&memory, &ops(12), 112, &[]);
    check(&memory, &ops(25), 122, &[0, 1, 3, 4]);
}

#[test]
fn what_is_known_by_content_only_is_always_looked_at() {
    let memory = Memory::default();
    let ops = |n: i64| -> Vec<(Int, &'static [i32])> {
        vec![
            (Int::Const(1), &[]),
            (Int::Outside(n), &[]),
            (Int::Sum(0), &[0, C1]),
            (Int::Sum(1), &[2]),
        ]
    };
    check(&memory, &ops(7), 9, &[0, 1, 2, 3]);
    check(&memory, &ops(7), 9, &[1]);
    check(&memory, &ops(8), 10, &[1, 2, 3]);
}

#[test]
fn stages_run_at_once_even_if_the_last_uses_one_by_content() {
    // Node 2 would wait for the barrier for ever if node 1 were run before it. Both are needed:
    // node 3 stands on 2, which missed, so it cannot hit whatever 1 makes.
    let ops: &[(Int, &[i32])] =
        &[(Int::Const(1), &[]), (Int::Meet, &[0]), (Int::Meet, &[0]), (Int::Sum(0), &[2, C1])];
    check(&Memory::default(), ops, 2, &[0, 1, 2, 3]);
}

#[test]
fn stages_run_at_once_even_if_all_are_used_by_content() {
    // `FROM scratch`, then a COPY out of each of two stages.
    let ops: &[(Int, &[i32])] =
        &[(Int::Meet, &[]), (Int::Meet, &[]), (Int::Sum(0), &[-1]), (Int::Sum(0), &[2, -2])];
    let memory = Memory::default();
    check(&memory, ops, 0, &[0, 1, 2, 3]);
    check(&memory, ops, 0, &[]);
}

#[test]
fn a_failure_names_its_node_and_is_not_remembered() {
    let memory = Memory::default();
    let ops: &[(Int, &[i32])] = &[(Int::Const(1), &[]), (Int::Fail, &[0]), (Int::Sum(0), &[1])];
    for _ in 0..2 {
        let (result, ran) = try_solve(&memory, ops, &dag(ops));
        match result {
            Err(SolveError::Failed { node, error }) => {
                assert_eq!((node, error.as_str()), (NodeId(1), "node 1 failed"));
            }
            _ => panic!("expected a failure"),
        }
        assert_eq!(ran.last(), Some(&1));
    }
}

#[test]
fn a_node_that_ignores_the_cache_runs_again_alone() {
    let memory = Memory::default();
    let ops: &[(Int, &[i32])] = &[(Int::Const(1), &[]), (Int::Sum(1), &[0])];
    check(&memory, ops, 2, &[0, 1]);
    let mut dag = dag(ops);
    dag.nodes[1].ignore_cache = true;
    let (result, ran) = try_solve(&memory, ops, &dag);
    assert_eq!(result.unwrap().nodes[1].output, Some(2));
    assert_eq!(ran, [1]);
}

#[test]
fn what_stands_on_a_node_that_ignores_the_cache_runs_again_and_what_copies_looks_at_the_content() {
    let memory = Memory::default();
    // 1 stands on 0; 2 copies from 1; 3 stands on 2.
    let ops: &[(Int, &[i32])] =
        &[(Int::Const(1), &[]), (Int::Sum(1), &[0]), (Int::Sum(1), &[C1]), (Int::Sum(1), &[2])];
    check(&memory, ops, 4, &[0, 1, 2, 3]);
    let mut dag = dag(ops);
    dag.nodes[0].ignore_cache = true;
    let (result, ran) = try_solve(&memory, ops, &dag);
    assert_eq!(result.unwrap().nodes[3].output, Some(4));
    assert_eq!(ran, [0, 1], "the content is the same, so that copies are found");
}

#[test]
fn cancelled_before_it_begins_runs_nothing() {
    let ops = vec![Int::Const(1)];
    let runner = Runner { ops, ran: Mutex::default(), barrier: Barrier::new(1) };
    let stop = Cancel::new();
    stop.cancel();
    let options = SolveOptions::new(NonZeroUsize::MIN);
    let dag = dag(&[(Int::Const(1), &[])]);
    let solved = solve(&dag, &runner, &Memory::default(), &NullSink, &stop, &options);
    assert!(matches!(solved.ending, Err(SolveError::Cancelled)));
    assert!(runner.ran.into_inner().unwrap().is_empty());
}

#[test]
fn errors_are_generic() {
    fn is_send<T: Send>() {}
    is_send::<SolveError<Infallible>>();
}
