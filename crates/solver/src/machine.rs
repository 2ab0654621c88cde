//! The decisions of a solve, as a state machine: events in, actions out. No threads, no I/O.
//!
//! Each node has one [`State`] and one [`Demand`]. Whatever happens to a node can change what is
//! to be done about it and about those that use it; these are put on a list and looked at again
//! until nothing changes ([`Machine::settle`]). Both state and demand only ever move forward, so
//! that each node is looked at a bounded number of times.
//!
//! The one subtle rule is *certain miss*. Whether a node hits is sometimes not known before an
//! input has been run (the input's content is part of the key). Waiting for that before anything
//! else is started would run independent stages one after the other. But a node that stands on
//! another one which missed cannot hit, whatever the content: its key has a part that was never
//! recorded. So all its inputs are demanded at once.
//!
//! Nodes whose canonical keys turn out to be equal are one piece of work: the first of them is run,
//! the others are its *twins* and take what it made.
//!
//! A sibling of the certain miss is *late*: a node whose key has to wait for the content of something below it, and
//! which will need the content of an input that missed, has that input run meanwhile.

use std::collections::HashMap;

use crate::{CacheKey, Dag, NodeId};

/// How far a node's own story has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Keys of inputs are not known yet.
    Waiting,
    /// A lookup by definition key was asked for.
    LookingUp,
    /// No hit by definition; the content of inputs is needed for the other key.
    NeedsContent,
    /// The content key is being made, and looked up after that.
    Keying,
    /// No key hits: it must be run if its output is demanded.
    Missed,
    /// It is being run.
    Running,
    /// In a dry run: it would be run now, and there is no output.
    WouldRun,
    /// A key hit: the output is there.
    Hit,
    /// It was run: the output is there.
    Done,
}

/// What others want of a node; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Demand {
    Nothing,
    /// Its canonical key.
    Key,
    /// Its output.
    Output,
}

/// Something that happened outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The lookup by definition key found this canonical key, or nothing.
    LookedUp(NodeId, Option<CacheKey>),
    /// The content key was made and looked up.
    ContentKeyed(NodeId, CacheKey, Found),
    /// The node was run.
    Finished(NodeId),
    /// When the node was to be run, another process had just done it.
    FoundLate(NodeId),
    /// The node would have been run, and was not.
    LeftOut(NodeId),
}

/// Whether a lookup found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Hit,
    Miss,
}

/// What would become of a node that was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Would {
    Run,
    MayRun,
}

/// Something to do outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make the definition key and look it up.
    LookUp(NodeId),
    /// Make the content key and look it up.
    Key(NodeId),
    /// Run it.
    Run(NodeId),
    /// The first takes the output that the second made.
    Take(NodeId, NodeId),
}

/// Whether a node has a key that is known before its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyable {
    /// It has.
    Yes,
    /// Its output is known only by content: a folder on disk.
    ByContentOnly,
}

struct Slot {
    state: State,
    demand: Demand,
    keyable: Keyable,
    canonical: Option<CacheKey>,
    certain_miss: bool,
    /// An input, or one of its inputs, waits for content.
    late: bool,
    /// The node that is run in its place.
    twin: Option<NodeId>,
}

pub(crate) struct Machine<'a> {
    dag: &'a Dag,
    /// Which nodes are run again whatever the cache has.
    renewed: Vec<bool>,
    users: Vec<Vec<(NodeId, bool)>>,
    slots: Vec<Slot>,
    dirty: Vec<NodeId>,
    actions: Vec<Action>,
    /// The definition key of a node that only has one is its canonical key; the shell tells it
    /// here before it answers the lookup.
    definition: Vec<Option<CacheKey>>,
    /// The first node that missed by each canonical key.
    owners: HashMap<CacheKey, NodeId>,
    /// How often a node was looked at.
    #[cfg(test)]
    pub(crate) looks: usize,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(dag: &'a Dag, keyable: impl Fn(NodeId) -> Keyable) -> Self {
        let ids = || (0..).map(NodeId).take(dag.nodes.len());
        let slot = |id| Slot {
            state: State::Waiting,
            demand: Demand::Nothing,
            keyable: keyable(id),
            canonical: None,
            certain_miss: false,
            late: false,
            twin: None,
        };
        let mut machine = Self {
            dag,
            renewed: dag.renewed(),
            users: dag.users(),
            slots: ids().map(slot).collect(),
            dirty: ids().collect(),
            actions: Vec::new(),
            definition: vec![None; dag.nodes.len()],
            owners: HashMap::new(),
            #[cfg(test)]
            looks: 0,
        };
        // The list is a stack: the lowest id is to be looked at first.
        machine.dirty.reverse();
        for root in &dag.roots {
            machine.demand(*root, Demand::Output);
        }
        machine.settle();
        machine
    }

    /// Returns the actions that became due, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Tells whether a node is run again whatever the cache has.
    pub(crate) fn is_renewed(&self, id: NodeId) -> bool {
        self.renewed[id.index()]
    }

    /// Tells whether a node has a key before its output is there.
    pub(crate) fn is_keyed(&self, id: NodeId) -> bool {
        self.slots[id.index()].keyable == Keyable::Yes
    }

    pub(crate) fn state(&self, id: NodeId) -> State {
        self.slots[id.index()].state
    }

    /// Tells whether a node would be run, or may be, in a solve that ended without running any:
    /// what is wanted and stands on nothing but known misses, and what else is wanted and open.
    pub(crate) fn would(&self, id: NodeId) -> Option<Would> {
        let slot = &self.slots[id.index()];
        match slot.state {
            State::WouldRun => Some(Would::Run),
            State::Hit | State::Done => None,
            _ if slot.demand == Demand::Nothing => None,
            State::Missed | State::Running if slot.demand < Demand::Output => None,
            State::Missed | State::Running => Some(Would::Run),
            _ if slot.certain_miss && slot.demand == Demand::Output => Some(Would::Run),
            _ => Some(Would::MayRun),
        }
    }

    pub(crate) fn canonical(&self, id: NodeId) -> Option<CacheKey> {
        self.slots[id.index()].canonical
    }

    /// Remembers the definition key of a node whose lookup is under way.
    pub(crate) fn set_definition(&mut self, id: NodeId, key: CacheKey) {
        self.definition[id.index()] = Some(key);
    }

    pub(crate) fn definition(&self, id: NodeId) -> Option<CacheKey> {
        self.definition[id.index()]
    }

    pub(crate) fn on(&mut self, event: Event) {
        match event {
            Event::LookedUp(id, Some(canonical)) => self.found(id, canonical, Found::Hit),
            Event::LookedUp(id, None) if self.uses_content(id) => {
                self.enter(id, State::NeedsContent);
                self.mark_late(id);
            }
            Event::LookedUp(id, None) => {
                let key = self.definition[id.index()].expect("a lookup had a key");
                self.found(id, key, Found::Miss);
            }
            Event::ContentKeyed(id, key, found) => self.found(id, key, found),
            Event::Finished(id) => self.enter(id, State::Done),
            Event::FoundLate(id) => self.enter(id, State::Hit),
            Event::LeftOut(id) => self.enter(id, State::WouldRun),
        }
        self.settle();
    }

    fn found(&mut self, id: NodeId, canonical: CacheKey, found: Found) {
        self.slots[id.index()].canonical = Some(canonical);
        match found {
            Found::Hit => self.enter(id, State::Hit),
            Found::Miss => {
                let owner = *self.owners.entry(canonical).or_insert(id);
                if owner != id {
                    self.slots[id.index()].twin = Some(owner);
                    // As one that copies from it: it is told of the output, and not marked.
                    self.users[owner.index()].push((id, true));
                }
                self.enter(id, State::Missed);
                self.mark_certain_misses(id);
            }
        }
    }

    /// Tells whether a node uses an input by content.
    pub(crate) fn uses_content(&self, id: NodeId) -> bool {
        self.dag.nodes[id.index()].inputs.iter().any(|edge| edge.by_content)
    }

    fn enter(&mut self, id: NodeId, state: State) {
        self.slots[id.index()].state = state;
        self.dirty.push(id);
        self.dirty.extend(self.users[id.index()].iter().map(|(user, _)| *user));
    }

    fn demand(&mut self, id: NodeId, demand: Demand) {
        let slot = &mut self.slots[id.index()];
        if slot.demand < demand {
            slot.demand = demand;
            self.dirty.push(id);
        }
    }

    /// Marks what stands on `id`, other than by content: none of it can hit.
    fn mark_certain_misses(&mut self, id: NodeId) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            for (user, by_content) in &self.users[id.index()] {
                let slot = &mut self.slots[user.index()];
                if !by_content && !slot.certain_miss {
                    slot.certain_miss = true;
                    self.dirty.push(*user);
                    stack.push(*user);
                }
            }
        }
    }

    /// Marks what stands on `id`, other than by content: its key is not known before some content
    /// is, which takes time.
    fn mark_late(&mut self, id: NodeId) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            for (user, by_content) in &self.users[id.index()] {
                let slot = &mut self.slots[user.index()];
                if !by_content && !slot.late {
                    slot.late = true;
                    self.dirty.push(*user);
                    stack.push(*user);
                }
            }
        }
    }

    /// Wants the inputs of which the content will count, and which missed. A key with a new input
    /// in it is new as well, so the content is what decides; made now, it is made beside what the
    /// node waits for: two stages that are copied from, one line after the other, run at once.
    fn demand_missed(&mut self, id: NodeId) {
        let dag = self.dag;
        for edge in &dag.nodes[id.index()].inputs {
            if edge.by_content && self.state(edge.node) == State::Missed {
                self.demand(edge.node, Demand::Output);
            }
        }
    }

    fn settle(&mut self) {
        while let Some(id) = self.dirty.pop() {
            self.look_at(id);
        }
    }

    fn look_at(&mut self, id: NodeId) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let Slot { state, demand, certain_miss, .. } = self.slots[id.index()];
        match state {
            State::Waiting => self.look_at_waiting(id),
            State::NeedsContent if demand >= Demand::Key => self.look_at_content(id),
            State::Missed if demand == Demand::Output => self.look_at_missed(id),
            State::NeedsContent
            | State::Missed
            | State::LookingUp
            | State::Keying
            | State::Running
            | State::WouldRun
            | State::Hit
            | State::Done => {}
        }
        let open = matches!(state, State::Waiting | State::NeedsContent | State::Keying);
        if open && certain_miss && demand == Demand::Output {
            self.demand_inputs(id, Demand::Output, |_| true);
        }
    }

    fn look_at_waiting(&mut self, id: NodeId) {
        if self.slots[id.index()].keyable == Keyable::ByContentOnly {
            return self.enter(id, State::Missed);
        }
        let unknown = |machine: &Self, node: NodeId| {
            let slot = &machine.slots[node.index()];
            slot.canonical.is_none() && slot.keyable == Keyable::Yes
        };
        let inputs = &self.dag.nodes[id.index()].inputs;
        if inputs.iter().any(|edge| unknown(self, edge.node)) {
            if self.slots[id.index()].demand >= Demand::Key {
                self.demand_inputs(id, Demand::Key, |_| true);
                if self.slots[id.index()].late {
                    self.demand_missed(id);
                }
            }
        } else if self.has_definition(id) {
            self.slots[id.index()].state = State::LookingUp;
            self.actions.push(Action::LookUp(id));
        } else {
            // An input is known by content only: there is no definition key to look up.
            self.enter(id, State::NeedsContent);
            self.mark_late(id);
        }
    }

    /// Tells whether a key can be made of the keys of the inputs. It cannot where one is known by
    /// content only, and where one is run again: its key is the old one, but who uses it by
    /// content is to look at the new content.
    fn has_definition(&self, id: NodeId) -> bool {
        self.dag.nodes[id.index()].inputs.iter().all(|edge| {
            let index = edge.node.index();
            self.slots[index].canonical.is_some() && !(edge.by_content && self.renewed[index])
        })
    }

    fn look_at_content(&mut self, id: NodeId) {
        self.demand_inputs(id, Demand::Output, |by_content| by_content);
        let inputs = &self.dag.nodes[id.index()].inputs;
        if inputs.iter().all(|edge| !edge.by_content || self.has_output(edge.node)) {
            self.slots[id.index()].state = State::Keying;
            self.actions.push(Action::Key(id));
        }
    }

    fn look_at_missed(&mut self, id: NodeId) {
        if let Some(owner) = self.slots[id.index()].twin {
            return self.look_at_twin(id, owner);
        }
        self.demand_inputs(id, Demand::Output, |_| true);
        let ready = |id| self.has_output(id) || self.state(id) == State::WouldRun;
        if self.dag.nodes[id.index()].inputs.iter().all(|edge| ready(edge.node)) {
            self.slots[id.index()].state = State::Running;
            self.actions.push(Action::Run(id));
        }
    }

    fn look_at_twin(&mut self, id: NodeId, owner: NodeId) {
        self.demand(owner, Demand::Output);
        match self.state(owner) {
            State::Hit | State::Done => {
                self.actions.push(Action::Take(id, owner));
                self.enter(id, State::Hit);
            }
            State::WouldRun => self.enter(id, State::WouldRun),
            _ => {}
        }
    }

    fn has_output(&self, id: NodeId) -> bool {
        matches!(self.state(id), State::Hit | State::Done)
    }

    fn demand_inputs(&mut self, id: NodeId, demand: Demand, which: impl Fn(bool) -> bool) {
        let dag = self.dag;
        for edge in &dag.nodes[id.index()].inputs {
            if which(edge.by_content) {
                self.demand(edge.node, demand);
            }
        }
    }
}
