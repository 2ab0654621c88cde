//! The loop around the state machine: keys, lookups, threads.
//!
//! One thread owns all state and takes events from one channel; the others run what they are
//! given and own nothing. Threads are made when there is work for them, at most
//! [`SolveOptions::jobs`].

use std::{
    collections::BinaryHeap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use lathe_event::{Cancel, Disposition, Event as Progress, EventSink, StepId};

use crate::{
    CacheKey, Dag, KeyPart, KeyRecipe, NodeId,
    machine::{Action, Event, Found, Keyable, Machine, State},
};

/// Runs operations by id.
pub trait OpRunner: Sync {
    /// What an operation makes; cheap to clone.
    type Output: Clone + Send + Sync;
    /// Why an operation failed.
    type Error: Send + std::fmt::Display;

    /// Returns the parts by which the operation is told from another, without its inputs;
    /// `None` if its output is known only by content.
    fn parts(&self, node: NodeId) -> Option<Vec<KeyPart>>;

    /// Returns what counts of the content of an input.
    fn content(
        &self,
        node: NodeId,
        input: usize,
        output: &Self::Output,
    ) -> Result<Vec<KeyPart>, Self::Error>;

    /// Runs the operation; called at most once for each node.
    fn run(&self, node: NodeId, inputs: &[Self::Output]) -> Result<Self::Output, Self::Error>;
}

/// A remembered result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheHit<O> {
    /// The output.
    pub output: O,
    /// The key that what stands on it refers to.
    pub canonical: CacheKey,
}

/// Remembers results across solves.
pub trait CacheIndex: Sync {
    /// As the runner's.
    type Output;
    /// As the runner's.
    type Error;

    /// Returns the result recorded for `key`.
    fn lookup(&self, key: CacheKey) -> Result<Option<CacheHit<Self::Output>>, Self::Error>;

    /// Records `output` for each of `keys`; the first is canonical.
    fn record(
        &self,
        keys: &[CacheKey],
        recipe: &KeyRecipe,
        output: &Self::Output,
    ) -> Result<(), Self::Error>;
}

/// How to solve.
#[derive(Clone, Copy, Debug)]
pub struct SolveOptions {
    /// How many operations may run at once.
    pub jobs: NonZeroUsize,
}

/// What became of one node.
#[derive(Clone, Debug)]
pub struct NodeReport<O> {
    /// Its output, if it has one.
    pub output: Option<O>,
    /// Whether it was found, run or not needed.
    pub disposition: Disposition,
    /// Its canonical key, if it was needed to know.
    pub key: Option<CacheKey>,
    /// The time it ran.
    pub duration: Duration,
}

/// What became of all nodes, by id.
#[derive(Clone, Debug)]
pub struct Solution<O> {
    /// The reports.
    pub nodes: Vec<NodeReport<O>>,
}

/// Why there is no solution.
#[derive(Debug)]
pub enum SolveError<E> {
    /// An operation failed.
    Failed {
        /// Which one.
        node: NodeId,
        /// Why.
        error: E,
    },
    /// The user wanted it to stop.
    Cancelled,
}

enum Task<O> {
    Key(NodeId, Vec<Option<O>>),
    Run(NodeId, Vec<O>),
}

enum Done<O, E> {
    Keyed(NodeId, Result<Vec<Vec<KeyPart>>, E>),
    Ran(NodeId, Result<O, E>, Duration),
}

/// Makes the outputs of the roots of `dag`, running as little as possible.
///
/// `stop` is watched, and cancelled when an operation fails, so that the others end soon.
pub fn solve<R, C>(
    dag: &Dag,
    runner: &R,
    cache: &C,
    events: &dyn EventSink,
    stop: &Cancel,
    options: SolveOptions,
) -> Result<Solution<R::Output>, SolveError<R::Error>>
where
    R: OpRunner,
    C: CacheIndex<Output = R::Output, Error = R::Error>,
{
    let parts: Vec<_> =
        (0..).map(NodeId).take(dag.nodes.len()).map(|id| runner.parts(id)).collect();
    let keyable = |id: NodeId| match parts[id.index()] {
        Some(_) => Keyable::Yes,
        None => Keyable::ByContentOnly,
    };
    let machine = Machine::new(dag, keyable);
    let outputs = dag.nodes.iter().map(|_| None).collect();
    let durations = vec![Duration::ZERO; dag.nodes.len()];
    let mut shell = Shell {
        dag,
        runner,
        cache,
        events,
        machine,
        parts,
        outputs,
        durations,
        recipes: vec![None; dag.nodes.len()],
        failure: None,
    };
    shell.run(stop, options)
}

struct Shell<'a, R: OpRunner, C> {
    dag: &'a Dag,
    runner: &'a R,
    cache: &'a C,
    events: &'a dyn EventSink,
    machine: Machine<'a>,
    parts: Vec<Option<Vec<KeyPart>>>,
    outputs: Vec<Option<R::Output>>,
    durations: Vec<Duration>,
    /// The canonical recipe of each node that missed.
    recipes: Vec<Option<KeyRecipe>>,
    failure: Option<(NodeId, R::Error)>,
}

impl<R, C> Shell<'_, R, C>
where
    R: OpRunner,
    C: CacheIndex<Output = R::Output, Error = R::Error>,
{
    fn run(
        &mut self,
        stop: &Cancel,
        options: SolveOptions,
    ) -> Result<Solution<R::Output>, SolveError<R::Error>> {
        let heights = self.dag.heights();
        let (runner, events) = (self.runner, self.events);
        let (tasks, queue) = mpsc::channel::<Task<R::Output>>();
        let queue = Arc::new(Mutex::new(queue));
        let (done_sender, done) = mpsc::channel();
        thread::scope(|scope| {
            // Moved in, so that the threads see the end of the queue when this closure returns.
            let tasks = tasks;
            let (mut threads, mut running) = (0, 0);
            let mut ready: BinaryHeap<(u32, std::cmp::Reverse<NodeId>, bool)> = BinaryHeap::new();
            loop {
                self.act(|id, is_run| {
                    ready.push((heights[id.index()], std::cmp::Reverse(id), is_run));
                });
                let stopped = self.failure.is_some() || stop.is_cancelled();
                while !stopped && running < options.jobs.get() {
                    let Some((_, std::cmp::Reverse(id), is_run)) = ready.pop() else { break };
                    let task = if is_run { self.run_task(id) } else { self.key_task(id) };
                    tasks.send(task).expect("the queue lives as long as this loop");
                    running += 1;
                    if running > threads {
                        threads += 1;
                        let (queue, done) = (Arc::clone(&queue), done_sender.clone());
                        scope.spawn(move || work(runner, events, &queue, &done));
                    }
                }
                if running == 0 {
                    break;
                }
                let message = done.recv().expect("a task is running");
                running -= 1;
                self.take(message);
                if self.failure.is_some() {
                    stop.cancel();
                }
            }
        });
        match self.failure.take() {
            Some((node, error)) => Err(SolveError::Failed { node, error }),
            None if stop.is_cancelled() => Err(SolveError::Cancelled),
            None => Ok(self.solution()),
        }
    }

    /// Does what can be done at once; hands the rest to `later`, with whether it is a run.
    fn act(&mut self, mut later: impl FnMut(NodeId, bool)) {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::LookUp(id) => self.look_up(id),
                    Action::Key(id) => later(id, false),
                    Action::Run(id) => later(id, true),
                }
            }
        }
    }

    fn look_up(&mut self, id: NodeId) {
        let recipe = self.recipe(id, None);
        let key = recipe.key();
        self.machine.set_definition(id, key);
        match self.find(id, key) {
            Ok(found) => {
                self.recipes[id.index()] = Some(recipe);
                self.machine.on(Event::LookedUp(id, found));
            }
            Err(error) => self.fail(id, error, Duration::ZERO),
        }
    }

    /// Looks `key` up; keeps the output and returns the canonical key if it hits.
    fn find(&mut self, id: NodeId, key: CacheKey) -> Result<Option<CacheKey>, R::Error> {
        if self.machine.is_renewed(id) {
            return Ok(None);
        }
        let Some(hit) = self.cache.lookup(key)? else { return Ok(None) };
        self.outputs[id.index()] = Some(hit.output);
        let (disposition, duration) = (Disposition::Hit, Duration::ZERO);
        self.events.emit(Progress::StepFinished { step: StepId(id.0), disposition, duration });
        Ok(Some(hit.canonical))
    }

    /// Returns the recipe of a node: by the content of inputs if that is given, else by their
    /// keys alone.
    fn recipe(&self, id: NodeId, content: Option<Vec<Vec<KeyPart>>>) -> KeyRecipe {
        let own = self.parts[id.index()].as_ref().expect("only a node with parts is keyed");
        let mut parts = own.clone();
        let mut content = content.map(Vec::into_iter);
        for (index, edge) in self.dag.nodes[id.index()].inputs.iter().enumerate() {
            match &mut content {
                Some(content) if edge.by_content => {
                    parts.extend(content.next().expect("content of each such input was asked for"));
                }
                _ => {
                    let key = self.machine.canonical(edge.node).expect("keys of inputs are known");
                    parts.push(KeyPart::new(format!("input {index}"), key.to_string()));
                }
            }
        }
        KeyRecipe { parts }
    }

    fn key_task(&self, id: NodeId) -> Task<R::Output> {
        let output = |edge: &crate::Edge| edge.by_content.then(|| self.output(edge.node));
        Task::Key(id, self.dag.nodes[id.index()].inputs.iter().map(output).collect())
    }

    fn run_task(&self, id: NodeId) -> Task<R::Output> {
        let inputs = &self.dag.nodes[id.index()].inputs;
        Task::Run(id, inputs.iter().map(|edge| self.output(edge.node)).collect())
    }

    fn output(&self, id: NodeId) -> R::Output {
        self.outputs[id.index()].clone().expect("inputs have outputs before they are used")
    }

    fn take(&mut self, message: Done<R::Output, R::Error>) {
        let (id, result, duration) = match message {
            Done::Keyed(id, Ok(content)) => (id, self.keyed(id, content), Duration::ZERO),
            Done::Keyed(id, Err(error)) => (id, Err(error), Duration::ZERO),
            Done::Ran(id, Ok(output), duration) => (id, self.ran(id, output, duration), duration),
            Done::Ran(id, Err(error), duration) => (id, Err(error), duration),
        };
        if let Err(error) = result {
            self.fail(id, error, duration);
        }
    }

    fn keyed(&mut self, id: NodeId, content: Vec<Vec<KeyPart>>) -> Result<(), R::Error> {
        self.define_late(id);
        let recipe = self.recipe(id, Some(content));
        let key = recipe.key();
        let found = match self.find(id, key)? {
            Some(_) => {
                // From now on the definition key alone finds it.
                let keys: Vec<_> =
                    [Some(key), self.machine.definition(id)].into_iter().flatten().collect();
                if keys.len() > 1 {
                    self.cache.record(&keys, &recipe, &self.output(id))?;
                }
                Found::Hit
            }
            None => Found::Miss,
        };
        self.recipes[id.index()] = Some(recipe);
        self.machine.on(Event::ContentKeyed(id, key, found));
        Ok(())
    }

    /// Makes the definition key of a node that was not looked up by it because an input is run
    /// again: the key is to lead to the new output from now on, and no longer to the old one.
    fn define_late(&mut self, id: NodeId) {
        let known = |edge: &crate::Edge| self.machine.canonical(edge.node).is_some();
        let unknown = self.machine.definition(id).is_none();
        if unknown && self.dag.nodes[id.index()].inputs.iter().all(known) {
            let key = self.recipe(id, None).key();
            self.machine.set_definition(id, key);
        }
    }

    fn ran(&mut self, id: NodeId, output: R::Output, duration: Duration) -> Result<(), R::Error> {
        self.durations[id.index()] = duration;
        if let Some(canonical) = self.machine.canonical(id) {
            let definition = self.machine.definition(id).filter(|key| *key != canonical);
            let keys: Vec<_> = [Some(canonical), definition].into_iter().flatten().collect();
            let recipe = self.recipes[id.index()].take().unwrap_or_default();
            self.cache.record(&keys, &recipe, &output)?;
        }
        self.outputs[id.index()] = Some(output);
        let disposition = Disposition::Ran;
        self.events.emit(Progress::StepFinished { step: StepId(id.0), disposition, duration });
        self.machine.on(Event::Finished(id));
        Ok(())
    }

    /// Keeps and tells the first failure: later ones are mostly the effect of stopping.
    fn fail(&mut self, id: NodeId, error: R::Error, duration: Duration) {
        if self.failure.is_none() {
            let message = error.to_string().into();
            self.events.emit(Progress::StepFailed { step: StepId(id.0), message, duration });
            self.failure = Some((id, error));
        }
    }

    fn solution(&mut self) -> Solution<R::Output> {
        let report = |index: usize| {
            let id = NodeId(u32::try_from(index).expect("ids are 32 bits wide"));
            NodeReport {
                output: self.outputs[index].take(),
                disposition: match self.machine.state(id) {
                    State::Hit => Disposition::Hit,
                    State::Done => Disposition::Ran,
                    _ => Disposition::Skipped,
                },
                key: self.machine.canonical(id),
                duration: self.durations[index],
            }
        };
        Solution { nodes: (0..self.dag.nodes.len()).map(report).collect() }
    }
}

/// Runs tasks until there are no more.
fn work<R: OpRunner>(
    runner: &R,
    events: &dyn EventSink,
    queue: &Mutex<mpsc::Receiver<Task<R::Output>>>,
    done: &mpsc::Sender<Done<R::Output, R::Error>>,
) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let message = match task {
            Ok(Task::Key(id, inputs)) => Done::Keyed(id, key(runner, id, &inputs)),
            Ok(Task::Run(id, inputs)) => {
                events.emit(Progress::StepStarted(StepId(id.0)));
                let start = Instant::now();
                Done::Ran(id, runner.run(id, &inputs), start.elapsed())
            }
            Err(mpsc::RecvError) => return,
        };
        if done.send(message).is_err() {
            return;
        }
    }
}

fn key<R: OpRunner>(
    runner: &R,
    id: NodeId,
    inputs: &[Option<R::Output>],
) -> Result<Vec<Vec<KeyPart>>, R::Error> {
    let by_content = inputs.iter().enumerate().filter_map(|(i, o)| Some((i, o.as_ref()?)));
    by_content.map(|(index, output)| runner.content(id, index, output)).collect()
}
