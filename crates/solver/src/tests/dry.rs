//! What would be run, without running it.

use super::*;

/// Solves without running; returns one letter for each node: `h`it, `w`ould run, `?` may run,
/// `r`an because it only looks, `-` not looked up.
fn dry(memory: &Memory, ops: &[(Int, &[i32])]) -> String {
    let runner = Runner {
        ops: ops.iter().map(|(op, _)| *op).collect(),
        ran: Mutex::default(),
        barrier: Barrier::new(2),
    };
    let mut dag = dag(ops);
    for (node, (op, _)) in dag.nodes.iter_mut().zip(ops) {
        if matches!(op, Int::Outside(_)) {
            node.load = Load::Look;
        }
    }
    let jobs = NonZeroUsize::new(4).unwrap();
    let options = SolveOptions { mode: Mode::Dry, ..SolveOptions::new(jobs) };
    let before = memory.records.lock().unwrap().len();
    let solved = solve(&dag, &runner, memory, &NullSink, &Cancel::new(), &options);
    assert!(solved.ending.is_ok());
    assert_eq!(memory.records.lock().unwrap().len(), before, "nothing is recorded");
    let looks = |id: &u32| matches!(ops[*id as usize].0, Int::Outside(_));
    assert!(runner.ran.into_inner().unwrap().iter().all(looks), "nothing is run");
    let letter = |node: &crate::NodeReport<i64>| match node.disposition {
        Disposition::Hit => 'h',
        Disposition::Ran => 'r',
        Disposition::Skipped => '-',
        Disposition::WouldRun => 'w',
        Disposition::Unknown => '?',
    };
    solved.solution.nodes.iter().map(letter).collect()
}

#[test]
fn a_dry_run_tells_what_would_run_and_runs_nothing() {
    let memory = Memory::default();
    let ops = |n: i64| -> Vec<(Int, &'static [i32])> {
        vec![(Int::Const(1), &[]), (Int::Sum(n), &[0]), (Int::Sum(2), &[1])]
    };
    assert_eq!(dry(&memory, &ops(1)), "www");
    check(&memory, &ops(1), 4, &[0, 1, 2]);
    assert_eq!(dry(&memory, &ops(1)), "hhh");
    assert_eq!(dry(&memory, &ops(2)), "hww");
}

#[test]
fn a_dry_run_looks_at_the_content_of_what_lies_on_disk() {
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
    assert_eq!(dry(&memory, &ops(7)), "hrhh");
    assert_eq!(dry(&memory, &ops(8)), "hrww");
}

#[test]
fn what_copies_from_a_step_that_would_run_may_run() {
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
    assert_eq!(dry(&memory, &ops(12)), "wwh??");
}

#[test]
fn what_stands_on_a_step_that_would_run_would_run_whatever_it_copies() {
    let memory = Memory::default();
    let ops = |n: i64| -> Vec<(Int, &'static [i32])> {
        vec![
            (Int::Const(n), &[]),
            (Int::Tens, &[0]),
            (Int::Const(100 + n), &[]),
            (Int::Sum(1), &[2, C1]),
            (Int::Sum(1), &[3]),
        ]
    };
    check(&memory, &ops(11), 123, &[0, 1, 2, 3, 4]);
    assert_eq!(dry(&memory, &ops(12)), "wwwww");
}

#[test]
fn a_download_without_checksum_may_run_in_a_dry_run() {
    let memory = Memory::default();
    // As `Outside`, but not one that only looks: told apart below.
    let ops: &[(Int, &[i32])] = &[(Int::Outside(1), &[]), (Int::Sum(0), &[-1])];
    let runner = Runner {
        ops: ops.iter().map(|(op, _)| *op).collect(),
        ran: Mutex::default(),
        barrier: Barrier::new(2),
    };
    let options = SolveOptions { mode: Mode::Dry, ..SolveOptions::new(NonZeroUsize::MIN) };
    let solved = solve(&dag(ops), &runner, &memory, &NullSink, &Cancel::new(), &options);
    let dispositions = solved.solution.nodes.iter().map(|node| node.disposition);
    assert_eq!(dispositions.collect::<Vec<_>>(), [Disposition::Unknown; 2]);
    assert!(runner.ran.into_inner().unwrap().is_empty());
}
