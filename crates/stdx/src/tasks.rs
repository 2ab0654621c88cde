//! Tasks that make further tasks, on a few threads.
//!
//! For walks: what is to be done shows only while it is done. The tasks lie on one stack, so that
//! a tree is worked on depth first and the number of tasks that wait does not follow its size. The
//! calling thread works, too, and others are only started once what was added is worth it.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::Scope;

/// Estimated microseconds of work from which on other threads pay for their start.
const WORTH: u64 = 500;

/// The tasks that wait.
#[derive(Debug)]
pub struct Tasks<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, E> {
    waiting: Vec<T>,
    /// Tasks that are being done: they may add others.
    running: usize,
    /// Threads that wait for a task.
    idle: usize,
    /// Sum of the costs of what was added.
    cost: u64,
    /// Threads beside the calling one that may still be started.
    startable: usize,
    error: Option<E>,
    /// Set by an error or a panic: nothing is begun any more.
    stopped: bool,
}

/// Does `first` and all tasks that tasks add, on up to `threads` threads; each calls `make` for
/// what it works with. After an error no task is begun, and the error is returned.
///
/// Tasks are taken last in, first out; several run at once, so they end in any order.
pub fn parallel_tasks<T: Send, S, E: Send>(
    first: T,
    threads: usize,
    make: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T, &Tasks<T, E>) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let state = State {
        waiting: vec![first],
        running: 0,
        idle: 0,
        cost: 0,
        startable: threads.saturating_sub(1),
        error: None,
        stopped: false,
    };
    let tasks = Tasks { state: Mutex::new(state), changed: Condvar::new() };
    let run = |own: &mut S, task| work(own, task, &tasks);
    std::thread::scope(|scope| tasks.work(scope, &make, &run));
    let error = tasks.state.into_inner().unwrap_or_else(PoisonError::into_inner).error;
    error.map_or(Ok(()), Err)
}

impl<T: Send, E: Send> Tasks<T, E> {
    /// Adds tasks that take about `cost` microseconds together; the last is taken first.
    pub fn add(&self, tasks: impl IntoIterator<Item = T>, cost: u64) {
        let mut state = self.lock();
        state.waiting.extend(tasks);
        state.cost += cost;
        // Who adds tasks takes one itself.
        if state.idle > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<'scope, S>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        make: &'scope (impl Fn() -> S + Sync),
        run: &'scope (impl Fn(&mut S, T) -> Result<(), E> + Sync),
    ) {
        let mut own = make();
        let mut state = self.lock();
        loop {
            if state.stopped {
                return;
            }
            let Some(task) = state.waiting.pop() else {
                if state.running == 0 {
                    return;
                }
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            state.running += 1;
            let start = state.startable > 0 && state.cost > WORTH && !state.waiting.is_empty();
            state.startable -= usize::from(start);
            drop(state);
            if start {
                // Each thread starts the next, if there still is a task for it.
                scope.spawn(|| self.work(scope, make, run));
            }
            let mut running = Running { tasks: self, error: None };
            running.error = run(&mut own, task).err();
            drop(running);
            state = self.lock();
        }
    }
}

/// A task that is being done. Its end is seen also when it panics: others wait for it.
struct Running<'a, T: Send, E: Send> {
    tasks: &'a Tasks<T, E>,
    error: Option<E>,
}

impl<T: Send, E: Send> Drop for Running<'_, T, E> {
    fn drop(&mut self) {
        let mut state = self.tasks.lock();
        state.running -= 1;
        if self.error.is_some() || std::thread::panicking() {
            state.stopped = true;
            state.error = state.error.take().or_else(|| self.error.take());
        }
        if state.stopped || (state.running == 0 && state.waiting.is_empty()) {
            self.tasks.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;
    use super::parallel_tasks;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    /// Counts the leaves of a tree of tasks, each of which adds the two below it.
    fn leaves(depth: u32, threads: usize, cost: u64) -> u64 {
        let count = AtomicU64::new(0);
        let result = parallel_tasks(
            depth,
            threads,
            || 0_u64,
            |own, depth, tasks| -> Result<(), ()> {
                *own += 1;
                match depth {
                    0 => drop(count.fetch_add(1, Ordering::Relaxed)),
                    depth => tasks.add([depth - 1, depth - 1], cost),
                }
                Ok(())
            },
        );
        assert_eq!(result, Ok(()));
        count.into_inner()
    }

    #[test]
    fn tasks_of_tasks_are_all_done_once() {
        for threads in [0, 1, 2, 7] {
            for cost in [0, 1000] {
                assert_eq!(leaves(10, threads, cost), 1024, "{threads} threads");
            }
        }
    }

    #[test]
    fn after_an_error_no_task_is_begun() {
        let begun = AtomicU64::new(0);
        let result = parallel_tasks(
            0,
            1,
            || (),
            |(), task, tasks| {
                begun.fetch_add(1, Ordering::Relaxed);
                tasks.add([1, 2, 3], 0);
                if task == 0 { Ok(()) } else { Err(task) }
            },
        );
        assert_eq!((result, begun.into_inner()), (Err(3), 2));
    }

    #[test]
    fn little_work_is_done_by_the_calling_thread() {
        let here = std::thread::current().id();
        let result = parallel_tasks(
            3,
            8,
            || (),
            |(), task, tasks| {
                tasks.add((task > 0).then(|| task - 1), 100);
                if std::thread::current().id() == here { Ok(()) } else { Err(()) }
            },
        );
        assert_eq!(result, Ok(()));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_a_task_is_not_waited_for() {
        let here = std::thread::current().id();
        let panics = AtomicBool::new(false);
        let work = |(): &mut (), is_first: bool, tasks: &Tasks<bool, ()>| {
            if is_first {
                tasks.add([false; 100], 1_000_000);
            } else if std::thread::current().id() == here {
                while !panics.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            } else {
                panics.store(true, Ordering::Relaxed);
                panic!("on the other thread");
            }
            Ok(())
        };
        let result = parallel_tasks(true, 2, || (), work);
        assert_eq!(result, Ok(()), "the panic goes on");
    }
}
