//! How often nodes are looked at: as many times for each node, however many there are.

use super::*;
use crate::machine::{Action, Event, Found, Keyable, Machine, State};

/// What the cache answers.
#[derive(Clone, Copy, Debug)]
enum Cached {
    Nothing,
    Everything,
}

/// Drives the machine without threads; returns how often a node was looked at.
fn looks(dag: &Dag, cached: Cached) -> usize {
    let mut machine = Machine::new(dag, |_| Keyable::Yes);
    let key = |id: NodeId| KeyRecipe { parts: vec![KeyPart::new("node", id.0.to_string())] }.key();
    loop {
        let actions = machine.take_actions();
        if actions.is_empty() {
            break;
        }
        for action in actions {
            match (action, cached) {
                (Action::LookUp(id), Cached::Nothing) => {
                    machine.set_definition(id, key(id));
                    machine.on(Event::LookedUp(id, None));
                }
                (Action::LookUp(id), Cached::Everything) => {
                    machine.on(Event::LookedUp(id, Some(key(id))));
                }
                (Action::Key(id), _) => {
                    machine.on(Event::ContentKeyed(id, key(id), Found::Miss));
                }
                (Action::Run(id), _) => machine.on(Event::Finished(id)),
                (Action::Take(..), _) => {}
            }
        }
    }
    for root in &dag.roots {
        assert!(matches!(machine.state(*root), State::Done | State::Hit));
    }
    machine.looks
}

/// `stages` stages of `steps` steps each, one on the other, and each begins with a copy from the
/// last step of the one before.
fn stages(stages: u32, steps: u32) -> Dag {
    let mut nodes = Vec::new();
    for stage in 0..stages {
        for step in 0..steps {
            let id = stage * steps + step;
            let below = (step > 0).then(|| Edge { node: NodeId(id - 1), by_content: false });
            let copied =
                (step == 0 && stage > 0).then(|| Edge { node: NodeId(id - 1), by_content: true });
            let inputs = below.into_iter().chain(copied).collect();
            nodes.push(Node { inputs, ..Node::default() });
        }
    }
    Dag { nodes, roots: vec![NodeId(stages * steps - 1)] }
}

#[test]
fn nodes_are_looked_at_equally_often_in_graphs_of_every_size() {
    let check = |small: &Dag, large: &Dag, cached: Cached| {
        let for_thousand = |dag: &Dag| looks(dag, cached) * 1000 / dag.nodes.len();
        let (few, many) = (for_thousand(small), for_thousand(large));
        assert!(many * 10 <= few * 13, "{cached:?}: {few} looks for 1,000 nodes became {many}");
    };
    for cached in [Cached::Nothing, Cached::Everything] {
        check(&stages(1, 10), &stages(1, 100), cached);
        check(&stages(1, 10), &stages(1, 1000), cached);
        check(&stages(1, 10), &stages(1, 10_000), cached);
        check(&stages(10, 10), &stages(100, 10), cached);
        check(&stages(10, 10), &stages(1000, 10), cached);
    }
}

#[test]
fn a_context_that_all_steps_copy_from_costs_each_the_same() {
    let of = |steps: u32| {
        let context = Node::default();
        let first =
            Node { inputs: vec![Edge { node: NodeId(0), by_content: true }], ..Node::default() };
        let copy = |id: u32| Node {
            inputs: vec![
                Edge { node: NodeId(id - 1), by_content: false },
                Edge { node: NodeId(0), by_content: true },
            ],
            ..Node::default()
        };
        let nodes = [context, first].into_iter().chain((2..steps).map(copy)).collect();
        Dag { nodes, roots: vec![NodeId(steps - 1)] }
    };
    let for_thousand = |steps: u32| looks(&of(steps), Cached::Nothing) * 1000 / steps as usize;
    let (few, many) = (for_thousand(10), for_thousand(10_000));
    assert!(many * 10 <= few * 13, "{few} looks for 1,000 nodes became {many}");
}
