//! Which stages a target needs, and what each name in them means.
//!
//! Names follow BuildKit. `FROM` means the latest stage of that name before it; `COPY --from` and
//! `RUN --mount from=` the last stage of that name in the file, which must come before; then an
//! image. A named context (`--build-context`) takes the place of a stage or image of its name.
//! Names are compared in lower case. Of stages that the target does not need the names must be
//! valid, too, but their images need not exist.
//!
//! What a base image wants to be run (`ONBUILD`) is known only with its config, and may name
//! further images: so a plan is made again until nothing new is wanted.

mod names;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};

use lathe_dockerfile::{Diagnostic, Dockerfile, Span, Stage, Word, expand, suggest};

use crate::{
    Base, Errors, FrontendOptions, PlanScope, Resolution, StageBody, StageGraph, StageId,
    StagePlan, lower,
};

/// A plan, with what the user should know.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub stages: StageGraph,
    /// Findings that do not stop the build.
    pub warnings: Vec<Diagnostic>,
}

/// Finds the stages that the target needs and resolves their names.
///
/// What is known of images so far is in `known`: triggers of a base image may name further ones,
/// so that a caller plans again until nothing new is wanted ([`crate::StageGraph::wanted`]).
pub fn plan(
    file: &Dockerfile,
    options: &FrontendOptions,
    known: &Resolution,
) -> Result<Planned, Errors> {
    let args = options.platform_args(file);
    let mut cx = Cx { file, options, known, args, plans: Vec::new(), errors: Vec::new() };
    cx.expand_global_args();
    let target = cx.target();
    for index in 0..u32::try_from(file.stages.len()).unwrap_or(u32::MAX) {
        let plan = cx.stage(StageId(index));
        cx.plans.push(plan);
    }
    let needed = match (options.scope, target) {
        (PlanScope::Target, Some(target)) => cx.reachable(target),
        (PlanScope::All, _) | (_, None) => (0..cx.plans.len()).collect(),
    };
    let mut errors = cx.errors(&needed);
    let Some(target) = target.filter(|_| errors.is_empty()) else {
        errors.extend(cx.deeper(&needed));
        errors.sort_by_key(|error| error.span.start);
        return Err(errors);
    };
    let plans = cx.plans.into_iter().enumerate();
    let stages = plans.filter(|(index, _)| needed.contains(index)).filter_map(|(_, plan)| plan);
    let stages = StageGraph { stages: stages.collect(), target, global_args: cx.args };
    Ok(Planned { stages, warnings: Vec::new() })
}

/// A finding, and when it counts.
struct Found {
    counts: Counts,
    error: Diagnostic,
}

/// When a finding counts.
#[derive(Clone, Copy)]
enum Counts {
    /// Always.
    Always,
    /// If the first stage is needed, or is itself needed by the later one that it uses.
    Later(StageId, StageId),
}

struct Cx<'a> {
    file: &'a Dockerfile,
    options: &'a FrontendOptions,
    known: &'a Resolution,
    args: BTreeMap<String, String>,
    /// The stages so far; `None` where one could not be planned.
    plans: Vec<Option<StagePlan>>,
    errors: Vec<Found>,
}

impl Cx<'_> {
    fn error(&mut self, error: Diagnostic) {
        self.errors.push(Found { counts: Counts::Always, error });
    }

    /// Returns the errors that count, in order of their places.
    fn errors(&mut self, needed: &BTreeSet<usize>) -> Errors {
        let found = std::mem::take(&mut self.errors);
        let counts = |found: &Found| match found.counts {
            Counts::Always => true,
            Counts::Later(stage, later) => {
                needed.contains(&stage.index()) || self.reachable(later).contains(&stage.index())
            }
        };
        let mut errors: Errors = found.into_iter().filter(counts).map(|it| it.error).collect();
        errors.sort_by_key(|error| error.span.start);
        errors
    }

    /// Returns the errors that lowering would find in the stages that could be planned, so that
    /// all that is wrong is told at once. What is not known of images by now counts as unknown.
    fn deeper(&self, needed: &BTreeSet<usize>) -> Errors {
        let mut whole: BTreeSet<StageId> = BTreeSet::new();
        let mut stages = Vec::new();
        for plan in self.plans.iter().flatten() {
            let bases = std::iter::once(&plan.base).chain(plan.froms.values());
            let known = bases.into_iter().all(|base| match base {
                Base::Stage(id) => whole.contains(id),
                Base::Scratch | Base::Image(_) | Base::Context(_) => true,
            });
            if known && needed.contains(&plan.id.index()) {
                whole.insert(plan.id);
                stages.push(plan.clone());
            }
        }
        let Some(target) = stages.last().map(|last| last.id) else { return Vec::new() };
        let stages = StageGraph { stages, target, global_args: self.args.clone() };
        let mut resolution = self.known.clone();
        let wanted = stages.wanted().into_keys();
        resolution.unknown.extend(wanted.filter(|image| !self.known.images.contains_key(image)));
        lower(self.file, &stages, &resolution, self.options).err().unwrap_or_default()
    }

    fn expand(&mut self, word: &Word) -> Option<String> {
        match expand(&word.raw, &self.args, self.file.escape) {
            Ok(expanded) => Some(expanded.text),
            Err(error) => {
                self.error(Diagnostic::error(word.locate(error.offset()), error.to_string()));
                None
            }
        }
    }

    fn expand_global_args(&mut self) {
        for entry in self.file.global_args.iter().flat_map(|arg| &arg.entries) {
            let value = match (self.options.build_args.get(&entry.name), &entry.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => self.expand(default),
                (None, None) => None,
            };
            if let Some(value) = value {
                self.args.insert(entry.name.clone(), value);
            }
        }
    }

    fn target(&mut self) -> Option<StageId> {
        let count = self.file.stages.len();
        let Some(wanted) = &self.options.target else {
            return u32::try_from(count.checked_sub(1)?).ok().map(StageId);
        };
        let found = self
            .find(wanted, count)
            .or_else(|| wanted.parse::<u32>().ok().filter(|n| (*n as usize) < count).map(StageId));
        if found.is_none() {
            let names: Vec<String> = self.file.stages.iter().filter_map(Stage::key).collect();
            let near = suggest(&wanted.to_lowercase(), names.iter().map(String::as_str));
            let message = format!("there is no stage `{wanted}` (--target)");
            let error = Diagnostic::error(Span::empty_at(0), message);
            self.error(match near {
                Some(near) => error.help(format!("did you mean `--target {near}`?")),
                None if names.is_empty() => error.help("name a stage: `FROM image AS name`"),
                None => error.help(format!("the stages are {}", quoted(&names))),
            });
        }
        found
    }

    fn stage(&mut self, id: StageId) -> Option<StagePlan> {
        let stage = &self.file.stages[id.index()];
        let asked = match &stage.platform {
            Some(word) => self.platform(word),
            None => Some(self.options.platform.clone()),
        };
        // With a wrong platform the names are looked at all the same.
        let wanted = asked.clone().unwrap_or_else(|| self.options.platform.clone());
        let (base, body) = self.base(stage, id, &wanted)?;
        let platform = match &base {
            Base::Scratch => self.options.platform.clone(),
            // What stands on a stage is for that stage's platform.
            Base::Stage(parent) => self.plans[parent.index()].as_ref()?.platform.clone(),
            Base::Image(image) => self.adopted(stage, image),
            Base::Context(_) => wanted,
        };
        let mut plan = StagePlan {
            id,
            name: stage.key().unwrap_or_else(|| format!("stage-{}", id.0)),
            platform,
            body,
            triggers: Vec::new(),
            froms: BTreeMap::new(),
            from_spans: BTreeMap::new(),
            base_span: stage.base.span,
            base,
        };
        let mut complete = asked.is_some();
        if body == StageBody::Run {
            complete &= self.add_triggers(&mut plan);
            for instruction in &stage.instructions {
                complete &= self.add_froms(&mut plan, instruction, None);
            }
        }
        complete.then_some(plan)
    }

    /// Returns the stages that one needs, with itself.
    fn reachable(&self, target: StageId) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut todo = vec![target];
        while let Some(id) = todo.pop() {
            if !needed.insert(id.index()) {
                continue;
            }
            let Some(plan) = &self.plans[id.index()] else { continue };
            let bases = std::iter::once(&plan.base).chain(plan.froms.values());
            todo.extend(bases.filter_map(|base| match base {
                Base::Stage(id) => Some(*id),
                Base::Scratch | Base::Image(_) | Base::Context(_) => None,
            }));
        }
        needed
    }
}

fn quoted(names: &[String]) -> String {
    let unique: BTreeSet<&String> = names.iter().collect();
    unique.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
