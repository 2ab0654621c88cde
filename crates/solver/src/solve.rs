//! The loop around the state machine: keys, lookups, threads.
//!
//! One thread owns all state and takes events from one channel; the others run what they are
//! given and own nothing. Threads are made when there is work for them, at most
//! [`SolveOptions::jobs`].

use std::{
    collections::BinaryHeap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use lathe_event::{Cancel, Disposition, Event as Progress, EventSink, StepId};

use crate::{
    CacheKey, Dag, Edge, KeyPart, KeyRecipe, Load, NodeId,
    machine::{Action, Event, Found, Keyable, Machine, State, Would},
    threads::{Content, Done, Env, Made, Task, work},
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
    /// The time that making it took.
    pub cost: Duration,
}

/// Remembers results across solves.
pub trait CacheIndex: Sync {
    /// As the runner's.
    type Output;
    /// As the runner's.
    type Error;
    /// The right to make the output of a key; given back when it drops.
    type Claim: Send;

    /// Returns the result recorded for `key`.
    fn lookup(&self, key: CacheKey) -> Result<Option<CacheHit<Self::Output>>, Self::Error>;

    /// Takes the right to make the output of `key`, waiting for whoever has it, in this process
    /// or another one; `None` if `stop` ended the waiting.
    ///
    /// It is held while one node runs and until its output is recorded, and no node waits for
    /// another one meanwhile: so those who wait do not wait for each other.
    fn claim(&self, key: CacheKey, stop: &Cancel) -> Result<Option<Self::Claim>, Self::Error>;

    /// Records `output`, which took the time `cost` to make, for each of `keys`; the first is
    /// canonical.
    fn record(
        &self,
        keys: &[CacheKey],
        recipe: &KeyRecipe,
        output: &Self::Output,
        cost: Duration,
    ) -> Result<(), Self::Error>;
}

/// Whether anything is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What is needed is run.
    #[default]
    Run,
    /// Nothing is run but nodes that only look ([`Load::Look`]): the reports tell what would be.
    Dry,
}

/// How to solve.
#[derive(Clone, Copy)]
pub struct SolveOptions<'a> {
    /// How many operations may run at once, besides those that wait for a network.
    pub jobs: NonZeroUsize,
    /// Returns the time that each node is expected to take, nothing where that is not known.
    /// Asked once, when the first node is to be run that does more than look.
    pub weights: &'a (dyn Fn() -> Vec<Duration> + Sync),
    /// Whether anything is run.
    pub mode: Mode,
}

impl SolveOptions<'_> {
    /// Returns options of a solve that runs what is needed, and knows nothing of its times.
    pub const fn new(jobs: NonZeroUsize) -> Self {
        Self { jobs, weights: &Vec::new, mode: Mode::Run }
    }
}

impl std::fmt::Debug for SolveOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { jobs, mode, .. } = self;
        f.debug_struct("SolveOptions").field("jobs", jobs).field("mode", mode).finish()
    }
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
    /// What its key is made of: by content where that was needed to know, else by the keys of
    /// its inputs.
    pub recipe: Option<KeyRecipe>,
    /// The time it ran.
    pub duration: Duration,
    /// The time that its output took to make, now or when it was recorded.
    pub cost: Duration,
}

/// What became of all nodes, by id.
#[derive(Clone, Debug)]
pub struct Solution<O> {
    /// The reports.
    pub nodes: Vec<NodeReport<O>>,
}

/// Why the roots have no outputs.
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

/// How a solve ended.
#[derive(Debug)]
pub struct Solved<O, E> {
    /// What became of the nodes, also of a solve that failed.
    pub solution: Solution<O>,
    /// Whether the roots have their outputs.
    pub ending: Result<(), SolveError<E>>,
}

/// How many operations that wait for a network may run at once.
const NETWORK_JOBS: usize = 8;

/// Makes the outputs of the roots of `dag`, running as little as possible.
///
/// `stop` is watched, and cancelled when an operation fails, so that the others end soon.
pub fn solve<R, C>(
    dag: &Dag,
    runner: &R,
    cache: &C,
    events: &dyn EventSink,
    stop: &Cancel,
    options: &SolveOptions<'_>,
) -> Solved<R::Output, R::Error>
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
        env: Env { runner, cache, events, stop },
        mode: options.mode,
        machine,
        parts,
        outputs,
        costs: durations.clone(),
        durations,
        recipes: vec![None; dag.nodes.len()],
        failure: None,
    };
    shell.run(options);
    let ending = match shell.failure.take() {
        Some((node, error)) => Err(SolveError::Failed { node, error }),
        None if stop.is_cancelled() => Err(SolveError::Cancelled),
        None => Ok(()),
    };
    Solved { solution: shell.solution(), ending }
}

struct Shell<'a, R: OpRunner, C> {
    dag: &'a Dag,
    env: Env<'a, R, C>,
    mode: Mode,
    machine: Machine<'a>,
    parts: Vec<Option<Vec<KeyPart>>>,
    outputs: Vec<Option<R::Output>>,
    durations: Vec<Duration>,
    costs: Vec<Duration>,
    /// The recipe of each node that was looked up: the canonical one once it is known.
    recipes: Vec<Option<KeyRecipe>>,
    failure: Option<(NodeId, R::Error)>,
}

/// Tasks that can be begun, the longest way to a root first; ties by id.
#[derive(Default)]
struct Lane {
    ready: BinaryHeap<(Duration, std::cmp::Reverse<NodeId>, Due)>,
    running: usize,
}

/// What a node is due for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Key,
    Run,
}

impl<R, C> Shell<'_, R, C>
where
    R: OpRunner,
    C: CacheIndex<Output = R::Output, Error = R::Error>,
{
    fn run(&mut self, options: &SolveOptions<'_>) {
        let mut heights = self.dag.heights(&[]);
        let mut weights = Some(options.weights);
        let env = Env { ..self.env };
        let dag = self.dag;
        let (tasks, queue) = mpsc::channel::<Task<R::Output>>();
        let queue = Arc::new(Mutex::new(queue));
        let (done_sender, done) = mpsc::channel();
        thread::scope(|scope| {
            // Moved in, so that the threads see the end of the queue when this closure returns.
            let tasks = tasks;
            let mut threads = 0;
            // Computing, and waiting for a network.
            let mut lanes = [Lane::default(), Lane::default()];
            let bounds = [options.jobs.get(), NETWORK_JOBS];
            loop {
                self.act(|lane, id, due| {
                    if due == Due::Run
                        && dag.nodes[id.index()].load != Load::Look
                        && let Some(weights) = weights.take()
                    {
                        heights = dag.heights(&weights());
                    }
                    lanes[lane].ready.push((heights[id.index()], std::cmp::Reverse(id), due));
                });
                for lane in 0..lanes.len() {
                    while lanes[lane].running < bounds[lane] && !self.is_over() {
                        let Some((_, std::cmp::Reverse(id), due)) = lanes[lane].ready.pop() else {
                            break;
                        };
                        tasks.send(self.task(id, due)).expect("the queue lives as long as this");
                        lanes[lane].running += 1;
                        if lanes.iter().map(|lane| lane.running).sum::<usize>() > threads {
                            threads += 1;
                            let (queue, done) = (Arc::clone(&queue), done_sender.clone());
                            let env = &env;
                            scope.spawn(move || work(env, &queue, &done));
                        }
                    }
                }
                if lanes.iter().all(|lane| lane.running == 0) {
                    break;
                }
                let message = done.recv().expect("a task is running");
                lanes[self.lane(message.node())].running -= 1;
                self.take(message);
                if self.failure.is_some() {
                    self.env.stop.cancel();
                }
            }
        });
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.env.stop.is_cancelled()
    }

    /// Returns which tasks a node takes turns with.
    fn lane(&self, id: NodeId) -> usize {
        usize::from(self.dag.nodes[id.index()].load == Load::Network)
    }

    /// Does what can be done at once; hands the rest to `later`.
    fn act(&mut self, mut later: impl FnMut(usize, NodeId, Due)) {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::LookUp(id) => self.look_up(id),
                    Action::Key(id) => later(self.lane(id), id, Due::Key),
                    Action::Run(id) if self.is_left_out(id) => {
                        self.machine.on(Event::LeftOut(id));
                    }
                    Action::Run(id) => later(self.lane(id), id, Due::Run),
                    Action::Take(id, owner) => {
                        self.outputs[id.index()] = Some(self.output(owner));
                        self.costs[id.index()] = self.costs[owner.index()];
                        self.tell(id, Disposition::Hit, Duration::ZERO);
                    }
                }
            }
        }
    }

    fn is_left_out(&self, id: NodeId) -> bool {
        self.mode == Mode::Dry && self.dag.nodes[id.index()].load != Load::Look
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
        let Some(hit) = self.env.cache.lookup(key)? else { return Ok(None) };
        let canonical = hit.canonical;
        self.hit(id, hit);
        Ok(Some(canonical))
    }

    fn hit(&mut self, id: NodeId, hit: CacheHit<R::Output>) {
        self.outputs[id.index()] = Some(hit.output);
        self.costs[id.index()] = hit.cost;
        self.tell(id, Disposition::Hit, Duration::ZERO);
    }

    fn tell(&self, id: NodeId, disposition: Disposition, duration: Duration) {
        let step = StepId(id.0);
        self.env.events.emit(Progress::StepFinished { step, disposition, duration });
    }

    /// Returns the recipe of a node: by the content of inputs if that is given, else by their
    /// keys alone.
    fn recipe(&mut self, id: NodeId, content: Option<Content>) -> KeyRecipe {
        let own = &mut self.parts[id.index()];
        // One that uses nothing by content has one recipe only.
        let own = if self.machine.uses_content(id) { own.clone() } else { own.take() };
        let mut parts = own.expect("only a node with parts is keyed");
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

    fn task(&self, id: NodeId, due: Due) -> Task<R::Output> {
        let inputs = self.dag.nodes[id.index()].inputs.iter();
        match due {
            Due::Key => {
                let output = |edge: &Edge| edge.by_content.then(|| self.output(edge.node));
                Task::Key(id, inputs.map(output).collect())
            }
            Due::Run => {
                // One that is run whatever there is takes nobody's result, and need not wait.
                let claim = self.machine.canonical(id).filter(|_| !self.machine.is_renewed(id));
                Task::Run(id, inputs.map(|edge| self.output(edge.node)).collect(), claim)
            }
        }
    }

    fn output(&self, id: NodeId) -> R::Output {
        self.outputs[id.index()].clone().expect("inputs have outputs before they are used")
    }

    fn take(&mut self, message: Done<R::Output, C::Claim, R::Error>) {
        let (id, result, duration) = match message {
            Done::Keyed(id, content) => {
                (id, content.and_then(|content| self.keyed(id, content)), Duration::ZERO)
            }
            Done::Ran(id, made, duration) => {
                self.durations[id.index()] = duration;
                (id, made.and_then(|made| self.ran(id, made, duration)), duration)
            }
        };
        if let Err(error) = result {
            self.fail(id, error, duration);
        }
    }

    fn keyed(&mut self, id: NodeId, content: Content) -> Result<(), R::Error> {
        self.define_late(id);
        let recipe = self.recipe(id, Some(content));
        let key = recipe.key();
        let found = match self.find(id, key)? {
            Some(_) => {
                // From now on the definition key alone finds it.
                let keys: Vec<_> =
                    [Some(key), self.machine.definition(id)].into_iter().flatten().collect();
                if keys.len() > 1 {
                    let cost = self.costs[id.index()];
                    self.env.cache.record(&keys, &recipe, &self.output(id), cost)?;
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
        let known = |edge: &Edge| self.machine.canonical(edge.node).is_some();
        let unknown = self.machine.definition(id).is_none();
        if unknown && self.dag.nodes[id.index()].inputs.iter().all(known) {
            let key = self.recipe(id, None).key();
            self.machine.set_definition(id, key);
        }
    }

    fn ran(
        &mut self,
        id: NodeId,
        made: Made<R::Output, C::Claim>,
        duration: Duration,
    ) -> Result<(), R::Error> {
        let (output, claim) = match made {
            Made::Ran(output, claim) => (output, claim),
            Made::Found(hit) => {
                self.hit(id, hit);
                self.machine.on(Event::FoundLate(id));
                return Ok(());
            }
            Made::Stopped => return Ok(()),
        };
        if let Some(canonical) = self.machine.canonical(id) {
            let definition = self.machine.definition(id).filter(|key| *key != canonical);
            let keys: Vec<_> = [Some(canonical), definition].into_iter().flatten().collect();
            let none = KeyRecipe::default();
            let recipe = self.recipes[id.index()].as_ref().unwrap_or(&none);
            self.env.cache.record(&keys, recipe, &output, duration)?;
        }
        // Whoever waits for it finds the record.
        drop(claim);
        self.costs[id.index()] = duration;
        self.outputs[id.index()] = Some(output);
        self.tell(id, Disposition::Ran, duration);
        self.machine.on(Event::Finished(id));
        Ok(())
    }

    /// Keeps and tells the first failure: later ones are mostly the effect of stopping.
    fn fail(&mut self, id: NodeId, error: R::Error, duration: Duration) {
        if self.failure.is_none() {
            let message = error.to_string().into();
            self.env.events.emit(Progress::StepFailed { step: StepId(id.0), message, duration });
            self.failure = Some((id, error));
        }
    }

    fn solution(&mut self) -> Solution<R::Output> {
        let count = self.outputs.len();
        let report = |index: usize| {
            let id = NodeId(u32::try_from(index).expect("ids are 32 bits wide"));
            NodeReport {
                output: self.outputs[index].take(),
                disposition: self.disposition(id),
                key: self.machine.canonical(id),
                recipe: self.recipes[index].take(),
                duration: self.durations[index],
                cost: self.costs[index],
            }
        };
        Solution { nodes: (0..count).map(report).collect() }
    }

    fn disposition(&self, id: NodeId) -> Disposition {
        match self.machine.state(id) {
            State::Hit => Disposition::Hit,
            State::Done => Disposition::Ran,
            _ if self.mode == Mode::Run => Disposition::Skipped,
            _ => match self.machine.would(id) {
                // A download without a checksum may find that nothing has changed.
                Some(Would::Run) if self.machine.is_keyed(id) => Disposition::WouldRun,
                Some(_) => Disposition::Unknown,
                None => Disposition::Skipped,
            },
        }
    }
}
