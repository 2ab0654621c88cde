//! What is shared: within a solve, between solves that work at once, and by threads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::*;

/// Node 0 of every solve counts its runs, and ends when `waiters` solves had to wait.
struct Held<'a> {
    ran: AtomicUsize,
    claims: &'a Claims,
    waiters: usize,
}

impl OpRunner for Held<'_> {
    type Output = i64;
    type Error = String;

    fn parts(&self, node: NodeId) -> Option<Vec<KeyPart>> {
        Some(vec![KeyPart::new("op", node.0.to_string())])
    }

    fn content(&self, _: NodeId, _: usize, _: &i64) -> Result<Vec<KeyPart>, String> {
        Ok(Vec::new())
    }

    fn run(&self, node: NodeId, _: &[i64]) -> Result<i64, String> {
        self.ran.fetch_add(1, Ordering::Relaxed);
        if node == NodeId(0) {
            self.claims.until_waited(self.waiters);
        }
        Ok(7)
    }
}

fn chain(length: u32) -> Dag {
    let node = |id: u32| Node {
        inputs: (id.checked_sub(1).into_iter())
            .map(|below| Edge { node: NodeId(below), by_content: false })
            .collect(),
        ..Node::default()
    };
    Dag { nodes: (0..length).map(node).collect(), roots: vec![NodeId(length - 1)] }
}

fn key_of_first() -> CacheKey {
    KeyRecipe { parts: vec![KeyPart::new("op", "0")] }.key()
}

#[test]
fn inv_solver_once_nodes_with_equal_content_run_once() {
    let memory = Memory::default();
    // 2 and 3 copy the same from two stages that differ only in how they were made.
    let ops = |a: i64, b: i64| -> Vec<(Int, &'static [i32])> {
        vec![
            (Int::Outside(a), &[]),
            (Int::Outside(b), &[]),
            (Int::Sum(1), &[-1]),
            (Int::Sum(1), &[-2]),
            (Int::Sum(0), &[2, 3]),
        ]
    };
    let (result, ran) = try_solve(&memory, &ops(7, 7), &dag(&ops(7, 7)));
    let solution = result.unwrap();
    assert_eq!(solution.nodes[4].output, Some(16));
    // Either of the two may be keyed first.
    assert_eq!(ran.len(), 4, "{ran:?}");
    let hits = [2, 3].map(|index| solution.nodes[index].disposition == Disposition::Hit);
    assert_eq!(hits.iter().filter(|hit| **hit).count(), 1);
    // Other content is other work.
    check(&memory, &ops(8, 9), 19, &[0, 1, 2, 3, 4]);
}

#[test]
fn inv_solver_once_a_twin_has_the_other_run_if_it_alone_is_wanted() {
    let memory = Memory::default();
    // 1 and 2 are twins; 3 copies from 1, and 4 stands on 3 and 2.
    let ops: &[(Int, &[i32])] = &[
        (Int::Outside(3), &[]),
        (Int::Sum(1), &[-1]),
        (Int::Sum(1), &[-1]),
        (Int::Tens, &[C1]),
        (Int::Sum(0), &[3, 2]),
    ];
    let (first, _) = try_solve(&memory, ops, &dag(ops));
    let first = first.unwrap();
    for pruned in [1, 4] {
        memory.records.lock().unwrap().remove(&first.nodes[pruned].key.unwrap());
    }
    // What is copied from 1 is found, so that only 2 is wanted.
    let (again, ran) = try_solve(&memory, ops, &dag(ops));
    let again = again.unwrap();
    assert_eq!(again.nodes[3].disposition, Disposition::Hit);
    assert_eq!(again.nodes[4].output, Some(4));
    assert_eq!(ran.len(), 3, "{ran:?}");
}

#[test]
fn inv_solver_once_solves_at_once_over_one_index_run_a_node_once() {
    const SOLVES: usize = 4;
    let memory = Memory::default();
    let runner = Held { ran: AtomicUsize::new(0), claims: &memory.claims, waiters: SOLVES - 1 };
    let dag = chain(3);
    let options = SolveOptions::new(NonZeroUsize::MIN);
    let hits: usize = thread::scope(|scope| {
        let solve = || solve(&dag, &runner, &memory, &NullSink, &Cancel::new(), &options);
        let solves: Vec<_> = (0..SOLVES).map(|_| scope.spawn(solve)).collect();
        let count = |solution: Solution<i64>| {
            assert!(solution.nodes.iter().all(|node| node.output == Some(7)));
            solution.nodes.iter().filter(|node| node.disposition == Disposition::Hit).count()
        };
        solves.into_iter().map(|solve| count(solve.join().unwrap().solution)).sum()
    });
    assert_eq!(runner.ran.into_inner(), 3);
    assert_eq!(hits, 3 * (SOLVES - 1));
}

#[test]
fn a_solve_that_waits_for_another_one_can_be_cancelled() {
    let memory = Memory::default();
    let _other = memory.claims.take(key_of_first());
    let runner = Held { ran: AtomicUsize::new(0), claims: &memory.claims, waiters: 0 };
    let (dag, stop) = (chain(2), Cancel::new());
    let options = SolveOptions::new(NonZeroUsize::MIN);
    let ending = thread::scope(|scope| {
        let solve = scope.spawn(|| solve(&dag, &runner, &memory, &NullSink, &stop, &options));
        memory.claims.until_waited(1);
        stop.cancel();
        solve.join().unwrap().ending
    });
    assert!(matches!(ending, Err(SolveError::Cancelled)));
    assert_eq!(runner.ran.into_inner(), 0);
}

#[test]
fn a_node_that_ignores_the_cache_does_not_wait_for_another_solve() {
    let memory = Memory::default();
    let _other = memory.claims.take(key_of_first());
    let runner = Held { ran: AtomicUsize::new(0), claims: &memory.claims, waiters: 0 };
    let mut dag = chain(2);
    dag.nodes[0].ignore_cache = true;
    let options = SolveOptions::new(NonZeroUsize::MIN);
    let solved = solve(&dag, &runner, &memory, &NullSink, &Cancel::new(), &options);
    assert!(solved.ending.is_ok());
    assert_eq!(runner.ran.into_inner(), 2);
}

#[test]
fn a_failed_node_gives_its_claim_back() {
    let memory = Memory::default();
    let ops: &[(Int, &[i32])] = &[(Int::Fail, &[])];
    let (result, _) = try_solve(&memory, ops, &dag(ops));
    assert!(result.is_err());
    assert!(memory.claims.state.lock().unwrap().0.is_empty());
}

#[test]
fn what_waits_for_a_network_runs_beside_what_computes() {
    // With one job, the two only meet if the first does not count.
    let ops: &[(Int, &[i32])] = &[(Int::Meet, &[]), (Int::Meet, &[]), (Int::Sum(0), &[0, 1])];
    let mut dag = dag(ops);
    dag.nodes[0].load = Load::Network;
    let runner = Runner {
        ops: ops.iter().map(|(op, _)| *op).collect(),
        ran: Mutex::default(),
        barrier: Barrier::new(2),
    };
    let options = SolveOptions::new(NonZeroUsize::MIN);
    let solved = solve(&dag, &runner, &Memory::default(), &NullSink, &Cancel::new(), &options);
    assert!(solved.ending.is_ok());
}

#[test]
fn the_longest_way_to_the_root_is_begun_first() {
    // Two stages of two steps each and one of one step, all on nothing.
    let ops: &[(Int, &[i32])] = &[
        (Int::Const(1), &[]),
        (Int::Const(2), &[]),
        (Int::Const(3), &[]),
        (Int::Sum(0), &[1]),
        (Int::Sum(0), &[2]),
        (Int::Sum(0), &[0, 3, 4]),
    ];
    let order = |weights: &[u64]| {
        let runner = Runner {
            ops: ops.iter().map(|(op, _)| *op).collect(),
            ran: Mutex::default(),
            barrier: Barrier::new(2),
        };
        let weights = || weights.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
        let options = SolveOptions { weights: &weights, ..SolveOptions::new(NonZeroUsize::MIN) };
        let solved =
            solve(&dag(ops), &runner, &Memory::default(), &NullSink, &Cancel::new(), &options);
        assert!(solved.ending.is_ok());
        runner.ran.into_inner().unwrap()
    };
    assert_eq!(order(&[]), [1, 2, 0, 3, 4, 5], "by the number of steps, then by id");
    assert_eq!(order(&[9, 1, 1, 1, 5, 1]), [0, 2, 4, 1, 3, 5], "by the expected time");
}
