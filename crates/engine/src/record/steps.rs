//! The steps of a record, from the graph and from what the solver reports.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lathe_dockerfile::{Dockerfile, ast::InstructionKind};
use lathe_event::{Disposition, StepId};
use lathe_graph::{BuildGraph, Op, SourceOp, Vertex};
use lathe_oci::Digest;
use lathe_solver::{KeyRecipe, NodeReport, Solution};
use lathe_worker::Output;

use super::{Fate, LogFile, Step, instruction};

/// Longest value of a part that is kept whole, in bytes.
const LONGEST: usize = 1024;

/// Most parts that are kept one by one.
const MOST: usize = 256;

/// Name of all others.
const REST: &str = "remaining parts";

/// Returns the steps of a graph before anything was done about them.
pub(crate) fn planned(graph: &BuildGraph, text: &str) -> Vec<Step> {
    let lines = Lines::of(text);
    let mut ids: HashMap<String, usize> = HashMap::new();
    let step = |(_, vertex): (_, &Vertex)| {
        let meta = &vertex.meta;
        let mut id = format!("{} {}", meta.stage, instruction(&meta.name));
        let count = ids.entry(id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            id = format!("{id} #{count}");
        }
        Step {
            name: meta.name.to_string(),
            id,
            stage: meta.stage.to_string(),
            line: meta.span.map(|(start, _)| lines.line(start)),
            inputs: vertex.inputs.iter().map(|input| input.vertex.0 as usize).collect(),
            ignored_cache: meta.ignore_cache,
            image: match &vertex.op {
                Op::Source(SourceOp::Image { name, .. }) => Some(name.clone()),
                _ => None,
            },
            ..Step::default()
        }
    };
    graph.vertices().map(step).collect()
}

/// Fills in what became of the steps.
pub(crate) fn settle(steps: &mut [Step], solution: &Solution<Output>) {
    for (step, node) in steps.iter_mut().zip(&solution.nodes) {
        step.fate = fate(node);
        step.duration = millis(node.duration);
        step.cost = millis(node.cost);
        step.key = node.key.map(|key| key.to_string());
        step.parts = node.recipe.as_ref().map(parts).unwrap_or_default();
        step.snapshot = match &node.output {
            Some(Output::Snapshot(snapshot)) => Some(snapshot.to_string()),
            Some(Output::Context(_)) | None => None,
        };
    }
}

/// Fills in what steps printed.
pub(super) fn log(steps: &mut [Step], mut logs: BTreeMap<StepId, LogFile>) {
    for (id, step) in (0..).map(StepId).zip(steps) {
        step.log = logs.remove(&id);
    }
}

/// Gives steps that the build did not come to the parts of the build before, so that the next one
/// can be compared with it.
pub(super) fn inherit(steps: &mut [Step], old: &[Step], partners: &[Option<usize>]) {
    for (step, partner) in steps.iter_mut().zip(partners) {
        if let (true, Some(partner)) = (step.parts.is_empty(), partner) {
            let old = &old[*partner];
            step.parts.clone_from(&old.parts);
            step.key.clone_from(&old.key);
            step.cost = old.cost;
            step.inherited = !old.parts.is_empty();
        }
    }
}

fn fate(node: &NodeReport<Output>) -> Fate {
    match node.disposition {
        Disposition::Hit => Fate::Hit,
        Disposition::Ran => Fate::Ran,
        Disposition::Skipped => Fate::Skipped,
        Disposition::WouldRun => Fate::WouldRun,
        Disposition::Unknown => Fate::MayRun,
    }
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the parts of a recipe; of very many, as a pattern that thousands of files match has
/// them, the last are one.
fn parts(recipe: &KeyRecipe) -> Vec<(String, String)> {
    let (kept, rest) = recipe.parts.split_at(recipe.parts.len().min(MOST));
    let kept = kept.iter().map(|part| (part.name.clone(), clip(&part.value)));
    let rest = (!rest.is_empty())
        .then(|| (REST.to_owned(), KeyRecipe { parts: rest.to_vec() }.key().to_string()));
    kept.chain(rest).collect()
}

/// Returns a value that is short enough to be kept, and still another one for another value.
fn clip(value: &str) -> String {
    if value.len() <= LONGEST {
        return value.to_owned();
    }
    let digest = Digest::of(value.as_bytes());
    format!("{}… ({digest})", &value[..value.floor_char_boundary(LONGEST)])
}

/// Returns the variables that are build arguments alone: those that some `ARG` declares and no
/// `ENV` sets.
pub(super) fn arguments(file: &Dockerfile) -> Vec<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let instructions = || file.stages.iter().flat_map(|stage| &stage.instructions);
    for arg in &file.global_args {
        names.extend(arg.entries.iter().map(|entry| entry.name.as_str()));
    }
    for instruction in instructions() {
        if let InstructionKind::Arg(arg) = &instruction.kind {
            names.extend(arg.entries.iter().map(|entry| entry.name.as_str()));
        }
    }
    for instruction in instructions() {
        if let InstructionKind::Env(env) = &instruction.kind {
            for pair in &env.pairs {
                names.remove(pair.key.raw.as_str());
            }
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Where the lines of a text begin, so that each place is found without reading all before it.
struct Lines(Vec<u32>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n');
        Self(ends.map(|(_, next)| next).collect())
    }

    /// Returns the line of a byte, from 1.
    fn line(&self, offset: u32) -> usize {
        self.0.partition_point(|start| *start <= offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use lathe_solver::KeyPart;

    use super::*;

    #[test]
    fn lines_are_those_that_errors_show() {
        let text = "FROM a\n\nRUN b \\\n  c\nCOPY . .";
        let lines = Lines::of(text);
        for offset in 0..u32::try_from(text.len()).unwrap() {
            assert_eq!(lines.line(offset), lathe_dockerfile::line_column(text, offset).line);
        }
    }

    #[test]
    fn long_values_are_cut_and_still_told_apart() {
        let (a, b) = ("é".repeat(2000) + "a", "é".repeat(2000) + "b");
        assert_ne!(clip(&a), clip(&b));
        assert!(clip(&a).len() < 1200);
        assert_eq!(clip("short"), "short");
    }

    #[test]
    fn of_very_many_parts_the_last_are_one_that_differs_when_they_do() {
        let recipe = |last: &str| {
            let part = |index: usize| KeyPart::new(format!("file {index}"), "same");
            let parts = (0..1000).map(part).chain([KeyPart::new("file x", last)]).collect();
            KeyRecipe { parts }
        };
        let (one, other) = (parts(&recipe("1")), parts(&recipe("2")));
        assert_eq!(one.len(), MOST + 1);
        assert_eq!(one[..MOST], other[..MOST]);
        assert_ne!(one[MOST], other[MOST]);
    }

    #[test]
    fn arguments_are_what_only_arg_names() {
        let text = "ARG BASE=alpine\nFROM $BASE\nARG VERSION=1\nARG PATH\nENV PATH=/bin\n";
        let file = lathe_dockerfile::parse(text).file;
        assert_eq!(arguments(&file), ["BASE", "VERSION"]);
    }
}
